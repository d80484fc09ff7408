// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNamedPaths reads two pages of pods that name profiles in every place there is.
func TestNamedPaths(t *testing.T) {
	api, client := newAPI(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		pages := []string{
			`{"metadata":{"continue":"next"},"items":[{"spec":{"securityContext":{"seccompProfile":{"type":"Localhost","localhostProfile":"pod.json"}},
				"containers":[{"securityContext":{"seccompProfile":{"localhostProfile":"container.json"}}},{"name":"plain"}]}}]}`,
			`{"metadata":{},"items":[{"spec":{"initContainers":[{"securityContext":{"seccompProfile":{"localhostProfile":"init.json"}}}],
				"ephemeralContainers":[{"securityContext":{"seccompProfile":{"localhostProfile":"debug.json"}}}]}},{"spec":{}}]}`,
		}
		_, _ = w.Write([]byte(pages[n]))
	})
	got, err := namedPaths(t.Context(), client, "a")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]bool{"pod.json": true, "container.json": true, "init.json": true, "debug.json": true}, got); d != "" {
		t.Errorf("paths (-want +got):\n%s", d)
	}
	want := []string{
		"GET /api/v1/pods?fieldSelector=spec.nodeName%3Da%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&limit=50",
		"GET /api/v1/pods?continue=next&fieldSelector=spec.nodeName%3Da%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&limit=50",
	}
	if d := cmp.Diff(want, api.requests()); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
}

// TestNamedPathsFailsHalfway: half of the pods are no answer; a file that one of the others
// names would be removed.
func TestNamedPathsFailsHalfway(t *testing.T) {
	_, client := newAPI(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			_, _ = w.Write([]byte(`{"metadata":{"continue":"next"},"items":[]}`))
			return
		}
		http.Error(w, "", http.StatusGone)
	})
	if got, err := namedPaths(t.Context(), client, "a"); err == nil || got != nil {
		t.Errorf("got %v, %v, want an error", got, err)
	}
}
