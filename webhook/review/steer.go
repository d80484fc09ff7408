// SPDX-License-Identifier: Apache-2.0

package review

import (
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/seccompgate/seccompgate/seccomp"
)

// Mutation is what the mutation writes into an object.
type Mutation struct {
	Injections []Injection
	Steering   []Steering
}

// Steering is one place where a pod is told to keep to the nodes that are to have its
// profiles.
type Steering struct {
	// Path of what is there already: an object, or a list of requirements.
	Path string
	// Keys are added below an object, one inside the other. A list has none.
	Keys []string
	// Requirements are put at the beginning of a list, or make the one below the last key;
	// below [TermsKey] they make the only term.
	Requirements []corev1.NodeSelectorRequirement
}

// Keys of the affinity that steering writes.
const (
	TermsKey       = "nodeSelectorTerms"
	ExpressionsKey = "matchExpressions"
)

// affinityKeys lead from a pod's spec to the terms.
func affinityKeys() []string {
	return []string{"affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", TermsKey}
}

// Pointer returns Path as a JSON pointer.
func (s *Steering) Pointer() string { return pointer(s.Path) }

// steering is where requirements have to go, so that each term of the pod's affinity makes
// them: terms are alternatives. What has them already gets nothing, and neither does a
// term that matches no node: with a requirement it would match some.
func steering(w Workload, requirements []corev1.NodeSelectorRequirement) []Steering {
	if len(requirements) == 0 {
		return nil
	}
	keys := affinityKeys()
	required := w.Spec.requiredAffinity()
	if required == nil {
		there := 0
		if w.Spec.Affinity != nil {
			there++
			if w.Spec.Affinity.NodeAffinity != nil {
				there++
			}
		}
		s := Steering{Path: w.spec, Keys: keys[there:], Requirements: requirements}
		for _, key := range keys[:there] {
			s.Path += "." + key
		}
		return []Steering{s}
	}
	var out []Steering
	terms := w.spec
	for _, key := range keys {
		terms += "." + key
	}
	for i := range required.NodeSelectorTerms {
		term := &required.NodeSelectorTerms[i]
		lacking := lackedBy(requirements, term)
		at := terms + "[" + strconv.Itoa(i) + "]"
		switch {
		case len(lacking) == 0 || matchesNothing(term):
		case len(term.MatchExpressions) == 0:
			out = append(out, Steering{Path: at, Keys: []string{ExpressionsKey}, Requirements: lacking})
		default:
			out = append(out, Steering{Path: at + "." + ExpressionsKey, Requirements: lacking})
		}
	}
	return out
}

func matchesNothing(term *corev1.NodeSelectorTerm) bool {
	return len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0
}

// lackedBy are the requirements that the term does not make yet.
func lackedBy(requirements []corev1.NodeSelectorRequirement, term *corev1.NodeSelectorTerm) []corev1.NodeSelectorRequirement {
	return slices.DeleteFunc(slices.Clone(requirements), func(r corev1.NodeSelectorRequirement) bool {
		return slices.ContainsFunc(term.MatchExpressions, func(there corev1.NodeSelectorRequirement) bool {
			return there.Key == r.Key && there.Operator == r.Operator && slices.Equal(there.Values, r.Values)
		})
	})
}

// steer does in memory what the mutation does to the object.
func (s *PodSpec) steer(requirements []corev1.NodeSelectorRequirement) {
	if len(requirements) == 0 {
		return
	}
	required := s.requiredAffinity()
	if required == nil {
		s.Affinity = &Affinity{NodeAffinity: &NodeAffinity{Required: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: requirements}},
		}}}
		return
	}
	for i := range required.NodeSelectorTerms {
		if term := &required.NodeSelectorTerms[i]; !matchesNothing(term) {
			term.MatchExpressions = slices.Concat(lackedBy(requirements, term), term.MatchExpressions)
		}
	}
}

// requirements are what the nodeSelectors of the pod's LocalhostProfiles ask of nodes, once
// the injections are written, and the pod's own nodeSelector does not. There are none for a
// pod that is bound, whose profiles are all on every node, or that no node could satisfy: a
// rule says what is wrong with that one.
func (r *Reviewer) requirements(req *Request, w Workload, c *choice, injections []Injection) []corev1.NodeSelectorRequirement {
	index := r.facts()
	if !r.settings.SteerPods || index == nil || req.NotOptedIn || w.Spec.NodeName != "" || w.Spec.os() == windows || !c.grantable(w.Spec) {
		return nil
	}
	want := make(map[string]string)
	for _, path := range profilesAfter(w.Spec, injections) {
		for key, value := range index.NodeSelector(path) {
			if other, found := want[key]; found && other != value {
				return nil
			}
			want[key] = value
		}
	}
	var out []corev1.NodeSelectorRequirement
	for _, key := range slices.Sorted(maps.Keys(want)) {
		switch value, selected := w.Spec.NodeSelector[key]; {
		case selected && value != want[key]:
			return nil
		case !selected:
			out = append(out, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{want[key]}})
		}
	}
	return out
}

// profilesAfter are the paths of the profiles that containers of the pod will run under.
// Ephemeral containers come when the pod has its node.
func profilesAfter(s *PodSpec, injections []Injection) []string {
	pod, injected := s.seccompProfile(), make(map[*Container]*SeccompProfile)
	for i := range injections {
		if in := &injections[i]; in.container == nil {
			pod = &in.Profile
		} else {
			injected[in.container] = &in.Profile
		}
	}
	var paths []string
	for _, list := range s.lists() {
		if list.kind == kindEphemeral {
			continue
		}
		for i := range list.containers {
			c := &list.containers[i]
			own := c.seccompProfile()
			if p := injected[c]; p != nil {
				own = p
			}
			if e := seccomp.Resolve(pod.ref(), own.ref(), c.privileged()); e.Ref.Type == seccomp.Localhost {
				paths = append(paths, e.Ref.Path)
			}
		}
	}
	return paths
}
