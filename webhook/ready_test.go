// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

func probe(t *testing.T, r *Readiness) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, PathReady, nil))
	return w.Code, w.Body.String()
}

func TestReadiness(t *testing.T) {
	certificate, inventory := errors.New("it expired"), errors.New("not read yet")
	m := NewMetrics()
	r := NewReadiness(m, logr.Discard(),
		Check{"certificate", func(context.Context) error { return certificate }},
		Check{"inventory", func(context.Context) error { return inventory }},
	)
	want := func(status int, body string, failing ...string) {
		t.Helper()
		if code, text := probe(t, r); code != status || text != body {
			t.Errorf("got %d %q, want %d %q", code, text, status, body)
		}
		for i, check := range []string{"certificate", "inventory"} {
			if got := value(t, m, `seccompgate_check_failing{check="`+check+`"}`); got != failing[i] {
				t.Errorf("check %s: %s, want %s", check, got, failing[i])
			}
		}
	}
	want(503, "not ready: certificate: it expired; inventory: not read yet\n", "1", "1")
	inventory = nil
	want(503, "not ready: certificate: it expired\n", "1", "0")
	// What is proven stays proven, though the replica is not ready yet.
	inventory = errors.New("lost")
	want(503, "not ready: certificate: it expired\n", "1", "0")
	certificate, inventory = nil, nil
	want(200, "ok\n", "0", "0")

	// Losing it later alarms, and takes no replica away.
	certificate = errors.New("it expired")
	r.test(t.Context(), true)
	want(200, "ok\n", "1", "0")
	certificate = nil
	r.test(t.Context(), true)
	want(200, "ok\n", "0", "0")
}

// TestReadinessDoesNotHang: an API server that does not answer must not take the replica
// away, which has to judge as soon as it does.
func TestReadinessDoesNotHang(t *testing.T) {
	hang, entered := false, make(chan struct{})
	r := NewReadiness(NewMetrics(), logr.Discard(), Check{"registration", func(ctx context.Context) error {
		if hang {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}})
	if code, text := probe(t, r); code != http.StatusOK {
		t.Fatalf("got %d %s", code, text)
	}
	hang = true
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		r.Watch(ctx)
		close(watched)
	}()
	<-entered
	answered := make(chan int)
	go func() {
		code, _ := probe(t, r)
		answered <- code
	}()
	select {
	case code := <-answered:
		if code != http.StatusOK {
			t.Errorf("got %d", code)
		}
	case <-time.After(3 * time.Second):
		t.Error("the probe hangs with the check")
	}
	cancel()
	<-watched
}
