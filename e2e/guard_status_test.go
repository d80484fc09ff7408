// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

const statusGuard = "seccompgate-status-annotations"

func statusRefusal(pod string, annotations ...string) string {
	return refusal(fmt.Sprintf("pods %q", pod), statusGuard, "seccompgate: annotation "+strings.Join(annotations, ", ")+
		" can replace or disable the seccomp filter on the node; it may not be set through the status of a pod: make the pod again and set seccompProfile")
}

// guardStatus installs the guard, waits for it, and returns somebody who may write the
// status of pods, as network plugins may.
func guardStatus(t *testing.T, namespace string) *kubernetes.Clientset {
	t.Helper()
	shared.grant(t, userSubject("plugin"), rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"pods", "pods/status"}, Verbs: []string{"get", "update", "patch"},
	})
	plugin := shared.as(t, "plugin")
	if a := shared.create(t, namespace, strings.Replace(plainPod, "name: app", "name: probe", 1)); !a.Allowed() {
		t.Fatalf("create Pod: %s", a.Message)
	}
	shared.withComponents(t, "status-annotations")
	shared.eventuallyRefused(t, statusGuard, func() error {
		return annotateStatus(t.Context(), plugin, namespace, "probe", map[string]any{"run.oci.seccomp_bpf_data": "AAAA"}, metav1.DryRunAll)
	})
	return plugin
}

// annotateStatus patches annotations through pods/status; nil removes one.
func annotateStatus(ctx context.Context, client kubernetes.Interface, namespace, pod string, annotations map[string]any, dryRun ...string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Pods(namespace).Patch(ctx, pod, types.StrategicMergePatchType, patch, metav1.PatchOptions{DryRun: dryRun}, "status")
	return err
}

// TestGuardRow29StatusAnnotations: what the webhook refuses of pods and bindings does not
// come in through pods/status, which it is not asked about. The names of the cases are
// rows of the catalogue and their runtimes.
func TestGuardRow29StatusAnnotations(t *testing.T) {
	namespace := shared.namespace(t, "row-29", nil)
	// The namespace does not enforce yet: this pod has an annotation that is listed.
	a := shared.create(t, namespace, `{apiVersion: v1, kind: Pod, metadata: {name: app, annotations: {run.oci.seccomp_bpf_data: AAAA, example.com/mine: old}}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app, image: app}]}}`)
	if !a.Allowed() {
		t.Fatalf("create Pod: %s", a.Message)
	}
	plugin := guardStatus(t, namespace)
	for _, tc := range []struct {
		name        string
		annotations map[string]any
		want        []string // annotations that the refusal names; none passes
	}{
		{"13 gVisor", map[string]any{"dev.gvisor.flag.oci-seccomp": "false"}, []string{"dev.gvisor.flag.oci-seccomp"}},
		{"14 Kata", map[string]any{"io.katacontainers.config.runtime.disable_guest_seccomp": "true"}, []string{"io.katacontainers.config.runtime.disable_guest_seccomp"}},
		{"15 crun changed", map[string]any{"run.oci.seccomp_bpf_data": "BBBB"}, []string{"run.oci.seccomp_bpf_data"}},
		{"16 crun receiver", map[string]any{"run.oci.seccomp.receiver": "/run/x.sock"}, []string{"run.oci.seccomp.receiver"}},
		{"16 crun plugins", map[string]any{"run.oci.seccomp.plugins": "/x.so"}, []string{"run.oci.seccomp.plugins"}},
		{"17 CRI-O notifier", map[string]any{"seccomp-notifier-action.crio.io": "stop"}, []string{"seccomp-notifier-action.crio.io"}},
		{"18 CRI-O artifact", map[string]any{"seccomp-profile.kubernetes.cri-o.io/app": "example.com/p:v1"}, []string{"seccomp-profile.kubernetes.cri-o.io/app"}},
		{"18 CRI-O artifact, new name", map[string]any{"seccomp-profile.crio.io/POD": "example.com/p:v1"}, []string{"seccomp-profile.crio.io/POD"}},
		{"18 CRI-O internal", map[string]any{"io.kubernetes.cri-o.seccompProfilePath": "x"}, []string{"io.kubernetes.cri-o.seccompProfilePath"}},
		{"19 alpha, container", map[string]any{"container.seccomp.security.alpha.kubernetes.io/app": "unconfined"}, []string{"container.seccomp.security.alpha.kubernetes.io/app"}},
		{"one among others", map[string]any{"example.com/mine": "new", "run.oci.seccomp.plugins": "/x.so"}, []string{"run.oci.seccomp.plugins"}},
		{"a network plugin's", map[string]any{"k8s.v1.cni.cncf.io/network-status": "[]", "cni.projectcalico.org/podIP": "10.0.0.1/32"}, nil},
		{"its own changed", map[string]any{"example.com/mine": "new"}, nil},
		{"a name that only contains one", map[string]any{"example.com/run.oci.seccomp": "x", "example.run.oci.seccomp": "x"}, nil},
		{"nothing", map[string]any{}, nil},
		{"its own removed", map[string]any{"example.com/mine": nil}, nil},
		{"15 crun removed", map[string]any{"run.oci.seccomp_bpf_data": nil}, nil},
		{"15 crun again", map[string]any{"run.oci.seccomp_bpf_data": "AAAA"}, []string{"run.oci.seccomp_bpf_data"}},
	} {
		want := ""
		if len(tc.want) > 0 {
			want = statusRefusal("app", tc.want...)
		}
		wantRefused(t, tc.name, annotateStatus(t.Context(), plugin, namespace, "app", tc.annotations), want)
	}
	pod, err := shared.Client.CoreV1().Pods(namespace).Get(t.Context(), "app", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"k8s.v1.cni.cncf.io/network-status": "[]", "cni.projectcalico.org/podIP": "10.0.0.1/32",
		"example.com/run.oci.seccomp": "x", "example.run.oci.seccomp": "x",
	}
	if d := cmp.Diff(want, pod.Annotations); d != "" {
		t.Errorf("in the end the annotations are (-want +got):\n%s", d)
	}
	// The whole object, as older clients write it.
	pod.Annotations["run.oci.seccomp_bpf_data"] = "AAAA"
	_, err = plugin.CoreV1().Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	wantRefused(t, "an update", err, statusRefusal("app", "run.oci.seccomp_bpf_data"))
}

// TestGuardRow29Kubelet: a kubelet goes on reporting the status of pods that have such
// annotations, and of pods with very many.
func TestGuardRow29Kubelet(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-29-kubelet", nil)
	listed := parse(t, `{apiVersion: v1, kind: Pod, metadata: {name: listed}, spec: {nodeName: a1, containers: [{name: app, image: app}]}}`)
	listed.SetAnnotations(map[string]string{"run.oci.seccomp_bpf_data": "AAAA", "seccomp.security.alpha.kubernetes.io/pod": "unconfined"})
	many := listed.DeepCopy()
	many.SetName("many")
	annotations := make(map[string]string)
	for i := range 25000 { // near the 256 KiB that all annotations may have
		annotations[fmt.Sprintf("a%d", i)] = "b"
	}
	many.SetAnnotations(annotations)
	for _, pod := range []*cluster.Request{{Object: listed, Namespace: namespace}, {Object: many, Namespace: namespace}} {
		if a := shared.send(t, *pod); !a.Allowed() {
			t.Fatalf("create Pod: %s", a.Message)
		}
	}
	guardStatus(t, namespace)
	kubelet := shared.as(t, "system:node:a1", "system:nodes")
	shared.grant(t, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:node:a1"},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods", "pods/status"}, Verbs: []string{"get", "patch"}})
	for _, name := range []string{"listed", "many"} {
		const patch = `{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}`
		got, err := kubelet.CoreV1().Pods(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		if err != nil || got.Status.Phase != corev1.PodRunning {
			t.Errorf("status of pod %s: %v, phase %s", name, err, got.Status.Phase)
		}
	}
	// Then all annotations are looked at: some plugins write with the kubelet's rights.
	for _, name := range []string{"listed", "many"} {
		if err := annotateStatus(t.Context(), kubelet, namespace, name, map[string]any{"k8s.v1.cni.cncf.io/network-status": "[]"}); err != nil {
			t.Errorf("another annotation of pod %s: %v", name, err)
		}
	}
}
