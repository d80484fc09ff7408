// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seccompgate/seccompgate/webhook/review"
)

// pods are those that run in every namespace.
type pods struct {
	list []review.Object
	more bool
	err  error
}

func (p pods) Pods(context.Context, string) ([]review.Object, bool, error) {
	return p.list, !p.more, p.err
}

func objectOf(t testing.TB, text string) review.Object {
	t.Helper()
	var o review.Object
	if err := json.Unmarshal(toJSON(t, text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func namespace(t testing.TB, object, old string) *admissionv1.AdmissionRequest {
	t.Helper()
	req := on(t, "web", object)
	req.Name, req.Kind.Kind, req.Resource.Resource = "web", "Namespace", "namespaces"
	if old != "" {
		req.Operation, req.OldObject.Raw = admissionv1.Update, toJSON(t, old)
	}
	return req
}

func TestNamespaceLabels(t *testing.T) {
	running := pods{list: []review.Object{
		objectOf(t, `{metadata: {name: web-2}, spec: {nodeName: a, containers: [{name: app}, {name: log}]}}`),
		objectOf(t, `{metadata: {name: web-3}, spec: {nodeName: a, containers: [{name: app}, {name: log}]}}`),
		objectOf(t, `{metadata: {name: good}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app}]}}`),
		objectOf(t, `{metadata: {name: job-1}, spec: {containers: [{name: app, securityContext: {seccompProfile: {type: Unconfined}}}]}}`),
	}}
	for _, tc := range []struct {
		name, object, old string
		pods              podSource
		want              outcome
	}{
		{"no label", `{metadata: {name: web}}`, "", nil, outcome{Allowed: true}},
		{"a level", `{metadata: {labels: {seccompgate.io/enforce: restricted}}}`, "", nil, outcome{Allowed: true}},
		{
			"a level that does not exist", `{metadata: {labels: {seccompgate.io/enforce: Restricted}}}`, "", nil,
			outcome{Code: 422, Message: `label seccompgate.io/enforce: level "Restricted" is not one of privileged, baseline, restricted, strict`},
		},
		{
			"several", `{metadata: {labels: {seccompgate.io/audit: none, seccompgate.io/warn-version: "1.0", seccompgate.io/profile: A_b}}}`, "", nil,
			outcome{Code: 422, Message: `label seccompgate.io/audit: level "none" is not one of privileged, baseline, restricted, strict; label seccompgate.io/warn-version: version "1.0" is neither vX.Y, such as v0.1, nor latest; label seccompgate.io/profile: ` + badName},
		},
		{
			"one that stood there before", `{metadata: {labels: {seccompgate.io/enforce: Restricted, team: a}}}`, `{metadata: {labels: {seccompgate.io/enforce: Restricted}}}`, nil,
			outcome{Allowed: true},
		},
		{
			"only a profile", `{metadata: {labels: {seccompgate.io/profile: app}}}`, "", nil,
			outcome{Allowed: true, Warnings: []string{`seccompgate: label seccompgate.io/profile is the only one of seccompgate here: profile "app" is injected where that is possible, and nothing guarantees it; add seccompgate.io/enforce`}},
		},
		{
			"a profile that does not exist", `{metadata: {labels: {seccompgate.io/profile: ap, seccompgate.io/enforce: baseline}}}`, "", nil,
			outcome{Allowed: true, Warnings: []string{`seccompgate: label seccompgate.io/profile names profile "ap", which does not exist; nearest: app`}},
		},
		{
			"a higher level over pods that run", `{metadata: {labels: {seccompgate.io/enforce: restricted}}}`, `{metadata: {}}`, running,
			outcome{Allowed: true, Warnings: []string{
				"seccompgate: pods that run already in namespace web violate the new level restricted; they go on running, and are denied when they are made again",
				"seccompgate: job-1: unconfined (app)",
				"seccompgate: web-2 (and 1 more): unset (app, log)",
			}},
		},
		{"a lower level", `{metadata: {labels: {seccompgate.io/enforce: baseline}}}`, `{metadata: {labels: {seccompgate.io/enforce: strict}}}`, running, outcome{Allowed: true}},
		{"the same level", `{metadata: {labels: {seccompgate.io/enforce: restricted, a: b}}}`, `{metadata: {labels: {seccompgate.io/enforce: restricted}}}`, running, outcome{Allowed: true}},
		{"a new namespace", `{metadata: {labels: {seccompgate.io/enforce: restricted}}}`, "", running, outcome{Allowed: true}},
		{
			"more pods than can be looked at", `{metadata: {labels: {seccompgate.io/enforce: restricted}}}`, `{metadata: {}}`,
			pods{more: true},
			outcome{Allowed: true, Warnings: []string{"seccompgate: there are more pods than could be looked at; for all of them: kubectl get pods -n web -o yaml | seccompctl check -f - --level restricted"}},
		},
		{
			"no answer about pods", `{metadata: {labels: {seccompgate.io/enforce: restricted}}}`, `{metadata: {}}`,
			pods{err: errors.New("list pods of namespace web: forbidden")},
			outcome{Allowed: true, Warnings: []string{"seccompgate: whether pods that run already would be denied was not looked at: list pods of namespace web: forbidden"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(s *setup) { s.Pods = tc.pods })
			if diff := cmp.Diff(tc.want, r.validate(t, namespace(t, tc.object, tc.old))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			decision := map[bool]string{true: "allowed", false: "denied"}[tc.want.Allowed]
			operation := map[bool]string{true: "CREATE", false: "UPDATE"}[tc.old == ""]
			if got := value(t, r.metrics, `seccompgate_decisions_total{decision="`+decision+`",operation="`+operation+`",resource="namespace"}`); got != "1" {
				t.Errorf("decisions: %s, want 1", got)
			}
		})
	}
}

// TestNamespaceLabelsInADryRun: nothing is denied, and what would be is said.
func TestNamespaceLabelsInADryRun(t *testing.T) {
	r := newRig(t, func(s *setup) { s.Options.Settings.DryRun = true })
	const text = `label seccompgate.io/enforce: level "bogus" is not one of privileged, baseline, restricted, strict`
	want := outcome{Allowed: true, Warnings: []string{"seccompgate: " + text}, Audit: map[string]string{"decision": "would-deny", "would-deny": text}}
	if diff := cmp.Diff(want, r.validate(t, namespace(t, `{metadata: {labels: {seccompgate.io/enforce: bogus}}}`, ""))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := value(t, r.metrics, `seccompgate_decisions_total{decision="would-deny",operation="CREATE",resource="namespace"}`); got != "1" {
		t.Errorf("decisions: %s, want 1", got)
	}
}

// TestAPIPods reads pods page by page, and stops where nobody would wait.
func TestAPIPods(t *testing.T) {
	var asked []url.Values
	endless := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query())
		w.Header().Set("Content-Type", "application/json")
		next := ""
		if endless || len(asked) < 3 {
			next = fmt.Sprint("page-", len(asked)+1)
		}
		item := `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"app"}]}}`
		list := item
		if endless {
			for range previewPage - 1 {
				list += "," + item
			}
		}
		fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"continue":%q},"items":[%s]}`, next, list)
	}))
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	source := APIPods{Client: client.CoreV1().RESTClient()}
	list, all, err := source.Pods(t.Context(), "web")
	if err != nil || !all || len(list) != 3 || list[0].Spec.Containers[0].Name != "app" {
		t.Errorf("got %d pods, all %v, error %v", len(list), all, err)
	}
	selector := "status.phase!=Succeeded,status.phase!=Failed"
	want := []url.Values{
		{"limit": {"500"}, "fieldSelector": {selector}},
		{"limit": {"500"}, "fieldSelector": {selector}, "continue": {"page-2"}},
		{"limit": {"500"}, "fieldSelector": {selector}, "continue": {"page-3"}},
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	endless = true
	if list, all, err := source.Pods(t.Context(), "web"); err != nil || all || len(list) != previewPods {
		t.Errorf("got %d pods, all %v, error %v", len(list), all, err)
	}
	server.Close()
	if _, all, err := source.Pods(t.Context(), "web"); err == nil || all {
		t.Errorf("all %v, error %v", all, err)
	}
}

func TestReasons(t *testing.T) {
	r := newRig(t, func(s *setup) {
		s.Pods = pods{list: []review.Object{objectOf(t, `{metadata: {name: p, annotations: {run.oci.seccomp_bpf_data: x}}, spec: {containers: [{name: app}]}}`)}}
	})
	o := r.validate(t, namespace(t, `{metadata: {labels: {seccompgate.io/enforce: restricted}}}`, `{}`))
	if !slices.Contains(o.Warnings, "seccompgate: p: profile-annotation, unset (app)") {
		t.Errorf("warnings %q", o.Warnings)
	}
}

func own(t testing.TB, kind, resource, object string) *admissionv1.AdmissionRequest {
	t.Helper()
	req := on(t, "", object)
	req.Name = "x"
	req.Kind = metav1.GroupVersionKind{Group: "seccompgate.io", Version: "v1alpha1", Kind: kind}
	req.Resource = metav1.GroupVersionResource{Group: "seccompgate.io", Version: "v1alpha1", Resource: resource}
	return req
}

const badName = `profile name "A_b" is not a DNS subdomain; use lower-case letters, digits, "-" and ".", with a letter or digit at both ends of each part`
