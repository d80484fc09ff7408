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
func otherMutator(t *testing.T, label string, mutate func(*corev1.Pod) []map[string]any) {
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
	config, err := api.Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zz-other"}, // they are called by name
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
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
		}},
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
	t.Run("unconfined", func(t *testing.T) {
		otherMutator(t, "unconfined", addSidecar(map[string]any{"seccompProfile": map[string]any{"type": "Unconfined"}}))
		namespace := shared.namespace(t, "sidecar-unconfined", map[string]string{enforceLabel: "baseline", "mutator": "unconfined"})
		a := shared.try(t, namespace, fmt.Sprintf(labelled, "seccompgate.io/profile: web"))
		const want = `admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [unconfined] container "sidecar": seccompProfile is Unconfined (set by the container); use RuntimeDefault or Localhost`
		if a.Message != want {
			t.Errorf("the answer is %q, want %q", a.Message, want)
		}
	})
}

// TestProfileTakenOut: a webhook that removes the profile again does not win: reinvocation
// puts it back, and where that does not happen, the validator denies.
func TestProfileTakenOut(t *testing.T) {
	useNodes(t)
	otherMutator(t, "stripper", func(pod *corev1.Pod) []map[string]any {
		patch := []map[string]any{mark(pod)}
		if pod.Spec.SecurityContext != nil && pod.Spec.SecurityContext.SeccompProfile != nil {
			patch = append(patch, map[string]any{"op": "remove", "path": "/spec/securityContext/seccompProfile"})
		}
		return patch
	})
	namespace := shared.namespace(t, "stripped", map[string]string{enforceLabel: "baseline", "mutator": "stripper"})
	a := shared.try(t, namespace, `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {seccompgate.io/profile: web}}, spec: {containers: [{name: app, image: app}]}}`)
	if !a.Allowed() {
		t.Fatalf("the pod is denied: %s", a.Message)
	}
	if d := cmp.Diff(map[string]string{"pod": "Localhost seccompgate/web.cc14aa6ba10f.json"}, cluster.Profiles(a.Object)); d != "" {
		t.Errorf("profiles (-want +got):\n%s", d)
	}
}

// TestMutatorMissing: what the mutation does not do, the validator notices.
func TestMutatorMissing(t *testing.T) {
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
	labelled := `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {seccompgate.io/profile: web}}, spec: {containers: [{name: app, image: app}]}}`
	t.Cleanup(func() {
		config.ResourceVersion, config.UID = "", ""
		if _, err := api.Create(context.Background(), config, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	shared.eventuallySays(t, namespace, labelled, `admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [not-injected] container "app": the pod label asks for profile "web", which was not injected; create the pod again, and look at the mutating webhook if it stays so`)
}
