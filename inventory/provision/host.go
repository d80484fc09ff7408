// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
)

const (
	// Runtimes read profiles as root, others may: a profile is no secret, and what guards
	// it is the kubelet's directory above.
	fileMode      fs.FileMode = 0o644
	directoryMode fs.FileMode = 0o755

	modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
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
		return fmt.Errorf("open /%s: %w; it is where the kubelet keeps its data: check the kubelet's root directory", path.Dir(seccompRoot), reason(err))
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
			return w.guard(made)
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

// guard makes mode and owner of the directory right.
func (w *writer) guard(made bool) error {
	info, err := w.directory.Stat()
	if err != nil {
		return failure("open", "", err)
	}
	found := access(info, directoryMode)
	if found == "" {
		return nil
	}
	if err := own(w.directory, directoryMode); err != nil {
		return failure("change "+found+" of", "", err)
	}
	if !made {
		w.note("", Repaired, found, "", nil)
	}
	return nil
}

// own gives a file the mode, and the owner that this process is: root on a node.
func own(f *os.File, mode fs.FileMode) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !isOwn(info) {
		if err := f.Chown(os.Geteuid(), os.Getegid()); err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}

func isOwn(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && int(stat.Gid) == os.Getegid()
}

// access returns what is wrong with mode or owner of a file, empty if nothing is.
func access(info fs.FileInfo, mode fs.FileMode) string {
	if info.Mode()&modeBits != mode {
		return "mode " + info.Mode().String()
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && !isOwn(info) {
		return fmt.Sprintf("owner %d:%d", stat.Uid, stat.Gid)
	}
	return ""
}

// kind is what a file is.
func kind(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a FIFO"
	case fs.ModeSocket:
		return "a socket"
	default:
		return "a device"
	}
}

// write puts the content in the place of a file, whole or not at all.
func (w *writer) write(file string, content []byte) error {
	part := hidden(file, partSuffix)
	f, err := w.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, syscall.EPERM) && unlock(w.directory) {
		f, err = w.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f, content), f.Close()); err != nil {
		_ = w.root.Remove(part) // else the next Apply does
		return err
	}
	if err := w.replace(part, file); err != nil {
		_ = w.root.Remove(part)
		return err
	}
	return nil
}

func fill(f *os.File, content []byte) error {
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := own(f, fileMode); err != nil {
		return err
	}
	return f.Sync()
}

// replace renames a file over what is there, of any kind.
func (w *writer) replace(part, file string) error {
	err := w.root.Rename(part, file)
	switch {
	case errors.Is(err, syscall.EISDIR):
		err = w.root.Remove(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			err = aside(w.root, file)
		}
	case errors.Is(err, syscall.EPERM) && w.unlockFile(file):
	default:
		return err
	}
	if err != nil {
		return err
	}
	return w.root.Rename(part, file)
}

// remove removes a file that may be locked.
func (w *writer) remove(file string) error {
	err := w.root.Remove(file)
	if errors.Is(err, syscall.EPERM) && w.unlockFile(file) {
		err = w.root.Remove(file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// unlockFile lifts what the attributes of a file or of the directory forbid.
func (w *writer) unlockFile(file string) bool {
	lifted := unlock(w.directory)
	info, err := w.root.Lstat(file)
	if err != nil || !info.Mode().IsRegular() {
		return lifted
	}
	f, err := node.OpenNoFollow(w.root, file, syscall.O_NONBLOCK)
	if err != nil {
		return lifted
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return unlock(f) || lifted
}

// aside gives what is in the way a hidden name.
func aside(root *os.Root, name string) error {
	return root.Rename(name, hidden(name, asideSuffix))
}

// failure is an error as a person reads it: what was done to which path, why it did not
// work and what helps.
func failure(verb, file string, err error) error {
	return fmt.Errorf("%s %s: %w%s", verb, pathOf(file), reason(err), remedy(err))
}

// reason is the error without the hidden names that it happened with.
func reason(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}

func remedy(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "; free space on the file system of the kubelet's seccomp directory"
	case errors.Is(err, syscall.EROFS):
		return "; mount the kubelet's seccomp directory so that it can be written"
	case errors.Is(err, syscall.EPERM):
		return "; see whether lsattr shows the attribute i or a, and take it off with chattr"
	case errors.Is(err, syscall.EBUSY):
		return "; unmount what is mounted there"
	default:
		return ""
	}
}
