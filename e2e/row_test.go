// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// The rows of docs/bypasses.md that take more than the one request of a case file, and
// nothing that is started, stopped or broken.

// TestRow5OldEphemeralContainers: nobody can change or remove the debug containers that a
// pod has. They keep no good one out, and let no bad one in.
func TestRow5OldEphemeralContainers(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-5", nil)
	shared.create(t, namespace, defaultPod)
	debug := func(name, profile string) *cluster.Answer {
		return shared.send(t, cluster.Request{
			Object: parse(t, defaultPod), Namespace: namespace, Subresource: "ephemeralcontainers",
			Patch: parse(t, fmt.Sprintf(`{spec: {ephemeralContainers: [{name: %s, image: app, securityContext: {seccompProfile: {type: %s}}}]}}`, name, profile)),
		})
	}
	if a := debug("old", "Unconfined"); !a.Allowed() {
		t.Fatalf("before the namespace has a label: %s", a.Message)
	}
	shared.label(t, namespace, map[string]string{enforceLabel: "restricted"})
	if a := debug("good", "RuntimeDefault"); !a.Allowed() {
		t.Errorf("a good one beside the old one: %s", a.Message)
	}
	const want = `admission webhook "enforce.seccompgate.io" denied the request: seccompgate restricted: [unconfined] container "bad": seccompProfile is Unconfined (set by the container); use RuntimeDefault or Localhost; set securityContext of the debug container with "kubectl debug --custom FILE"`
	if a := debug("bad", "Unconfined"); a.Message != want {
		t.Errorf("a bad one answers %q, want %q", a.Message, want)
	}
}

// TestRow22LargePod: no pod that the API server can store is too large to be judged, and a
// larger one is denied unjudged.
func TestRow22LargePod(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-22", map[string]string{enforceLabel: "baseline"})
	for _, tc := range []struct {
		containers int
		want       string
	}{
		{1_000, strings.NewReplacer(`"app"`, `"c999"`, "by the pod", "by the container").Replace(unconfinedDenial)},
		{10_000, strings.NewReplacer(`"app"`, `"c9999"`, "by the pod", "by the container").Replace(unconfinedDenial)},
		{50_000, `Internal error occurred: failed calling webhook "enforce.seccompgate.io": failed to call webhook: the server responded with the status code 413 but did not return more information`},
	} {
		t.Run(fmt.Sprintf("%d containers", tc.containers), func(t *testing.T) {
			containers := make([]any, tc.containers)
			for i := range containers {
				containers[i] = map[string]any{"name": fmt.Sprintf("c%d", i), "image": "app"}
			}
			containers[tc.containers-1].(map[string]any)["securityContext"] = map[string]any{"seccompProfile": map[string]any{"type": "Unconfined"}}
			pod := parse(t, defaultPod)
			if err := unstructured.SetNestedSlice(pod.Object, containers, "spec", "containers"); err != nil {
				t.Fatal(err)
			}
			a := shared.send(t, cluster.Request{Object: pod, Namespace: namespace, DryRun: true})
			if a.Message != tc.want {
				t.Errorf("the answer is %q, want %q", a.Message, tc.want)
			}
		})
	}
}

// TestRow28Resize: the webhook is not asked about a resize, which carries a whole pod. The
// API server takes nothing from it but resources.
func TestRow28Resize(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-28", map[string]string{enforceLabel: "baseline"})
	before := shared.create(t, namespace, strings.Replace(defaultPod, "image: app", "image: app, resources: {requests: {cpu: 50m}}", 1))
	if !before.Allowed() {
		t.Fatal(before.Message)
	}
	a := shared.send(t, cluster.Request{
		Object: before.Object, Namespace: namespace, Subresource: "resize",
		Patch: parse(t, `
metadata: {labels: {seccompgate.io/profile: web}, annotations: {run.oci.seccomp_bpf_data: AAAA}}
spec:
  runtimeClassName: gvisor
  securityContext: {seccompProfile: {type: Unconfined}}
  volumes: [{name: host, hostPath: {path: /var/lib/kubelet}}]
  containers: [{name: app, image: other, resources: {requests: {cpu: 100m}}, securityContext: {privileged: true, seccompProfile: {type: Unconfined}}}]
`),
	})
	if !a.Allowed() {
		t.Fatal(a.Message)
	}
	got, want := a.Object.DeepCopy(), before.Object.DeepCopy()
	for _, o := range []*unstructured.Unstructured{got, want} {
		for _, field := range []string{"resourceVersion", "generation", "managedFields"} {
			unstructured.RemoveNestedField(o.Object, "metadata", field)
		}
		delete(o.Object, "status")
		for _, c := range o.Object["spec"].(map[string]any)["containers"].([]any) {
			delete(c.(map[string]any), "resources")
		}
	}
	if d := cmp.Diff(want.Object, got.Object); d != "" {
		t.Errorf("a resize changes more than resources (-before +after):\n%s", d)
	}
}

// TestRow40Encodings: however a pod is written and by whatever verb it is made, it is
// judged.
func TestRow40Encodings(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-40", map[string]string{enforceLabel: "baseline"})
	config := rest.CopyConfig(shared.Config)
	config.ContentType = runtime.ContentTypeProtobuf
	protobuf, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, body string) error {
		return shared.Client.CoreV1().RESTClient().Post().AbsPath(path).
			SetHeader("Content-Type", runtime.ContentTypeYAML).Body([]byte(body)).Do(t.Context()).Error()
	}
	pods := "/api/v1/namespaces/" + namespace + "/pods"
	for _, tc := range []struct {
		name string
		send func() error
	}{
		{"Protobuf", func() error {
			_, err := tryPod(t, protobuf, namespace, unconfinedPod)
			return err
		}},
		{"YAML", func() error { return post(pods, unconfinedPod) }},
		{"a key twice", func() error {
			return post(pods, strings.Replace(unconfinedPod, "spec: {", "spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, ", 1))
		}},
		{"server-side apply", func() error {
			_, err := shared.Client.CoreV1().Pods(namespace).Patch(t.Context(), "app", types.ApplyPatchType, []byte(unconfinedPod), metav1.PatchOptions{FieldManager: "e2e"})
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantRefused(t, tc.name, tc.send(), unconfinedDenial)
		})
	}
}

// TestRow41Deletion: a pod that is older than the rules can be deleted, alone and with
// others.
func TestRow41Deletion(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-41", nil)
	for _, name := range []string{"app", "one", "two"} {
		pod := parse(t, unconfinedPod)
		pod.SetName(name)
		if a := shared.send(t, cluster.Request{Object: pod, Namespace: namespace}); !a.Allowed() {
			t.Fatal(a.Message)
		}
	}
	shared.label(t, namespace, map[string]string{enforceLabel: "strict"})
	api, now := shared.Client.CoreV1().Pods(namespace), int64(0)
	if err := api.Delete(t.Context(), "app", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Error(err)
	}
	if err := api.DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	left, err := api.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("%d pods are left, %v", len(left.Items), err)
	}
}

// TestRow62ServerSideApply is the loop of a GitOps controller: after the pods were
// injected, what it applied is still what is there.
func TestRow62ServerSideApply(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "row-62", map[string]string{enforceLabel: "restricted", profileLabel: "web"})
	const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, seccompgate.io/profile: web}}, spec: {containers: [{name: app, image: app}]}}}}`
	apply := []string{"apply", "--server-side", "--field-manager=gitops", "-n", namespace, "-f", "-"}
	shared.mustKubectl(t, deployment, apply...)
	shared.eventually(t, "a pod has its profile", func() (bool, string) {
		pods, err := shared.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(pods.Items) == 1 && pods.Items[0].Spec.SecurityContext.SeccompProfile != nil, fmt.Sprintf("there are %d pods", len(pods.Items))
	})
	for range 3 {
		r := shared.kubectl(t, deployment, "diff", "--server-side", "--field-manager=gitops", "-n", namespace, "-f", "-")
		if r.Code != 0 || r.Stdout != "" {
			t.Fatalf("diff: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		shared.mustKubectl(t, deployment, apply...)
	}
	got, err := shared.Client.AppsV1().Deployments(namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Generation != 1 {
		t.Errorf("generation %d, want 1: the template was changed", got.Generation)
	}
}

// TestRow86TenantsHaveNoRules: who may do all in a namespace may not write rules or
// profiles, which hold for the cluster.
func TestRow86TenantsHaveNoRules(t *testing.T) {
	namespace := shared.namespace(t, "row-86", nil)
	owner := tenants(t, namespace)["owner"]
	for _, resource := range []string{"seccomppolicies", "localhostprofiles", "profilesets", "seccompnodes"} {
		for _, verb := range []string{"create", "update", "patch", "delete"} {
			review, err := owner.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Group: "seccompgate.io", Resource: resource, Verb: verb,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed {
				t.Errorf("the owner of a namespace may %s %s", verb, resource)
			}
		}
	}
	_, err := owner.CoreV1().RESTClient().Post().AbsPath("/apis/seccompgate.io/v1alpha1/namespaces/" + namespace + "/seccomppolicies").
		Body([]byte(`{"apiVersion":"seccompgate.io/v1alpha1","kind":"SeccompPolicy","metadata":{"name":"mine"}}`)).Do(t.Context()).Raw()
	if err == nil || !strings.Contains(err.Error(), "could not find the requested resource") {
		t.Errorf("a SeccompPolicy in a namespace: %v", err)
	}
}
