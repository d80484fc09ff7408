// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// TestAuditOnly: this overlay observes. Nothing is denied or changed, whatever the labels
// say, also when the webhook is down.
func TestAuditOnly(t *testing.T) {
	shared.withOverlay(t, "audit-only")
	useNodes(t)
	namespace := shared.namespace(t, "audit-only", map[string]string{enforceLabel: "baseline", warnLabel: "restricted", auditLabel: "restricted"})
	a := shared.create(t, namespace, unconfinedPod)
	if !a.Allowed() {
		t.Fatalf("a pod is denied: %s", a.Message)
	}
	got := outcomeOf(t, cluster.Request{Object: parse(t, unconfinedPod)}, a)
	const finding = `[unconfined] container "app": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost`
	want := outcome{
		Allowed:  true,
		Warnings: []string{`seccompgate: ` + finding},
		Audit: map[string]string{
			"enforce.seccompgate.io/decision":   "would-deny",
			"enforce.seccompgate.io/findings":   finding,
			"enforce.seccompgate.io/would-deny": finding,
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Unconfined (-want +got):\n%s", d)
	}
	a = shared.try(t, namespace, `{apiVersion: v1, kind: Pod, metadata: {name: labelled, labels: {seccompgate.io/profile: web}}, spec: {containers: [{name: app, image: app}]}}`)
	if d := cmp.Diff(map[string]string{}, cluster.Profiles(a.Object)); d != "" || !a.Allowed() {
		t.Errorf("a labelled pod gets %q and profiles (-want +got):\n%s", a.Message, d)
	}
	webhookDown(t, func() {
		if a := shared.try(t, "default", unconfinedPod); !a.Allowed() {
			t.Errorf("a pod is denied: %s", a.Message)
		}
	})
}

// TestClusterWide: this overlay is for every namespace but the exempt ones.
func TestClusterWide(t *testing.T) {
	shared.withOverlay(t, "cluster-wide")
	useNodes(t)
	namespace := shared.namespace(t, "cluster-wide", nil)
	shared.namespace(t, "cluster-wide-privileged", map[string]string{enforceLabel: "privileged"})
	t.Run("row46 no labels", func(t *testing.T) {
		if a := shared.try(t, namespace, unconfinedPod); a.Message != unconfinedDenial {
			t.Errorf("a namespace without labels answers %q, want %q", a.Message, unconfinedDenial)
		}
	})
	t.Run("row51 the beginning of an exempt name", func(t *testing.T) {
		for _, name := range []string{"kube-evil", "kube-system-2", "kube-node-lease-2", ownNamespace + "-2"} {
			if a := shared.try(t, shared.namespace(t, name, nil), unconfinedPod); a.Message != unconfinedDenial {
				t.Errorf("namespace %s answers %q, want %q", name, a.Message, unconfinedDenial)
			}
		}
	})
	a := shared.try(t, namespace, `{apiVersion: v1, kind: Pod, metadata: {name: labelled, labels: {seccompgate.io/profile: web}}, spec: {containers: [{name: app, image: app}]}}`)
	if d := cmp.Diff(map[string]string{"pod": "Localhost seccompgate/web.cc14aa6ba10f.json"}, cluster.Profiles(a.Object)); d != "" || !a.Allowed() {
		t.Errorf("a labelled pod gets %q and profiles (-want +got):\n%s", a.Message, d)
	}
	for _, exempt := range []string{"kube-system", "kube-node-lease", "cluster-wide-privileged"} {
		if a := shared.try(t, exempt, unconfinedPod); !a.Allowed() {
			t.Errorf("namespace %s answers %q, want admission", exempt, a.Message)
		}
	}
}

// TestUninstall: afterwards the API server is as it was.
func TestUninstall(t *testing.T) {
	if err := shared.uninstall(t.Context(), overlay); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.install(context.Background(), overlay); err != nil {
			t.Fatal(err)
		}
	})
	for _, kind := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies", "customresourcedefinitions", "clusterroles", "clusterrolebindings"} {
		for _, name := range strings.Fields(shared.mustKubectl(t, "", "get", kind, "--output=name")) {
			if strings.Contains(name, "seccomp") {
				t.Errorf("%s is left", name)
			}
		}
	}
	namespace := shared.namespace(t, "uninstalled", map[string]string{enforceLabel: "strict"})
	shared.eventuallySays(t, namespace, unconfinedPod, "")
}

// TestBreakGlass is the command of the README.
func TestBreakGlass(t *testing.T) {
	namespace := shared.namespace(t, "break-glass", map[string]string{enforceLabel: "baseline"})
	shared.eventuallySays(t, namespace, unconfinedPod, unconfinedDenial)
	const command = "kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration seccompgate"
	readme, err := os.ReadFile(filepath.Join(shared.root, "README.md"))
	if err != nil || !strings.Contains(string(readme), "\n"+command+"\n") {
		t.Fatalf("the README does not have the command %q: %v", command, err)
	}
	t.Cleanup(func() {
		if err := shared.switchTo(context.Background(), overlay); err != nil {
			t.Fatal(err)
		}
	})
	shared.mustKubectl(t, "", strings.Fields(command)[1:]...)
	shared.eventuallySays(t, namespace, unconfinedPod, "")
	configs, err := shared.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(configs.Items) != 0 {
		t.Errorf("%d configurations are left, %v", len(configs.Items), err)
	}
}
