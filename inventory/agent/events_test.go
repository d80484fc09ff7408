// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEvents: what does not arrive is sent again, what is refused is not, and of many that
// come at once only so many are sent.
func TestEvents(t *testing.T) {
	got := make(chan event, 100)
	_, client := newAPI(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 0:
			panic(http.ErrAbortHandler) // the connection is lost
		case 2:
			http.Error(w, "", http.StatusForbidden)
			return
		}
		var e event
		_ = json.NewDecoder(r.Body).Decode(&e)
		got <- e
		write(w, http.StatusCreated, e)
	})
	r := newRecorder(client, "node-a", logr.Discard())
	about := subject{APIVersion: "v1", Kind: "Node", Name: "node-a", UID: "u"}
	for range 2 * eventQueue {
		r.warn(about, "ProfileDrifted", "Repair", strings.Repeat("x", 2*maxNote))
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(ctx)
	}()
	first := <-got
	if first.EventTime.IsZero() || len(first.Note) != maxNote {
		t.Errorf("event at %s with a note of %d bytes, want %d", first.EventTime, len(first.Note), maxNote)
	}
	first.EventTime, first.Note = metav1.MicroTime{}, ""
	want := event{
		TypeMeta:            metav1.TypeMeta{APIVersion: "events.k8s.io/v1", Kind: "Event"},
		ObjectMeta:          metav1.ObjectMeta{Namespace: "default", GenerateName: "seccomp-agent-"},
		ReportingController: "seccompgate.io/agent", ReportingInstance: "node-a",
		Type: "Warning", Regarding: about, Reason: "ProfileDrifted", Action: "Repair",
	}
	if d := cmp.Diff(want, first); d != "" {
		t.Errorf("event (-want +got):\n%s", d)
	}
	for range eventBurst - 2 { // one was refused
		<-got
	}
	select {
	case <-got:
		t.Errorf("more than %d events at once", eventBurst)
	case <-time.After(time.Second):
	}
	stop()
	<-done
	if len(r.queue) > eventQueue {
		t.Errorf("%d events wait", len(r.queue))
	}
}
