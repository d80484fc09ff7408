// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// deadline is a context that ends at a time. Unlike one of package context it has no timer
// until somebody waits for its end: of most requests nobody does.
type deadline struct {
	context.Context
	at time.Time

	released atomic.Bool

	timer  sync.Once
	timed  context.Context
	cancel context.CancelFunc
}

func withDeadline(parent context.Context, at time.Time) *deadline {
	return &deadline{Context: parent, at: at}
}

func (d *deadline) Deadline() (time.Time, bool) {
	if earlier, ok := d.Context.Deadline(); ok && earlier.Before(d.at) {
		return earlier, true
	}
	return d.at, true
}

func (d *deadline) Err() error {
	if err := d.Context.Err(); err != nil {
		return err
	}
	switch {
	case !time.Now().Before(d.at):
		return context.DeadlineExceeded
	case d.released.Load():
		return context.Canceled
	default:
		return nil
	}
}

func (d *deadline) Done() <-chan struct{} {
	d.timer.Do(func() { d.timed, d.cancel = context.WithDeadline(d.Context, d.at) })
	return d.timed.Done()
}

// release ends the context and frees what waiting for its end has made.
func (d *deadline) release() {
	d.released.Store(true)
	d.timer.Do(func() { d.timed, d.cancel = ended, endedBefore })
	d.cancel()
}

// ended is what is left of a context that nobody has waited for.
var ended, endedBefore = func() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}()
