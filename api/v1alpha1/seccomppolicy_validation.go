// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of a SeccompPolicy, those of text in characters.
const (
	maxModules        = 64
	maxRego           = 256 << 10
	maxParameters     = 64
	maxParameterName  = 63
	maxParameterValue = 4096
	maxExceptions     = 256
	maxReason         = 256
)

var (
	moduleName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?\.rego$`)
	ruleID     = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
)

// noRules are the ids of findings that stand for rules which could not be asked: excusing
// them would excuse every rule.
func noRules() []string { return []string{"rule-error", "not-synced"} }

// ValidateSeccompPolicy says what is wrong with the object, but for the Rego, which only
// the compiler can judge. Whether a rule of an exception exists is not said either: it
// may come with another policy.
func ValidateSeccompPolicy(p *SeccompPolicy) field.ErrorList {
	spec := field.NewPath("spec")
	errs := atMost(len(p.Spec.Rules), maxModules, spec.Child("rules"))
	names := make([]string, len(p.Spec.Rules))
	for i := range p.Spec.Rules {
		r, at := &p.Spec.Rules[i], spec.Child("rules").Index(i)
		names[i] = r.Name
		if !moduleName.MatchString(r.Name) || len(r.Name) > validation.DNS1123SubdomainMaxLength {
			errs = append(errs, field.Invalid(at.Child("name"), shorten(r.Name), `is not a file name of Rego; use lower-case letters, digits, "-", "_" and ".", and ".rego" at the end`))
		}
		switch {
		case strings.TrimSpace(r.Rego) == "":
			errs = append(errs, field.Required(at.Child("rego"), "write the module, or remove the entry"))
		case utf8.RuneCountInString(r.Rego) > maxRego:
			errs = append(errs, field.TooLongCharacters(at.Child("rego"), "", maxRego))
		}
	}
	errs = append(errs, distinct(names, func(i int) *field.Path { return spec.Child("rules").Index(i).Child("name") })...)

	parameters := spec.Child("parameters")
	errs = append(errs, atMost(len(p.Spec.Parameters), maxParameters, parameters)...)
	for _, name := range slices.Sorted(maps.Keys(p.Spec.Parameters)) {
		if name == "" || len(name) > maxParameterName {
			errs = append(errs, field.Invalid(parameters, shorten(name), fmt.Sprintf("the name of a parameter has 1 to %d characters", maxParameterName)))
		}
		if utf8.RuneCountInString(p.Spec.Parameters[name]) > maxParameterValue {
			errs = append(errs, field.TooLongCharacters(parameters.Key(shorten(name)), "", maxParameterValue))
		}
	}

	errs = append(errs, atMost(len(p.Spec.Exceptions), maxExceptions, spec.Child("exceptions"))...)
	for i := range p.Spec.Exceptions {
		errs = append(errs, validateException(&p.Spec.Exceptions[i], spec.Child("exceptions").Index(i))...)
	}
	return errs
}

func validateException(e *PolicyException, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(e.Rules) == 0 {
		errs = append(errs, field.Required(at.Child("rules"), "name the rules whose findings are excused; there is no entry for all of them"))
	}
	for i, id := range e.Rules {
		if slices.Contains(noRules(), id) {
			errs = append(errs, field.Invalid(at.Child("rules").Index(i), id, "stands for any rule that gave no answer; name the rule itself, and its errors are excused with its findings"))
			continue
		}
		if len(id) > validation.DNS1123LabelMaxLength || !ruleID.MatchString(id) {
			errs = append(errs, field.Invalid(at.Child("rules").Index(i), shorten(id), "is not the id of a rule, such as profile-missing; there are no patterns"))
		}
	}
	errs = append(errs, distinct(e.Rules, at.Child("rules").Index)...)
	for i, ns := range e.Namespaces {
		errs = append(errs, validateName(ns, "Namespace", validation.IsDNS1123Label, at.Child("namespaces").Index(i))...)
	}
	errs = append(errs, distinct(e.Namespaces, at.Child("namespaces").Index)...)
	errs = append(errs, metavalidation.ValidateLabelSelector(e.PodSelector, metavalidation.LabelSelectorValidationOptions{}, at.Child("podSelector"))...)
	switch {
	case strings.TrimSpace(e.Reason) == "":
		errs = append(errs, field.Required(at.Child("reason"), "say why; it is shown with every excused finding"))
	case strings.ContainsFunc(e.Reason, isControl):
		// The API server drops a warning that has one.
		errs = append(errs, field.Invalid(at.Child("reason"), shorten(e.Reason), "has a line break or another control character; write one line"))
	case utf8.RuneCountInString(e.Reason) > maxReason:
		errs = append(errs, field.TooLongCharacters(at.Child("reason"), "", maxReason))
	}
	if e.Expires.IsZero() {
		errs = append(errs, field.Required(at.Child("expires"), "say when the exception ends, such as 2030-01-31T00:00:00Z"))
	}
	return errs
}
