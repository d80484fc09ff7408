// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

const kubeletRoot = "/var/lib/kubelet"

// node is a host's file system with a directory of ours on it.
type host struct {
	t *testing.T
	// root is the host's "/", ours the directory that is written to.
	root, ours string
	*Directory
}

func newHost(t *testing.T) *host {
	t.Helper()
	return openHost(t, t.TempDir())
}

func openHost(t *testing.T, root string) *host {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(root, kubeletRoot), 0o700))
	d, err := Open(root, kubeletRoot+"/seccomp")
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return &host{t: t, root: root, ours: filepath.Join(root, kubeletRoot, "seccomp", v1alpha1.ProfileDirectory), Directory: d}
}

// apply keeps nothing and compares what was done.
func (h *host) apply(want []Profile, changes ...Change) {
	h.t.Helper()
	h.compare(h.Apply(want, func(string) bool { return false }), changes...)
}

func (h *host) compare(got []Change, want ...Change) {
	h.t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(sameText)); d != "" {
		h.t.Errorf("changes (-want +got):\n%s", d)
	}
}

func sameText(x, y error) bool {
	if x == nil || y == nil {
		return x == y
	}
	return x.Error() == y.Error()
}

// profile is one with the given default action; its text does not matter here.
func profile(name, action string) Profile {
	content := []byte(`{"defaultAction":"` + action + `"}` + "\n")
	return Profile{Name: name, Content: content, Digest: seccomp.Digest(content)}
}

func written(p Profile) []Change {
	return []Change{
		{Path: seccomp.DigestPath(p.Name, p.Digest), Outcome: Written, Found: nothing, Digest: p.Digest},
		{Path: seccomp.PlainPath(p.Name), Outcome: Written, Found: nothing, Digest: p.Digest},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestApplyWritesOnce(t *testing.T) {
	h := newHost(t)
	app := profile("app", "SCMP_ACT_ERRNO")
	h.apply([]Profile{app}, written(app)...)
	h.apply([]Profile{app})
	for _, path := range []string{seccomp.PlainPath("app"), seccomp.DigestPath("app", app.Digest)} {
		data, err := os.ReadFile(filepath.Join(h.ours, "..", path))
		must(t, err)
		if d := cmp.Diff(string(app.Content), string(data)); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
	must(t, h.Purge())
	if _, err := os.Lstat(h.ours); !os.IsNotExist(err) {
		t.Errorf("after Purge the directory is still there: %v", err)
	}
}
