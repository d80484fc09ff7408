// SPDX-License-Identifier: Apache-2.0

// Package provision writes profiles to a node and repairs them.
//
// It owns one directory, seccompgate below the kubelet's seccomp directory, and in it
// the names that [seccomp.PlainPath] and [seccomp.DigestPath] make: a file under such a
// name is written, repaired or removed whoever put it there. Every other name is
// somebody else's and stays as it is; the inventory lists it like any file.
//
// A file is never changed where it lies: new content is written under a hidden name,
// flushed and renamed, so that a reader sees the old file or the new one, and a file
// that is linked from elsewhere keeps its content there. What is in the way and cannot
// be replaced by a rename, such as a directory with something in it, is moved aside
// under a hidden name and never deleted.
//
// Symbolic links lead to the seccomp directory (a node may have /var/lib/kubelet on
// another disk) and no further: neither the directory nor a file in it is reached
// through one.
package provision

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
)

// Outcome is what happened to a path.
type Outcome string

const (
	// Written is a new file, or the plain copy of a profile that has changed.
	Written Outcome = "Written"
	// Repaired is a file, or the directory, that was not as it had been left.
	Repaired Outcome = "Repaired"
	// Removed is a file that is not wanted and that nobody names.
	Removed Outcome = "Removed"
	// Kept is a file that is not wanted and that somebody names; every Apply tells it.
	Kept Outcome = "Kept"
	// Failed is what could not be done; the next Apply tries again.
	Failed Outcome = "Failed"
)

// Change is what Apply did about one path. Of what is as it should be there is none.
type Change struct {
	// Path is relative to the kubelet's seccomp directory; that of the directory itself
	// is [v1alpha1.ProfileDirectory].
	Path    string
	Outcome Outcome
	// Found is what was there before: a digest, or in words what is wrong, such as
	// "nothing", "a directory" or "mode 0666".
	Found string
	// Digest of the content that belongs there.
	Digest string
	// Err is set when the outcome is Failed.
	Err error
}

// Directory is seccompgate's own directory on a host. Its methods must not be called
// concurrently. A second process that writes to the same directory costs retries, never
// a torn file.
type Directory struct {
	host *node.Host
	// seccompRoot is the kubelet's seccomp directory, relative to the host's root.
	seccompRoot string
	// known are the digests that the last Apply left, by file name.
	known map[string]string
}

// Open opens seccompgate's own directory on the host whose "/" is the directory root.
// seccompRoot is the kubelet's seccomp directory as processes of the host name it.
// Nothing is made or changed yet, and nothing below root need exist.
func Open(root, seccompRoot string) (*Directory, error) {
	host, err := node.OpenHost(root)
	if err != nil {
		return nil, err
	}
	return &Directory{host: host, seccompRoot: strings.TrimPrefix(seccompRoot, "/")}, nil
}

// Close gives the host's root back.
func (d *Directory) Close() error { return d.host.Close() }

// Apply makes the directory hold these profiles, whose names are unique, and returns
// what it did, in order of paths. Each has an immutable file that is named by the digest
// and a plain one with the same content. Files of other profiles and of older content
// are removed, except those of which keep says that they must stay: keep is asked with
// the path as pods name it, and knows who does or soon may, such as injection while
// status.served is an older content.
//
// Every file is read and compared, so that a second Apply in a row writes nothing. When
// the directory cannot be used at all, that is the one failed Change.
func (d *Directory) Apply(want []Profile, keep func(path string) bool) []Change {
	w := newWriter(d.known)
	defer w.close()
	if err := w.provide(d.host, d.seccompRoot); err != nil {
		return append(w.changes, Change{Path: v1alpha1.ProfileDirectory, Outcome: Failed, Err: err})
	}
	w.list()
	w.clean()
	for _, p := range want {
		w.profile(p)
	}
	w.settle()
	w.sweep(keep)
	d.known = w.after
	slices.SortStableFunc(w.changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return w.changes
}

// Purge removes the files of all profiles, also those that pods name, and the directory
// if nothing else lies in it.
func (d *Directory) Purge() error {
	w := newWriter(nil)
	defer w.close()
	err := w.openAbove(d.host, d.seccompRoot)
	if err == nil {
		err = w.enter()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d.known = nil
	w.list()
	w.clean()
	w.sweep(func(string) bool { return false })
	var errs []error
	for _, c := range w.changes {
		if c.Outcome == Failed {
			errs = append(errs, c.Err)
		}
	}
	if err := w.above.Remove(v1alpha1.ProfileDirectory); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		errs = append(errs, failure("remove", "", err))
	}
	return errors.Join(errs...)
}
