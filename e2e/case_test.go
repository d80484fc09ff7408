// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

var update = flag.Bool("update", false, "write what happened into the expect part of the case files")

// testCase is a file in testdata/cases.
type testCase struct {
	// About is the sentence that the case proves.
	About string `json:"about"`
	// Namespace that the request is made in.
	Namespace struct {
		Labels map[string]string `json:"labels"`
	} `json:"namespace"`
	User cluster.User `json:"user"`
	// Before is created while the namespace has no labels yet.
	Before *unstructured.Unstructured `json:"before"`
	// Object is created, or Patch is applied to Before.
	Object      *unstructured.Unstructured `json:"object"`
	Patch       map[string]any             `json:"patch"`
	Subresource string                     `json:"subresource"`
	DryRun      bool                       `json:"dryRun"`
	Expect      outcome                    `json:"expect"`
}

// outcome is all that a user can see of an answer.
type outcome struct {
	Allowed bool `json:"allowed"`
	// Rules that a denial names.
	Rules []string `json:"rules,omitempty"`
	// Message of a denial.
	Message  string   `json:"message,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Injected profiles by the place that they were written to.
	Injected map[string]string `json:"injected,omitempty"`
	// Audit annotations of ours and of a failure policy. The digest of the rules is left
	// out: it changes with every rule.
	Audit map[string]string `json:"audit,omitempty"`
}

// TestCases runs every file in testdata/cases.
func TestCases(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "cases", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("find cases: %d, %v", len(files), err)
	}
	useNodes(t)
	for _, file := range files {
		name, isYAML := strings.CutSuffix(filepath.Base(file), ".yaml")
		if !isYAML {
			t.Errorf("%s is no case: its name does not end with .yaml", file)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runCase(t, file, "case-"+name)
		})
	}
}

func runCase(t *testing.T, file, namespace string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c testCase
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		t.Fatalf("parse %s: %v", file, err)
	}
	if c.About == "" || (c.Object == nil) == (c.Patch == nil) || c.Patch != nil && c.Before == nil {
		t.Fatalf("%s needs about, and object or before and patch", file)
	}
	r := c.prepare(t, namespace)
	a := shared.send(t, r)
	got := outcomeOf(t, r, a)
	if d := cmp.Diff(c.Expect, got); d != "" {
		if *update {
			rewrite(t, file, text, got)
		}
		t.Errorf("%s\n%s (-want +got):\n%s", file, c.About, d)
	}
}

// prepare makes everything that the request needs.
func (c *testCase) prepare(t *testing.T, namespace string) cluster.Request {
	t.Helper()
	r := cluster.Request{User: c.User, Object: c.Object, Namespace: namespace, Subresource: c.Subresource, DryRun: c.DryRun}
	if c.Before == nil {
		shared.namespace(t, namespace, c.Namespace.Labels)
		return r
	}
	shared.namespace(t, namespace, nil)
	before := shared.send(t, cluster.Request{Object: c.Before, Namespace: namespace})
	if !before.Allowed() {
		t.Fatalf("create before: %s", before.Message)
	}
	shared.label(t, namespace, c.Namespace.Labels)
	if c.Patch != nil {
		r.Object, r.Patch = before.Object, c.Patch
	}
	return r
}

// now is a time of the run, which messages about the end of a recording contain.
var now = regexp.MustCompile(`20[0-9-]{8}T[0-9:]{8}Z`)

var ruleInMessage = regexp.MustCompile(`\[([a-z]+(?:-[a-z]+)*)\] `)

func outcomeOf(t *testing.T, r cluster.Request, a *cluster.Answer) outcome {
	t.Helper()
	o := outcome{Allowed: a.Allowed(), Message: now.ReplaceAllString(a.Message, "TIME"), Warnings: a.Warnings}
	seen := map[string]bool{}
	for _, m := range ruleInMessage.FindAllStringSubmatch(a.Message, -1) {
		if !seen[m[1]] {
			o.Rules, seen[m[1]] = append(o.Rules, m[1]), true
		}
	}
	if a.Allowed() {
		o.Injected = injected(cluster.Profiles(r.Object), cluster.Profiles(a.Object))
	}
	for key, value := range shared.audited(t, a) {
		if strings.HasSuffix(strings.SplitN(key, "/", 2)[0], "seccompgate.io") && !strings.HasSuffix(key, "/policy") || strings.HasPrefix(key, "failed-open.") {
			if o.Audit == nil {
				o.Audit = map[string]string{}
			}
			o.Audit[key] = value
		}
	}
	return o
}

// injected is what got has and sent had not.
func injected(sent, got map[string]string) map[string]string {
	new := maps.Clone(got)
	maps.DeleteFunc(new, func(place, profile string) bool { return sent[place] == profile })
	if len(new) == 0 {
		return nil
	}
	return new
}

// rewrite replaces the expect part, which is the last one.
func rewrite(t *testing.T, file string, text []byte, got outcome) {
	t.Helper()
	given, _, _ := bytes.Cut(append([]byte("\n"), text...), []byte("\nexpect:"))
	expect, err := yaml.Marshal(map[string]outcome{"expect": got})
	if err != nil {
		t.Fatal(err)
	}
	given = bytes.TrimSpace(given)
	if err := os.WriteFile(file, append(append(given, '\n'), expect...), 0o644); err != nil {
		t.Fatal(err)
	}
}
