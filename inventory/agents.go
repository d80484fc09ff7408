// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// AgentSelector selects the pods of agents, in the namespace of their DaemonSet.
const AgentSelector = "app.kubernetes.io/name=seccomp-agent"

// agentGrace is how long a node stays known without a ready agent: an agent that is
// replaced is away for some seconds. A kubelet notices within ten that an agent hangs, and
// the control plane within fifty that a kubelet is gone; together that is less than the 90
// seconds in which a silent agent is to be noticed.
const agentGrace = 30 * time.Second

// agents remembers which nodes have a ready agent: what a node reported is true as long as
// its agent is there to say otherwise. The zero agents is ready for use.
type agents struct {
	// ready says of the nodes that had an agent when they were looked at last whether it
	// was.
	ready map[string]bool
	// lost is when nodes were first seen without.
	lost map[string]time.Time
	// silent is how many nodes report for nothing.
	silent int
}

// look takes in the pods of all agents.
func (a *agents) look(pods []*corev1.Pod, now time.Time) {
	ready := make(map[string]bool, len(pods))
	for _, p := range pods {
		if p.Spec.NodeName != "" {
			ready[p.Spec.NodeName] = ready[p.Spec.NodeName] || isReady(p)
		}
	}
	lost := make(map[string]time.Time)
	for name, since := range a.lost {
		if !ready[name] {
			lost[name] = since
		}
	}
	for name, was := range a.ready {
		if was && !ready[name] {
			lost[name] = now
		}
	}
	a.ready, a.lost = ready, lost
}

// current returns the facts that count. Without any agent on any node, they are what
// somebody wrote by hand, and all do. until is when some that count now no longer will,
// unless an agent comes back; zero if there is no such time.
func (a *agents) current(facts []*v1alpha1.SeccompNode, now time.Time) (current []*v1alpha1.SeccompNode, until time.Time) {
	a.silent = 0
	if len(a.ready) == 0 {
		return facts, time.Time{}
	}
	current = slices.DeleteFunc(facts, func(n *v1alpha1.SeccompNode) bool {
		if a.ready[n.Name] {
			return false
		}
		since, lost := a.lost[n.Name]
		end := since.Add(agentGrace)
		if !lost || !now.Before(end) {
			a.silent++
			return true
		}
		if until.IsZero() || end.Before(until) {
			until = end
		}
		return false
	})
	return current, until
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// stripPod keeps of an agent's pod where it runs and whether it is ready.
func stripPod(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	stripped := &corev1.Pod{ObjectMeta: strippedMeta(&p.ObjectMeta), Spec: corev1.PodSpec{NodeName: p.Spec.NodeName}}
	stripped.Namespace, stripped.Generation = p.Namespace, 0
	if isReady(p) {
		stripped.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return stripped, nil
}
