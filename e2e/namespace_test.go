// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// TestRaisedLevel: who raises the level of a namespace learns which running pods it would
// deny.
func TestRaisedLevel(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "raised", nil)
	shared.create(t, namespace, `{apiVersion: v1, kind: Pod, metadata: {name: good}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app, image: app}]}}`)
	for _, name := range []string{"bad-1", "bad-2"} {
		shared.create(t, namespace, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: app, image: app, securityContext: {seccompProfile: {type: Unconfined}}}]}}`, name))
	}
	shared.create(t, namespace, `{apiVersion: v1, kind: Pod, metadata: {name: unset}, spec: {containers: [{name: app, image: app}]}}`)

	raise := func(level string) []string {
		t.Helper()
		a := shared.send(t, cluster.Request{
			Object: parse(t, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", namespace)),
			Patch:  map[string]any{"metadata": map[string]any{"labels": map[string]any{enforceLabel: level}}},
		})
		if !a.Allowed() {
			t.Fatalf("label Namespace: %s", a.Message)
		}
		return a.Warnings
	}
	for _, step := range []struct {
		level string
		want  []string
	}{
		{"baseline", []string{
			"seccompgate: pods that run already in namespace raised violate the new level baseline; they go on running, and are denied when they are made again",
			"seccompgate: bad-1 (and 1 more): unconfined (app)",
		}},
		{"restricted", []string{
			"seccompgate: pods that run already in namespace raised violate the new level restricted; they go on running, and are denied when they are made again",
			"seccompgate: bad-1 (and 1 more): unconfined (app)",
			"seccompgate: unset: unset (app)",
		}},
		{"baseline", nil},
	} {
		if d := cmp.Diff(step.want, raise(step.level)); d != "" {
			t.Errorf("level %s (-want +got):\n%s", step.level, d)
		}
	}
}

// TestOldBadLabel: a value that slipped in while the webhook was away counts as the
// strictest level, with a warning, and keeps nobody from changing the namespace.
func TestOldBadLabel(t *testing.T) {
	useNodes(t)
	webhookDown(t, func() {
		shared.namespace(t, "bad-label", map[string]string{enforceLabel: "high"})
	})
	a := shared.try(t, "bad-label", plainPod)
	if a.Allowed() {
		t.Error("a pod without a profile is admitted, want the strictest level")
	}
	a = shared.try(t, "bad-label", defaultPod)
	const want = `admission webhook "enforce.seccompgate.io" denied the request: seccompgate strict: [localhost-required] container "app": the profile is the runtime's default; name a Localhost profile that is made for it; label seccompgate.io/enforce: level "high" is not one of privileged, baseline, restricted, strict; it counts as strict`
	if a.Message != want {
		t.Errorf("RuntimeDefault: %q, want %q", a.Message, want)
	}
	namespace, err := shared.Client.CoreV1().Namespaces().Get(t.Context(), "bad-label", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	namespace.Labels["team"] = "shop"
	if _, err := shared.Client.CoreV1().Namespaces().Update(t.Context(), namespace, metav1.UpdateOptions{}); err != nil {
		t.Errorf("another label cannot be set: %v", err)
	}
}
