// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/seccomp"
	"github.com/seccompgate/seccompgate/webhook/review"
)

const operationDelete = "DELETE"

// deleteOwn lets everything go, and says what stays behind.
func deleteOwn(req *request) *answer {
	a := &answer{allowed: true}
	if req.Kind.Kind == "LocalhostProfile" {
		a.warn(fmt.Sprintf("LocalhostProfile %q is deleted at once; pods that run keep its file until no pod of their node names it, and further pods that name it are denied", req.Name))
	}
	return a
}

// validateOwn judges objects of our own kinds: what their schemas cannot say.
func (h *handlers) validateOwn(req *request, body []byte) *answer {
	errs, err := ownProblems(req.Kind.Kind, req.Object.text(body), req.OldObject.text(body))
	a := &answer{allowed: true}
	switch {
	case err != nil:
		a.deny(http.StatusBadRequest, fmt.Sprintf("the request was not judged: decode %s: %v", req.Kind.Kind, plain(err)))
		h.Metrics.count(req, resourceOwn, decisionError)
	case len(errs) > 0:
		a.deny(http.StatusUnprocessableEntity, fmt.Sprintf("%s %q is not valid: %v", req.Kind.Kind, req.Name, errs.ToAggregate()))
		h.Metrics.count(req, resourceOwn, decisionDenied)
	default:
		h.Metrics.count(req, resourceOwn, decisionAllowed)
		if req.Kind.Kind == "SeccompPolicy" {
			for _, w := range h.policyWarnings(req.Object.text(body)) {
				a.warn(w)
			}
		}
	}
	return a
}

// policyWarnings say what of a valid policy has no effect. None of it is refused: what is
// missing may come with another policy, and rules that do not compile leave those before
// in use, which the status says as well.
func (h *handlers) policyWarnings(text []byte) []string {
	var p v1alpha1.SeccompPolicy
	if err := json.Unmarshal(text, &p); err != nil {
		return nil // it has been read before
	}
	var warnings []string
	supplied := review.PolicyOf(&p)
	if len(supplied.Modules) > 0 {
		broken, err := policies.Check(policies.Options{
			Policies: []policies.Policy{supplied}, Parameters: review.SettingsParameters(&h.Settings),
		})
		if err := errors.Join(err, broken[p.Name]); err != nil {
			warnings = append(warnings, fmt.Sprintf("not in use, %v", err))
		}
	}
	known := func(id string) bool {
		return slices.ContainsFunc(h.Policies().Rules(), func(r policies.Rule) bool { return r.ID == id }) || supplied.Declares(id)
	}
	for i := range p.Spec.Exceptions {
		e := &p.Spec.Exceptions[i]
		at := field.NewPath("spec", "exceptions").Index(i)
		if !time.Now().Before(e.Expires.Time) {
			warnings = append(warnings, fmt.Sprintf("%s: %s has passed, so that nothing is excused", at.Child("expires"), e.Expires.UTC().Format(time.RFC3339)))
		}
		for j, id := range e.Rules {
			if !known(id) {
				warnings = append(warnings, fmt.Sprintf("%s: there is no rule %s; nothing is excused until there is one", at.Child("rules").Index(j), id))
			}
		}
	}
	return warnings
}

func ownProblems(kind string, object, old []byte) (field.ErrorList, error) {
	switch kind {
	case "LocalhostProfile":
		return problems(object, validateProfile)
	case "SeccompNode":
		return problems(object, v1alpha1.ValidateSeccompNode)
	case "ProfileSet":
		return problems(object, v1alpha1.ValidateProfileSet)
	case "SeccompPolicy":
		return problems(object, v1alpha1.ValidateSeccompPolicy)
	case "SyscallRecording":
		var before *v1alpha1.SyscallRecording
		if len(old) > 0 {
			before = new(v1alpha1.SyscallRecording)
			if err := json.Unmarshal(old, before); err != nil {
				return nil, err
			}
		}
		return problems(object, func(r *v1alpha1.SyscallRecording) field.ErrorList {
			return v1alpha1.ValidateSyscallRecording(r, before, time.Now())
		})
	default:
		return nil, nil // a kind of a later version, which its own webhook knows
	}
}

// validateProfile also asks the loader, which every reader of the file will ask: what it
// refuses never reaches a node.
func validateProfile(p *v1alpha1.LocalhostProfile) field.ErrorList {
	if errs := v1alpha1.ValidateLocalhostProfile(p); len(errs) > 0 {
		return errs
	}
	path := field.NewPath("spec", "profile")
	text, err := json.Marshal(&p.Spec.Profile)
	if err != nil {
		return field.ErrorList{field.InternalError(path, err)}
	}
	_, err = seccomp.Parse(text)
	var parse *seccomp.ParseError
	if !errors.As(err, &parse) {
		return nil
	}
	errs := make(field.ErrorList, len(parse.Problems))
	for i, problem := range parse.Problems {
		// The text that has lines is not the one that the user wrote.
		problem.Line = 0
		errs[i] = field.Invalid(path, field.OmitValueType{}, problem.String())
	}
	return errs
}

func problems[T any](text []byte, validate func(*T) field.ErrorList) (field.ErrorList, error) {
	if len(text) == 0 {
		return nil, errNoObject
	}
	o := new(T)
	if err := json.Unmarshal(text, o); err != nil {
		return nil, err
	}
	return validate(o), nil
}
