// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Waits between tries. The agents of a cluster lose the API server together: half of each
// wait is by chance, so that they do not come back together.
const (
	firstWait = time.Second
	lastWait  = 30 * time.Second
)

// backoff is how long to wait after one failure in a row more; the zero backoff is ready
// for use.
type backoff struct{ failures int }

// next is the wait after a failure. An API server that says when to come back is obeyed.
func (b *backoff) next(err error) time.Duration {
	wait := min(firstWait<<min(b.failures, 16), lastWait)
	b.failures++
	wait = wait/2 + rand.N(wait/2)
	if seconds, suggested := apierrors.SuggestsClientDelay(err); suggested {
		wait = max(wait, time.Duration(seconds)*time.Second)
	}
	return wait
}

func (b *backoff) reset() { b.failures = 0 }

// sleep waits, and says whether the context lives on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// chance is a time from nothing up to d.
func chance(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
