// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"net/http"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	kjson "sigs.k8s.io/json"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// everywhere is every namespace.
type everywhere map[string]string

func (e everywhere) NamespaceLabels(string) (map[string]string, bool) { return e, true }

// FuzzServe sends any bytes to both paths: nothing panics, every answer is an
// AdmissionReview with the UID of the request, and only what the API server's decoder
// reads as a review is ever allowed by the validating webhook.
func FuzzServe(f *testing.F) {
	for _, pod := range []string{good, bad, without, onApp, labelled} {
		req := on(f, "restricted", pod)
		f.Add(reviewOf(f, req))
		req.Operation, req.SubResource, req.OldObject = admissionv1.Update, "ephemeralcontainers", req.Object
		f.Add(reviewOf(f, req))
		req.Kind.Kind, req.Resource.Group, req.Resource.Resource = "LocalhostProfile", v1alpha1.GroupVersion.Group, "localhostprofiles"
		f.Add(reviewOf(f, req))
		req.Kind.Kind, req.Resource.Group, req.Resource.Resource = "Namespace", "", "namespaces"
		f.Add(reviewOf(f, req))
	}
	f.Add([]byte(head + `"request":{"uid":"u1","object":{"spec":[]}}}`))
	f.Add([]byte(`{"request":{"uid":"u1"`))
	r := newRig(f, func(s *setup) {
		s.Namespaces = everywhere(labels(v1alpha1.EnforceLabel, "strict", v1alpha1.ProfileLabel, "app"))
		s.Pods = pods{}
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		var sent admissionv1.AdmissionReview
		valid := kjson.UnmarshalCaseSensitivePreserveInts(body, &sent) == nil &&
			sent.APIVersion == "admission.k8s.io/v1" && sent.Kind == "AdmissionReview" && sent.Request != nil && sent.Request.UID != ""
		for _, path := range []string{PathValidate, PathMutate} {
			w := r.send(t, path, body)
			var answer admissionv1.AdmissionReview
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
				t.Fatalf("POST %s: status %d, answer %q: %v", path, w.Code, w.Body, err)
			}
			if answer.Response.Allowed && path == PathValidate && !valid {
				t.Errorf("POST %s allows what is no AdmissionReview: %s", path, w.Body)
			}
			if answer.Response.Allowed && w.Code != http.StatusOK {
				t.Errorf("POST %s: status %d, and yet allowed", path, w.Code)
			}
			if !answer.Response.Allowed && path == PathMutate && w.Code == http.StatusOK {
				t.Errorf("POST %s denies: %s", path, w.Body)
			}
			if valid && answer.Response.UID != sent.Request.UID && w.Code == http.StatusOK {
				t.Errorf("POST %s: uid %q, want %q", path, answer.Response.UID, sent.Request.UID)
			}
			if w.Code == http.StatusInternalServerError || answer.Response.Result != nil && answer.Response.Result.Code == http.StatusInternalServerError {
				t.Errorf("POST %s: %s", path, w.Body)
			}
		}
	})
}

// FuzzDecode looks at what decoding gives, not at the answer.
func FuzzDecode(f *testing.F) {
	f.Add(reviewOf(f, on(f, "restricted", labelled)))
	f.Add([]byte(head + `"request":{"uid":"u1",` + pod + `}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decode(body)
		if (req == nil) == (err == nil) {
			t.Fatalf("request %v, error %v", req, err)
		}
		if err != nil {
			return
		}
		if req.UID == "" || findUID(body) != req.UID {
			t.Errorf("uid %q, and %q when it is looked for", req.UID, findUID(body))
		}
		for _, o := range []*object{&req.Object, &req.OldObject} {
			var again review.Object
			if text := o.text(body); o.present && kjson.UnmarshalCaseSensitivePreserveInts(text, &map[string]any{}) != nil {
				t.Errorf("text of the object is %q", text)
			} else if !o.present && (text != nil || o.of() != nil) {
				t.Errorf("no object, and its text is %q, value %v", text, again)
			}
		}
	})
}
