// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

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
	}
	return a
}

func ownProblems(kind string, object, old []byte) (field.ErrorList, error) {
	switch kind {
	case "LocalhostProfile":
		return problems(object, v1alpha1.ValidateLocalhostProfile)
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
