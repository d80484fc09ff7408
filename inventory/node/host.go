// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// maxLinks bounds symbolic links in one path, as Linux does.
const maxLinks = 40

// Host is a node's file system, read only. Paths are relative to its root and have
// slashes. Nothing outside the root is ever opened.
type Host struct {
	root *os.Root
}

// OpenHost opens the directory that is the host's "/".
func OpenHost(directory string) (*Host, error) {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, fmt.Errorf("open host root: %w", err)
	}
	return &Host{root: root}, nil
}

// Close gives the directory back.
func (h *Host) Close() error { return h.root.Close() }

// resolve follows symbolic links as a process on the host sees them: an absolute
// one starts at the host's root. os.Root alone refuses absolute links, and nodes
// have them, such as /var/lib/kubelet on a second disk.
func (h *Host) resolve(name string) (string, error) {
	return h.follow(name, func(string, string) {})
}

// follow resolves and shows every name that it looks up on the way, in its directory.
func (h *Host) follow(name string, seen func(directory, element string)) (string, error) {
	todo := strings.Split(name, "/")
	done := "."
	for links := 0; len(todo) > 0; {
		element := todo[0]
		todo = todo[1:]
		switch element {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		seen(done, element)
		next := path.Join(done, element)
		info, err := h.root.Lstat(next)
		if err != nil {
			return "", &fs.PathError{Op: "open", Path: name, Err: cause(err)}
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: name, Err: syscall.ELOOP}
		}
		target, err := h.root.Readlink(next)
		if err != nil {
			return "", &fs.PathError{Op: "open", Path: name, Err: cause(err)}
		}
		if strings.HasPrefix(target, "/") {
			done = "."
		}
		todo = slices.Concat(strings.Split(target, "/"), todo)
	}
	return done, nil
}

// cause is what went wrong without the part of the path at which it did.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// OpenDirectory opens a directory, following symbolic links within the host.
func (h *Host) OpenDirectory(name string) (*os.Root, error) {
	resolved, err := h.resolve(name)
	if err != nil {
		return nil, err
	}
	return h.root.OpenRoot(resolved)
}

// ReadFile reads a regular file of at most limit bytes, following symbolic links
// within the host.
func (h *Host) ReadFile(name string, limit int64) ([]byte, error) {
	resolved, err := h.resolve(name)
	if err != nil {
		return nil, err
	}
	data, size, err := h.readRegular(resolved, limit)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", name, max(size, int64(len(data))), limit)
	}
	return data, nil
}

// errNotRegular is a name that is no regular file.
var errNotRegular = errors.New("not a regular file")

// readRegular reads at most limit+1 bytes of a file that is not reached through a
// symbolic link in its last element. The size is what the file system says.
func (h *Host) readRegular(name string, limit int64) (data []byte, size int64, err error) {
	// O_NONBLOCK: between listing and opening, a file may have become a FIFO that
	// nobody writes to.
	f, err := OpenNoFollow(h.root, name, syscall.O_NONBLOCK)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, &fs.PathError{Op: "read", Path: name, Err: errNotRegular}
	}
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, 0, err
	}
	return data, info.Size(), nil
}

// OpenNoFollow opens what the name itself stands for, not what a symbolic link there
// leads to. os.Root follows links that stay inside whatever the flags say.
func OpenNoFollow(root *os.Root, name string, flags int) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|flags, 0)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	named, err := root.Lstat(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !os.SameFile(opened, named) {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}, f.Close())
	}
	return f, nil
}

// readDir lists a directory in order of names.
func (h *Host) readDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(h.root.FS(), name)
}

// ignoreMissing is nil for what does not exist.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
