// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	seccompRoot = "var/lib/kubelet/seccomp"
	// patience is far above what a wake-up takes, quiet well above settleTime.
	patience = 10 * time.Second
	quiet    = 3 * settleTime
)

// watching is a Watch of a host's root.
type watching struct {
	t    *testing.T
	root string
	wake <-chan error
}

// leavesNothing checks when the test ends that nothing runs on.
func leavesNothing(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// watch begins to watch and receives the first wake-up.
func watch(t *testing.T, root string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	wake, err := Watch(ctx, root, seccompRoot)
	must(t, err)
	t.Cleanup(func() {
		cancel()
		for range wake { //nolint:revive // until it is closed
		}
	})
	w := &watching{t: t, root: root, wake: wake}
	w.wakes("the beginning")
	return w
}

func (w *watching) path(elements ...string) string {
	return filepath.Join(w.root, filepath.Join(elements...))
}

// wakes expects a wake-up.
func (w *watching) wakes(after string) {
	w.t.Helper()
	select {
	case err := <-w.wake:
		must(w.t, err)
	case <-time.After(patience):
		w.t.Fatalf("no wake-up after %s", after)
	}
}

// sleeps expects that no wake-up is due, apart from one for what came before.
func (w *watching) sleeps(after string) {
	w.t.Helper()
	select {
	case err := <-w.wake:
		w.t.Errorf("wake-up (%v) after %s", err, after)
	case <-time.After(quiet):
	}
}

// rests takes the wake-ups that are still due.
func (w *watching) rests() {
	w.t.Helper()
	for end := time.After(patience); ; {
		select {
		case <-w.wake:
		case <-time.After(quiet):
			return
		case <-end:
			w.t.Fatal("wake-ups do not end though nothing changes")
		}
	}
}

func TestWatch(t *testing.T) {
	leavesNothing(t)
	for _, tc := range []struct {
		name  string
		make  func(t *testing.T, root string)
		steps []step
	}{
		{
			name: "files",
			make: func(t *testing.T, root string) {
				mkdir(t, filepath.Join(root, seccompRoot))
				write(t, filepath.Join(root, seccompRoot, "a.json"), "a")
			},
			steps: []step{
				{"reading a file", func(w *watching) { _, err := os.ReadFile(w.path(seccompRoot, "a.json")); must(w.t, err) }, false},
				{"a change of content", func(w *watching) { write(w.t, w.path(seccompRoot, "a.json"), "b") }, true},
				{"a change of mode", func(w *watching) { must(w.t, os.Chmod(w.path(seccompRoot, "a.json"), 0o400)) }, true},
				{"a rename", func(w *watching) { must(w.t, os.Rename(w.path(seccompRoot, "a.json"), w.path(seccompRoot, "b.json"))) }, true},
				{"a new link", func(w *watching) { must(w.t, os.Symlink("b.json", w.path(seccompRoot, "c.json"))) }, true},
				{"a removal", func(w *watching) { must(w.t, os.Remove(w.path(seccompRoot, "b.json"))) }, true},
			},
		},
		{
			name: "directories",
			make: func(t *testing.T, root string) { mkdir(t, filepath.Join(root, seccompRoot)) },
			steps: []step{
				{"new directories", func(w *watching) { mkdir(w.t, w.path(seccompRoot, "x/y/z")) }, true},
				{"a file in the deepest", func(w *watching) { write(w.t, w.path(seccompRoot, "x/y/z/a.json"), "") }, true},
				{"a directory moved away", func(w *watching) { must(w.t, os.Rename(w.path(seccompRoot, "x/y"), w.path("y"))) }, true},
				{"a change in what was moved away", func(w *watching) { write(w.t, w.path("y/z/a.json"), "b") }, false},
				{"a directory moved in", func(w *watching) { must(w.t, os.Rename(w.path("y"), w.path(seccompRoot, "w"))) }, true},
				{"a change in what was moved in", func(w *watching) { write(w.t, w.path(seccompRoot, "w/z/a.json"), "c") }, true},
				{"all directories removed", func(w *watching) { must(w.t, os.RemoveAll(w.path(seccompRoot, "w"))) }, true},
			},
		},
		{
			name: "the profile directory itself",
			make: func(t *testing.T, root string) { mkdir(t, filepath.Join(root, "var")) },
			steps: []step{
				{"something else beside its place", func(w *watching) { mkdir(w.t, w.path("var/log")) }, false},
				{"a directory that leads to it", func(w *watching) { mkdir(w.t, w.path("var/lib/kubelet")) }, true},
				{"a pod's directory", func(w *watching) { mkdir(w.t, w.path("var/lib/kubelet/pods/x")) }, false},
				{"its creation", func(w *watching) { mkdir(w.t, w.path(seccompRoot)) }, true},
				{"a file in it", func(w *watching) { write(w.t, w.path(seccompRoot, "a.json"), "") }, true},
				{"its removal", func(w *watching) { must(w.t, os.RemoveAll(w.path("var/lib"))) }, true},
				{"its return", func(w *watching) { mkdir(w.t, w.path(seccompRoot)) }, true},
				{"a file in the new one", func(w *watching) { write(w.t, w.path(seccompRoot, "a.json"), "") }, true},
				{"another in its place", func(w *watching) {
					mkdir(w.t, w.path("new"))
					must(w.t, os.Rename(w.path(seccompRoot), w.path("old")))
					must(w.t, os.Rename(w.path("new"), w.path(seccompRoot)))
				}, true},
				{"a file in that", func(w *watching) { write(w.t, w.path(seccompRoot, "a.json"), "") }, true},
				{"a change in the old one", func(w *watching) { write(w.t, w.path("old/a.json"), "b") }, false},
			},
		},
		{
			name: "a symbolic link on the way",
			make: func(t *testing.T, root string) {
				mkdir(t, filepath.Join(root, "var/lib"))
				mkdir(t, filepath.Join(root, "disk1/seccomp"))
				mkdir(t, filepath.Join(root, "disk2/seccomp"))
				must(t, os.Symlink("/disk1", filepath.Join(root, "var/lib/kubelet")))
			},
			steps: []step{
				{"a file behind the link", func(w *watching) { write(w.t, w.path("disk1/seccomp/a.json"), "") }, true},
				{"a file elsewhere", func(w *watching) { write(w.t, w.path("disk2/seccomp/a.json"), "") }, false},
				{"another link in its place", func(w *watching) {
					must(w.t, os.Symlink("/disk2", w.path("var/lib/new")))
					must(w.t, os.Rename(w.path("var/lib/new"), w.path("var/lib/kubelet")))
				}, true},
				{"a file behind the new link", func(w *watching) { write(w.t, w.path("disk2/seccomp/b.json"), "") }, true},
				{"a file behind the old link", func(w *watching) { write(w.t, w.path("disk1/seccomp/b.json"), "") }, false},
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			tc.make(t, root)
			w := watch(t, root)
			for _, s := range tc.steps {
				s.do(w)
				if !s.wakes {
					w.sleeps(s.name)
					continue
				}
				w.wakes(s.name)
				w.rests()
			}
		})
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	must(t, os.MkdirAll(path, 0o700))
}

// step is something that happens on a host, and whether it must wake.
type step struct {
	name  string
	do    func(w *watching)
	wakes bool
}

// TestWatchGathers changes files all the time: wake-ups are few, however many changes
// there are.
func TestWatchGathers(t *testing.T) {
	leavesNothing(t)
	root := t.TempDir()
	mkdir(t, filepath.Join(root, seccompRoot))
	w := watch(t, root)
	wakes, changes := 0, 0
	began := time.Now()
	for time.Since(began) < 5*settleTime {
		write(t, w.path(seccompRoot, "a.json"), strconv.Itoa(changes))
		changes++
		select {
		case err := <-w.wake:
			must(t, err)
			wakes++
		default:
		}
	}
	if most := int(time.Since(began)/settleTime) + 1; wakes == 0 || wakes > most {
		t.Errorf("%d wake-ups for %d changes, want 1 to %d", wakes, changes, most)
	}
	w.rests()
}

// TestWatchOverflow lets the kernel's queue overflow while nobody receives.
func TestWatchOverflow(t *testing.T) {
	leavesNothing(t)
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	queue, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	root := t.TempDir()
	mkdir(t, filepath.Join(root, seccompRoot))
	write(t, filepath.Join(root, seccompRoot, "a.json"), "")
	write(t, filepath.Join(root, seccompRoot, "b.json"), "")
	w := watch(t, root)
	write(t, w.path(seccompRoot, "a.json"), "b")
	time.Sleep(quiet)          // now the wake-up waits for a receiver, and nothing is read
	for i := range 2 * queue { // in turns: the kernel makes one of equal events in a row
		must(t, os.Chmod(w.path(seccompRoot, string("ab"[i%2])+".json"), 0o600))
	}
	must(t, os.Mkdir(w.path(seccompRoot, "lost"), 0o700)) // its event is
	w.rests()
	write(t, w.path(seccompRoot, "lost/a.json"), "")
	w.wakes("a change in a directory whose creation was lost")
}

func TestWatchTellsWhatItLeavesOut(t *testing.T) {
	leavesNothing(t)
	for _, tc := range []struct {
		name string
		make func(t *testing.T, root string)
		want string
	}{
		{
			name: "too many directories",
			make: func(t *testing.T, root string) {
				for i := range maxWatches {
					mkdir(t, filepath.Join(root, seccompRoot, fmt.Sprintf("%04d", i)))
				}
			},
			// Four lead there, the directory itself is the fifth.
			want: "watch var/lib/kubelet/seccomp: it holds more than 1000 directories; those after var/lib/kubelet/seccomp/0995 are not watched",
		},
		{
			name: "a loop of links",
			make: func(t *testing.T, root string) { must(t, os.Symlink("/var", filepath.Join(root, "var"))) },
			want: "watch var/lib/kubelet/seccomp: resolve var/lib/kubelet/seccomp: too many levels of symbolic links",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			tc.make(t, root)
			ctx, cancel := context.WithCancel(t.Context())
			wake, err := Watch(ctx, root, seccompRoot)
			must(t, err)
			if got := <-wake; got == nil || got.Error() != tc.want {
				t.Errorf("Watch tells %v, want %s", got, tc.want)
			}
			cancel()
			for range wake { //nolint:revive // until it is closed
			}
		})
	}
}

func TestWatchNeedsARoot(t *testing.T) {
	_, err := Watch(t.Context(), filepath.Join(t.TempDir(), "none"), seccompRoot)
	if err == nil || !strings.HasPrefix(err.Error(), "open host root: ") {
		t.Errorf("Watch of a root that does not exist returns %v", err)
	}
}
