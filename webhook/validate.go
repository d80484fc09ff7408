// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// Keys of audit annotations. The API server puts the webhook's name before them and drops
// a key that, with it, is no qualified name.
const (
	annotationDecision  = "decision"
	annotationFindings  = "findings"
	annotationExcused   = "excused"
	annotationWouldDeny = "would-deny"
	annotationExempt    = "exempt"
	annotationError     = "error"
	annotationPolicy    = "policy"
)

// policyDigits of the digest tell the rules of two replicas apart.
const policyDigits = len("sha256:") + 12

var errNoObject = errors.New("the request has no object")

// namespaceWait is how long a namespace that nobody knows yet is waited for: who makes a
// namespace makes a pod in it next, and watches need some milliseconds.
const (
	namespaceWait = time.Second
	namespacePoll = 10 * time.Millisecond
)

// validate answers the validating webhook.
func (h *handlers) validate(ctx context.Context, req *request, body []byte) *answer {
	switch {
	case req.Operation == operationDelete && req.Resource.Group == v1alpha1.GroupVersion.Group:
		return deleteOwn(req)
	case req.Operation != review.Create && req.Operation != review.Update:
		// Nothing that ends or connects changes a profile.
		return &answer{allowed: true}
	case req.Resource.Group == v1alpha1.GroupVersion.Group:
		return h.validateOwn(req, body)
	case req.Resource.Group == "" && req.Resource.Resource == "namespaces":
		return h.validateNamespace(ctx, req)
	default:
		return h.validateWorkload(ctx, req, body)
	}
}

func (h *handlers) validateWorkload(ctx context.Context, req *request, body []byte) *answer {
	a := &answer{}
	resource := resourceOf(req)
	r, err := h.reviewRequest(ctx, req, body)
	if err != nil {
		h.Metrics.count(req, resource, decisionError)
		a.deny(http.StatusBadRequest, "the request was not judged: "+err.Error())
		return a
	}
	d, err := h.Reviewer.Review(ctx, r)
	for _, n := range d.Notes {
		a.warn(n)
	}
	if err != nil {
		h.undecided(a, &d, err)
		h.Metrics.count(req, resource, decisionError)
		return a
	}
	rules := h.Policies()
	a.annotate(annotationPolicy, rules.Digest()[:policyDigits])
	decision := h.record(a, &d, req.Sub)
	h.Metrics.count(req, resource, decision)
	if len(d.Denied)+len(d.WouldDeny)+len(d.Warned)+len(d.Audited) > 0 && !req.DryRun {
		h.Metrics.countFindings(modeEnforce, d.Denied)
		h.Metrics.countFindings(modeEnforce, d.WouldDeny)
		h.Metrics.countFindings(modeWarn, d.Warned)
		h.Metrics.countFindings(modeAudit, d.Audited)
	}
	if len(d.Excused) > 0 && !req.DryRun {
		h.Metrics.countExcused(d.Excused)
	}
	// Asking first keeps the arguments from being made for nothing.
	if log := h.Log.V(1); log.Enabled() {
		log.Info("Request reviewed", "kind", req.Kind.Kind, "namespace", req.Namespace, "name", r.Object.Metadata.DisplayName(),
			"operation", req.Operation, "decision", decision, "denied", len(d.Denied), "warned", len(d.Warned), "audited", len(d.Audited), "excused", len(d.Excused))
	}
	return a
}

// record writes a decision into the answer and returns its name.
func (h *handlers) record(a *answer, d *review.Decision, subresource string) string {
	decision := decisionAllowed
	a.allowed = d.Allowed
	switch {
	case d.Exempt != "":
		decision = decisionExempt
		a.annotate(annotationExempt, d.Exempt)
	case !d.Allowed:
		decision = decisionDenied
		a.deny(http.StatusForbidden, denial(d, subresource))
	case len(d.WouldDeny) > 0:
		decision = decisionWouldDeny
		a.annotate(annotationWouldDeny, listed(d.WouldDeny, findingText, maxAnnotation))
	}
	a.annotate(annotationDecision, decision)
	if len(d.Audited) > 0 {
		a.annotate(annotationFindings, listed(d.Audited, findingText, maxAnnotation))
	}
	if len(d.Excused) > 0 {
		a.annotate(annotationExcused, listed(d.Excused, excusedText, maxAnnotation))
	}
	if d.Allowed {
		// Who is denied reads that, and needs no warnings about the rest.
		a.warnFindings(d.Warned)
		a.warnExcused(d.Excused)
	}
	return decision
}

// debugHint is for people whose debugger was denied: kubectl debug cannot set a profile
// but by a partial container specification.
const debugHint = `; set securityContext of the debug container with "kubectl debug --custom FILE"`

// denial is what the user reads behind the API server's words and the webhook's name.
// Why a level is stricter than anybody has asked for is part of it.
func denial(d *review.Decision, subresource string) string {
	hint := ""
	if len(d.Modes.Problems) > 0 {
		hint = "; " + d.Modes.Problems[0]
	}
	if subresource == "ephemeralcontainers" {
		hint += debugHint
	}
	prefix := fmt.Sprintf("seccompgate %s: ", d.Modes.Enforce.Level)
	return prefix + listed(d.Denied, findingText, maxMessage-len(prefix)-len(hint)) + hint
}

// undecided answers a request that no rule could judge: where findings deny, it is denied.
func (h *handlers) undecided(a *answer, d *review.Decision, err error) {
	h.Log.Error(err, "Request could not be judged")
	code, text := http.StatusInternalServerError, "could not be evaluated: "+err.Error()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		code, text = http.StatusGatewayTimeout, "could not be evaluated in time; retry, and give the webhook more processors if it stays so"
	}
	a.annotate(annotationDecision, decisionError)
	a.annotate(annotationError, text)
	if d.Enforcing {
		a.deny(code, text)
		return
	}
	a.allowed = true
}

// namespace is the labels of a namespace, waited for when nobody knows them yet.
func (h *handlers) namespace(ctx context.Context, name string) (map[string]string, bool) {
	labels, known := h.Namespaces.NamespaceLabels(name)
	if known || name == "" {
		return labels, known
	}
	ctx, cancel := context.WithTimeout(ctx, namespaceWait)
	defer cancel()
	tick := time.NewTicker(namespacePoll)
	defer tick.Stop()
	h.limit.aside(func() {
		for !known && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				labels, known = h.Namespaces.NamespaceLabels(name)
			}
		}
	})
	return labels, known
}

func resourceOf(req *request) string {
	switch {
	case req.Kind.Kind == "Binding":
		return resourceBinding
	case req.Resource.Group == "" && req.Resource.Resource == "pods":
		return resourcePod
	default:
		return resourceWorkload
	}
}
