// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settleTime is how long changes are gathered for one wake-up. It bounds how often
	// somebody who writes all the time can make the node read everything.
	settleTime = 200 * time.Millisecond
	// maxWatches bounds the directories that are watched below the profile directory.
	maxWatches = 1000
)

// Watch says when what [ReadProfiles] reads of a host may have changed: anything below
// its profile directory, or a directory or link on the way there. The directory need not
// exist.
//
// A value means "look again"; the first comes at once. Many changes make one value, and
// those that come while nobody receives make one more. A value that is an error says why
// not everything is watched. What that leaves out shows only to a caller who also looks
// by a timer; so does a mount over a directory, of which nobody is told. The channel is
// closed when the context ends.
func Watch(ctx context.Context, root, directory string) (<-chan error, error) {
	host, err := OpenHost(root)
	if err != nil {
		return nil, err
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		err = fmt.Errorf("watch profile directory: %w; raise the sysctl fs.inotify.max_user_instances of the node", err)
		return nil, errors.Join(err, host.Close())
	}
	w := &watcher{host: host, root: filepath.Clean(root), directory: directory, notify: notify}
	wake := make(chan error)
	go func() {
		defer close(wake)
		defer host.Close()   //nolint:errcheck // nothing was written
		defer notify.Close() //nolint:errcheck // the watches end in any case
		w.run(ctx, wake)
	}()
	return wake, nil
}

type watcher struct {
	host            *Host
	root, directory string
	notify          *fsnotify.Watcher
	// names are the files that lead to the profile directory; below is the directory
	// itself, empty if there is none.
	names map[string]bool
	below string
}

func (w *watcher) run(ctx context.Context, wake chan<- error) {
	for {
		// While the receiver is busy nothing is read here: the kernel's queue is bounded,
		// and when it overflows that is one more reason to look again.
		select {
		case wake <- w.look():
		case <-ctx.Done():
			return
		}
		if !w.wait(ctx) {
			return
		}
	}
}

// look watches what is there now. Every directory is watched before it is read, so that
// nothing comes up unseen in between.
func (w *watcher) look() error {
	gone := make(map[string]bool)
	for _, name := range w.notify.WatchList() {
		gone[name] = true
	}
	var problem error // the first stands for all
	watched := 0
	add := func(directory string) {
		name := filepath.Join(w.root, directory)
		delete(gone, name)
		if watched++; watched > maxWatches {
			problem = cmp.Or(problem, fmt.Errorf("watch %s: it holds more than %d directories; those after %s are not watched", w.directory, maxWatches, directory))
			return
		}
		err := w.notify.Add(name)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, syscall.ENOSPC):
			problem = cmp.Or(problem, fmt.Errorf("watch %s: all watches are in use; raise the sysctl fs.inotify.max_user_watches of the node", directory))
		default:
			problem = cmp.Or(problem, fmt.Errorf("watch %s: %w", directory, err))
		}
	}
	w.names, w.below = make(map[string]bool), ""
	resolved, err := w.host.follow(w.directory, func(directory, element string) {
		add(directory)
		w.names[filepath.Join(w.root, directory, element)] = true
	})
	switch {
	case err == nil:
		w.below = filepath.Join(w.root, resolved)
		walkBelow(w.host, resolved, add)
	case !errors.Is(err, fs.ErrNotExist):
		problem = cmp.Or(problem, fmt.Errorf("watch %s: %w", w.directory, err))
	}
	for name := range gone {
		_ = w.notify.Remove(name) // the kernel may have been faster
	}
	return problem
}

// wait returns when something has changed and then was let settle, false when the
// context has ended.
func (w *watcher) wait(ctx context.Context) bool {
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-settled:
			return true
		case event := <-w.notify.Events:
			if settled == nil && w.concerns(event.Name) {
				settled = time.After(settleTime)
			}
		case <-w.notify.Errors: // the queue overflowed
			if settled == nil {
				settled = time.After(settleTime)
			}
		}
	}
}

// concerns says whether a change of the file may change what is read.
func (w *watcher) concerns(name string) bool {
	return w.names[name] || w.below != "" && (name == w.below || strings.HasPrefix(name, w.below+"/"))
}
