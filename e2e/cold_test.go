// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestColdReplica: a replica that has read nothing yet is not ready. If requests reach it
// all the same, it denies what it cannot look up and asks for a retry.
func TestColdReplica(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "cold", map[string]string{enforceLabel: "baseline"})
	warm := shared.webhook.Replicas()
	restore := withoutRBAC(t)
	cold, err := shared.webhook.StartReplica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := shared.webhook.Publish(warm...); err != nil {
			t.Error(err)
		}
		if err := shared.webhook.Remove(cold); err != nil {
			t.Error(err)
		}
	}()
	shared.eventually(t, "the cold replica says what it waits for", func() (bool, string) {
		err := cold.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "inventory: the nodes and namespaces have not been read yet"), fmt.Sprint(err)
	})
	if err := shared.webhook.Publish(cold); err != nil {
		t.Fatal(err)
	}
	localhost := `{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/everywhere.json}}, containers: [{name: app, image: app}]}}`
	want := `admission webhook "enforce.seccompgate.io" denied the request: seccompgate strict: [not-synced] container "app": its profile cannot be looked up, because this replica of the webhook has not read the nodes yet; retry in a few seconds; namespace ` + namespace + `: its labels are not known to this replica of the webhook yet, so every level counts as strict; retry in a few seconds`
	if a := shared.try(t, namespace, localhost); a.Message != want {
		t.Errorf("a Localhost profile gets %q, want %q", a.Message, want)
	}
	unknown := `admission webhook "enforce.seccompgate.io" denied the request: seccompgate strict: [localhost-required] container "app": the profile is the runtime's default; name a Localhost profile that is made for it; namespace ` + namespace + `: its labels are not known to this replica of the webhook yet, so every level counts as strict; retry in a few seconds`
	if a := shared.try(t, namespace, defaultPod); a.Message != unknown {
		t.Errorf("RuntimeDefault in a namespace that may be strict gets %q, want %q", a.Message, unknown)
	}
	if a := shared.try(t, namespace, unconfinedPod); a.Allowed() {
		t.Error("Unconfined is admitted")
	}
	restore()
	if err := cold.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := shared.try(t, namespace, localhost); !a.Allowed() {
		t.Errorf("after the nodes have been read: %s", a.Message)
	}
}

// withoutRBAC takes the webhook's permissions away until the returned function, or the
// end of the test, gives them back.
func withoutRBAC(t *testing.T) (restore func()) {
	t.Helper()
	api := shared.Client.RbacV1().ClusterRoleBindings()
	list, err := api.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var taken []rbacv1.ClusterRoleBinding
	for _, b := range list.Items {
		for _, subject := range b.Subjects {
			if subject.Namespace == ownNamespace && subject.Name == "seccomp-webhook" {
				if err := api.Delete(t.Context(), b.Name, metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				b.ObjectMeta = metav1.ObjectMeta{Name: b.Name, Labels: b.Labels, Annotations: b.Annotations}
				taken = append(taken, b)
			}
		}
	}
	restore = func() {
		for i := range taken {
			if _, err := api.Create(context.Background(), &taken[i], metav1.CreateOptions{}); err != nil {
				t.Errorf("restore permissions: %v", err)
			}
		}
		taken = nil
	}
	t.Cleanup(restore)
	shared.eventually(t, "the webhook may not list nodes", func() (bool, string) {
		return shared.kubectl(t, "", "auth", "can-i", "list", "nodes", "--as="+ownAccount).Code != 0, "it may"
	})
	return restore
}

// TestInventoryFollows: what changes on the nodes, or about profiles, counts soon.
func TestInventoryFollows(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "follows", map[string]string{enforceLabel: "baseline"})
	app := `{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {nodeSelector: {kubernetes.io/hostname: b1}, securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app, image: app}]}}`
	const missing = `admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [profile-missing] container "app": profile "profiles/app.json" is missing on 1 of the 1 nodes that the pod may use (b1)`
	shared.eventuallySays(t, namespace, app, missing)
	shared.mustKubectl(t, "", "patch", "seccompnode", "b1", "--type=json", `-p=[{"op": "add", "path": "/facts/profiles/-", "value": {"path": "profiles/app.json", "valid": true, "analysis": {"defaultAction": "SCMP_ACT_ERRNO"}}}]`)
	shared.eventuallySays(t, namespace, app, "")
	shared.mustKubectl(t, "", "label", "node", "b1", "kubernetes.io/hostname-", "--overwrite")
	shared.eventually(t, "no node fits", func() (bool, string) {
		a := shared.try(t, namespace, app)
		return a.Allowed() && len(a.Warnings) == 1 && strings.Contains(a.Warnings[0], "no known node fits the pod"), fmt.Sprintf("%q %q", a.Message, a.Warnings)
	})
	labelled := `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {seccompgate.io/profile: late}}, spec: {containers: [{name: app, image: app}]}}`
	if a := shared.try(t, namespace, labelled); a.Allowed() {
		t.Error("a profile that does not exist is admitted")
	}
	shared.mustKubectl(t, `{apiVersion: seccompgate.io/v1alpha1, kind: LocalhostProfile, metadata: {name: late}, spec: {profile: {defaultAction: SCMP_ACT_ERRNO}}}`, "create", "-f", "-")
	shared.eventually(t, "the profile is known, and found to be on no node", func() (bool, string) {
		a := shared.try(t, namespace, labelled)
		return strings.Contains(a.Message, `[profile-missing] container "app": profile "seccompgate/late.json" is missing on 3 of the 3 nodes`), a.Message
	})
}
