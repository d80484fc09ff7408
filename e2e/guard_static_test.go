// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// staticServer starts an API server that reads a directory of manifests/static from its
// disk: prepared as an administrator would, with the CA of the webhook in each file, and
// the Service's address under the name that the files call.
func staticServer(t *testing.T, dir string) *cluster.APIServer {
	t.Helper()
	secret, err := shared.Client.CoreV1().Secrets(ownNamespace).Get(t.Context(), "seccomp-webhook-tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	service, err := shared.Client.CoreV1().Services(ownNamespace).Get(t.Context(), "seccomp-webhook", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	shipped := filepath.Join(shared.root, "manifests", "static")
	disk := t.TempDir()
	for from, to := range map[string]string{
		dir + "/validating": "validating",
		dir + "/mutating":   "mutating",
		"policies":          "policies",
	} {
		if err := os.CopyFS(filepath.Join(disk, to), os.DirFS(filepath.Join(shipped, filepath.FromSlash(from)))); err != nil {
			t.Fatal(err)
		}
	}
	bundle := "caBundle: " + base64.StdEncoding.EncodeToString(secret.Data["ca.crt"])
	edit(t, filepath.Join(disk, "validating", "seccompgate.yaml"), `caBundle: ""`, bundle)
	edit(t, filepath.Join(disk, "mutating", "seccompgate.yaml"), `caBundle: ""`, bundle)
	config := filepath.Join(disk, "admission.yaml")
	text, err := os.ReadFile(filepath.Join(shipped, "admission.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	edit(t, config, "staticManifestsDir: /etc/kubernetes/seccompgate", "staticManifestsDir: "+disk)

	server, err := shared.AddAPIServer(t.Context(), "static-apiserver", cluster.APIServerOptions{
		Args:  []string{"--admission-control-config-file=" + config},
		Hosts: map[string]string{"seccomp-webhook.seccompgate.svc": service.Spec.ClusterIP},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// edit replaces every occurrence of old, of which there must be some.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tryPod creates a pod through an API server without anything left behind.
func tryPod(t *testing.T, client kubernetes.Interface, namespace, text string) (*corev1.Pod, error) {
	t.Helper()
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(parse(t, text).Object, pod); err != nil {
		t.Fatal(err)
	}
	return client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

const labelledPod = `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {seccompgate.io/profile: runtime-default}}, spec: {containers: [{name: app, image: app}]}}`

// wantJudged: an API server has pods of an enforcing namespace judged and injected.
func wantJudged(t *testing.T, what string, client kubernetes.Interface, namespace string) {
	t.Helper()
	_, err := tryPod(t, client, namespace, unconfinedPod)
	wantRefused(t, what+": Unconfined", err, unconfinedDenial)
	_, err = tryPod(t, client, namespace, defaultPod)
	wantRefused(t, what+": RuntimeDefault", err, "")
	pod, err := tryPod(t, client, namespace, labelledPod)
	if err != nil {
		t.Errorf("%s: a labelled pod: %v", what, err)
	} else if p := pod.Spec.SecurityContext.SeccompProfile; p == nil || p.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: a labelled pod has the profile %v", what, p)
	}
}

// warnings collects those of an answer.
type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }

// wantWarnings: a pod without a profile is warned about once, however many registrations
// ask about it.
func wantWarnings(t *testing.T, config *rest.Config, namespace string) {
	t.Helper()
	var got warnings
	config = rest.CopyConfig(config)
	config.WarningHandler = &got
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryPod(t, client, namespace, plainPod); err != nil {
		t.Errorf("a pod without a profile: %v", err)
	}
	want := warnings{`seccompgate: [unset] container "app": no seccompProfile is set on the container or the pod, so it runs Unconfined (no node it may use is known to set seccompDefault); set RuntimeDefault or Localhost, or the label seccompgate.io/profile`}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
}

// TestGuardRow58StaticManifest: an administrator of the API deletes the registration. An
// API server that has it on its disk goes on as before; another one admits everything.
func TestGuardRow58StaticManifest(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-58", map[string]string{enforceLabel: "baseline", warnLabel: "restricted"})
	shared.eventuallySays(t, namespace, unconfinedPod, unconfinedDenial)
	server := staticServer(t, "opt-in")
	wantJudged(t, "with both registrations", server.Client, namespace)
	wantWarnings(t, server.Config, namespace)

	t.Cleanup(func() {
		if err := shared.switchTo(context.Background(), overlay); err != nil {
			t.Fatal(err)
		}
	})
	api := server.Client.AdmissionregistrationV1() // the attack may as well go through it
	if err := api.ValidatingWebhookConfigurations().Delete(t.Context(), registration, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := api.MutatingWebhookConfigurations().Delete(t.Context(), registration, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// When the other one has heard of it, this one has had as long.
	shared.eventuallySays(t, namespace, unconfinedPod, "")
	wantJudged(t, "after the deletion", server.Client, namespace)
	wantWarnings(t, server.Config, namespace)

	// What is on the disk is not in the API, and nobody can put anything in its way there.
	list, err := api.ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("the API shows %d configurations, %v", len(list.Items), err)
	}
	_, err = api.ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "seccompgate.static.k8s.io"},
	}, metav1.CreateOptions{})
	wantRefused(t, "a configuration of the same name", err, `ValidatingWebhookConfiguration.admissionregistration.k8s.io "seccompgate.static.k8s.io" is invalid: `+
		`metadata.name: Invalid value: "seccompgate.static.k8s.io": names ending with ".static.k8s.io" are reserved for static manifest-based configurations and cannot be managed via the API`)

	webhookDown(t, func() {
		_, err := tryPod(t, server.Client, namespace, defaultPod)
		const want = `Internal error occurred: failed calling webhook "enforce.seccompgate.io": failed to call webhook: Post "https://seccomp-webhook.seccompgate.svc:443/validate?timeout=3s": `
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("while the webhook is down it answers %v, want %q and a reason", err, want)
		}
		for _, exempt := range []string{"kube-system", "default"} {
			if _, err := tryPod(t, server.Client, exempt, plainPod); err != nil {
				t.Errorf("while the webhook is down namespace %s answers %v", exempt, err)
			}
		}
	})
}

// TestGuardRow58Policies: the guards are on the disk too. None of these is in the API,
// where it could be deleted; the one about agents is in both.
func TestGuardRow58Policies(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-58-policies", map[string]string{enforceLabel: "baseline"})
	people := tenants(t, namespace)
	server := staticServer(t, "opt-in")
	if out := shared.mustKubectl(t, "", "get", "validatingadmissionpolicies", "--output=name"); out != "validatingadmissionpolicy.admissionregistration.k8s.io/"+agentGuard {
		t.Fatalf("the API has %s", out)
	}
	owner := impersonate(t, server.Config, "owner")
	static := func(message string) string {
		return strings.ReplaceAll(message, "'"+labelGuard+"'", "'"+labelGuard+".static.k8s.io'")
	}
	for i, way := range relabels() {
		wantRefused(t, way.name, way.do(t.Context(), owner, namespace, map[string]string{enforceLabel: ""}), static(labelRefusal(namespace, enforceLabel)))
		wantRefused(t, way.name, way.do(t.Context(), owner, namespace, map[string]string{"team": fmt.Sprint(i)}), "")
	}
	a := shared.create(t, namespace, defaultPod)
	if !a.Allowed() {
		t.Fatalf("create Pod: %s", a.Message)
	}
	err := annotateStatus(t.Context(), server.Client, namespace, "app", map[string]any{"run.oci.seccomp_bpf_data": "AAAA"})
	wantRefused(t, "an annotation", err, strings.ReplaceAll(statusRefusal("app", "run.oci.seccomp_bpf_data"), "'"+statusGuard+"'", "'"+statusGuard+".static.k8s.io'"))
	// The other API server, to see that it is the disk which makes the difference.
	if err := relabels()[0].do(t.Context(), people["owner"], namespace, map[string]string{enforceLabel: ""}); err != nil {
		t.Errorf("the other API server: %v", err)
	}
}

// TestGuardRow58Component: with the component, the API asks about no pod, and the webhook
// depends on nothing that can be deleted there.
func TestGuardRow58Component(t *testing.T) {
	shared.withOverlay(t, shared.composed(t, overlay, "static-manifest"))
	useNodes(t)
	namespace := shared.namespace(t, "row-58-component", map[string]string{enforceLabel: "baseline"})
	server := staticServer(t, "opt-in")
	wantJudged(t, "with the component", server.Client, namespace)
	if a := shared.try(t, namespace, unconfinedPod); !a.Allowed() {
		t.Errorf("the API's own registration denies: %s", a.Message)
	}
	shared.mustKubectl(t, "", "delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", registration)
	if _, err := shared.webhook.Replace(t.Context()); err != nil {
		t.Errorf("a new replica: %v", err)
	}
	wantJudged(t, "with a new replica, after the deletion", server.Client, namespace)
}

// TestGuardRow58ClusterWide: the other directory is for every namespace.
func TestGuardRow58ClusterWide(t *testing.T) {
	shared.withOverlay(t, "cluster-wide")
	useNodes(t)
	namespace := shared.namespace(t, "row-58-wide", nil)
	server := staticServer(t, "cluster-wide")
	shared.mustKubectl(t, "", "delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", registration)
	shared.eventuallySays(t, namespace, unconfinedPod, "")
	wantJudged(t, "after the deletion", server.Client, namespace)
	if _, err := tryPod(t, server.Client, "kube-system", unconfinedPod); err != nil {
		t.Errorf("kube-system: %v", err)
	}
}
