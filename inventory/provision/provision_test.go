// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

const (
	kubeletRoot = "/var/lib/kubelet"
	seccompRoot = kubeletRoot + "/seccomp"
)

// host is a host's file system and the directory of ours on it.
type host struct {
	t *testing.T
	// root is the host's "/", ours the directory that is written to.
	root, ours string
	*Directory
}

func newHost(t *testing.T) *host {
	t.Helper()
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, kubeletRoot), 0o700))
	return openHost(t, root)
}

func openHost(t *testing.T, root string) *host {
	t.Helper()
	d, err := Open(root, seccompRoot)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return &host{t: t, root: root, ours: filepath.Join(root, seccompRoot, v1alpha1.ProfileDirectory), Directory: d}
}

// path of a file in the directory of ours.
func (h *host) path(file string) string { return filepath.Join(h.ours, filepath.Base(file)) }

// apply keeps nothing and compares what was done.
func (h *host) apply(profiles []Profile, want ...Change) {
	h.t.Helper()
	h.compare(h.Apply(profiles, keepNothing), want...)
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

func keepNothing(string) bool    { return false }
func keepEverything(string) bool { return true }

// holds compares the directory with whole files, and looks at modes and owners.
func (h *host) holds(want map[string][]byte) {
	h.t.Helper()
	got := make(map[string][]byte)
	entries, err := os.ReadDir(h.ours)
	must(h.t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(h.t, err)
		if !info.Mode().IsRegular() {
			h.t.Errorf("%s is %s", e.Name(), kind(info))
			continue
		}
		if found := access(info, fileMode); found != "" && isOurs(e.Name()) {
			h.t.Errorf("%s has %s", e.Name(), found)
		}
		data, err := os.ReadFile(h.path(e.Name()))
		must(h.t, err)
		got[e.Name()] = data
	}
	if d := cmp.Diff(want, got); d != "" {
		h.t.Errorf("files (-want +got):\n%s", d)
	}
	info, err := os.Lstat(h.ours)
	must(h.t, err)
	if found := access(info, directoryMode); found != "" {
		h.t.Errorf("directory has %s", found)
	}
}

// files are those that a node has of the profiles.
func files(profiles ...Profile) map[string][]byte {
	all := make(map[string][]byte)
	for _, p := range profiles {
		all[filepath.Base(seccomp.DigestPath(p.Name, p.Digest))] = p.Content
		all[filepath.Base(seccomp.PlainPath(p.Name))] = p.Content
	}
	return all
}

// profile is one of some content.
func profile(name, content string) Profile {
	return Profile{Name: name, Content: []byte(content), Digest: seccomp.Digest([]byte(content))}
}

// written is what is told of a new profile.
func written(p Profile) []Change {
	return []Change{
		{Path: seccomp.DigestPath(p.Name, p.Digest), Outcome: Written, Found: nothing, Digest: p.Digest},
		{Path: seccomp.PlainPath(p.Name), Outcome: Written, Found: nothing, Digest: p.Digest},
	}
}

// changes in order of paths.
func changes(all ...Change) []Change {
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContent(t *testing.T) {
	l := &v1alpha1.LocalhostProfile{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
	l.Spec.Profile.DefaultAction = "SCMP_ACT_LOG"
	got, err := Content(l)
	must(t, err)
	const text = "{\n  \"defaultAction\": \"SCMP_ACT_LOG\"\n}\n"
	if d := cmp.Diff(profile("app", text), got); d != "" {
		t.Errorf("Content (-want +got):\n%s", d)
	}

	l.Spec.Profile.DefaultAction = "SCMP_ACT_LOGG"
	got, err = Content(l)
	const want = `spec.profile: defaultAction: unknown action "SCMP_ACT_LOGG"; did you mean "SCMP_ACT_LOG"?`
	if err == nil || err.Error() != want {
		t.Errorf("Content returns %v, want %s", err, want)
	}
	if d := cmp.Diff(Profile{Name: "app"}, got); d != "" {
		t.Errorf("profile of a wrong content (-want +got):\n%s", d)
	}
}

func TestApplyWritesOnce(t *testing.T) {
	h := newHost(t)
	app, db := profile("app", "a"), profile("db.main", "d")
	h.apply([]Profile{app, db}, append(written(app), written(db)...)...)
	h.holds(files(app, db))
	before := stamps(t, h.ours)
	h.apply([]Profile{app, db})
	if d := cmp.Diff(before, stamps(t, h.ours)); d != "" {
		t.Errorf("a second Apply writes (-before +after):\n%s", d)
	}
	// Another process finds all as it should be.
	openHost(t, h.root).apply([]Profile{app, db})
}

// stamps are when the directory and the files in it last changed.
func stamps(t *testing.T, directory string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(directory, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		all[path] = info.ModTime().String()
		return err
	}))
	return all
}

func TestApplyUpdates(t *testing.T) {
	older, newer := profile("app", "older"), profile("app", "newer")
	plain := Change{Path: seccomp.PlainPath("app"), Outcome: Written, Found: older.Digest, Digest: newer.Digest}
	generation := Change{Path: seccomp.DigestPath("app", newer.Digest), Outcome: Written, Found: nothing, Digest: newer.Digest}
	kept := Change{Path: seccomp.DigestPath("app", older.Digest), Outcome: Kept, Found: older.Digest}
	removed := Change{Path: seccomp.DigestPath("app", older.Digest), Outcome: Removed, Found: older.Digest}
	for _, tc := range []struct {
		name string
		// again opens the directory anew, so that nothing is remembered.
		again bool
	}{{"by one process", false}, {"across a restart", true}} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHost(t)
			h.apply([]Profile{older}, written(older)...)
			if tc.again {
				h = openHost(t, h.root)
			}
			var asked []string
			h.compare(h.Apply([]Profile{newer}, func(path string) bool {
				asked = append(asked, path)
				return true
			}), changes(plain, generation, kept)...)
			if d := cmp.Diff([]string{seccomp.DigestPath("app", older.Digest)}, asked); d != "" {
				t.Errorf("keep is asked about (-want +got):\n%s", d)
			}
			all := files(newer)
			all[filepath.Base(kept.Path)] = older.Content
			h.holds(all)
			h.compare(h.Apply([]Profile{newer}, keepEverything), kept)
			h.apply([]Profile{newer}, removed)
			h.holds(files(newer))
		})
	}
}

func TestApplyRemoves(t *testing.T) {
	app, db := profile("app", "a"), profile("db", "d")
	for _, tc := range []struct {
		name    string
		want    []Profile
		keep    func(string) bool
		changes []Change
		holds   map[string][]byte
	}{
		{
			name: "nobody names it",
			want: []Profile{db}, keep: keepNothing,
			changes: []Change{
				{Path: seccomp.DigestPath("app", app.Digest), Outcome: Removed, Found: app.Digest},
				{Path: seccomp.PlainPath("app"), Outcome: Removed, Found: app.Digest},
			},
			holds: files(db),
		},
		{
			name: "a pod names the plain path",
			want: []Profile{db}, keep: func(path string) bool { return path == "seccompgate/app.json" },
			changes: []Change{
				{Path: seccomp.DigestPath("app", app.Digest), Outcome: Removed, Found: app.Digest},
				{Path: seccomp.PlainPath("app"), Outcome: Kept, Found: app.Digest},
			},
			holds: map[string][]byte{
				"app.json": app.Content, "db.json": db.Content, filepath.Base(seccomp.DigestPath("db", db.Digest)): db.Content,
			},
		},
		{
			name: "its content is not known",
			want: []Profile{db, {Name: "app"}}, keep: keepNothing,
			holds: files(app, db),
		},
		{
			name: "its content is not what its digest says",
			want: []Profile{db, {Name: "app", Content: []byte("b"), Digest: app.Digest}}, keep: keepNothing,
			changes: []Change{{Path: seccomp.PlainPath("app"), Outcome: Failed, Digest: app.Digest, Err: errorText("digest is not that of the content")}},
			holds:   files(app, db),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHost(t)
			h.apply([]Profile{app, db}, append(written(app), written(db)...)...)
			h.compare(h.Apply(tc.want, tc.keep), tc.changes...)
			h.holds(tc.holds)
		})
	}
}

// errorText is an error that is compared by what it says.
type errorText string

func (e errorText) Error() string { return string(e) }

// foreign makes what somebody else may put into the directory, and returns its files.
func (h *host) foreign() map[string][]byte {
	h.t.Helper()
	all := make(map[string][]byte)
	for _, name := range []string{"README", "other", "app.json~", ".app.json", ".app.json.part", ".app.json.1234.part", "App.json", "runtime-default.json", "app.json.aside"} {
		must(h.t, os.WriteFile(h.path(name), []byte(name), 0o600))
		all[name] = []byte(name)
	}
	return all
}

func TestForeignFilesStay(t *testing.T) {
	h := newHost(t)
	app := profile("app", "a")
	h.apply([]Profile{app}, written(app)...)
	want := h.foreign()
	for file, content := range files(app) {
		want[file] = content
	}
	h.apply([]Profile{app})
	h.holds(want)
	// A directory under a name of ours is none of ours either once nobody wants the name.
	must(t, os.Mkdir(h.path("web.json"), 0o700))
	h.apply([]Profile{app})
	must(t, os.Remove(h.path("web.json")))
}

// TestUninstall leaves the files when the program is gone, and removes them with Purge.
func TestUninstall(t *testing.T) {
	h := newHost(t)
	app := profile("app", "a")
	h.apply([]Profile{app}, written(app)...)
	h.holds(files(app))
	foreign := h.foreign()

	part := h.path(hidden("app.json", partSuffix))
	must(t, os.WriteFile(part, []byte("torn"), 0o600))
	must(t, h.Purge())
	h.holds(foreign)
	for file := range foreign {
		must(t, os.Remove(h.path(file)))
	}

	h.apply([]Profile{app}, written(app)...)
	must(t, h.Purge())
	if _, err := os.Lstat(h.ours); !os.IsNotExist(err) {
		t.Errorf("after Purge the directory is still there: %v", err)
	}
	if _, err := os.Lstat(filepath.Dir(h.ours)); err != nil {
		t.Errorf("Purge removes the kubelet's directory: %v", err)
	}
	must(t, h.Purge())

	must(t, os.Symlink("elsewhere", h.ours))
	const want = "open seccompgate: it is a symbolic link, no directory"
	if err := h.Purge(); err == nil || err.Error() != want {
		t.Errorf("Purge returns %v, want %s", err, want)
	}
}

func TestDirectoryIsMissing(t *testing.T) {
	app := profile("app", "a")
	failed := func(err string) Change { return Change{Path: "seccompgate", Outcome: Failed, Err: errorText(err)} }
	for _, tc := range []struct {
		name string
		make func(t *testing.T, root string)
		want []Change
	}{
		{
			name: "the kubelet's root",
			make: func(*testing.T, string) {},
			want: []Change{failed("open /var/lib/kubelet: no such file or directory; see whether this is the kubelet's --root-dir")},
		},
		{
			name: "the seccomp directory",
			make: func(t *testing.T, root string) { must(t, os.MkdirAll(root+kubeletRoot, 0o700)) },
			want: written(app),
		},
		{
			name: "behind an absolute link to another disk",
			make: func(t *testing.T, root string) {
				must(t, os.MkdirAll(root+"/disk/kubelet", 0o700))
				must(t, os.MkdirAll(root+"/var/lib", 0o700))
				must(t, os.Symlink("/disk/kubelet", root+kubeletRoot))
			},
			want: written(app),
		},
		{
			name: "a file in the seccomp directory's place",
			make: func(t *testing.T, root string) {
				must(t, os.MkdirAll(root+kubeletRoot, 0o700))
				must(t, os.WriteFile(root+seccompRoot, nil, 0o600))
			},
			want: []Change{failed("open /var/lib/kubelet/seccomp: not a directory")},
		},
		{
			name: "a dangling link in the seccomp directory's place",
			make: func(t *testing.T, root string) {
				must(t, os.MkdirAll(root+kubeletRoot, 0o700))
				must(t, os.Symlink("/none", root+seccompRoot))
			},
			want: []Change{failed("open /var/lib/kubelet/seccomp: no such file or directory")},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			tc.make(t, root)
			h := openHost(t, root)
			h.apply([]Profile{app}, tc.want...)
			if tc.want[0].Outcome == Failed {
				// As soon as the cause is gone it works.
				must(t, os.RemoveAll(root+seccompRoot))
				must(t, os.MkdirAll(root+kubeletRoot, 0o700))
				h.apply([]Profile{app}, written(app)...)
			}
			if strings.Contains(tc.name, "disk") {
				h.ours = root + "/disk/kubelet/seccomp/seccompgate"
			}
			h.holds(files(app))
		})
	}
}

func TestTooManyEntries(t *testing.T) {
	h := newHost(t)
	app := profile("app", "a")
	h.apply([]Profile{app}, written(app)...)
	for i := range maxEntries {
		must(t, os.Symlink("x", h.path("x"+strings.Repeat("x", i%100)+string(rune('a'+i/100%26))+string(rune('a'+i/2600)))))
	}
	h.apply([]Profile{app}, Change{
		Path: "seccompgate", Outcome: Failed,
		Err: errorText("seccompgate holds 20000 files or more; remove what does not belong there"),
	})
}

func TestOpenNeedsARoot(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none"), seccompRoot)
	if err == nil || !strings.HasPrefix(err.Error(), "open host root: ") {
		t.Errorf("Open of a root that does not exist returns %v", err)
	}
}
