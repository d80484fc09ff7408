// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const labelGuard = "seccompgate-label-guard"

// labelRefusal is what somebody hears who may update the namespace, and not these labels.
func labelRefusal(namespace string, labels ...string) string {
	return refusal(fmt.Sprintf("namespaces %q", namespace), labelGuard, "seccompgate: you may not change "+strings.Join(labels, ", ")+
		" of a namespace; ask for the right to update namespacelabels.seccompgate.io, which the ClusterRole seccompgate-namespace-labels gives")
}

// relabel changes labels of a namespace through one of the three ways that take them. An
// empty value removes one.
type relabel struct {
	name string
	do   func(ctx context.Context, client kubernetes.Interface, namespace string, labels map[string]string) error
}

func relabels() []relabel {
	changed := func(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) (*corev1.Namespace, error) {
		n, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for key, value := range labels {
			n.Labels[key] = value
		}
		maps.DeleteFunc(n.Labels, func(_, value string) bool { return value == "" })
		return n, nil
	}
	return []relabel{
		{"namespaces", func(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
			n, err := changed(ctx, client, name, labels)
			if err == nil {
				_, err = client.CoreV1().Namespaces().Update(ctx, n, metav1.UpdateOptions{})
			}
			return err
		}},
		{"namespaces/status", func(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
			n, err := changed(ctx, client, name, labels)
			if err == nil {
				_, err = client.CoreV1().Namespaces().UpdateStatus(ctx, n, metav1.UpdateOptions{})
			}
			return err
		}},
		{"namespaces/finalize", func(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
			n, err := changed(ctx, client, name, labels)
			if err == nil {
				_, err = client.CoreV1().Namespaces().Finalize(ctx, n, metav1.UpdateOptions{})
			}
			return err
		}},
	}
}

// guardLabels installs the guard and waits for it.
func guardLabels(t *testing.T, tenant *kubernetes.Clientset) {
	t.Helper()
	shared.withComponents(t, "label-guard")
	shared.eventuallyRefused(t, labelGuard, func() error {
		_, err := tenant.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: "guard-probe", Labels: map[string]string{enforceLabel: "baseline"}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
}

// tenants are people who may do anything to a namespace, but are no administrators.
func tenants(t *testing.T, namespaces ...string) map[string]*kubernetes.Clientset {
	t.Helper()
	shared.grant(t, userSubject("manager"), rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: []string{"*"},
	})
	// The owner of a namespace may do everything in it, and for the API server the
	// namespace itself is in it: update it, and update namespacelabels.seccompgate.io.
	for _, n := range namespaces {
		_, err := shared.Client.RbacV1().RoleBindings(n).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "owner"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{userSubject("owner")},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("create RoleBinding: %v", err)
		}
		shared.waitAllowed(t, userSubject("owner"), n, rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}})
	}
	return map[string]*kubernetes.Clientset{"manager": shared.as(t, "manager"), "owner": shared.as(t, "owner")}
}

// TestGuardRow44LabelsOfNamespaces: who may update a namespace, and no more, neither
// removes nor adds nor weakens a label of ours, by none of the three ways; any other
// change passes.
func TestGuardRow44LabelsOfNamespaces(t *testing.T) {
	namespace := shared.namespace(t, "row-44", map[string]string{enforceLabel: "restricted", warnLabel: "strict", "team": "shop"})
	people := tenants(t, namespace)
	guardLabels(t, people["manager"])
	tests := []struct {
		name   string
		labels map[string]string
		want   []string // labels that the refusal names; none passes
	}{
		{"remove", map[string]string{enforceLabel: ""}, []string{enforceLabel}},
		{"weaken", map[string]string{enforceLabel: "privileged"}, []string{enforceLabel}},
		{"strengthen", map[string]string{enforceLabel: "strict"}, []string{enforceLabel}},
		{"remove another", map[string]string{warnLabel: ""}, []string{warnLabel}},
		{"add audit", map[string]string{auditLabel: "baseline"}, []string{auditLabel}},
		{"add a profile", map[string]string{profileLabel: "runtime-default"}, []string{profileLabel}},
		{"pin enforce", map[string]string{"seccompgate.io/enforce-version": "v0.1"}, []string{"seccompgate.io/enforce-version"}},
		{"pin warn", map[string]string{"seccompgate.io/warn-version": "v0.1"}, []string{"seccompgate.io/warn-version"}},
		{"pin audit", map[string]string{"seccompgate.io/audit-version": "v0.1"}, []string{"seccompgate.io/audit-version"}},
		{"several, among others", map[string]string{enforceLabel: "", profileLabel: "web", "team": "cart"}, []string{enforceLabel, profileLabel}},
		{"nothing", nil, nil},
		{"another label", map[string]string{"team": "cart"}, nil},
		{"a new label", map[string]string{"tier": "front"}, nil},
		{"remove other labels", map[string]string{"team": "", "tier": ""}, nil},
	}
	for who, client := range people {
		for _, way := range relabels() {
			for _, tc := range tests {
				want := ""
				if len(tc.want) > 0 {
					want = labelRefusal(namespace, tc.want...)
				}
				wantRefused(t, fmt.Sprintf("%s through %s by the %s", tc.name, way.name, who), way.do(t.Context(), client, namespace, tc.labels), want)
			}
		}
	}
	got, err := shared.Client.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{enforceLabel: "restricted", warnLabel: "strict", corev1.LabelMetadataName: namespace}; !maps.Equal(got.Labels, want) {
		t.Errorf("in the end the labels are %v, want %v", got.Labels, want)
	}
	// A patch is an update.
	force := true
	for _, tc := range []struct {
		name    string
		kind    types.PatchType
		patch   string
		options metav1.PatchOptions
	}{
		{"JSON patch", types.JSONPatchType, `[{"op": "remove", "path": "/metadata/labels/seccompgate.io~1enforce"}]`, metav1.PatchOptions{}},
		{"merge patch", types.MergePatchType, `{"metadata": {"labels": {"seccompgate.io/enforce": null}}}`, metav1.PatchOptions{}},
		{"merge patch to nothing", types.MergePatchType, `{"metadata": {"labels": {"seccompgate.io/enforce": ""}}}`, metav1.PatchOptions{}},
		{"strategic merge patch", types.StrategicMergePatchType, `{"metadata": {"labels": {"$patch": "replace", "seccompgate.io/warn": "strict"}}}`, metav1.PatchOptions{}},
		{"apply", types.ApplyPatchType, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "row-44", "labels": {"seccompgate.io/enforce": "baseline"}}}`, metav1.PatchOptions{FieldManager: "e2e", Force: &force}},
	} {
		_, err := people["manager"].CoreV1().Namespaces().Patch(t.Context(), namespace, tc.kind, []byte(tc.patch), tc.options)
		wantRefused(t, tc.name, err, labelRefusal(namespace, enforceLabel))
	}
}

// TestGuardRow44NewNamespaces: a new namespace has labels of ours only from somebody who
// may set them, also where its name is not known yet.
func TestGuardRow44NewNamespaces(t *testing.T) {
	people := tenants(t)
	guardLabels(t, people["manager"])
	manager := people["manager"].CoreV1().Namespaces()
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	for label, value := range map[string]string{
		enforceLabel: "privileged", warnLabel: "privileged", auditLabel: "privileged", profileLabel: "runtime-default",
		"seccompgate.io/enforce-version": "v0.1", "seccompgate.io/warn-version": "v0.1", "seccompgate.io/audit-version": "v0.1",
	} {
		_, err := manager.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "row-44-new", Labels: map[string]string{label: value}}}, dry)
		wantRefused(t, "a namespace with "+label, err, labelRefusal("row-44-new", label))
	}
	generated := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "row-44-", Labels: map[string]string{enforceLabel: "privileged"}}}
	_, err := manager.Create(t.Context(), generated, dry)
	if err == nil || !strings.Contains(err.Error(), "seccompgate: you may not change seccompgate.io/enforce of a namespace") {
		t.Errorf("a generated name answers %v, want the guard's refusal", err)
	}
	_, err = shared.Client.CoreV1().Namespaces().Create(t.Context(), generated, dry)
	wantRefused(t, "a generated name by an administrator", err, "")
	for name, labels := range map[string]map[string]string{"row-44-bare": nil, "row-44-other": {"team": "shop", "other.seccompgate.io/enforce": "x"}} {
		_, err := manager.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, dry)
		wantRefused(t, name, err, "")
	}
}

// TestGuardRow44WhoMay: administrators may, and those who have the right, for all
// namespaces or for some.
func TestGuardRow44WhoMay(t *testing.T) {
	for _, n := range []string{"row-44-mine", "row-44-theirs"} {
		shared.namespace(t, n, map[string]string{enforceLabel: "baseline"})
	}
	people := tenants(t)
	guardLabels(t, people["manager"])
	for _, who := range []string{"labeller", "labeller-of-one"} {
		shared.grant(t, userSubject(who), rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}, Verbs: []string{"get", "update"},
		})
	}
	shared.bind(t, userSubject("labeller"), "seccompgate-namespace-labels")
	shared.grant(t, userSubject("labeller-of-one"), rbacv1.PolicyRule{
		APIGroups: []string{"seccompgate.io"}, Resources: []string{"namespacelabels"}, ResourceNames: []string{"row-44-mine"}, Verbs: []string{"update"},
	})
	shared.bind(t, userSubject("admin"), "cluster-admin")
	levels := []string{"restricted", "strict", ""}
	for who, refused := range map[string][]string{"admin": nil, "labeller": nil, "labeller-of-one": {"row-44-theirs"}} {
		client := shared.as(t, who)
		for _, namespace := range []string{"row-44-mine", "row-44-theirs"} {
			for i, way := range relabels() {
				want := ""
				if slices.Contains(refused, namespace) {
					want = labelRefusal(namespace, enforceLabel)
				}
				wantRefused(t, fmt.Sprintf("%s through %s by %s", namespace, way.name, who), way.do(t.Context(), client, namespace, map[string]string{enforceLabel: levels[i]}), want)
			}
			if err := relabels()[0].do(t.Context(), shared.Client, namespace, map[string]string{enforceLabel: "baseline"}); err != nil {
				t.Errorf("a member of system:masters is refused: %v", err)
			}
		}
	}
}

// TestGuardRow44Deletion: a namespace with labels can be deleted by whoever may delete it,
// and the namespace controller finishes it.
func TestGuardRow44Deletion(t *testing.T) {
	people := tenants(t)
	guardLabels(t, people["manager"])
	labels := map[string]string{enforceLabel: "restricted", profileLabel: "runtime-default"}
	// The guard looks at seven labels, and not at those of somebody who wants it to take long.
	for i := range 5000 {
		labels[fmt.Sprintf("example.com/%d", i)] = ""
	}
	namespace := shared.namespace(t, "row-44-deleted", labels)
	if a := shared.create(t, namespace, `{apiVersion: v1, kind: ConfigMap, metadata: {name: content}}`); !a.Allowed() {
		t.Fatalf("create ConfigMap: %s", a.Message)
	}
	if err := people["manager"].CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete Namespace: %v", err)
	}
	deadline := time.Now().Add(3 * patience)
	for {
		n, err := shared.Client.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the namespace is still there: %v, conditions %+v", err, n.Status.Conditions)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestGuardRow45Selector: a request that removes all our labels reaches the guard. With a
// selector on them, which looks at the labels after the change, it would not.
func TestGuardRow45Selector(t *testing.T) {
	people := tenants(t)
	namespace := shared.namespace(t, "row-45", map[string]string{enforceLabel: "restricted"})
	guardLabels(t, people["manager"])
	remove := map[string]string{enforceLabel: ""}
	for _, way := range relabels() {
		wantRefused(t, way.name, way.do(t.Context(), people["manager"], namespace, remove), labelRefusal(namespace, enforceLabel))
	}
	// The hole, to see that the selector makes it.
	shared.mustKubectl(t, "", "patch", "validatingadmissionpolicybinding", labelGuard, "--type=merge",
		"--patch", `{"spec": {"matchResources": {"namespaceSelector": {"matchExpressions": [{"key": "seccompgate.io/enforce", "operator": "Exists"}]}}}}`)
	shared.eventually(t, "a selector lets the removal through", func() (bool, string) {
		err := relabels()[0].do(t.Context(), people["manager"], namespace, remove)
		return err == nil, fmt.Sprint(err)
	})
}
