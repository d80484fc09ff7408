// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// limit bounds the requests that are in work and those that wait for it. More work at
// once than there are processors makes every request slower and none earlier.
type limit struct {
	places  chan struct{}
	waiting *atomic.Int64
	most    int64
}

var (
	errFull = errors.New("too many requests wait already; the webhook is overloaded: add replicas")
	errLate = errors.New("the time of the request ended before its turn came; the webhook is overloaded: add replicas")
)

func newLimit(l v1alpha1.Limits) limit {
	return limit{
		places:  make(chan struct{}, cmp.Or(l.ConcurrentRequests, 2*runtime.GOMAXPROCS(0))),
		waiting: new(atomic.Int64),
		most:    int64(cmp.Or(l.WaitingRequests, v1alpha1.DefaultWaitingRequests)),
	}
}

// enter waits for a place, which leave gives back.
func (l limit) enter(ctx context.Context) error {
	select {
	case l.places <- struct{}{}:
		return nil
	default:
	}
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > l.most {
		return errFull
	}
	select {
	case l.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errLate
	}
}

func (l limit) leave() { <-l.places }

// aside lends the place to others while f waits for something else than a processor.
func (l limit) aside(f func()) {
	l.leave()
	defer func() { l.places <- struct{}{} }() // whoever is in work ends in time
	f()
}
