// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/seccomp"
)

const (
	// maxEntries bounds what is looked at in the directory.
	maxEntries = 20_000
	// tries bounds what is done again because somebody else is busy in the directory.
	tries = 3

	// The hidden names: a file in the making, and what was in the way.
	partSuffix  = ".part"
	asideSuffix = ".aside"
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

// isPart says whether a file has a name that hidden gives to a file in the making.
func isPart(file string) bool {
	stem, hidden := strings.CutPrefix(file, ".")
	stem, part := strings.CutSuffix(stem, partSuffix)
	dot := strings.LastIndexByte(stem, '.')
	return hidden && part && dot > 0 && len(stem)-dot-1 == len(rand.Text()) && isOurs(stem[:dot])
}

// hidden is a name that nobody else has and that the inventory leaves out.
func hidden(file, suffix string) string { return "." + file + "." + rand.Text() + suffix }

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
	if err == nil {
		err = w.stillThere()
	}
	if err == nil {
		return
	}
	for i := range w.changes {
		if c := &w.changes[i]; done(*c) {
			c.Outcome, c.Err = Failed, failure("flush", "", err)
		}
	}
}

// sweep removes the files that nobody wants.
func (w *writer) sweep(keep func(path string) bool) {
	removed := false
	for _, file := range w.present {
		name, digits := seccomp.Generation(pathOf(file))
		switch {
		case w.wanted[file]:
		case w.held[name]:
			w.carry(file)
		case keep(pathOf(file)):
			w.carry(file)
			w.kept(file, digits)
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

// kept says of a file that stays whether it still is what its name says. The plain
// path's says nothing.
func (w *writer) kept(file, digits string) {
	found := ""
	data, _, err := w.read(file)
	if err == nil {
		found = seccomp.Digest(data)
	}
	if digits == "" || pathOf(file) == seccomp.DigestPath(strings.TrimSuffix(file, "."+digits+".json"), found) {
		w.note(file, Kept, found, "", nil)
		return
	}
	w.note(file, Failed, found, "", fmt.Errorf("%s does not hold what its name says, and no LocalhostProfile has that content any more; delete the pods that name it", pathOf(file)))
}

// drop removes a file that nobody wants. A directory is none.
func (w *writer) drop(file string) bool {
	info, err := w.root.Lstat(file)
	if err == nil && info.IsDir() || errors.Is(err, fs.ErrNotExist) {
		return false
	}
	found := ""
	if data, _, err := w.read(file); err == nil {
		found = seccomp.Digest(data)
	}
	if err := w.remove(file); err != nil {
		w.note(file, Failed, found, "", failure("remove", file, err))
		return false
	}
	w.note(file, Removed, found, "", nil)
	return true
}

// nothing is what is found where no file is.
const nothing = "nothing"

// look returns what is wrong with a file that is to have the content, empty if nothing is.
func (w *writer) look(file string, content []byte) string {
	data, info, err := w.read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nothing
	case err != nil:
		return err.Error()
	case !bytes.Equal(data, content):
		return seccomp.Digest(data)
	default:
		return access(info, fileMode)
	}
}

// read reads a regular file. What is no profile is an error that says what it is.
func (w *writer) read(file string) ([]byte, fs.FileInfo, error) {
	// Before it is opened: to open a device may do something.
	info, err := w.root.Lstat(file)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New(kind(info))
	}
	f, err := node.OpenNoFollow(w.root, file, syscall.O_NONBLOCK)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New(kind(info))
	}
	data, err := io.ReadAll(io.LimitReader(f, seccomp.MaxProfileSize+1))
	if err == nil && len(data) > seccomp.MaxProfileSize {
		err = fmt.Errorf("a file of %d bytes", max(info.Size(), int64(len(data))))
	}
	return data, info, err
}
