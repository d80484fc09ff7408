// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	eventsPath = "/apis/events.k8s.io/v1/namespaces/default/events"
	// eventQueue is how many events may wait; further ones are dropped: the log has them.
	eventQueue = 32
	// eventEvery is the least time between two events, on average, and eventBurst how many
	// may come at once. Somebody who writes to a file in a loop makes no more.
	eventEvery = 10 * time.Second
	eventBurst = 10
	// maxNote in bytes is what the API server takes.
	maxNote = 1024
)

// recorder sends events; what cannot be sent is dropped.
type recorder struct {
	client   *Client
	nodeName string
	queue    chan *eventsv1.Event
	log      logr.Logger
}

func newRecorder(client *Client, nodeName string, log logr.Logger) *recorder {
	return &recorder{client: client, nodeName: nodeName, queue: make(chan *eventsv1.Event, eventQueue), log: log}
}

// warn notes an event about an object of the cluster. It never waits.
func (r *recorder) warn(about corev1.ObjectReference, reason, action, note string) {
	if len(note) > maxNote {
		note = note[:maxNote-3] + "..."
	}
	e := &eventsv1.Event{
		TypeMeta: metav1.TypeMeta{APIVersion: "events.k8s.io/v1", Kind: "Event"},
		// Events about objects without a namespace are in this one.
		ObjectMeta:          metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, GenerateName: "seccomp-agent-"},
		EventTime:           metav1.NowMicro(),
		ReportingController: "seccompgate.io/agent",
		ReportingInstance:   r.nodeName,
		Type:                corev1.EventTypeWarning,
		Regarding:           about,
		Reason:              reason,
		Action:              action,
		Note:                note,
	}
	select {
	case r.queue <- e:
	default:
		r.log.Info("An event is dropped; more happens than is told", "reason", reason, "note", note)
	}
}

// run sends events until the context ends, each once.
func (r *recorder) run(ctx context.Context) {
	tokens, last := float64(eventBurst), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-r.queue:
			tokens = min(tokens+time.Since(last).Seconds()/eventEvery.Seconds(), eventBurst)
			last = time.Now()
			if tokens < 1 && !sleep(ctx, time.Duration((1-tokens)*float64(eventEvery))) {
				return
			}
			tokens--
			if err := r.client.do(ctx, request{method: http.MethodPost, path: eventsPath, body: e}, nil); err != nil {
				r.log.Error(err, "An event was not sent", "reason", e.Reason, "note", e.Note)
			}
		}
	}
}
