// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

const (
	// maxEntries bounds what is looked at in the directory.
	maxEntries = 20_000
	// tries bounds what is done again because somebody else is busy in the directory.
	tries = 3
)

// writer is the directory, open for one Apply.
type writer struct {
	// above is the kubelet's seccomp directory, root the one of ours in it, and
	// directory the same as an open file.
	above, root *os.Root
	directory   *os.File
	// present are the files that have a name of ours, parts the left-overs.
	present, parts []string
	// before and after are digests by file name, see Directory.known.
	before, after map[string]string
	// wanted are file names, held the names of profiles without content.
	wanted, held map[string]bool
	changes      []Change
}

func newWriter(known map[string]string) *writer {
	return &writer{before: known, after: make(map[string]string), wanted: make(map[string]bool), held: make(map[string]bool)}
}

func (w *writer) close() {
	// Nothing is written through these: what is was flushed before.
	if w.directory != nil {
		_ = w.directory.Close()
	}
	for _, root := range []*os.Root{w.root, w.above} {
		if root != nil {
			_ = root.Close()
		}
	}
}

func (w *writer) note(file string, outcome Outcome, found, digest string, err error) {
	w.changes = append(w.changes, Change{Path: pathOf(file), Outcome: outcome, Found: found, Digest: digest, Err: err})
}

// list reads which names there are.
func (w *writer) list() {
	entries, err := w.directory.ReadDir(maxEntries)
	if len(entries) == maxEntries {
		err = fmt.Errorf("%s holds %d files or more; remove what does not belong there", v1alpha1.ProfileDirectory, maxEntries)
		w.note("", Failed, "", "", err)
	} else if err != nil && !errors.Is(err, io.EOF) {
		w.note("", Failed, "", "", failure("list", "", err))
	}
	for _, e := range entries {
		if isOurs(e.Name()) {
			w.present = append(w.present, e.Name())
		} else if isPart(e.Name()) {
			w.parts = append(w.parts, e.Name())
		}
	}
}

// isOurs says whether a file has a name that a profile's file can have.
func isOurs(file string) bool {
	name, _ := seccomp.Generation(pathOf(file))
	return seccomp.ParseName(name) == nil
}

// clean removes what a writer left behind that was killed.
func (w *writer) clean() {
	for _, part := range w.parts {
		if err := w.remove(part); err != nil {
			w.note(part, Failed, "", "", failure("remove", part, err))
		}
	}
}

// profile makes the two files of a profile right.
func (w *writer) profile(p Profile) {
	if err := seccomp.ParseName(p.Name); err != nil {
		w.note(p.Name, Failed, "", p.Digest, err)
		return
	}
	if len(p.Content) == 0 {
		w.held[p.Name] = true
		return
	}
	if p.Digest != seccomp.Digest(p.Content) {
		w.note(path.Base(seccomp.PlainPath(p.Name)), Failed, "", p.Digest, errors.New("digest is not that of the content"))
		w.held[p.Name] = true
		return
	}
	w.put(path.Base(seccomp.DigestPath(p.Name, p.Digest)), p)
	w.put(path.Base(seccomp.PlainPath(p.Name)), p)
}

func (w *writer) put(file string, p Profile) {
	w.wanted[file] = true
	found := w.look(file, p.Content)
	if found == "" {
		w.after[file] = p.Digest
		return
	}
	if err := w.write(file, p.Content); err != nil {
		w.carry(file)
		w.note(file, Failed, found, p.Digest, failure("write", file, err))
		return
	}
	w.after[file] = p.Digest
	w.note(file, w.outcome(file, found, p.Name), found, p.Digest, nil)
}

// carry remembers what was known of a file that stays as it is.
func (w *writer) carry(file string) {
	if digest, ok := w.before[file]; ok {
		w.after[file] = digest
	}
}

// outcome tells new content from a repair by what the last Apply left. The first one of
// a process knows nothing: then a plain copy of a generation that lies beside it is one
// that waits for the newer content.
func (w *writer) outcome(file, found, profile string) Outcome {
	last, known := w.before[file]
	switch {
	case known && found == last,
		!known && found == nothing,
		!known && pathOf(file) == seccomp.PlainPath(profile) && slices.Contains(w.present, path.Base(seccomp.DigestPath(profile, found))):
		return Written
	default:
		return Repaired
	}
}

// settle flushes the directory. What was put into it does not count if it is no longer
// the one that is found by its name.
func (w *writer) settle() {
	done := func(c Change) bool { return c.Outcome == Written || c.Outcome == Repaired }
	if !slices.ContainsFunc(w.changes, done) {
		return
	}
	err := w.directory.Sync()
	if err != nil {
		err = failure("flush", "", err)
	} else if err = w.stillThere(); err == nil {
		return
	}
	for i := range w.changes {
		if c := &w.changes[i]; done(*c) {
			c.Outcome, c.Err = Failed, err
		}
	}
}

// sweep removes the files that nobody wants.
func (w *writer) sweep(keep func(path string) bool) {
	files := slices.Sorted(maps.Keys(w.before)) // also what is gone
	files = append(files, w.present...)
	slices.Sort(files)
	removed := false
	for _, file := range slices.Compact(files) {
		name, digits := seccomp.Generation(pathOf(file))
		switch {
		case w.wanted[file]:
		case w.held[name]:
			w.carry(file)
		case keep(pathOf(file)):
			w.carry(file)
			w.kept(file, name, digits)
		default:
			removed = w.drop(file) || removed
		}
	}
	if !removed {
		return
	}
	if err := w.directory.Sync(); err != nil {
		w.note("", Failed, "", "", failure("flush", "", err))
	}
}

// kept says of a file that stays whether it still is what it was; the plain path of a
// profile does not tell.
func (w *writer) kept(file, name, digits string) {
	found := w.found(file)
	switch {
	case digits != "" && pathOf(file) == seccomp.DigestPath(name, found),
		digits == "" && strings.HasPrefix(found, "sha256:"):
		w.note(file, Kept, found, "", nil)
	default:
		w.note(file, Failed, found, "", fmt.Errorf("%s is not what was written (found %s), and no LocalhostProfile has that content any more; delete the pods that name it",
			pathOf(file), found))
	}
}

// drop removes a file that nobody wants. A directory is somebody else's.
func (w *writer) drop(file string) bool {
	info, err := w.root.Lstat(file)
	if err == nil && info.IsDir() || errors.Is(err, fs.ErrNotExist) {
		return false
	}
	found := w.found(file)
	if err := w.remove(file); err != nil {
		w.note(file, Failed, found, "", failure("remove", file, err))
		return false
	}
	w.note(file, Removed, found, "", nil)
	return true
}
