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
	"strings"
	"syscall"

	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/seccomp"
)

const (
	// Runtimes read profiles as root, others may: a profile is no secret, and what guards
	// it is the kubelet's directory above.
	fileMode      fs.FileMode = 0o644
	directoryMode fs.FileMode = 0o755

	modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

	// The hidden names: a file in the making, and what was in the way.
	partSuffix  = ".part"
	asideSuffix = ".aside"

	// nothing is what is found where no file is.
	nothing = "nothing"
)

// isPart says whether a file has a name that hidden gives to a file in the making.
func isPart(file string) bool {
	stem, hidden := strings.CutPrefix(file, ".")
	stem, part := strings.CutSuffix(stem, partSuffix)
	dot := strings.LastIndexByte(stem, '.')
	return hidden && part && dot > 0 && len(stem)-dot-1 == len(rand.Text()) && isOurs(stem[:dot])
}

// hidden is a name that nobody else has and that the inventory leaves out.
func hidden(file, suffix string) string { return "." + file + "." + rand.Text() + suffix }

// look returns what is wrong with a file that is to have the content, empty if nothing is.
func (w *writer) look(file string, content []byte) string {
	data, info, err := w.read(file)
	switch {
	case err != nil:
		return inWords(err)
	case !bytes.Equal(data, content):
		return seccomp.Digest(data)
	default:
		return access(info, fileMode)
	}
}

// found is the digest of a file, or in words why it has none.
func (w *writer) found(file string) string {
	data, _, err := w.read(file)
	if err != nil {
		return inWords(err)
	}
	return seccomp.Digest(data)
}

func inWords(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return nothing
	}
	return reason(err).Error()
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
	var f *os.File
	err := w.force("", func() (err error) {
		f, err = w.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	err = errors.Join(fill(f, content), f.Close())
	if err == nil {
		err = w.replace(part, file)
	}
	if err != nil {
		_ = w.root.Remove(part) // else the next Apply does
	}
	return err
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
	rename := func() error { return w.root.Rename(part, file) }
	err := w.force(file, rename)
	// A directory is in the way: the first is what os.Root says, the second the kernel.
	if !errors.Is(err, syscall.EEXIST) && !errors.Is(err, syscall.EISDIR) {
		return err
	}
	// An empty one is no loss. Whatever lies in another, or is mounted there, is somebody
	// else's.
	if w.root.Remove(file) != nil {
		if err := w.force(file, func() error { return aside(w.root, file) }); err != nil {
			return err
		}
	}
	return rename()
}

// remove removes a file, if it is still there.
func (w *writer) remove(file string) error {
	err := w.force(file, func() error { return w.root.Remove(file) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// force does something once more if attributes of the file or of the directory forbade
// it and could be taken off.
func (w *writer) force(file string, do func() error) error {
	err := do()
	if errors.Is(err, syscall.EPERM) && w.unlock(file) {
		return do()
	}
	return err
}

func (w *writer) unlock(file string) bool {
	lifted := unlock(w.directory)
	info, err := w.root.Lstat(file)
	if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
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
	var path *fs.PathError
	switch errno := syscall.Errno(0); {
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &path):
		return path.Err
	default:
		return err
	}
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
