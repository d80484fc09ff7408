// SPDX-License-Identifier: Apache-2.0

package review

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/seccompgate/seccompgate/policies"
)

// Explain describes the pod of a request as the rules would see it, without asking them and
// as it is: nothing is injected. A pod that is bound is described on its node, wherever else
// it could have gone. ok is false for an object that makes no pods.
func (r *Reviewer) Explain(ctx context.Context, req *Request) (in *policies.Input, ok bool) {
	w, ok := Extract(req.Kind, req.Object)
	if !ok {
		return nil, false
	}
	c := r.choice(req, w)
	in = &policies.Input{Kind: req.Kind}
	podInput(in, w, &c, nil)
	index := r.facts()
	if index == nil {
		return in, true
	}
	spec := *w.Spec
	if spec.NodeName != "" {
		spec.NodeSelector, spec.Affinity = nil, nil
		spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	}
	nodeInput(ctx, in, &spec, index)
	return in, true
}
