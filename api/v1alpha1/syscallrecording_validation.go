// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateSyscallRecording says what is wrong with the object: one that is created when
// old is nil, otherwise one that takes old's place. A recording may be ended early and
// may be prolonged, but never beyond seven days after it was created. One that does not
// change its end is not judged by it, so that a recording which is over can still be
// labelled and deleted.
func ValidateSyscallRecording(r, old *SyscallRecording, now time.Time) field.ErrorList {
	spec := field.NewPath("spec")
	errs := metavalidation.ValidateLabelSelector(&r.Spec.PodSelector, metavalidation.LabelSelectorValidationOptions{}, spec.Child("podSelector"))

	began, since := now, "from now"
	if old != nil {
		if !equality.Semantic.DeepEqual(r.Spec.PodSelector, old.Spec.PodSelector) {
			errs = append(errs, field.Forbidden(spec.Child("podSelector"), "the pods of a recording do not change; create another recording"))
		}
		if !old.CreationTimestamp.IsZero() {
			began, since = old.CreationTimestamp.Time, "after the recording was created"
		}
	}
	until, at := r.Spec.Until, spec.Child("until")
	latest := began.Add(MaxRecording)
	text := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case until.IsZero():
		errs = append(errs, field.Required(at, "say when the recording ends, at most 7 days "+since+", such as "+text(began.Add(time.Hour))))
	case old != nil && until.Equal(&old.Spec.Until):
	case until.After(latest):
		errs = append(errs, field.Invalid(at, text(until.Time), fmt.Sprintf("is more than 7 days %s; use %s or earlier", since, text(latest))))
	case old == nil && !until.After(now):
		errs = append(errs, field.Invalid(at, text(until.Time), fmt.Sprintf("is in the past; use a time after %s", text(now))))
	}
	return errs
}
