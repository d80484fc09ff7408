// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/seccomp"
)

// FS_IMMUTABLE_FL and FS_APPEND_FL of linux/fs.h.
const (
	immutable  = 0x10
	appendOnly = 0x20
)

// needRoot skips what only root can try. CI tries it.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("CI must run this as root")
	}
	t.Skip("only root can make what this repairs")
}

// lock sets attributes of a file as chattr does, and takes all off when the test ends.
func lock(t *testing.T, path string, attributes int) {
	t.Helper()
	set := func(attributes int) {
		f, err := os.Open(path)
		if os.IsNotExist(err) && attributes == 0 {
			return
		}
		must(t, err)
		defer f.Close()
		must(t, setAttributes(f, attributes))
	}
	set(attributes)
	t.Cleanup(func() { set(0) })
}

// setAttributes sets these two and keeps the others.
func setAttributes(f *os.File, attributes int) error {
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags)&^(immutable|appendOnly)|attributes)
}

// TestDriftOfFiles does to a file everything that can be done to it, and looks whether it
// is told, repaired and then left alone.
func TestDriftOfFiles(t *testing.T) {
	needRoot(t)
	app := profile("app", "content")
	other := profile("other", "changed")
	for _, tc := range []struct {
		name  string
		drift func(t *testing.T, path, elsewhere string)
		found string
	}{
		{"other content", func(t *testing.T, path, _ string) { must(t, os.WriteFile(path, other.Content, 0)) }, other.Digest},
		{"other content of the same size and time", func(t *testing.T, path, _ string) {
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.WriteFile(path, other.Content, 0))
			must(t, os.Chtimes(path, time.Time{}, info.ModTime()))
		}, other.Digest},
		{"nothing in it", func(t *testing.T, path, _ string) { must(t, os.Truncate(path, 0)) }, seccomp.Digest(nil)},
		{"a huge file", func(t *testing.T, path, _ string) { must(t, os.Truncate(path, 1<<40)) }, "a file of 1099511627776 bytes"},
		{"removed", func(t *testing.T, path, _ string) { must(t, os.Remove(path)) }, nothing},
		{"an empty directory", func(t *testing.T, path, _ string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		}, "a directory"},
		{"a link to a file with the same content", func(t *testing.T, path, elsewhere string) {
			must(t, os.Rename(path, elsewhere))
			must(t, os.Symlink(elsewhere, path))
		}, "a symbolic link"},
		{"a dangling link", func(t *testing.T, path, _ string) {
			must(t, os.Remove(path))
			must(t, os.Symlink("none", path))
		}, "a symbolic link"},
		{"a link to another profile", func(t *testing.T, path, _ string) {
			must(t, os.Remove(path))
			must(t, os.Symlink("other.json", path))
		}, "a symbolic link"},
		{"a hard link to a file elsewhere", func(t *testing.T, path, elsewhere string) {
			must(t, os.WriteFile(elsewhere, other.Content, 0o600))
			must(t, os.Remove(path))
			must(t, os.Link(elsewhere, path))
		}, other.Digest},
		{"a FIFO", func(t *testing.T, path, _ string) {
			must(t, os.Remove(path))
			must(t, syscall.Mkfifo(path, 0o644))
		}, "a FIFO"},
		{"a socket", func(t *testing.T, path, _ string) {
			must(t, os.Remove(path))
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			must(t, err)
			defer syscall.Close(fd)
			must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: short(t, path)}))
		}, "a socket"},
		{"a device", func(t *testing.T, path, _ string) {
			must(t, os.Remove(path))
			must(t, syscall.Mknod(path, syscall.S_IFCHR|0o644, 1<<8|3))
		}, "a device"},
		{"a mode that lets everyone write", func(t *testing.T, path, _ string) { must(t, os.Chmod(path, 0o666)) }, "mode -rw-rw-rw-"},
		{"a mode that lets nobody read", func(t *testing.T, path, _ string) { must(t, os.Chmod(path, 0)) }, "mode ----------"},
		{"a mode with setuid", func(t *testing.T, path, _ string) { must(t, os.Chmod(path, 0o644|os.ModeSetuid)) }, "mode urw-r--r--"},
		{"another owner", func(t *testing.T, path, _ string) { must(t, os.Chown(path, 1000, 1001)) }, "owner 1000:1001"},
		{"other content that cannot be changed", func(t *testing.T, path, _ string) {
			must(t, os.WriteFile(path, other.Content, 0))
			lock(t, path, immutable)
		}, other.Digest},
		{"content that can only grow", func(t *testing.T, path, _ string) {
			must(t, os.WriteFile(path, other.Content, 0))
			lock(t, path, appendOnly)
		}, other.Digest},
	} {
		for _, path := range []string{seccomp.PlainPath("app"), seccomp.DigestPath("app", app.Digest)} {
			t.Run(tc.name+"/"+filepath.Base(path), func(t *testing.T) {
				h := newHost(t)
				h.apply([]Profile{app}, written(app)...)
				elsewhere := filepath.Join(h.root, "elsewhere")
				tc.drift(t, h.path(path), elsewhere)
				before, _ := os.ReadFile(elsewhere)
				h.apply([]Profile{app}, Change{Path: path, Outcome: Repaired, Found: tc.found, Digest: app.Digest})
				h.holds(files(app))
				h.apply([]Profile{app})
				if after, _ := os.ReadFile(elsewhere); string(before) != string(after) {
					t.Errorf("the file elsewhere holds %q, want %q", after, before)
				}
			})
		}
	}
}

// short is a path to the same file that fits a socket's address.
func short(t *testing.T, path string) string {
	t.Helper()
	t.Chdir(filepath.Dir(path))
	return filepath.Base(path)
}

// TestDirectoryInTheWay moves aside what it cannot replace, with all that lies in it.
func TestDirectoryInTheWay(t *testing.T) {
	h := newHost(t)
	app := profile("app", "content")
	h.apply([]Profile{app}, written(app)...)
	must(t, os.Remove(h.path("app.json")))
	must(t, os.MkdirAll(filepath.Join(h.path("app.json"), "deep"), 0o700))
	must(t, os.WriteFile(filepath.Join(h.path("app.json"), "deep", "data"), []byte("precious"), 0o600))
	h.apply([]Profile{app}, Change{Path: "seccompgate/app.json", Outcome: Repaired, Found: "a directory", Digest: app.Digest})

	found, err := filepath.Glob(h.path(".app.json.*.aside"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("moved aside: %q, want one directory", found)
	}
	data, err := os.ReadFile(filepath.Join(found[0], "deep", "data"))
	if err != nil || string(data) != "precious" {
		t.Errorf("what was moved aside holds %q (%v)", data, err)
	}
	h.apply([]Profile{app}) // and there it stays
	must(t, os.RemoveAll(found[0]))
	h.holds(files(app))
}

// TestDriftOfTheDirectory does to the directory what can be done to it.
func TestDriftOfTheDirectory(t *testing.T) {
	needRoot(t)
	app := profile("app", "content")
	directory := func(found string) Change { return Change{Path: "seccompgate", Outcome: Repaired, Found: found} }
	var missing []Change
	for _, c := range written(app) {
		c.Outcome = Repaired
		missing = append(missing, c)
	}
	for _, tc := range []struct {
		name  string
		drift func(t *testing.T, path, elsewhere string)
		want  []Change
	}{
		{"removed", func(t *testing.T, path, _ string) { must(t, os.RemoveAll(path)) }, missing},
		{"removed with the seccomp directory", func(t *testing.T, path, _ string) { must(t, os.RemoveAll(filepath.Dir(path))) }, missing},
		{"moved away", func(t *testing.T, path, elsewhere string) { must(t, os.Rename(path, elsewhere)) }, missing},
		{"a link to where it was moved", func(t *testing.T, path, elsewhere string) {
			must(t, os.Rename(path, elsewhere))
			must(t, os.Symlink(elsewhere, path))
		}, append([]Change{directory("a symbolic link")}, missing...)},
		{"a file", func(t *testing.T, path, _ string) {
			must(t, os.RemoveAll(path))
			must(t, os.WriteFile(path, []byte("precious"), 0o600))
		}, append([]Change{directory("a file")}, missing...)},
		{"a socket", func(t *testing.T, path, _ string) {
			must(t, os.RemoveAll(path))
			l, err := net.Listen("unix", short(t, path))
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
		}, append([]Change{directory("a socket")}, missing...)},
		{"a mode that lets everyone write", func(t *testing.T, path, _ string) {
			must(t, os.Chmod(path, 0o777|os.ModeSticky))
		}, []Change{directory("mode dtrwxrwxrwx")}},
		{"another owner", func(t *testing.T, path, _ string) { must(t, os.Chown(path, 1000, 0)) }, []Change{directory("owner 1000:0")}},
		{"a mode that cannot be changed", func(t *testing.T, path, _ string) {
			must(t, os.Chmod(path, 0o700))
			lock(t, path, immutable)
		}, []Change{directory("mode drwx------")}},
		{"it cannot be changed, and a file in it was removed", func(t *testing.T, path, _ string) {
			must(t, os.Remove(filepath.Join(path, "app.json")))
			lock(t, path, immutable)
		}, missing[1:]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHost(t)
			h.apply([]Profile{app}, written(app)...)
			tc.drift(t, h.ours, filepath.Join(h.root, "elsewhere"))
			h.apply([]Profile{app}, tc.want...)
			h.holds(files(app))
			h.apply([]Profile{app})
			if strings.HasPrefix(tc.want[0].Found, "a ") {
				if found, err := filepath.Glob(filepath.Join(filepath.Dir(h.ours), ".seccompgate.*.aside")); len(found) != 1 {
					t.Errorf("moved aside: %q (%v), want one", found, err)
				}
			}
		})
	}
}

// TestDriftWhileNobodyLooks changes the files between two processes.
func TestDriftWhileNobodyLooks(t *testing.T) {
	h := newHost(t)
	app, other := profile("app", "content"), profile("app", "other")
	h.apply([]Profile{app}, written(app)...)
	generation := seccomp.DigestPath("app", app.Digest)
	must(t, os.WriteFile(h.path("app.json"), other.Content, 0o600))
	must(t, os.WriteFile(h.path(generation), other.Content, 0o600))
	openHost(t, h.root).apply([]Profile{app},
		Change{Path: generation, Outcome: Repaired, Found: other.Digest, Digest: app.Digest},
		Change{Path: "seccompgate/app.json", Outcome: Repaired, Found: other.Digest, Digest: app.Digest})
}

// TestDriftOfWhatIsKept has nothing to repair it with, and says so until no pod names it.
func TestDriftOfWhatIsKept(t *testing.T) {
	h := newHost(t)
	older, newer, other := profile("app", "older"), profile("app", "newer"), profile("app", "other")
	h.apply([]Profile{older}, written(older)...)
	path := seccomp.DigestPath("app", older.Digest)
	h.Apply([]Profile{newer}, keepEverything)
	told := func(found string) Change {
		return Change{Path: path, Outcome: Failed, Found: found, Err: errorText(path + " is not what was written (found " + found +
			"), and no LocalhostProfile has that content any more; delete the pods that name it")}
	}
	must(t, os.WriteFile(h.path(path), other.Content, 0o600))
	h.compare(h.Apply([]Profile{newer}, keepEverything), told(other.Digest))
	must(t, os.Remove(h.path(path)))
	h.compare(h.Apply([]Profile{newer}, keepEverything), told(nothing))
	h.compare(h.Apply([]Profile{newer}, keepEverything), told(nothing))
	h.apply([]Profile{newer})
	h.compare(h.Apply([]Profile{newer}, keepEverything))
	h.holds(files(newer))
}

// TestDriftIsRepairedInTime applies whenever the watch says so. Every drift is repaired
// soon, and the repair itself leads to no more than a look.
func TestDriftIsRepairedInTime(t *testing.T) {
	h := newHost(t)
	app := profile("app", "content")
	ctx, cancel := context.WithCancel(t.Context())
	wake, err := node.Watch(ctx, h.root, seccompRoot)
	must(t, err)
	told := make(chan []Change, 100)
	go func() {
		defer close(told)
		for range wake {
			told <- h.Apply([]Profile{app}, keepNothing)
		}
	}()
	defer func() {
		cancel()
		for range told { //nolint:revive // until it is closed
		}
	}()
	// until waits for a look that finds something and then for one that finds nothing.
	until := func(what string) {
		t.Helper()
		for late, some := time.After(5*time.Second), false; ; {
			select {
			case changes := <-told:
				if some = some || len(changes) > 0; some && len(changes) == 0 {
					return
				}
			case <-late:
				t.Fatalf("%s: not repaired after 5 s", what)
			}
		}
	}
	until("new profile")
	for _, drift := range []struct {
		name string
		do   func() error
	}{
		{"content", func() error { return os.WriteFile(h.path("app.json"), []byte("changed"), 0o600) }},
		{"mode", func() error { return os.Chmod(h.path("app.json"), 0o666) }},
		{"removed", func() error { return os.Remove(h.path("app.json")) }},
		{"directory removed", func() error { return os.RemoveAll(h.ours) }},
		{"everything removed", func() error { return os.RemoveAll(filepath.Dir(h.ours)) }},
	} {
		must(t, drift.do())
		until(drift.name)
		h.holds(files(app))
	}
	select {
	case changes := <-told:
		t.Errorf("one more look, which finds %v, though nothing has happened", changes)
	case <-time.After(time.Second):
	}
}
