// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
)

// pathOf is the path of a file as pods name it, that of the directory if there is none.
func pathOf(file string) string { return path.Join(v1alpha1.ProfileDirectory, file) }

// openAbove opens the kubelet's seccomp directory.
func (w *writer) openAbove(host *node.Host, seccompRoot string) (err error) {
	w.above, err = host.OpenDirectory(seccompRoot)
	if err != nil {
		return fmt.Errorf("open /%s: %w", seccompRoot, reason(err))
	}
	return nil
}

// makeAbove makes the kubelet's seccomp directory, which no kubelet does by itself.
func makeAbove(host *node.Host, seccompRoot string) error {
	parent, err := host.OpenDirectory(path.Dir(seccompRoot))
	if err != nil {
		return fmt.Errorf("open /%s: %w; see whether this is the kubelet's --root-dir", path.Dir(seccompRoot), reason(err))
	}
	defer parent.Close() //nolint:errcheck // nothing was written
	if err := parent.Mkdir(path.Base(seccompRoot), directoryMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory /%s: %w%s", seccompRoot, reason(err), remedy(err))
	}
	return flush(parent)
}

// flush makes what was renamed or made in a directory survive a crash.
func flush(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// provide opens the directory; it makes what is missing and moves aside what is in its
// place.
func (w *writer) provide(host *node.Host, seccompRoot string) error {
	err := w.openAbove(host, seccompRoot)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeAbove(host, seccompRoot); err != nil {
			return err
		}
		err = w.openAbove(host, seccompRoot)
	}
	if err != nil {
		return err
	}
	made := false
	for range tries {
		err = w.enter()
		var other *notDirectoryError
		switch {
		case err == nil:
			w.guard(made)
			return nil
		case errors.Is(err, fs.ErrNotExist):
			made = true
			if err := w.above.Mkdir(v1alpha1.ProfileDirectory, directoryMode); err != nil && !errors.Is(err, fs.ErrExist) {
				return failure("make directory", "", err)
			}
		case errors.As(err, &other):
			if err := aside(w.above, v1alpha1.ProfileDirectory); err != nil {
				return failure("move aside", "", err)
			}
			w.note("", Repaired, other.kind, "", nil)
		default:
			return err
		}
		if err := flush(w.above); err != nil {
			return failure("flush", "", err)
		}
	}
	return err
}

// notDirectoryError is what stands in the directory's place.
type notDirectoryError struct{ kind string }

func (e *notDirectoryError) Error() string {
	return fmt.Sprintf("open %s: it is %s, no directory", v1alpha1.ProfileDirectory, e.kind)
}

// enter opens the directory if there is one.
func (w *writer) enter() error {
	named, err := w.above.Lstat(v1alpha1.ProfileDirectory)
	if err != nil {
		return failure("open", "", err)
	}
	if !named.IsDir() {
		return &notDirectoryError{kind(named)}
	}
	if w.root, err = w.above.OpenRoot(v1alpha1.ProfileDirectory); err != nil {
		return failure("open", "", err)
	}
	if w.directory, err = w.root.Open("."); err != nil {
		return failure("open", "", err)
	}
	return w.stillThere()
}

// stillThere says whether the open directory is the one that its name stands for: a link
// may have taken its place at any time.
func (w *writer) stillThere() error {
	opened, err := w.directory.Stat()
	if err != nil {
		return failure("open", "", err)
	}
	named, err := w.above.Lstat(v1alpha1.ProfileDirectory)
	if err != nil {
		return failure("open", "", err)
	}
	if !os.SameFile(opened, named) {
		return fmt.Errorf("%s was replaced while it was in use", v1alpha1.ProfileDirectory)
	}
	return nil
}

// guard makes mode and owner of the directory right. made says that it is new.
func (w *writer) guard(made bool) {
	info, err := w.directory.Stat()
	if err != nil {
		w.note("", Failed, "", "", failure("open", "", err))
		return
	}
	found := access(info, directoryMode)
	if found == "" {
		return
	}
	if err := w.force("", func() error { return own(w.directory, directoryMode) }); err != nil {
		w.note("", Failed, found, "", failure("take over", "", err))
	} else if !made {
		w.note("", Repaired, found, "", nil)
	}
}
