// SPDX-License-Identifier: Apache-2.0

package review

import (
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// FuzzReview feeds any object of any kind: nothing panics, what is denied says why, and
// what was injected is not injected again.
func FuzzReview(f *testing.F) {
	for _, text := range []string{good, bad, without, onApp, labelled, deployment, static} {
		f.Add("Pod", Create, "", mustJSON(f, text))
		f.Add("Deployment", Update, "ephemeralcontainers", mustJSON(f, text))
	}
	r := reviewer(f, v1alpha1.WebhookConfig{})
	namespace := labels(v1alpha1.EnforceLabel, "strict", v1alpha1.ProfileLabel, "app")
	f.Fuzz(func(t *testing.T, kind, operation, subresource string, text []byte) {
		var o, old Object
		if jsonv2.Unmarshal(text, &o) != nil || jsonv2.Unmarshal(text, &old) != nil {
			return
		}
		req := &Request{Kind: kind, Operation: operation, Subresource: subresource, NamespaceLabels: namespace, Object: &o, Old: &old}
		m, _ := r.Inject(req)
		for _, i := range m.Injections {
			i.apply()
		}
		if again, _ := r.Inject(req); len(again.Injections) > 0 {
			t.Errorf("a second call injects again: %+v", again)
		}
		d, err := r.Review(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if d.Allowed != (len(d.Denied) == 0) {
			t.Errorf("allowed %v with %d findings that deny", d.Allowed, len(d.Denied))
		}
		for _, finding := range d.Denied {
			if finding.Rule == "rule-error" || finding.Message == "" {
				t.Errorf("got %+v", finding)
			}
		}
	})
}

func mustJSON(f *testing.F, text string) []byte {
	f.Helper()
	raw, err := jsonv2.Marshal(object(f, text))
	if err != nil {
		f.Fatal(err)
	}
	return raw
}
