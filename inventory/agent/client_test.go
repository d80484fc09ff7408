// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestClientSends(t *testing.T) {
	got := make(chan http.Header, 1)
	_, client := newAPI(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		write(w, http.StatusOK, map[string]string{"a": "b"})
	})
	var into map[string]string
	if err := client.do(t.Context(), request{method: http.MethodPost, path: "/x", accept: mediaMetadata, body: map[string]int{}}, &into); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"a": "b"}, into); d != "" {
		t.Errorf("answer (-want +got):\n%s", d)
	}
	header := <-got
	for name, want := range map[string]string{
		"Authorization": "Bearer secret", "User-Agent": "test", "Accept": mediaMetadata, "Content-Type": "application/json",
	} {
		if header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, header.Get(name), want)
		}
	}
}

func TestClientRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		is     func(error) bool
		want   string
	}{
		{"the API server's own", func(w http.ResponseWriter) {
			refuse(w, apierrors.NewConflict(schema.GroupResource{Resource: "seccompnodes"}, "a", nil))
		}, apierrors.IsConflict, `Operation cannot be fulfilled on seccompnodes "a": `},
		{"a proxy's", func(w http.ResponseWriter) { http.Error(w, "no backend", http.StatusServiceUnavailable) }, apierrors.IsServiceUnavailable, "the server is currently unable to handle the request"},
		{"JSON of another kind", func(w http.ResponseWriter) { write(w, http.StatusNotFound, map[string]string{"kind": "Pod"}) }, apierrors.IsNotFound, "the server could not find the requested resource"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, client := newAPI(t, func(_ int, w http.ResponseWriter, _ *http.Request) { tc.answer(w) })
			err := client.do(t.Context(), request{method: http.MethodGet, path: "/x"}, nil)
			if !tc.is(err) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestClientBadAnswers(t *testing.T) {
	_, client := newAPI(t, func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"a`)) })
	var into map[string]string
	err := client.do(t.Context(), request{method: http.MethodGet, path: "/x"}, &into)
	if err == nil || err.Error() != "read answer to GET /x: unexpected EOF" {
		t.Errorf("got %v", err)
	}
}

// TestBackoff: half of each wait is by chance, none is longer than the last, and what the
// API server asks for is obeyed.
func TestBackoff(t *testing.T) {
	var b backoff
	for i := range 20 {
		full := min(firstWait<<i, lastWait)
		if i > 10 {
			full = lastWait
		}
		if got := b.next(nil); got < full/2 || got > full {
			t.Errorf("wait %d is %s, want %s to %s", i, got, full/2, full)
		}
	}
	if got := b.next(apierrors.NewTooManyRequests("busy", 90)); got != 90*time.Second {
		t.Errorf("asked for 90s, it waits %s", got)
	}
	b.reset()
	if got := b.next(nil); got > firstWait {
		t.Errorf("after a success it waits %s", got)
	}
	if chance(0) != 0 || chance(time.Second) >= time.Second {
		t.Error("chance is out of bounds")
	}
}

// TestTokenFile: the kubelet renews the token.
func TestTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	token := tokenFile(file)
	for _, want := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := token(); err != nil || got != want {
			t.Errorf("token is %q, %v, want %q", got, err, want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := token(); err == nil {
		t.Error("no error without a token")
	}
}
