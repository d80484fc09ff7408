// SPDX-License-Identifier: Apache-2.0

package review

import (
	"maps"
	"reflect"
	"slices"

	"github.com/seccompgate/seccompgate/policies"
)

// changed says whether an update of a pod, or of the template of one, changes anything
// that decides on its profiles. Seccomp fields cannot be changed today; a server that
// allowed it must not slip by.
func changed(before, after Workload, rules *policies.Set) bool {
	a, b := before.Spec, after.Spec
	if !sameProfile(a.seccompProfile(), b.seccompProfile()) || a.os() != b.os() || a.RuntimeClassName != b.RuntimeClassName {
		return true
	}
	x, y := a.lists(), b.lists()
	for i := range x {
		if !slices.EqualFunc(x[i].containers, y[i].containers, func(c, d Container) bool { return sameContainer(&c, &d) }) {
			return true
		}
	}
	if listedAnnotationChanged(before.Meta.Annotations, after.Meta.Annotations, rules) {
		return true
	}
	// A bound pod stays where it is.
	return b.NodeName == "" && (!maps.Equal(a.NodeSelector, b.NodeSelector) ||
		!reflect.DeepEqual(a.requiredAffinity(), b.requiredAffinity()) ||
		!reflect.DeepEqual(a.Tolerations, b.Tolerations))
}

func sameContainer(a, b *Container) bool {
	return a.Name == b.Name && a.Image == b.Image && a.RestartPolicy == b.RestartPolicy &&
		a.privileged() == b.privileged() && sameProfile(a.seccompProfile(), b.seccompProfile())
}

func sameProfile(a, b *SeccompProfile) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// listedAnnotationChanged says that an annotation which reaches a runtime's filter was
// added or has a new value. Taking one away is no danger.
func listedAnnotationChanged(before, after map[string]string, rules *policies.Set) bool {
	for key, value := range after {
		if old, had := before[key]; (!had || old != value) && rules.ListedAnnotation(key) {
			return true
		}
	}
	return false
}
