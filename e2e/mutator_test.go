// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// otherMutator registers a second mutating webhook, called after ours, for the pods of
// namespaces with the label. mutate returns a JSON patch, or nil.
func otherMutator(t *testing.T, label string, mutate func(*corev1.Pod) []map[string]any, options ...func(*admissionregistrationv1.MutatingWebhook)) {
	t.Helper()
	ca := newAuthority(t, "other mutator")
	certificate, key := ca.sign(t, time.Now().Add(time.Hour), nil, net.IPv4(127, 0, 0, 1))
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		var pod corev1.Pod
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := json.Unmarshal(review.Request.Object.Raw, &pod); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if patch := mutate(&pod); patch != nil {
			review.Response.Patch, _ = json.Marshal(patch) // strings and maps
			kind := admissionv1.PatchTypeJSONPatch
			review.Response.PatchType = &kind
		}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)

	url, none, fail := server.URL, admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	api := shared.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	webhook := admissionregistrationv1.MutatingWebhook{
		Name:                    "other.example.com",
		ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: ca.pem},
		SideEffects:             &none,
		FailurePolicy:           &fail,
		AdmissionReviewVersions: []string{"v1"},
		NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"mutator": label}},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
	}
	for _, o := range options {
		o(&webhook)
	}
	config, err := api.Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zz-other"}, // they are called by name
		Webhooks:   []admissionregistrationv1.MutatingWebhook{webhook},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), config.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	namespace := shared.namespace(t, "probe-"+label, map[string]string{"mutator": label})
	shared.eventually(t, "the other webhook is called", func() (bool, string) {
		a := shared.try(t, namespace, plainPod)
		if !a.Allowed() {
			return false, a.Message
		}
		text, err := json.Marshal(a.Object)
		return err == nil && strings.Contains(string(text), `"mutated":"yes"`), string(text)
	})
}

// mark is the part of a patch by which otherMutator sees that it has been called.
func mark(pod *corev1.Pod) map[string]any {
	if pod.Annotations == nil {
		return map[string]any{"op": "add", "path": "/metadata/annotations", "value": map[string]string{"mutated": "yes"}}
	}
	return map[string]any{"op": "add", "path": "/metadata/annotations/mutated", "value": "yes"}
}

// addSidecar adds a container unless it is there, and does not know of us.
func addSidecar(securityContext map[string]any) func(*corev1.Pod) []map[string]any {
	return func(pod *corev1.Pod) []map[string]any {
		for _, c := range pod.Spec.Containers {
			if c.Name == "sidecar" {
				return nil
			}
		}
		sidecar := map[string]any{"name": "sidecar", "image": "sidecar"}
		if securityContext != nil {
			sidecar["securityContext"] = securityContext
		}
		return []map[string]any{mark(pod), {"op": "add", "path": "/spec/containers/-", "value": sidecar}}
	}
}

// TestSidecarAddedLater: a webhook that is called after ours adds a container. The API
// server calls ours again, and the pod that is judged is the one that will run.
func TestSidecarAddedLater(t *testing.T) {
	useNodes(t)
	const labelled = `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {%s}}, spec: {containers: [{name: app, image: app}]}}`
	t.Run("plain", func(t *testing.T) {
		otherMutator(t, "plain", addSidecar(nil))
		namespace := shared.namespace(t, "sidecar-plain", map[string]string{enforceLabel: "restricted", "mutator": "plain"})
		for _, tc := range []struct {
			name, labels string
			want         map[string]string
			denial       string
		}{
			{"inherits", "seccompgate.io/profile: web", map[string]string{"pod": "Localhost seccompgate/web.cc14aa6ba10f.json"}, ""},
			{
				"its own label", "seccompgate.io/profile: runtime-default, profile.seccompgate.io/sidecar: web",
				map[string]string{"pod": "RuntimeDefault", "containers[sidecar]": "Localhost seccompgate/web.cc14aa6ba10f.json"},
				"",
			},
			{
				"only the other one's label", "profile.seccompgate.io/app: web", nil,
				`admission webhook "enforce.seccompgate.io" denied the request: seccompgate restricted: [unset] container "sidecar": no seccompProfile is set on the container or the pod, so it runs Unconfined (no node it may use is known to set seccompDefault); set RuntimeDefault or Localhost, or the label seccompgate.io/profile`,
			},
		} {
			t.Run(tc.name, func(t *testing.T) {
				a := shared.try(t, namespace, fmt.Sprintf(labelled, tc.labels))
				if a.Message != tc.denial {
					t.Fatalf("the answer is %q, want %q", a.Message, tc.denial)
				}
				if !a.Allowed() {
					return
				}
				if d := cmp.Diff(tc.want, cluster.Profiles(a.Object)); d != "" {
					t.Errorf("profiles (-want +got):\n%s", d)
				}
				if containers := a.Object.Object["spec"].(map[string]any)["containers"].([]any); len(containers) != 2 {
					t.Errorf("the pod has %d containers, want the sidecar as well", len(containers))
				}
			})
		}
	})
	t.Run("row55 unconfined", func(t *testing.T) {
		otherMutator(t, "unconfined", addSidecar(map[string]any{"seccompProfile": map[string]any{"type": "Unconfined"}}))
		namespace := shared.namespace(t, "sidecar-unconfined", map[string]string{enforceLabel: "baseline", "mutator": "unconfined"})
		a := shared.try(t, namespace, fmt.Sprintf(labelled, "seccompgate.io/profile: web"))
		const want = `admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [unconfined] container "sidecar": seccompProfile is Unconfined (set by the container); use RuntimeDefault or Localhost`
		if a.Message != want {
			t.Errorf("the answer is %q, want %q", a.Message, want)
		}
	})
}

// TestRow49LabelAddedLater: the label that asks for the profile comes from a webhook that is
// called after ours.
func TestRow49LabelAddedLater(t *testing.T) {
	useNodes(t)
	otherMutator(t, "labeller", func(pod *corev1.Pod) []map[string]any {
		return []map[string]any{mark(pod), {"op": "add", "path": "/metadata/labels", "value": map[string]string{"seccompgate.io/profile": "web"}}}
	})
	namespace := shared.namespace(t, "labelled-later", map[string]string{enforceLabel: "restricted", "mutator": "labeller"})
	wantInjected(t, shared.try(t, namespace, plainPod))
}

// webPod asks for a profile by its label.
const webPod = `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {seccompgate.io/profile: web}}, spec: {containers: [{name: app, image: app}]}}`

// notInjected is what is said about webPod at the level baseline when it comes without the
// profile.
const notInjected = `admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [not-injected] container "app": the pod label asks for profile "web", which was not injected; create the pod again, and look at the mutating webhook if it stays so`

// wantInjected: the pod has the profile that webPod asks for.
func wantInjected(t *testing.T, a *cluster.Answer) {
	t.Helper()
	if !a.Allowed() {
		t.Fatalf("the pod is denied: %s", a.Message)
	}
	if d := cmp.Diff(map[string]string{"pod": "Localhost seccompgate/web.cc14aa6ba10f.json"}, cluster.Profiles(a.Object)); d != "" {
		t.Errorf("profiles (-want +got):\n%s", d)
	}
}

// strip takes the profile out again.
func strip(pod *corev1.Pod) []map[string]any {
	patch := []map[string]any{mark(pod)}
	if pod.Spec.SecurityContext != nil && pod.Spec.SecurityContext.SeccompProfile != nil {
		patch = append(patch, map[string]any{"op": "remove", "path": "/spec/securityContext/seccompProfile"})
	}
	return patch
}

// TestProfileTakenOut: a webhook that removes the profile again does not win: reinvocation
// puts it back. Where it is called again as well, the validator denies.
func TestProfileTakenOut(t *testing.T) {
	useNodes(t)
	t.Run("once", func(t *testing.T) {
		otherMutator(t, "stripper", strip)
		namespace := shared.namespace(t, "stripped", map[string]string{enforceLabel: "baseline", "mutator": "stripper"})
		wantInjected(t, shared.try(t, namespace, webPod))
	})
	t.Run("row56 again and again", func(t *testing.T) {
		otherMutator(t, "fighter", strip, func(w *admissionregistrationv1.MutatingWebhook) {
			again := admissionregistrationv1.IfNeededReinvocationPolicy
			w.ReinvocationPolicy = &again
		})
		namespace := shared.namespace(t, "fought-over", map[string]string{enforceLabel: "baseline", "mutator": "fighter"})
		if a := shared.try(t, namespace, webPod); a.Message != notInjected {
			t.Errorf("the answer is %q, want %q", a.Message, notInjected)
		}
	})
}

// TestRow57PolicyTakesProfileOut: a MutatingAdmissionPolicy removes the profile, as often as
// the API server asks it.
func TestRow57PolicyTakesProfileOut(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "policy-strips", map[string]string{enforceLabel: "restricted", "mutator": "policy"})
	const policy = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: strip.example.com}
spec:
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  matchConstraints:
    namespaceSelector: {matchLabels: {mutator: policy}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions:
  - {name: has-profile, expression: 'has(object.spec.securityContext) && has(object.spec.securityContext.seccompProfile)'}
  mutations:
  - patchType: JSONPatch
    jsonPatch: {expression: '[JSONPatch{op: "remove", path: "/spec/securityContext/seccompProfile"}]'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: strip.example.com}
spec: {policyName: strip.example.com}
`
	t.Cleanup(func() {
		if _, err := shared.MustKubectl(context.Background(), policy, "delete", "-f", "-"); err != nil { // the test's own context is over
			t.Error(err)
		}
	})
	shared.mustKubectl(t, policy, "create", "-f", "-")
	// Whoever sets the field himself loses it, and is told so.
	shared.eventuallySays(t, namespace, defaultPod, `admission webhook "enforce.seccompgate.io" denied the request: seccompgate restricted: [unset] container "app": no seccompProfile is set on the container or the pod, so it runs Unconfined (no node it may use is known to set seccompDefault); set RuntimeDefault or Localhost, or the label seccompgate.io/profile`)
	wantInjected(t, shared.try(t, namespace, webPod))
}

// TestRow59Annotations: however often the webhooks are called for one request, the API server
// has no two values for an audit annotation of ours, and every webhook has a name of its own.
func TestRow59Annotations(t *testing.T) {
	useNodes(t)
	otherMutator(t, "annotated", addSidecar(nil))
	namespace := shared.namespace(t, "annotated", map[string]string{
		enforceLabel: "restricted", warnLabel: "restricted", auditLabel: "restricted", "mutator": "annotated",
	})
	a := shared.try(t, namespace, webPod)
	wantInjected(t, a)
	if got := shared.audited(t, a)["enforce.seccompgate.io/decision"]; got != "allowed" {
		t.Errorf("the decision in the audit log is %q, want %q", got, "allowed")
	}
	log, err := os.ReadFile(filepath.Join(shared.Dir, "log", "kube-apiserver.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "Failed to set admission audit annotation") && strings.Contains(line, "seccompgate.io") {
			t.Errorf("the API server says: %s", line)
		}
	}
	validating, err := shared.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := shared.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	count := func(name string) {
		if seen[name] {
			t.Errorf("two webhooks are called %s", name)
		}
		seen[name] = true
	}
	for _, w := range validating.Webhooks {
		count(w.Name)
	}
	for _, w := range mutating.Webhooks {
		count(w.Name)
	}
}

// TestRow53MutatorMissing: what the mutation does not do, the validator notices.
func TestRow53MutatorMissing(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "not-injected", map[string]string{enforceLabel: "baseline"})
	api := shared.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	config, err := api.Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), registration, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		config.ResourceVersion, config.UID = "", ""
		if _, err := api.Create(context.Background(), config, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	shared.eventuallySays(t, namespace, webPod, notInjected)
}
