// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadline(t *testing.T) {
	t.Run("it ends for who asks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := withDeadline(t.Context(), time.Now().Add(time.Second))
			defer d.release()
			if at, ok := d.Deadline(); !ok || at != time.Now().Add(time.Second) {
				t.Errorf("deadline %v, %t", at, ok)
			}
			if err := d.Err(); err != nil {
				t.Errorf("before its time: %v", err)
			}
			time.Sleep(time.Second)
			if err := d.Err(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after its time: %v", err)
			}
		})
	})
	t.Run("it ends for who waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := withDeadline(t.Context(), time.Now().Add(time.Second))
			defer d.release()
			inner, cancel := context.WithTimeout(d, time.Minute)
			defer cancel()
			start := time.Now()
			<-inner.Done()
			<-d.Done()
			if waited := time.Since(start); waited != time.Second {
				t.Errorf("waited for %s", waited)
			}
			if !errors.Is(d.Err(), context.DeadlineExceeded) || !errors.Is(inner.Err(), context.DeadlineExceeded) {
				t.Errorf("errors %v and %v", d.Err(), inner.Err())
			}
		})
	})
	t.Run("it ends with its parent", func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		d := withDeadline(parent, time.Now().Add(time.Hour))
		defer d.release()
		done := d.Done()
		cancel()
		<-done
		if err := d.Err(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("an earlier deadline of its parent counts", func(t *testing.T) {
		at := time.Now().Add(time.Minute)
		parent, cancel := context.WithDeadline(t.Context(), at)
		defer cancel()
		d := withDeadline(parent, at.Add(time.Minute))
		defer d.release()
		if got, ok := d.Deadline(); !ok || !got.Equal(at) {
			t.Errorf("deadline %v, %t, want %v", got, ok, at)
		}
	})
	t.Run("it has ended once it is released", func(t *testing.T) {
		waited, idle := withDeadline(t.Context(), time.Now().Add(time.Hour)), withDeadline(t.Context(), time.Now().Add(time.Hour))
		done := waited.Done()
		waited.release()
		idle.release()
		<-done
		<-idle.Done()
		if !errors.Is(waited.Err(), context.Canceled) || !errors.Is(idle.Err(), context.Canceled) {
			t.Errorf("errors %v and %v", waited.Err(), idle.Err())
		}
	})
}
