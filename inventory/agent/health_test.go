// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

// TestProbes: an agent is not ready before it has published or when it hangs, and is to be
// started anew when it hangs for long or sees a directory that is no more.
func TestProbes(t *testing.T) {
	const (
		notPublished = "the node's facts have not been published yet; see the log\n"
		stranded     = "the kubelet's seccomp directory was deleted on the node; this container does not see the new one\n"
	)
	synctest.Test(t, func(t *testing.T) {
		a := &Agent{publisher: NewPublisher(nil, "a", nil, nil, logr.Discard())}
		mux := http.NewServeMux()
		a.Register(mux)
		check := func(when, path string, code int, want string) {
			t.Helper()
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
			if d := cmp.Diff(want, w.Body.String()); d != "" || w.Code != code {
				t.Errorf("%s: %s answers %d (-want +got):\n%s", when, path, w.Code, d)
			}
		}
		a.pulse.beat()
		check("at the start", "/healthz", http.StatusOK, "ok\n")
		check("at the start", "/readyz", http.StatusServiceUnavailable, notPublished)
		a.publisher.published = true
		check("when it has published", "/readyz", http.StatusOK, "ok\n")

		time.Sleep(notReadyAfter + time.Second)
		check("when it is silent", "/healthz", http.StatusOK, "ok\n")
		check("when it is silent", "/readyz", http.StatusServiceUnavailable, "the node's files have not been looked at for 21s; the disk may hang\n")
		time.Sleep(hungAfter)
		check("when it hangs", "/healthz", http.StatusServiceUnavailable, "the node's files have not been looked at for 1m21s; the disk may hang\n")

		a.pulse.beat()
		check("when it works again", "/healthz", http.StatusOK, "ok\n")
		a.stranded.Store(true)
		check("when its directory is gone", "/healthz", http.StatusServiceUnavailable, stranded)
	})
}
