// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/seccomp"
)

// tree is what lies below a directory: kinds, modes, contents, where links lead.
func tree(t *testing.T, directory string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(directory, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text += " " + string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			text += " " + target
		}
		all[name] = text
		return nil
	}))
	return all
}

// victim fills a directory with what a writer that is led astray would change: files
// under the names that it writes, and left-overs that it would clean.
func victim(t *testing.T, directory string, p Profile) {
	t.Helper()
	for _, below := range []string{"", "seccompgate", "seccomp/seccompgate", "kubelet/seccomp/seccompgate", "lib/kubelet/seccomp/seccompgate"} {
		must(t, os.MkdirAll(filepath.Join(directory, below), 0o700))
		for _, file := range []string{seccomp.PlainPath(p.Name), seccomp.DigestPath(p.Name, p.Digest), "gone.json", hidden("app.json", partSuffix)} {
			must(t, os.WriteFile(filepath.Join(directory, below, filepath.Base(file)), []byte("victim"), 0o600))
		}
	}
}

// TestLedAstray plants a link in the place of every component of every path that is
// written, in several spellings, towards victims outside of the host and on it.
func TestLedAstray(t *testing.T) {
	app := profile("app", "content")
	components := []string{
		"seccompgate/app.json",
		"seccompgate/" + filepath.Base(seccomp.DigestPath("app", app.Digest)),
		"seccompgate/gone.json",
		"seccompgate/" + hidden("app.json", partSuffix),
		"seccompgate",
	}
	tries := 0
	for _, component := range components {
		for _, place := range []string{"outside", "on the host", "beside it"} {
			for _, spelling := range []string{"absolute", "relative", "climbing", "through a link", "twice"} {
				for _, before := range []bool{false, true} {
					tries++
					t.Run(fmt.Sprintf("%s/%s/%s/%t", component, place, spelling, before), func(t *testing.T) {
						h := newHost(t)
						above := filepath.Dir(h.ours)
						target := map[string]string{
							"outside":     t.TempDir(),
							"on the host": filepath.Join(h.root, "etc"),
							"beside it":   filepath.Join(above, "team-a"),
						}[place]
						victim(t, target, app)
						if before { // there is something to lose already
							h.Apply([]Profile{app}, keepNothing)
							must(t, os.RemoveAll(filepath.Join(above, component)))
						}
						aim := target
						if strings.Contains(component, "/") {
							aim = filepath.Join(target, filepath.Base(component))
						}
						plant(t, filepath.Join(above, component), aim, spelling)
						want := tree(t, target)
						h.Apply([]Profile{app}, keepNothing)
						h.Apply([]Profile{app}, keepNothing)
						if d := cmp.Diff(want, tree(t, target)); d != "" {
							t.Errorf("the victim has changed (-want +got):\n%s", d)
						}
						if place != "on the host" { // its part of the host holds the victim
							if _, err := os.Lstat(filepath.Join(h.root, "etc")); err == nil {
								t.Error("something is written to etc")
							}
						}
						if err := intact(h, app); err != nil {
							t.Error(err)
						}
						must(t, h.Purge())
						if d := cmp.Diff(want, tree(t, target)); d != "" {
							t.Errorf("Purge changes the victim (-want +got):\n%s", d)
						}
					})
				}
			}
		}
	}
	if tries < 150 {
		t.Errorf("%d tries", tries)
	}
}

// plant puts a link to target where it says.
func plant(t *testing.T, where, target, spelling string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(where), 0o755))
	relative, err := filepath.Rel(filepath.Dir(where), target)
	must(t, err)
	switch spelling {
	case "absolute":
		relative = target
	case "climbing":
		relative = strings.Repeat("../", 30) + target[1:]
	case "through a link":
		must(t, os.Symlink(filepath.Dir(target), filepath.Join(filepath.Dir(where), "lane")))
		relative = "lane/" + filepath.Base(target)
	case "twice":
		must(t, os.Symlink(relative, where+".hop"))
		relative = filepath.Base(where) + ".hop"
	}
	must(t, os.Symlink(relative, where))
}

// intact says whether the files of a profile are real and right.
func intact(h *host, p Profile) error {
	for file, content := range files(p) {
		info, err := os.Lstat(h.path(file))
		if err != nil {
			return err
		}
		data, err := os.ReadFile(h.path(file))
		if err != nil || !info.Mode().IsRegular() || string(data) != string(content) {
			return fmt.Errorf("%s is %s and holds %q (%w)", file, kind(info), data, err)
		}
	}
	return nil
}

// TestLedAstrayAbove plants the links above the seccomp directory, where they may lead:
// to another place of the host, and only of the host.
func TestLedAstrayAbove(t *testing.T) {
	app := profile("app", "content")
	for _, component := range []string{"var", "var/lib", "var/lib/kubelet", "var/lib/kubelet/seccomp"} {
		for _, spelling := range []string{"absolute", "relative", "climbing", "through a link", "twice"} {
			t.Run(component+"/"+spelling, func(t *testing.T) {
				root, outside := t.TempDir(), t.TempDir()
				rest := strings.TrimPrefix(path.Join("var/lib/kubelet/seccomp/seccompgate"), component)
				must(t, os.MkdirAll(filepath.Join(outside, rest), 0o700))
				victim(t, filepath.Join(outside, rest), app)
				plant(t, filepath.Join(root, component), outside, spelling)
				want := tree(t, outside)
				h := openHost(t, root)
				h.Apply([]Profile{app}, keepNothing)
				_ = h.Purge() // finds nothing
				if d := cmp.Diff(want, tree(t, outside)); d != "" {
					t.Errorf("what lies outside has changed (-want +got):\n%s", d)
				}
			})
		}
	}
}

// hostileNames are no names of profiles.
func hostileNames() []string {
	names := []string{
		"", ".", "..", "../app", "../../app", "/app", "/etc/app", "a/b", "a/../../app", "app/", "./app", "seccompgate/../../app",
		"..\x00", "app\x00", "app\n", "app\nseccompgate", "app.json/../../x", "...", "-app", "app-", ".app", "App", "äpp", "a..b", "a b",
		"~", "$HOME", "%2e%2e%2fapp", `..\app`, "runtime-default", "unconfined", "app.0123456789ab", strings.Repeat("a", 64), strings.Repeat("../", 300),
	}
	for depth := 1; depth <= 16; depth++ {
		names = append(names, strings.Repeat("../", depth)+"etc/app", "a/"+strings.Repeat("../", depth)+"app")
	}
	return names
}

func TestHostileNames(t *testing.T) {
	h := newHost(t)
	app := profile("app", "content")
	h.Apply([]Profile{app}, keepNothing)
	want := tree(t, h.root)
	for _, name := range hostileNames() {
		p := profile(name, "hostile")
		got := h.Apply([]Profile{app, p}, keepNothing)
		if len(got) != 1 || got[0].Outcome != Failed || got[0].Err == nil {
			t.Errorf("Apply of the name %q returns %v, want one failure", name, got)
		}
		if d := cmp.Diff(want, tree(t, h.root)); d != "" {
			t.Fatalf("the name %q changes the host (-want +got):\n%s", name, d)
		}
	}
	// A digest is part of a file's name too.
	for _, digest := range []string{"", "sha256:", "sha256:../../../x", "../x", strings.Repeat("/", 99)} {
		p := profile("web", "hostile")
		p.Digest = digest
		h.Apply([]Profile{app, p}, keepNothing)
		if d := cmp.Diff(want, tree(t, h.root)); d != "" {
			t.Fatalf("the digest %q changes the host (-want +got):\n%s", digest, d)
		}
	}
}

// TestRacingSwaps swaps the directory for links while it is written to, 200 times and
// until the writer has noticed it.
func TestRacingSwaps(t *testing.T) {
	const tries = 200
	h := newHost(t)
	above := filepath.Dir(h.ours)
	app, web := profile("app", "content"), profile("web", "content")
	outside, etc, beside := t.TempDir(), filepath.Join(h.root, "etc"), filepath.Join(above, "team-a")
	targets := []string{outside, etc, beside, "team-a", "../../../../etc"}
	for _, directory := range []string{outside, etc, beside} {
		victim(t, directory, app)
	}
	h.Apply([]Profile{app}, keepNothing)
	want := []map[string]string{tree(t, outside), tree(t, etc), tree(t, beside)}

	var done atomic.Bool
	var swaps atomic.Int64
	var group sync.WaitGroup
	group.Go(func() {
		away := filepath.Join(above, "away")
		for i := 0; !done.Load(); i++ {
			// Any of it may fail: the writer moves links aside and makes a new directory.
			_ = os.Rename(h.ours, away)
			if os.Symlink(targets[i%len(targets)], h.ours) == nil {
				swaps.Add(1)
			}
			_ = os.Remove(h.ours)
			_ = os.Rename(away, h.ours)
			_ = os.RemoveAll(away)
		}
	})
	repaired := 0
	for i := 0; i < tries || swaps.Load() < tries || repaired == 0; i++ {
		// Something to write and something to remove in every round.
		for _, c := range h.Apply([][]Profile{{app, web}, {app}}[i%2], keepNothing) {
			if c.Path == "seccompgate" {
				repaired++
			}
		}
	}
	done.Store(true)
	group.Wait()
	for i, directory := range []string{outside, etc, beside} {
		if d := cmp.Diff(want[i], tree(t, directory)); d != "" {
			t.Errorf("%s has changed (-want +got):\n%s", directory, d)
		}
	}
	t.Logf("%d swaps, noticed %d times", swaps.Load(), repaired)
	h.Apply([]Profile{app}, keepNothing)
	if err := intact(h, app); err != nil {
		t.Error(err)
	}
}

// FuzzName lets any name and any digest be written: what is written lies in the
// directory, under a name that leads back to the profile, and is gone after Purge.
func FuzzName(f *testing.F) {
	for _, name := range append(hostileNames(), "app", "a.b", "0", "app.0123456789a", "x.json") {
		f.Add(name, "")
		f.Add(name, "sha256:0123456789ab")
		f.Add(name, "sha256:../../../../x")
	}
	f.Fuzz(func(t *testing.T, name, digest string) {
		h := newHost(t)
		victim(t, filepath.Join(h.root, "etc"), profile("app", "content"))
		want := tree(t, h.root)
		p := profile(name, "content")
		if digest != "" {
			p.Digest = digest
		}
		for _, c := range h.Apply([]Profile{p}, keepNothing) {
			if c.Outcome == Failed {
				continue
			}
			if got, _ := seccomp.Generation(c.Path); got != name {
				t.Errorf("%q is written as %s", name, c.Path)
			}
			if err := seccomp.CheckPath(c.Path); err != nil {
				t.Errorf("%q is written where no pod can name it: %v", name, err)
			}
		}
		entries, err := os.ReadDir(h.ours)
		must(t, err)
		for _, e := range entries {
			if !isOurs(e.Name()) {
				t.Errorf("%q leaves %q", name, e.Name())
			}
		}
		must(t, h.Purge())
		must(t, os.Remove(filepath.Dir(h.ours)))
		if d := cmp.Diff(want, tree(t, h.root)); d != "" {
			t.Errorf("%q changes the host (-want +got):\n%s", name, d)
		}
	})
}

// TestReplacedMeanwhile moves the directory away between a write and its end: what was
// written does not count.
func TestReplacedMeanwhile(t *testing.T) {
	h := newHost(t)
	app := profile("app", "content")
	w := newWriter(nil)
	defer w.close()
	must(t, w.provide(h.host, h.seccompRoot))
	w.profile(app)
	must(t, os.Rename(h.ours, h.ours+".moved"))
	must(t, os.Mkdir(h.ours, 0o755))
	w.settle()
	want := written(app)
	for i := range want {
		want[i].Outcome, want[i].Err = Failed, errorText("seccompgate was replaced while it was in use")
	}
	h.compare(w.changes, want...)
}

// TestRacingEntry opens the directory while a link to another one comes and goes in its
// place, until one came between the look and the opening.
func TestRacingEntry(t *testing.T) {
	h := newHost(t)
	h.Apply(nil, keepNothing)
	above := filepath.Dir(h.ours)
	astray := filepath.Join(above, "team-a")
	must(t, os.Mkdir(astray, 0o755))
	wrong, err := os.Lstat(astray)
	must(t, err)

	var done atomic.Bool
	var group sync.WaitGroup
	group.Go(func() {
		link, away := filepath.Join(above, "link"), filepath.Join(above, "away")
		for !done.Load() {
			_ = os.Symlink("team-a", link)
			_ = os.Rename(h.ours, away)
			_ = os.Rename(link, h.ours)
			_ = os.Remove(h.ours)
			_ = os.Rename(away, h.ours)
		}
	})
	replaced := 0
	for end := time.Now().Add(10 * time.Second); replaced == 0 && time.Now().Before(end) && !t.Failed(); {
		w := newWriter(nil)
		must(t, w.openAbove(h.host, h.seccompRoot))
		err := w.enter()
		if w.directory != nil {
			opened, statErr := w.directory.Stat()
			must(t, statErr)
			switch {
			case !os.SameFile(opened, wrong):
			case err == nil:
				t.Error("the directory is entered through a link")
			default:
				replaced++
			}
		}
		w.close()
	}
	done.Store(true)
	group.Wait()
	if replaced == 0 {
		t.Log("no link ever came in between: this run proves nothing")
	}
}
