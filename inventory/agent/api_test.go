// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// api is an HTTP server that answers with what a test says. What a real one does is tested
// end to end; this one does what a real one does only on a bad day.
type api struct {
	mu sync.Mutex
	// asked are the requests, method and path with query.
	asked []string
	// answer writes the n-th answer, from 0.
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

// newAPI starts a server for the test, and a client of it.
func newAPI(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) (*api, *Client) {
	t.Helper()
	a := &api{answer: answer}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return a, &Client{http: server.Client(), base: server.URL, userAgent: "test", token: func() (string, error) { return "secret", nil }}
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	n := len(a.asked)
	a.asked = append(a.asked, r.Method+" "+r.URL.String())
	answer := a.answer
	a.mu.Unlock()
	answer(n, w, r)
}

func (a *api) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// write answers with an object.
func write(w http.ResponseWriter, code int, o any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o) // a client that went away is the test's failure
}

// refuse answers as the API server refuses.
func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.ErrStatus
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	write(w, int(status.Code), status)
}
