// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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

// event is an Event of events.k8s.io. The types of k8s.io/api would bring the code of every
// core kind along, which takes memory on every node.
type event struct {
	metav1.TypeMeta     `json:",inline"`
	metav1.ObjectMeta   `json:"metadata"`
	EventTime           metav1.MicroTime `json:"eventTime"`
	ReportingController string           `json:"reportingController"`
	ReportingInstance   string           `json:"reportingInstance"`
	Type                string           `json:"type"`
	Regarding           subject          `json:"regarding"`
	Reason              string           `json:"reason"`
	Action              string           `json:"action"`
	Note                string           `json:"note"`
}

// subject is the object that an event is about.
type subject struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	UID        types.UID `json:"uid,omitempty"`
}

// recorder sends events; what cannot be sent is dropped.
type recorder struct {
	client   *Client
	nodeName string
	queue    chan *event
	log      logr.Logger
}

func newRecorder(client *Client, nodeName string, log logr.Logger) *recorder {
	return &recorder{client: client, nodeName: nodeName, queue: make(chan *event, eventQueue), log: log}
}

// warn notes an event about an object of the cluster. It never waits.
func (r *recorder) warn(about subject, reason, action, note string) {
	if len(note) > maxNote {
		note = note[:maxNote-3] + "..."
	}
	e := &event{
		TypeMeta: metav1.TypeMeta{APIVersion: "events.k8s.io/v1", Kind: "Event"},
		// Events about objects without a namespace are in this one.
		ObjectMeta:          metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, GenerateName: "seccomp-agent-"},
		EventTime:           metav1.NowMicro(),
		ReportingController: "seccompgate.io/agent",
		ReportingInstance:   r.nodeName,
		Type:                "Warning",
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

// run sends events until the context ends. One that the API server refuses is dropped, and
// one that does not reach it is sent again.
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
			r.send(ctx, e)
		}
	}
}

func (r *recorder) send(ctx context.Context, e *event) {
	var wait backoff
	for ctx.Err() == nil {
		err := r.client.do(ctx, request{method: http.MethodPost, path: eventsPath, body: e}, nil)
		var refused apierrors.APIStatus
		switch {
		case err == nil:
			return
		case errors.As(err, &refused):
			r.log.Error(err, "The API server refuses an event", "reason", e.Reason, "note", e.Note)
			return
		}
		sleep(ctx, wait.next(err))
	}
}
