// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// Limits of what an answer carries, in bytes. The API server cuts a warning at 256
// characters once all of them have 4096, drops one with a control character, and does not
// bound messages and annotations at all: we do.
const (
	maxWarnings    = 5
	maxWarning     = 256
	maxMessage     = 1024
	maxAnnotation  = 1024
	shownFindings  = 5
	annotationSize = 4
)

// answer is an AdmissionResponse.
type answer struct {
	uid     string
	allowed bool
	// code, reason and message are the status of a denial.
	code     int
	reason   string
	message  string
	warnings []string
	// annotations are pairs of key and value, in order. The API server puts the name of
	// the webhook before each key.
	annotations []annotation
	// patch is a JSON patch, as text.
	patch []byte
}

type annotation struct{ key, value string }

func (a *answer) annotate(key, value string) {
	if a.annotations == nil {
		a.annotations = make([]annotation, 0, annotationSize)
	}
	a.annotations = append(a.annotations, annotation{key, cut(value, maxAnnotation)})
}

// appendTo appends the answer as an AdmissionReview. It is written by hand: the fields are
// few, and an encoder costs more than the decision.
func (a *answer) appendTo(b []byte) []byte {
	b = append(b, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":`...)
	b = appendString(b, a.uid)
	if a.allowed {
		b = append(b, `,"allowed":true`...)
	} else {
		b = append(b, `,"allowed":false,"status":{"metadata":{},"status":"Failure","message":`...)
		b = appendString(b, cut(a.message, maxMessage))
		b = append(b, `,"reason":`...)
		b = appendString(b, a.reason)
		b = fmt.Appendf(b, `,"code":%d}`, a.code)
	}
	if len(a.patch) > 0 {
		b = append(b, `,"patch":"`...)
		b = base64.StdEncoding.AppendEncode(b, a.patch)
		b = append(b, `","patchType":"JSONPatch"`...)
	}
	for i, n := range a.annotations {
		if i == 0 {
			b = append(b, `,"auditAnnotations":{`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, n.key)
		b = append(b, ':')
		b = appendString(b, n.value)
		if i == len(a.annotations)-1 {
			b = append(b, '}')
		}
	}
	for i, w := range bounded(a.warnings) {
		if i == 0 {
			b = append(b, `,"warnings":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, w)
	}
	if len(a.warnings) > 0 {
		b = append(b, ']')
	}
	return append(b, "}}\n"...)
}

// bounded is at most maxWarnings of the warnings; the last one counts the others.
func bounded(warnings []string) []string {
	if len(warnings) <= maxWarnings {
		return warnings
	}
	shown := append([]string(nil), warnings[:maxWarnings-1]...)
	return append(shown, fmt.Sprintf("seccompgate: and %d more warnings", len(warnings)-maxWarnings+1))
}

func appendString(b []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(b, s)
	if err != nil { // invalid UTF-8, which is replaced
		return quoted
	}
	return quoted
}

// deny makes the answer a denial.
func (a *answer) deny(code int, message string) {
	a.allowed, a.code, a.message, a.reason = false, code, message, reasonOf(code)
}

// reasonOf is the API's word for an HTTP status.
func reasonOf(code int) string {
	switch code {
	case http.StatusForbidden:
		return "Forbidden"
	case http.StatusBadRequest, http.StatusMethodNotAllowed:
		return "BadRequest"
	case http.StatusRequestEntityTooLarge:
		return "RequestEntityTooLarge"
	case http.StatusUnprocessableEntity:
		return "Invalid"
	case http.StatusGatewayTimeout:
		return "Timeout"
	case http.StatusServiceUnavailable:
		return "ServiceUnavailable"
	default:
		return "InternalError"
	}
}

// warnFindings adds a warning for each finding.
func (a *answer) warnFindings(findings []policies.Finding) {
	for i := range findings {
		a.warn(findingText(&findings[i]))
	}
}

// warnExcused adds a warning for each excused finding of which people are told: who makes
// a pod that lives on an exception must know when it ends. The mode audit never talks to
// them.
func (a *answer) warnExcused(excused []review.Excused) {
	for i := range excused {
		if e := &excused[i]; e.Enforce || e.Warn {
			a.warn("excused: " + excusedText(e))
		}
	}
}

// warn adds a warning.
func (a *answer) warn(text string) {
	a.warnings = append(a.warnings, cut("seccompgate: "+text, maxWarning))
}

// listed is the first findings and the number of the others, in at most limit bytes.
func listed[F any](findings []F, textOf func(*F) string, limit int) string {
	limit -= len("; and 100000 more")
	var b strings.Builder
	for i := range findings {
		text := cut(textOf(&findings[i]), limit)
		if i == shownFindings || b.Len() > 0 && b.Len()+len("; ")+len(text) > limit {
			fmt.Fprintf(&b, "; and %d more", len(findings)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(text)
	}
	return b.String()
}

func findingText(f *policies.Finding) string { return "[" + f.Rule + "] " + f.Message }

// excusedText has what ends and why before what was found: a warning may be cut.
func excusedText(e *review.Excused) string {
	return fmt.Sprintf("[%s] until %s by SeccompPolicy %s (%s): %s", e.Rule, e.Until.UTC().Format(time.RFC3339), e.Policy, e.Reason, e.Message)
}

// cut makes text printable and at most limit bytes long.
func cut(text string, limit int) string {
	if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		text = strings.Map(func(c rune) rune {
			if unicode.IsControl(c) {
				return ' '
			}
			return c
		}, strings.ToValidUTF8(text, "?"))
	}
	if len(text) <= limit {
		return text
	}
	end := limit - len("...")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}
