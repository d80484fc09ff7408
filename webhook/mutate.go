// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

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
	m, notes := h.Reviewer.Inject(r)
	for _, n := range notes {
		a.warn(n)
	}
	if len(m.Injections)+len(m.Steering) == 0 {
		h.Metrics.countInjection(req, resultUnchanged)
		return a
	}
	a.patch = appendPatch(make([]byte, 0, 192*(len(m.Injections)+len(m.Steering))), &m)
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
func appendPatch(b []byte, m *review.Mutation) []byte {
	start := len(b)
	for i := range m.Injections {
		in := &m.Injections[i]
		if in.HasContext {
			b = append(appendAdd(b, start, in.Pointer()+"/seccompProfile"), `,"value":`...)
			b = append(appendProfile(b, in.Profile), '}')
			continue
		}
		b = append(appendAdd(b, start, in.Pointer()), `,"value":{"seccompProfile":`...)
		b = append(appendProfile(b, in.Profile), `}}`...)
	}
	for i := range m.Steering {
		b = appendSteering(b, start, &m.Steering[i])
	}
	return append(b, ']')
}

// appendAdd begins an operation, which may be the first behind start.
func appendAdd(b []byte, start int, pointer string) []byte {
	if len(b) == start {
		b = append(b, '[')
	} else {
		b = append(b, ',')
	}
	return appendString(append(b, `{"op":"add","path":`...), pointer)
}

// appendSteering adds requirements to a list one by one, the last first, or a list of them
// with all that is around it.
func appendSteering(b []byte, start int, s *review.Steering) []byte {
	if len(s.Keys) == 0 {
		for i := range slices.Backward(s.Requirements) {
			b = append(appendAdd(b, start, s.Pointer()+"/0"), `,"value":`...)
			b = append(appendRequirement(b, &s.Requirements[i]), '}')
		}
		return b
	}
	b = append(appendAdd(b, start, s.Pointer()+"/"+s.Keys[0]), `,"value":`...)
	for _, key := range s.Keys[1:] {
		b = append(appendString(append(b, '{'), key), ':')
	}
	terms := s.Keys[len(s.Keys)-1] == review.TermsKey
	if terms {
		b = append(b, `[{"`+review.ExpressionsKey+`":`...)
	}
	for i := range s.Requirements {
		separator := byte(',')
		if i == 0 {
			separator = '['
		}
		b = appendRequirement(append(b, separator), &s.Requirements[i])
	}
	b = append(b, ']')
	if terms {
		b = append(b, `}]`...)
	}
	for range s.Keys { // those around the list, and the operation
		b = append(b, '}')
	}
	return b
}

// appendRequirement appends one that has values, as all do that steering makes.
func appendRequirement(b []byte, r *corev1.NodeSelectorRequirement) []byte {
	b = appendString(append(b, `{"key":`...), r.Key)
	b = appendString(append(b, `,"operator":`...), string(r.Operator))
	for i, value := range r.Values {
		if i == 0 {
			b = append(b, `,"values":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, value)
	}
	return append(b, `]}`...)
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
		Object: req.Object.of(), Old: req.OldObject.of(), Raw: req.Object.text(body),
	}
	if r.Object == nil {
		return nil, errNoObject
	}
	if h.Namespaces != nil {
		labels, known := h.namespace(ctx, req.Namespace)
		r.NamespaceLabels, r.NamespaceUnknown = labels, !known
	}
	return r, nil
}
