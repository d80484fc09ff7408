// SPDX-License-Identifier: Apache-2.0

package node

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestDeleted mounts a directory as a container has it, and deletes it on the host.
func TestDeleted(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must run this as root")
		}
		t.Skip("mounting is for root")
	}
	root, outside := t.TempDir(), filepath.Join(t.TempDir(), "seccomp")
	must(t, os.Mkdir(filepath.Join(root, "mounted"), 0o755))
	must(t, os.Mkdir(outside, 0o755))
	done := make(chan error)
	go func() {
		// The thread has mounts of its own from here on, and ends with this function.
		runtime.LockOSThread()
		done <- func() error {
			for _, step := range []func() error{
				func() error { return syscall.Unshare(syscall.CLONE_NEWNS) },
				func() error { return syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "") },
				func() error { return syscall.Mount(outside, filepath.Join(root, "mounted"), "", syscall.MS_BIND, "") },
			} {
				if err := step(); err != nil {
					return err
				}
			}
			host, err := OpenHost(root)
			if err != nil {
				return err
			}
			defer host.Close()
			if host.Deleted("mounted") || host.Deleted("missing") {
				t.Error("a directory that is there is said to be deleted, or one that is not")
			}
			if err := os.Remove(outside); err != nil {
				return err
			}
			if !host.Deleted("mounted") {
				t.Error("a directory that was deleted is said to be there")
			}
			return nil
		}()
	}()
	must(t, <-done)
}
