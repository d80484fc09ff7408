// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// exampleOutcome is what becomes of one object of examples/.
type exampleOutcome struct {
	Example string `json:"example"`
	outcome `json:",inline"`
}

// TestGate is the shortest way through everything: the self-signed overlay from the shipped
// manifests, the objects of examples/ with the tutorial's three pods, a pod that is
// injected by its label and one that is denied.
func TestGate(t *testing.T) {
	golden := filepath.Join("testdata", "examples.yaml")
	got := applyExamples(t)
	if *update {
		text, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, golden, string(text))
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var want []exampleOutcome
	if err := yaml.UnmarshalStrict(text, &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(exampleOutcome{})); d != "" {
		t.Errorf("examples (-want +got):\n%s", d)
	}
	if !slices.ContainsFunc(got, func(o exampleOutcome) bool { return len(o.Injected) > 0 }) {
		t.Error("no example is injected")
	}
	if !slices.ContainsFunc(got, func(o exampleOutcome) bool { return slices.Contains(o.Rules, "unconfined") }) {
		t.Error("no example is denied for being Unconfined")
	}
}

// applyExamples makes the objects of examples/ on a cluster without other nodes.
func applyExamples(t *testing.T) []exampleOutcome {
	t.Helper()
	setting, err := cluster.ExampleSetting()
	if err != nil {
		t.Fatal(err)
	}
	examples, err := cluster.Examples()
	if err != nil {
		t.Fatal(err)
	}
	clearNodes(t)
	if err := shared.ApplySetting(t.Context(), shared.webhook, setting); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What stays in their namespaces meets no node, and no other test.
		for _, o := range setting {
			if o.GetKind() == "Namespace" {
				if _, err := shared.MustKubectl(context.Background(), "", "delete", "namespace", o.GetName(), "--wait=false"); err != nil {
					t.Error(err)
				}
			}
		}
	})
	var outcomes []exampleOutcome
	for _, e := range examples {
		r := cluster.Request{Object: e.Object, Namespace: e.Namespace}
		a := shared.send(t, r)
		outcomes = append(outcomes, exampleOutcome{Example: e.Namespace + " " + e.File, outcome: outcomeOf(t, r, a)})
	}
	return outcomes
}

// TestEveryExampleIsShown: a file that is added to examples/ has its place in the demo.
func TestEveryExampleIsShown(t *testing.T) {
	examples, err := cluster.Examples()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{"namespaces.yaml": true, "nodes.yaml": true, "localhostprofile.yaml": true, "tutorial/namespace.yaml": true}
	for _, e := range examples {
		shown[e.File] = true
	}
	root := filepath.Join(shared.root, "examples")
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "config" { // files for --config, which no API server takes
			return fs.SkipDir
		}
		name, err := filepath.Rel(root, path)
		if err == nil && strings.HasSuffix(name, ".yaml") && !shown[name] {
			t.Errorf("examples/%s is neither shown by the demo nor tested: add it to cluster.Examples", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
