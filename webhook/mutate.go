// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"

	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// mutate answers the mutating webhook. It never denies: what it could not do, the
// validating one sees.
func (h *handlers) mutate(ctx context.Context, req *request, body []byte) *answer {
	a := &answer{allowed: true}
	r, err := h.reviewRequest(ctx, req, body)
	if err != nil {
		h.mutationFailed(a, req, err)
		return a
	}
	injections, notes := h.Reviewer.Inject(r)
	for _, n := range notes {
		a.warn(n)
	}
	if len(injections) == 0 {
		h.Metrics.countInjection(req, resultUnchanged)
		return a
	}
	a.patch = appendPatch(make([]byte, 0, 192*len(injections)), injections)
	h.Metrics.countInjection(req, resultInjected)
	return a
}

// mutationFailed lets the object pass as it is, and says so. req is nil when it could not
// be read.
func (h *handlers) mutationFailed(a *answer, req *request, err error) {
	h.Metrics.countInjection(req, resultError)
	h.Log.Error(err, "Nothing was injected")
	a.allowed = true
	a.annotate(annotationError, err.Error())
	a.warn("no profile was injected: " + err.Error())
}

// appendPatch appends a JSON patch. Its operations only add what is not there, so that
// fields which we do not know stay as they are.
func appendPatch(b []byte, injections []review.Injection) []byte {
	for i := range injections {
		in := &injections[i]
		if i == 0 {
			b = append(b, '[')
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"op":"add","path":`...)
		if in.HasContext {
			b = appendString(b, in.Pointer()+"/seccompProfile")
			b = append(b, `,"value":`...)
			b = appendProfile(b, in.Profile)
			b = append(b, '}')
			continue
		}
		b = appendString(b, in.Pointer())
		b = append(b, `,"value":{"seccompProfile":`...)
		b = appendProfile(b, in.Profile)
		b = append(b, `}}`...)
	}
	return append(b, ']')
}

func appendProfile(b []byte, p review.SeccompProfile) []byte {
	b = append(b, `{"type":`...)
	b = appendString(b, p.Type)
	if p.LocalhostProfile != "" {
		b = append(b, `,"localhostProfile":`...)
		b = appendString(b, p.LocalhostProfile)
	}
	return append(b, '}')
}

// reviewRequest is what the decision core needs of a request.
func (h *handlers) reviewRequest(ctx context.Context, req *request, body []byte) (*review.Request, error) {
	r := &review.Request{
		Kind: req.Kind.Kind, Operation: req.Operation, Subresource: req.Sub, Namespace: req.Namespace,
		User:   policies.User{Name: req.UserInfo.Username, Groups: req.UserInfo.Groups},
		Object: req.Object.of(), Old: req.OldObject.of(),
	}
	if r.Object == nil {
		return nil, errNoObject
	}
	if h.Policies().ReadsObject() {
		r.Raw = req.Object.text(body)
	}
	if h.Namespaces != nil {
		labels, known := h.namespace(ctx, req.Namespace)
		r.NamespaceLabels, r.NamespaceUnknown = labels, !known
	}
	return r, nil
}
