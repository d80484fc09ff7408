// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

const (
	// MaxProfiles is how many files a node lists; the API caps the list at the same.
	MaxProfiles = 1000
	// maxEntries bounds the walk: directory entries looked at, of any kind.
	maxEntries = 20_000
	// maxDepth bounds directories within directories.
	maxDepth = 16
	// maxReason in bytes: a thousand reasons must fit one object.
	maxReason = 256

	// maxProblems bounds what is said about one directory.
	maxProblems = 20

	managedPrefix = v1alpha1.ProfileDirectory + "/"
)

// profileFiles reads the profiles below the kubelet's seccomp directory. It remembers
// what each content means.
type profileFiles struct{ contents *contents }

func (profileFiles) Name() string { return "profiles" }

func (s profileFiles) Collect(host *Host, facts *v1alpha1.NodeFacts) error {
	s.contents.on(facts.Runtimes)
	profiles, truncated, err := readProfiles(host, strings.TrimPrefix(facts.SeccompRoot, "/"), s.contents)
	facts.Profiles, facts.Truncated = profiles, truncated
	return err
}

// ReadProfiles lists the profile files below a directory of the host, sorted by
// path: regular files, whatever they are called, except those that begin with a dot
// or look like an editor's or a copy's left-over. Symbolic links are not followed:
// what they lead to can change without the directory changing. A directory that does
// not exist holds nothing.
//
// truncated means that there may be more files than are listed: over [MaxProfiles]
// (seccompgate's own are listed first), directories nested too deep, or something
// could not be read. The error says what was left out and why.
//
// What the profiles mean is said for nodes of the architecture goarch, in Go's spelling,
// whose runtimes are not known.
func ReadProfiles(host *Host, directory, goarch string) (profiles []v1alpha1.ProfileFile, truncated bool, err error) {
	return readProfiles(host, directory, newContents(goarch))
}

func readProfiles(host *Host, directory string, contents *contents) (profiles []v1alpha1.ProfileFile, truncated bool, err error) {
	resolved, err := host.resolve(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, fmt.Errorf("read profile directory: %w", err)
	}
	w := walkBelow(host, resolved, func(string) {})
	slices.SortFunc(w.paths, func(a, b string) int {
		return cmp.Or(-compareBool(managed(a), managed(b)), cmp.Compare(a, b))
	})
	if len(w.paths) > MaxProfiles {
		w.truncated = true
		w.problem("%s holds %d files; only %d are listed, and pods that name another are judged as on a node without facts; remove what no pod uses",
			directory, len(w.paths), MaxProfiles)
		w.paths = w.paths[:MaxProfiles]
	}
	slices.Sort(w.paths)
	for _, p := range w.paths {
		data, size, err := host.readRegular(path.Join(resolved, p), seccomp.MaxProfileSize)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone since it was listed
		case err != nil:
			w.truncated = true
			w.problem("read %s: %w", p, err)
		default:
			f, err := describe(p, data, size, contents)
			if err != nil {
				w.problem("analyse %s: %w", p, err)
			}
			profiles = append(profiles, f)
		}
	}
	contents.forget()
	return profiles, w.truncated, w.err()
}

// walk gathers the paths below root.
type walk struct {
	host *Host
	root string
	// visited is a directory that was looked at already.
	visited string
	paths   []string
	// enter is told of every directory before it is read, relative to the host's root.
	enter     func(directory string)
	entries   int
	truncated bool
	problems  []error
	omitted   int
}

func walkBelow(host *Host, root string, enter func(directory string)) *walk {
	w := &walk{host: host, root: root, enter: enter}
	// First, so that no number of other entries keeps them out.
	if info, err := host.root.Lstat(path.Join(root, v1alpha1.ProfileDirectory)); err == nil && info.IsDir() {
		w.visited = v1alpha1.ProfileDirectory
		w.directory(w.visited, 1)
	}
	w.directory("", 0)
	return w
}

func (w *walk) problem(format string, args ...any) {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, fmt.Errorf(format, args...))
	} else {
		w.omitted++
	}
}

func (w *walk) err() error {
	if w.omitted > 0 {
		return errors.Join(append(w.problems, fmt.Errorf("and %d more problems", w.omitted))...)
	}
	return errors.Join(w.problems...)
}

// directory visits a directory, given relative to root.
func (w *walk) directory(name string, depth int) {
	w.enter(path.Join(w.root, name))
	entries, err := w.list(path.Join(w.root, name))
	if err != nil {
		w.truncated = true
		w.problem("read directory %q: %w", name, err)
	}
	for _, e := range entries {
		p := path.Join(name, e.Name())
		if isLeftOver(e.Name()) {
			continue
		}
		switch {
		case !utf8.ValidString(e.Name()) || seccomp.CheckPath(p) != nil:
			w.problem("%q is left out: no pod can name such a path; rename it with letters, digits, \".\", \"_\" and \"-\"", p)
		case e.IsDir() && p == w.visited:
		case e.IsDir() && depth == maxDepth:
			w.truncated = true
			w.problem("%s lies more than %d directories deep; what it holds is not listed", p, maxDepth)
		case e.IsDir():
			w.directory(p, depth+1)
		case e.Type().IsRegular():
			w.paths = append(w.paths, p)
		case e.Type()&fs.ModeSymlink != 0:
			w.problem("%s is left out: it is a symbolic link; put a copy of the file in its place", p)
		default:
			w.problem("%s is left out: it is no regular file", p)
		}
	}
}

// list is the entries of one directory in order, as many as the walk may still see.
func (w *walk) list(name string) ([]fs.DirEntry, error) {
	f, err := OpenNoFollow(w.host.root, name, syscall.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	left := maxEntries - w.entries
	if left <= 0 {
		return nil, fmt.Errorf("more than %d directory entries in all", maxEntries)
	}
	entries, err := f.ReadDir(left + 1)
	if len(entries) > left {
		entries, err = entries[:left], fmt.Errorf("more than %d directory entries in all", maxEntries)
	} else if errors.Is(err, io.EOF) {
		err = nil // the directory is empty
	}
	w.entries += len(entries)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, err
}

// isLeftOver says whether a name is hidden or that of a file in the making.
func isLeftOver(name string) bool {
	switch {
	case strings.HasPrefix(name, "."), strings.HasSuffix(name, "~"):
		return true
	default:
		ext := path.Ext(name)
		return ext == ".tmp" || ext == ".swp"
	}
}

// managed says whether seccompgate writes the path.
func managed(p string) bool { return strings.HasPrefix(p, managedPrefix) }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// describe is what the node reports of one file. A file over the limit has no
// digest: it was not read to its end. An error leaves the analysis shallow.
func describe(p string, data []byte, size int64, contents *contents) (v1alpha1.ProfileFile, error) {
	f := v1alpha1.ProfileFile{Path: p, Size: max(size, int64(len(data))), Managed: managed(p)}
	if len(data) > seccomp.MaxProfileSize {
		f.Reason = fmt.Sprintf("file has %d bytes, more than %d", f.Size, seccomp.MaxProfileSize)
		return f, nil
	}
	f.Size = int64(len(data))
	f.Digest = seccomp.Digest(data)
	c := contents.of(f.Digest, data)
	f.Valid, f.Reason, f.Analysis = c.reason == "", c.reason, c.analysis
	return f, c.err
}

// reason is the first fault in at most maxReason bytes.
func reason(err error) string {
	text := err.Error()
	var parse *seccomp.ParseError
	if errors.As(err, &parse) {
		text = parse.Reason()
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason-3], "") + "..."
	}
	return text
}
