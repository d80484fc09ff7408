// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/admission"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// hostile is text that an answer may have to carry.
func hostile(random *rand.Rand) string {
	parts := []string{"a", "\n", "\r", "\x00", "\x7f", "\u0085", "\u2028", "\xff\xfe", "\xed\xa0\x80", "é", "世界", "\"", "\\", "<script>", "\t", "😀", strings.Repeat("x", 300)}
	var b strings.Builder
	for range random.IntN(60) {
		b.WriteString(parts[random.IntN(len(parts))])
	}
	return b.String()
}

// TestRow59AnswersAreAccepted makes answers of hostile texts, and puts each through what the API
// server does with it: none may be refused, dropped or cut there.
func TestRow59AnswersAreAccepted(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 3_000 {
		findings := make([]policies.Finding, 1+random.IntN(40))
		for i := range findings {
			findings[i] = policies.Finding{Rule: "rule", Message: hostile(random)}
		}
		uid := strings.ToValidUTF8(hostile(random), "")
		a := &answer{uid: uid, allowed: true}
		switch random.IntN(3) {
		case 0:
			a.deny(http.StatusForbidden, denial(&review.Decision{Denied: findings}, "ephemeralcontainers"))
		case 1:
			a.warnFindings(findings)
			a.warn(hostile(random))
		default:
			a.patch = []byte("[" + hostile(random) + "]")
		}
		for _, key := range []string{annotationDecision, annotationFindings, annotationWouldDeny, annotationExempt, annotationError, annotationPolicy} {
			if random.IntN(2) == 0 {
				a.annotate(key, listed(findings, findingText, maxAnnotation))
			}
		}
		text := a.appendTo(nil)
		if !utf8.Valid(text) || strings.Count(string(text), "\n") != 1 {
			t.Fatalf("answer is not one line of UTF-8: %q", text)
		}
		path := PathMutate
		if len(a.patch) == 0 {
			path = PathValidate
		}
		got := accepted(t, path, &admissionv1.AdmissionRequest{UID: types.UID(uid)}, text)
		if got.Allowed != a.allowed || string(got.Patch) != string(a.patch) {
			t.Fatalf("allowed %v, patch %q", got.Allowed, got.Patch)
		}
		if !got.Allowed {
			if m := got.Result.Message; len(m) > maxMessage || m == "" {
				t.Fatalf("message of %d bytes: %s", len(m), m)
			}
			if got.Result.Code != http.StatusForbidden || got.Result.Reason != metav1.StatusReasonForbidden || got.Result.Status != metav1.StatusFailure {
				t.Fatalf("status %+v", got.Result)
			}
		}
		checkWarnings(t, got.Warnings)
		checkAnnotations(t, got.AuditAnnotations)
		if t.Failed() {
			return
		}
	}
}

// checkWarnings does what the API server does before it adds warnings to its answer.
func checkWarnings(t *testing.T, warnings []string) {
	t.Helper()
	total := 0
	for _, w := range warnings {
		if _, err := utilnet.NewWarningHeader(299, "", w); err != nil {
			t.Errorf("the API server drops warning %q: %v", w, err)
		}
		// 256 is where the API server cuts when there are many.
		if utf8.RuneCountInString(w) > 256 || !strings.HasPrefix(w, "seccompgate: ") {
			t.Errorf("warning of %d bytes: %q", len(w), w)
		}
		total += utf8.RuneCountInString(w)
	}
	if len(warnings) > maxWarnings || total > 4096 {
		t.Errorf("%d warnings of %d characters", len(warnings), total)
	}
}

// checkAnnotations adds audit annotations as the API server does for each of our webhooks.
func checkAnnotations(t *testing.T, annotations map[string]string) {
	t.Helper()
	for _, webhook := range []string{"enforce.seccompgate.io", "namespace.seccompgate.io"} {
		attributes := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "", "", schema.GroupVersionResource{}, "", admission.Create, nil, false, nil)
		for key, value := range annotations {
			if err := attributes.AddAnnotation(webhook+"/"+key, value); err != nil {
				t.Errorf("the API server drops audit annotation %s: %v", key, err)
			}
			if len(value) > maxAnnotation {
				t.Errorf("audit annotation %s has %d bytes", key, len(value))
			}
		}
	}
}

func TestAnswerVerbatim(t *testing.T) {
	a := &answer{uid: "u1", allowed: true}
	a.warn("first")
	a.annotate(annotationDecision, decisionAllowed)
	a.annotate(annotationPolicy, "sha256:0123")
	const want = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u1","allowed":true,"auditAnnotations":{"decision":"allowed","policy":"sha256:0123"},"warnings":["seccompgate: first"]}}` + "\n"
	if diff := cmp.Diff(want, string(a.appendTo(nil))); diff != "" {
		t.Errorf("allowed (-want +got):\n%s", diff)
	}
	a = &answer{uid: "u1"}
	a.deny(http.StatusForbidden, "no")
	const denied = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u1","allowed":false,"status":{"metadata":{},"status":"Failure","message":"no","reason":"Forbidden","code":403}}}` + "\n"
	if diff := cmp.Diff(denied, string(a.appendTo(nil))); diff != "" {
		t.Errorf("denied (-want +got):\n%s", diff)
	}
}

func TestManyFindings(t *testing.T) {
	findings := make([]policies.Finding, 40)
	for i := range findings {
		findings[i] = policies.Finding{Rule: "unset", Message: fmt.Sprintf("container %d", i)}
	}
	long := func(n int) []policies.Finding {
		f := make([]policies.Finding, n)
		for i := range f {
			f[i] = policies.Finding{Rule: "long", Message: strings.Repeat("x", 600)}
		}
		return f
	}
	d := func(f []policies.Finding) *review.Decision {
		return &review.Decision{Denied: f, Modes: review.Modes{Enforce: review.Setting{Level: "restricted"}}}
	}
	for _, tc := range []struct{ name, got, want string }{
		{
			"a level that nobody has set",
			denial(&review.Decision{Denied: findings[:1], Modes: review.Modes{Enforce: review.Setting{Level: v1alpha1.LevelStrict}, Problems: []string{"why it is strict", "more"}}}, ""),
			"seccompgate strict: [unset] container 0; why it is strict",
		},
		{"one", denial(d(findings[:1]), ""), "seccompgate restricted: [unset] container 0"},
		{"five", denial(d(findings[:5]), ""), "seccompgate restricted: [unset] container 0; [unset] container 1; [unset] container 2; [unset] container 3; [unset] container 4"},
		{"forty", denial(d(findings), ""), "seccompgate restricted: [unset] container 0; [unset] container 1; [unset] container 2; [unset] container 3; [unset] container 4; and 35 more"},
		{"too long for two", denial(d(long(3)), ""), "seccompgate restricted: [long] " + strings.Repeat("x", 600) + "; and 2 more"},
		{
			"for kubectl debug", denial(d(findings[:1]), "ephemeralcontainers"),
			`seccompgate restricted: [unset] container 0; set securityContext of the debug container with "kubectl debug --custom FILE"`,
		},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	// A message that is too long alone keeps the number of the others, and the hint.
	huge := []policies.Finding{{Rule: "long", Message: strings.Repeat("x", 5000)}, {Rule: "unset"}}
	got := denial(d(huge), "ephemeralcontainers")
	if len(got) > maxMessage || !strings.HasSuffix(got, `xxx...; and 1 more; set securityContext of the debug container with "kubectl debug --custom FILE"`) {
		t.Errorf("message of %d bytes: %s", len(got), got)
	}

	a := &answer{}
	a.warnFindings(findings)
	if diff := cmp.Diff([]string{
		"seccompgate: [unset] container 0", "seccompgate: [unset] container 1", "seccompgate: [unset] container 2", "seccompgate: [unset] container 3",
		"seccompgate: and 36 more warnings",
	}, bounded(a.warnings)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		text  string
		limit int
		want  string
	}{
		{"short", 5, "short"},
		{"longer", 5, "lo..."},
		{"äöüß", 8, "äöüß"},
		{"äöüßx", 8, "äö..."},
		{"a\nb\x00c\u0085d", 100, "a b c d"},
		{"a\xffb", 100, "a?b"},
	} {
		if got := cut(tc.text, tc.limit); got != tc.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tc.text, tc.limit, got, tc.want)
		}
	}
}
