// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/seccompgate/seccompgate/seccomp"
)

// ownMounts gives the test a view of the mounts of its own, which ends with its thread:
// whatever happens, nothing stays mounted.
func ownMounts(t *testing.T) {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread() // and never unlocks: the thread ends with the test
	must(t, syscall.Unshare(syscall.CLONE_NEWNS))
	must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
}

func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	must(t, os.MkdirAll(target, 0o755))
	must(t, syscall.Mount(source, target, kind, flags, data))
	t.Cleanup(func() { must(t, syscall.Unmount(target, syscall.MNT_DETACH)) })
}

// failed is what is told of every file of a profile that cannot be written.
func failed(p Profile, found [2]string, why string) []Change {
	var all []Change
	for i, c := range written(p) {
		c.Outcome, c.Found, c.Err = Failed, found[i], errorText("write "+c.Path+": "+why)
		all = append(all, c)
	}
	return all
}

func TestDiskFull(t *testing.T) {
	ownMounts(t)
	h := newHost(t)
	kubelet := filepath.Join(h.root, kubeletRoot)
	mount(t, "tmpfs", kubelet, "tmpfs", 0, "size=128k")
	older, newer := profile("app", strings.Repeat("a", 20_000)), profile("app", strings.Repeat("b", 100_000))
	h.apply([]Profile{older}, written(older)...)

	const why = "no space left on device; free space on the file system of the kubelet's seccomp directory"
	want := failed(newer, [2]string{nothing, older.Digest}, why)
	for range 3 {
		kept := Change{Path: seccomp.DigestPath("app", older.Digest), Outcome: Kept, Found: older.Digest}
		h.compare(h.Apply([]Profile{newer}, keepEverything), changes(append([]Change{kept}, want...)...)...)
		h.holds(files(older)) // whole, and nothing beside them
	}
	must(t, syscall.Mount("", kubelet, "", syscall.MS_REMOUNT, "size=1m"))
	h.Apply([]Profile{newer}, keepNothing)
	h.holds(files(newer))
}

// TestNoInodesLeft cannot even make the directory at first.
func TestNoInodesLeft(t *testing.T) {
	ownMounts(t)
	h := newHost(t)
	kubelet := filepath.Join(h.root, kubeletRoot)
	mount(t, "tmpfs", kubelet, "tmpfs", 0, "nr_inodes=2")
	app := profile("app", "content")
	h.apply([]Profile{app}, Change{
		Path: "seccompgate", Outcome: Failed,
		Err: errorText("make directory seccompgate: no space left on device; free space on the file system of the kubelet's seccomp directory"),
	})
	must(t, syscall.Mount("", kubelet, "", syscall.MS_REMOUNT, "nr_inodes=100"))
	h.apply([]Profile{app}, written(app)...)
}

func TestReadOnly(t *testing.T) {
	ownMounts(t)
	h := newHost(t)
	older, newer := profile("app", "older"), profile("app", "newer")
	const why = "read-only file system; mount the kubelet's seccomp directory so that it can be written"
	kubelet := filepath.Join(h.root, kubeletRoot)
	protect := func(flags uintptr) {
		must(t, syscall.Mount("", kubelet, "", syscall.MS_REMOUNT|syscall.MS_BIND|flags, ""))
	}
	mount(t, kubelet, kubelet, "", syscall.MS_BIND, "")
	protect(syscall.MS_RDONLY)
	h.apply([]Profile{older}, Change{Path: "seccompgate", Outcome: Failed, Err: errorText("make directory /var/lib/kubelet/seccomp: " + why)})
	protect(0)
	h.apply([]Profile{older}, written(older)...)
	protect(syscall.MS_RDONLY)
	h.apply([]Profile{older}) // all is well
	old := Change{
		Path: seccomp.DigestPath("app", older.Digest), Outcome: Failed, Found: older.Digest,
		Err: errorText("remove " + seccomp.DigestPath("app", older.Digest) + ": " + why),
	}
	h.apply([]Profile{newer}, changes(append(failed(newer, [2]string{nothing, older.Digest}, why), old)...)...)
	h.holds(files(older))
	if err := h.Purge(); err == nil || !strings.Contains(err.Error(), "remove seccompgate/app.json: "+why) {
		t.Errorf("Purge returns %v, want that it cannot remove", err)
	}
	protect(0)
	h.Apply([]Profile{newer}, keepNothing)
	h.holds(files(newer))

	// A repair that failed is still one when it works at last.
	must(t, os.Remove(h.path("app.json")))
	protect(syscall.MS_RDONLY)
	h.apply([]Profile{newer}, failed(newer, [2]string{nothing, nothing}, why)[1])
	protect(0)
	h.apply([]Profile{newer}, Change{Path: "seccompgate/app.json", Outcome: Repaired, Found: nothing, Digest: newer.Digest})
}

// TestMountsInTheWay covers a file, and then the directory, with mounts: what is mounted
// is somebody else's, and no rename can move it.
func TestMountsInTheWay(t *testing.T) {
	ownMounts(t)
	h := newHost(t)
	app := profile("app", "content")
	h.apply([]Profile{app}, written(app)...)
	victim := filepath.Join(h.root, "victim")
	must(t, os.Mkdir(victim, 0o700))
	must(t, os.WriteFile(filepath.Join(victim, "data"), []byte("precious"), 0o600))
	want := tree(t, victim)

	must(t, os.Remove(h.path("app.json")))
	mount(t, victim, h.path("app.json"), "", syscall.MS_BIND, "")
	h.apply([]Profile{app}, Change{
		Path: "seccompgate/app.json", Outcome: Failed, Found: "a directory", Digest: app.Digest,
		Err: errorText("write seccompgate/app.json: device or resource busy; unmount what is mounted there"),
	})
	if err := h.Purge(); err != nil {
		t.Errorf("Purge returns %v", err)
	}
	if d := cmp.Diff(want, tree(t, victim)); d != "" {
		t.Errorf("what is mounted has changed (-want +got):\n%s", d)
	}
}

// TestPowerLoss stops a disk as if the power failed, right after Apply has returned: what
// it told is on the disk, without what the kernel had still to write.
func TestPowerLoss(t *testing.T) {
	ownMounts(t)
	_, noTool := exec.LookPath("mkfs.ext4")
	_, noLoop := os.Stat("/dev/loop-control")
	if err := errors.Join(noTool, noLoop); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	h := newHost(t)
	kubelet := filepath.Join(h.root, kubeletRoot)
	image := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 16<<20))
	command(t, "mkfs.ext4", "-q", image)
	t.Cleanup(func() { _ = syscall.Unmount(kubelet, syscall.MNT_DETACH) }) // if the test ends early
	older, newer, web := profile("app", "older"), profile("app", strings.Repeat("newer", 5000)), profile("web", "content")
	for _, round := range [][]Profile{{older}, {newer, web}, {newer}} {
		command(t, "mount", "-o", "loop", image, kubelet)
		for _, c := range h.Apply(round, keepNothing) {
			must(t, c.Err)
		}
		stop(t, kubelet)
		must(t, syscall.Unmount(kubelet, 0))

		command(t, "mount", "-o", "loop", image, kubelet)
		h.holds(files(round...))
		must(t, syscall.Unmount(kubelet, 0))
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// stop shuts a file system down without flushing anything, not even its journal.
func stop(t *testing.T, directory string) {
	t.Helper()
	f, err := os.Open(directory)
	must(t, err)
	defer f.Close()
	// FS_IOC_SHUTDOWN and FS_SHUTDOWN_FLAGS_NOLOGFLUSH of linux/fs.h.
	const shutdown, noLogFlush = 0x8004587d, 2
	must(t, unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush))
}
