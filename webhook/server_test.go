// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestRow61SlowClients keeps fifty connections that send a byte now and then: honest clients
// must not notice them.
func TestRow61SlowClients(t *testing.T) {
	r := newRig(t, func(s *setup) { s.Options.Settings.Limits.ConcurrentRequests = 2 })
	server := httptest.NewTLSServer(r)
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	var slow sync.WaitGroup
	defer slow.Wait()
	defer stop()
	body := reviewOf(t, on(t, "baseline", good))
	for range 50 {
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		slow.Go(func() {
			defer conn.Close()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", PathValidate, len(body))
			for i := 0; ctx.Err() == nil && i < len(body); i++ {
				if _, err := conn.Write(body[i : i+1]); err != nil {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	for range 50 {
		start := time.Now()
		resp, err := server.Client().Post(server.URL+PathValidate+"?timeout=3s", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), `"allowed":true`) {
			t.Fatalf("status %d: %s, error %v", resp.StatusCode, text, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("an honest request took %s", took)
		}
	}
}

// TestReadDeadline: whoever stops in the middle of a body is left.
func TestReadDeadline(t *testing.T) {
	r := newRig(t, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.ServeHTTP(hasty{w}, req)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n%s", PathValidate, head+`"request":{"uid":"u1",`)
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("the connection is still open: %v", err)
	}
	for _, want := range []string{"400 Bad Request", `"uid":"u1"`, `"allowed":false`, "read body: ", "i/o timeout"} {
		if !strings.Contains(string(answer), want) {
			t.Errorf("%q is not in %s", want, answer)
		}
	}
}

// hasty shortens the read deadline that a handler sets, so that a test need not wait.
type hasty struct{ http.ResponseWriter }

func (h hasty) SetReadDeadline(deadline time.Time) error {
	if left := time.Until(deadline); left < readTimeout/2 || left > readTimeout {
		return fmt.Errorf("read deadline in %s", left)
	}
	return http.NewResponseController(h.ResponseWriter).SetReadDeadline(time.Now().Add(100 * time.Millisecond))
}

func (h hasty) SetWriteDeadline(deadline time.Time) error {
	return http.NewResponseController(h.ResponseWriter).SetWriteDeadline(deadline)
}

// TestNoGoroutineIsLeft sends requests whose clients go away at every moment.
func TestNoGoroutineIsLeft(t *testing.T) {
	r := newRig(t, nil)
	before := goleak.IgnoreCurrent()
	body := reviewOf(t, on(t, "baseline", onApp))
	for i := range 1_000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Microsecond)
		r.do(httptest.NewRequestWithContext(ctx, http.MethodPost, PathValidate, bytes.NewReader(body)))
		cancel()
	}
	goleak.VerifyNone(t, before)
}
