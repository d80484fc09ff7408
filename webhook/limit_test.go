// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"testing"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

func TestLimit(t *testing.T) {
	l := newLimit(v1alpha1.Limits{ConcurrentRequests: 1, WaitingRequests: 1})
	enter := func(ctx context.Context, want error) {
		t.Helper()
		if err := l.enter(ctx); !errors.Is(err, want) {
			t.Fatalf("enter: %v, want %v", err, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	enter(t.Context(), nil)
	enter(ended, errLate)
	l.waiting.Add(1)
	enter(t.Context(), errFull)
	l.waiting.Add(-1)
	if n := l.waiting.Load(); n != 0 {
		t.Errorf("%d requests wait", n)
	}
	// Who waits for something else lends its place, and has it again afterwards.
	l.aside(func() {
		enter(t.Context(), nil)
		l.leave()
	})
	enter(ended, errLate)
	l.leave()
	enter(t.Context(), nil)
}
