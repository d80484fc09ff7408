// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
)

// refusal is the answer to what cannot be decided.
type refusal struct {
	Status  int
	UID     types.UID
	Message string
}

func refusalOf(t testing.TB, w *httptest.ResponseRecorder) refusal {
	t.Helper()
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("answer is no AdmissionReview: %v: %s", err, w.Body)
	}
	r := answer.Response
	if r == nil || r.Allowed || r.Result == nil {
		t.Fatalf("answer is no denial: %s", w.Body)
	}
	return refusal{w.Code, r.UID, r.Result.Message}
}

const (
	head = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",`
	pod  = `"operation":"CREATE","kind":{"kind":"Pod"},"resource":{"resource":"pods"},"namespace":"plain","object":{"spec":{"containers":[{"name":"app"}]}}`
)

func TestMalformedReviews(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       refusal
	}{
		{"empty", ``, refusal{400, "", "the request was not judged: decode AdmissionReview: unexpected EOF at byte 0"}},
		{"no JSON", `hello`, refusal{400, "", "the request was not judged: decode AdmissionReview: invalid character 'h' at start of value at byte 0"}},
		{"protobuf", "k8s\x00\x0a\x0c", refusal{400, "", "the request was not judged: decode AdmissionReview: invalid character 'k' at start of value at byte 0"}},
		{"null", `null`, refusal{400, "", `the request was not judged: decode AdmissionReview: it is a "" of ""; send an AdmissionReview of admission.k8s.io/v1`}},
		{"a list", `[]`, refusal{400, "", "the request was not judged: decode AdmissionReview: JSON array does not fit"}},
		{"an object of no kind", `{}`, refusal{400, "", `the request was not judged: decode AdmissionReview: it is a "" of ""; send an AdmissionReview of admission.k8s.io/v1`}},
		{
			"another kind", `{"apiVersion":"v1","kind":"Pod","request":{"uid":"u1"}}`,
			refusal{400, "u1", `the request was not judged: decode AdmissionReview: it is a "Pod" of "v1"; send an AdmissionReview of admission.k8s.io/v1`},
		},
		{
			"another version", `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u1"}}`,
			refusal{400, "u1", `the request was not judged: decode AdmissionReview: it is a "AdmissionReview" of "admission.k8s.io/v1beta1"; send an AdmissionReview of admission.k8s.io/v1`},
		},
		{"keys in another case", `{"APIVersion":"admission.k8s.io/v1","Kind":"AdmissionReview","Request":{"UID":"u1"}}`, refusal{400, "", `the request was not judged: decode AdmissionReview: it is a "" of ""; send an AdmissionReview of admission.k8s.io/v1`}},
		{"no request", head + `"response":{"uid":"u1","allowed":true}}`, refusal{400, "", "the request was not judged: decode AdmissionReview: it has no request"}},
		{"a null request", head + `"request":null}`, refusal{400, "", "the request was not judged: decode AdmissionReview: it has no request"}},
		{"a request that is text", head + `"request":"u1"}`, refusal{400, "", "the request was not judged: decode AdmissionReview: /request: JSON string does not fit"}},
		{"no uid", head + `"request":{` + pod + `}}`, refusal{400, "", "the request was not judged: decode AdmissionReview: request.uid is empty"}},
		{"a uid that is a number", head + `"request":{"uid":7,` + pod + `}}`, refusal{400, "", "the request was not judged: decode AdmissionReview: /request/uid: JSON number does not fit"}},
		{"truncated before the uid", head + `"request":{"u`, refusal{400, "", "the request was not judged: decode AdmissionReview: unexpected EOF at byte 74"}},
		{"truncated after the uid", head + `"request":{"uid":"u1","object":{"spec":{"conta`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: unexpected EOF at byte 107"}},
		{"text behind the end", head + `"request":{"uid":"u1",` + pod + `}} {}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: invalid character '{' after top-level value at byte 229"}},
		{"a wrong type before the uid", head + `"request":{"namespace":[],"uid":"u1"}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: /request/namespace: JSON array does not fit"}},
		{"a wrong type after the uid", head + `"request":{"uid":"u1","dryRun":"yes"}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: /request/dryRun: JSON string does not fit"}},
		{"a wrong type outside of the request", `{"kind":{},"request":{"uid":"u1"}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: /kind: JSON object does not fit"}},
		{"an object that is text", head + `"request":{"uid":"u1","object":"pod"}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: /request/object: JSON string does not fit"}},
		{"a list in place of an object", head + `"request":{"object":{"spec":[]},"uid":"u1"}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: /request/object/spec: JSON array does not fit"}},
		{"an object in place of a list", head + `"request":{"uid":"u1","object":{"spec":{"containers":{}}}}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: /request/object/spec/containers: JSON object does not fit"}},
		{"a label that is a number", head + `"request":{"uid":"u1","object":{"metadata":{"labels":{"a":1}}}}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: /request/object/metadata/labels/a: JSON number does not fit"}},
		{"a key twice", head + `"request":{"uid":"u1","object":{"spec":{"containers":[],"containers":[]}}}}`, refusal{400, "u1", `the request was not judged: decode AdmissionReview: /request/object/spec/containers: duplicate object member name at byte 117`}},
		{"a key twice where nobody looks", head + `"request":{"uid":"u1","options":{"a":1,"a":2}}}`, refusal{400, "u1", `the request was not judged: decode AdmissionReview: /request/options/a: duplicate object member name at byte 100`}},
		{"the uid twice", head + `"request":{"uid":"u1","uid":"u2"}}`, refusal{400, "u1", `the request was not judged: decode AdmissionReview: /request/uid: duplicate object member name at byte 83`}},
		{"the request twice", head + `"request":{"uid":"u1"},"request":{"uid":"u2"}}`, refusal{400, "u1", `the request was not judged: decode AdmissionReview: /request: duplicate object member name at byte 84`}},
		{"no UTF-8", head + `"request":{"uid":"u1","name":"` + "\xff" + `"}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: invalid UTF-8 at byte 91"}},
		{"a lonely surrogate", head + `"request":{"uid":"u1","name":"\ud800"}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: invalid surrogate pair `\\ud800\"}}` in string at byte 91"}},
		{"nested too deep", head + `"request":{"uid":"u1","options":` + strings.Repeat("[", 20_000), refusal{400, "u1", "the request was not judged: decode AdmissionReview: exceeded max depth at byte 10091"}},
		{"a control character in a key", head + `"request":{"uid":"u1","object":{"metadata":{"labels":{"a\u0007\nb":1}}}}}`, refusal{400, "u1", "the request was not judged: decode AdmissionReview: /request/object/metadata/labels/a  b: JSON number does not fit"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, nil)
			if diff := cmp.Diff(tc.want, refusalOf(t, r.send(t, PathValidate, []byte(tc.body)))); diff != "" {
				t.Errorf("POST %s (-want +got):\n%s", PathValidate, diff)
			}
			// The mutating webhook has to let pass what it can answer, for a rejection is no
			// failure; what it cannot answer is one.
			w := r.send(t, PathMutate, []byte(tc.body))
			if tc.want.UID == "" {
				if diff := cmp.Diff(tc.want, refusalOf(t, w)); diff != "" {
					t.Errorf("POST %s (-want +got):\n%s", PathMutate, diff)
				}
				return
			}
			a := accepted(t, PathMutate, &admissionv1.AdmissionRequest{UID: tc.want.UID}, w.Body.Bytes())
			want := "seccompgate: no profile was injected: " + strings.TrimPrefix(tc.want.Message, "the request was not judged: ")
			if w.Code != http.StatusOK || !a.Allowed || len(a.Patch) > 0 || len(a.Warnings) != 1 || a.Warnings[0] != want {
				t.Errorf("POST %s: status %d, allowed %v, patch %s, warnings %q, want %q", PathMutate, w.Code, a.Allowed, a.Patch, a.Warnings, want)
			}
			if got := value(t, r.metrics, `seccompgate_requests_refused_total{reason="malformed"}`); got != "2" {
				t.Errorf("refused requests: %s, want 2", got)
			}
		})
	}
}

func TestRow22Row61BodySize(t *testing.T) {
	body := func(size int) []byte {
		start, end := head+`"request":{"uid":"u1",`+pod+`,"options":"`, `"}}`
		return []byte(start + strings.Repeat("x", size-len(start)-len(end)) + end)
	}
	r := newRig(t, nil)
	for _, size := range []int{maxBody - 1, maxBody} {
		if w := r.send(t, PathValidate, body(size)); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"allowed":true`) {
			t.Errorf("%d bytes: status %d: %s", size, w.Code, w.Body)
		}
	}
	want := refusal{http.StatusRequestEntityTooLarge, "u1", "the request was not judged: body has more than 7340032 bytes; no object that an API server stores is as large"}
	chunked := httptest.NewRequestWithContext(t.Context(), http.MethodPost, PathValidate, io.MultiReader(bytes.NewReader(body(maxBody+1))))
	if chunked.ContentLength != -1 {
		t.Fatal("the request has a Content-Length")
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"with Content-Length":    r.send(t, PathValidate, body(maxBody+1)),
		"without Content-Length": r.do(chunked),
	} {
		if diff := cmp.Diff(want, refusalOf(t, w)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := value(t, r.metrics, `seccompgate_requests_refused_total{reason="size"}`); got != "2" {
		t.Errorf("refused for their size: %s, want 2", got)
	}
}

func TestRequestsWithoutContentLengthOrType(t *testing.T) {
	body := reviewOf(t, on(t, "baseline", good))
	for _, contentType := range []string{"", "application/json", "application/json; charset=utf-8", "text/plain", "application/vnd.kubernetes.protobuf"} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, PathValidate, io.MultiReader(bytes.NewReader(body)))
		req.Header.Set("Content-Type", contentType)
		// What counts is what the body is.
		w := newRig(t, nil).do(req)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"allowed":true`) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("content type %q: status %d, answer of type %q: %s", contentType, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
}

func TestOtherMethods(t *testing.T) {
	for _, path := range []string{PathValidate, PathMutate} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			w := newRig(t, nil).do(httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(reviewOf(t, on(t, "baseline", good)))))
			want := refusal{http.StatusMethodNotAllowed, "", "the request was not judged: method " + method + ": send an AdmissionReview with POST"}
			if diff := cmp.Diff(want, refusalOf(t, w)); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", method, path, diff)
			}
			if w.Header().Get("Allow") != http.MethodPost {
				t.Errorf("%s %s: Allow is %q", method, path, w.Header().Get("Allow"))
			}
		}
	}
}

// TestBrokenBody ends the body in the middle, as a client does that dies.
func TestBrokenBody(t *testing.T) {
	body := io.MultiReader(strings.NewReader(head+`"request":{"uid":"u1","object":{`), failing{})
	w := newRig(t, nil).do(httptest.NewRequestWithContext(t.Context(), http.MethodPost, PathValidate, body))
	want := refusal{http.StatusBadRequest, "u1", "the request was not judged: read body: unexpected EOF"}
	if diff := cmp.Diff(want, refusalOf(t, w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestFindUIDTakesOnePass gives it bodies that take hours when each token's place is spelt
// out.
func TestFindUIDTakesOnePass(t *testing.T) {
	for name, body := range map[string]string{
		"deep before the uid": `{"request":{"options":` + strings.Repeat("[", 9_000) + strings.Repeat("1,", 3<<20),
		"wide":                `{"request":{` + strings.Repeat(`"a":{},`, 900_000),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if uid := findUID([]byte(body)); uid != "" {
				t.Errorf("found %q", uid)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}
