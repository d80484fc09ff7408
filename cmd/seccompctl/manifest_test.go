// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/webhook/review"
)

// TestFilesBesideUnreadable: a folder that cannot be read does not hide what is beside it.
// Its path is too long for the kernel, which holds for root, too.
func TestFilesBesideUnreadable(t *testing.T) {
	directory := t.TempDir()
	root, err := os.OpenRoot(directory)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // nothing was written
	deep := strings.Repeat(strings.Repeat("d", 200)+"/", 25)
	if err := root.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range []string{"a.yaml", "z.yaml"} {
		if err := root.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want = append(want, filepath.Join(directory, name))
	}
	got, err := files([]string{directory})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	const remedy = ": file name too long; make it readable, or name what is beside it"
	if err == nil || !strings.HasPrefix(err.Error(), "read manifests: ") || !strings.HasSuffix(err.Error(), remedy) {
		t.Errorf("error %v, want one that ends with %q", err, remedy)
	}
}

// TestPodPath: a kind that makes pods is told apart from one of those that have none.
func TestPodPath(t *testing.T) {
	kinds := []string{"Pod"}
	for _, k := range review.WorkloadKinds() {
		kinds = append(kinds, k.Kind)
	}
	for _, kind := range kinds {
		group := map[string]string{"Pod": "v1", "PodTemplate": "v1", "ReplicationController": "v1", "CronJob": "batch/v1", "Job": "batch/v1"}[kind]
		if group == "" {
			group = "apps/v1"
		}
		pod := `{"containers":[{"name":"a"}]}`
		path := podPath(kind)
		for i := len(path) - 1; i >= 0; i-- {
			pod = `{"` + path[i] + `":` + pod + `}`
		}
		object := `{"apiVersion":"` + group + `","kind":"` + kind + `",` + pod[1:]
		seen := false
		err := eachManifest([]byte(object), "x.json", func(m *manifest) error {
			seen = true
			return m.podless("has no pod")
		})
		if err != nil || !seen {
			t.Errorf("%s: seen %v, error %v", object, seen, err)
		}
	}
}
