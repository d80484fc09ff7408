// SPDX-License-Identifier: Apache-2.0

// Package webhook translates: an AdmissionReview comes in, package review decides, an
// AdmissionResponse goes out. Nothing here knows a rule.
//
// The handlers are plain ones, for the mux of controller-runtime's webhook server: its
// own admission handlers decode every object in full and encode it again, which costs
// more than the decision.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// Paths of the handlers.
const (
	PathMutate   = "/mutate"
	PathValidate = "/validate"
	PathHealth   = "/healthz"
	PathReady    = "/readyz"
	PathMetrics  = "/metrics"
)

// Times of one request. The API server gives up after three seconds, and whoever takes
// longer than these holds a connection for nothing.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = 15 * time.Second
	// answerTime is what an answer needs to arrive before the API server gives up.
	answerTime = 300 * time.Millisecond
)

// namespaceSource is all that the webhook needs to know of namespaces.
type namespaceSource interface {
	NamespaceLabels(name string) (labels map[string]string, known bool)
}

// podSource lists the pods that run in a namespace.
type podSource interface {
	Pods(ctx context.Context, namespace string) (pods []review.Object, all bool, err error)
}

// Options configures the handlers.
type Options struct {
	Reviewer *review.Reviewer
	// Policies returns the current rules, the same that the reviewer has.
	Policies func() *policies.Set
	// Namespaces may be nil: all labels are then those of the configuration's defaults.
	Namespaces namespaceSource
	// Pods may be nil: nothing is then said about pods that run already.
	Pods     podSource
	Settings v1alpha1.WebhookConfig
	Metrics  *Metrics
	Ready    *Readiness
	Log      logr.Logger
}

// Register puts all handlers on the mux.
func Register(mux *http.ServeMux, o Options) error {
	if o.Reviewer == nil || o.Policies == nil || o.Metrics == nil || o.Ready == nil {
		return errors.New("webhook options: reviewer, policies, metrics and readiness are needed")
	}
	o.Metrics.use(o.Policies())
	h := &handlers{Options: o, limit: newLimit(o.Settings.Limits), timeout: cmp.Or(o.Settings.Limits.Timeout.Duration, v1alpha1.DefaultTimeout)}
	mux.Handle(PathMutate, h.serve(PathMutate, h.mutate))
	mux.Handle(PathValidate, h.serve(PathValidate, h.validate))
	mux.Handle(PathHealth, http.HandlerFunc(healthy))
	mux.Handle(PathReady, o.Ready)
	mux.Handle(PathMetrics, o.Metrics.Handler())
	return nil
}

type handlers struct {
	Options
	limit   limit
	timeout time.Duration
}

// decider answers one request, whose text is body.
type decider func(ctx context.Context, req *request, body []byte) *answer

// serve is the frame of both webhooks: bounds, decoding, deadline, answer.
func (h *handlers) serve(path string, decide decider) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		control := http.NewResponseController(w)
		// A server that cannot set deadlines has its own.
		_ = control.SetReadDeadline(start.Add(readTimeout))
		_ = control.SetWriteDeadline(start.Add(writeTimeout))
		ctx := withDeadline(r.Context(), start.Add(h.timeoutOf(r)))
		defer ctx.release()

		buf, _ := buffers.Get().(*bytes.Buffer)
		defer releaseBuffer(buf)
		if err := read(r, buf); err != nil {
			h.refuse(w, path, err)
			return
		}
		// Reading is the client's time; the bound is on work.
		if err := h.limit.enter(ctx); err != nil {
			h.Metrics.refused.WithLabelValues("overload").Inc()
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		h.Metrics.inWork.Inc()
		defer func() {
			h.Metrics.inWork.Dec()
			h.limit.leave()
		}()
		req, err := decode(buf.Bytes())
		if err != nil {
			h.refuse(w, path, err)
			return
		}
		a := h.decide(ctx, decide, req, buf.Bytes(), path)
		send(w, http.StatusOK, a)
		h.Metrics.observe(path, start)
	})
}

// decide calls the decider and turns a panic of it into an answer: of a bug in one kind
// of request, all others must not die.
func (h *handlers) decide(ctx context.Context, decide decider, req *request, body []byte, path string) (a *answer) {
	defer func() {
		if p := recover(); p != nil {
			stack := make([]byte, 16<<10)
			stack = stack[:runtime.Stack(stack, false)]
			h.Log.Error(errors.New("panic"), "Request could not be decided", "path", path, "kind", req.Kind.Kind, "namespace", req.Namespace, "panic", p, "stack", string(stack))
			a = &answer{uid: req.UID}
			if path == PathMutate {
				h.mutationFailed(a, req, errors.New("internal error, see the log of the webhook"))
				return
			}
			h.Metrics.count(req, resourceOther, decisionError)
			a.deny(http.StatusInternalServerError, "internal error, see the log of the webhook; the request was not judged")
		}
	}()
	a = decide(ctx, req, body)
	a.uid = req.UID
	return a
}

// timeoutOf is how long a request may take: what the API server waits, less the way back,
// and never more than the configuration says.
func (h *handlers) timeoutOf(r *http.Request) time.Duration {
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		text, found := strings.CutPrefix(part, "timeout=")
		if !found {
			continue
		}
		given, err := time.ParseDuration(text)
		if err != nil || given <= 0 {
			return h.timeout
		}
		return min(h.timeout, max(given-answerTime, given/2))
	}
	return h.timeout
}

// refuse answers what cannot be decided. Both webhooks use an HTTP status that is no
// success, so that the API server applies the failure policy, and say the same again in
// an AdmissionReview for everybody else.
func (h *handlers) refuse(w http.ResponseWriter, path string, err error) {
	status, a := http.StatusBadRequest, &answer{}
	var m *malformed
	if errors.As(err, &m) {
		status, a.uid = m.status, m.uid
	}
	reason := "malformed"
	if status == http.StatusRequestEntityTooLarge {
		reason = "size"
	}
	h.Metrics.refused.WithLabelValues(reason).Inc()
	h.Log.V(1).Info("Request refused", "path", path, "status", status, "reason", err.Error())
	if path == PathMutate && a.uid != "" {
		// A rejection is no failure: failurePolicy Ignore would not help.
		h.mutationFailed(a, nil, err)
		send(w, http.StatusOK, a)
		return
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	a.deny(status, "the request was not judged: "+err.Error())
	send(w, status, a)
}

func send(w http.ResponseWriter, status int, a *answer) {
	buf, _ := buffers.Get().(*bytes.Buffer)
	defer releaseBuffer(buf)
	text := a.appendTo(buf.AvailableBuffer())
	// What was appended is kept with the buffer for the next answer.
	buf.Write(text)
	w.Header()["Content-Type"] = contentType
	w.Header()["Content-Length"] = []string{strconv.Itoa(buf.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // a client that is gone needs no answer
}

var contentType = []string{"application/json"}

func healthy(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte("ok\n"))
}
