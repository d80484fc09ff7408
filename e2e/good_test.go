// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// shape is a pod of testdata/good.yaml, before it has a profile.
type shape struct {
	Name     string         `json:"name"`
	Level    string         `json:"level"`
	Warning  string         `json:"warning"`
	Metadata map[string]any `json:"metadata"`
	Spec     map[string]any `json:"spec"`
}

// way is one in which a pod can have its profile, as good as a level asks for.
type way struct {
	name, level string
	// fields that the API forbids to Windows pods.
	fields bool
	apply  func(pod map[string]any)
}

var (
	runtimeDefault = map[string]any{"type": "RuntimeDefault"}
	everywhere     = map[string]any{"type": "Localhost", "localhostProfile": "profiles/everywhere.json"}
)

var ways = []way{
	{"nothing", "baseline", false, func(map[string]any) {}},
	{"the pod's field", "restricted", true, podField(runtimeDefault)},
	{"each container's field", "restricted", true, containerFields(runtimeDefault)},
	{"the pod's label", "restricted", false, set("runtime-default", "metadata", "labels", profileLabel)},
	{"each container's label", "restricted", false, containerLabels("runtime-default")},
	{"a file in the pod's field", "strict", true, podField(everywhere)},
	{"a file in each container's field", "strict", true, containerFields(everywhere)},
	{"a file over the default", "strict", true, both(podField(runtimeDefault), containerFields(everywhere))},
	{"a file in the annotation", "strict", false, set("profiles/everywhere.json", "metadata", "annotations", "seccompgate.io/localhost-profile")},
	{"a file of one zone", "strict", true, both(
		podField(map[string]any{"type": "Localhost", "localhostProfile": "profiles/app.json"}),
		set("a", "spec", "nodeSelector", "topology.kubernetes.io/zone"),
	)},
	{"a profile by the pod's label", "strict", false, set("web", "metadata", "labels", profileLabel)},
	{"a profile by each container's label", "strict", false, containerLabels("web")},
	{"a profile by a label beside its field", "strict", true, both(
		podField(map[string]any{"type": "Localhost", "localhostProfile": "seccompgate/web.cc14aa6ba10f.json"}),
		set("web", "metadata", "labels", profileLabel),
	)},
}

// TestGoodPods makes every shape of pod with every way to have a profile, at the strictest
// level that both are good at: none is denied, and none is warned about but where it says so.
func TestGoodPods(t *testing.T) {
	useNodes(t)
	namespaces := map[string]string{}
	for _, level := range []string{"baseline", "restricted", "strict"} {
		namespaces[level] = goodNamespace(t, "good-"+level, level)
	}
	made, denied, levels := 0, 0, map[string]int{}
	for _, s := range shapes(t) {
		for _, w := range ways {
			if w.fields && s.windows() {
				continue
			}
			level := min(s.Level, w.level) // the alphabet has them in order
			if s.windows() {
				level = "strict"
			}
			pod := s.pod(w)
			a := shared.send(t, cluster.Request{Object: pod, Namespace: namespaces[level]})
			made++
			levels[level]++
			if !a.Allowed() {
				denied++
			}
			var warnings []string
			if s.Warning != "" {
				warnings = []string{s.Warning}
			}
			if !a.Allowed() || !slices.Equal(a.Warnings, warnings) {
				t.Errorf("%s with %s at %s answers %q and warns %q, want %q", s.Name, w.name, level, a.Message, a.Warnings, warnings)
				continue
			}
			if places := len(cluster.Profiles(a.Object)); (places > 0) != (w.name != "nothing" && !s.windows()) {
				t.Errorf("%s with %s at %s has %d profiles", s.Name, w.name, level, places)
			}
		}
	}
	if made < 200 {
		t.Errorf("%d pods, want 200 at least", made)
	}
	t.Logf("%d pods, %d denied: %v", made, denied, levels)
	t.Run("debug containers", func(t *testing.T) { debugGood(t, namespaces) })
	t.Run("workloads", workloadsGood)
}

// debugGood adds a debug container to every pod that takes one.
func debugGood(t *testing.T, namespaces map[string]string) {
	for level, profile := range map[string]map[string]any{"restricted": runtimeDefault, "strict": everywhere} {
		pods, err := shared.Client.CoreV1().Pods(namespaces[level]).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pods.Items {
			if p.Spec.OS != nil && p.Spec.OS.Name == "windows" {
				continue
			}
			pod := parse(t, plainPod)
			pod.SetName(p.Name)
			a := shared.send(t, cluster.Request{
				Object: pod, Namespace: namespaces[level], Subresource: "ephemeralcontainers", DryRun: true,
				Patch: map[string]any{"spec": map[string]any{"ephemeralContainers": []any{
					map[string]any{"name": "debug", "image": "busybox", "securityContext": map[string]any{"seccompProfile": profile}},
				}}},
			})
			if !a.Allowed() || len(a.Warnings) > 0 {
				t.Errorf("a debug container of %s at %s answers %q and warns %q", p.Name, level, a.Message, a.Warnings)
			}
		}
	}
}

// workloadsGood has the real controllers make pods.
func workloadsGood(t *testing.T) {
	for level, label := range map[string]string{"baseline": "runtime-default", "restricted": "runtime-default", "strict": "web"} {
		template := func(more string) string {
			return fmt.Sprintf(`template: {metadata: {labels: {app: web, seccompgate.io/profile: %s}}, spec: {%s containers: [{name: app, image: app}]}}`, label, more)
		}
		const selector = `selector: {matchLabels: {app: web}}, `
		job := template("restartPolicy: Never,")
		for _, w := range []struct{ kind, apiVersion, spec string }{
			{"Deployment", "apps/v1", "replicas: 2, " + selector + template("")},
			{"ReplicaSet", "apps/v1", selector + template("")},
			{"StatefulSet", "apps/v1", "serviceName: web, " + selector + template("")},
			// Nobody says that the nodes are ready.
			{"DaemonSet", "apps/v1", selector + template("tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists}],")},
			{"ReplicationController", "v1", "selector: {app: web}, " + template("")},
			{"Job", "batch/v1", job},
			{"CronJob", "batch/v1", "schedule: '0 0 1 1 *', jobTemplate: {spec: {" + job + "}}"},
		} {
			t.Run(w.kind+" at "+level, func(t *testing.T) {
				namespace := goodNamespace(t, "good-"+strings.ToLower(w.kind)+"-"+level, level)
				a := shared.create(t, namespace, fmt.Sprintf(`{apiVersion: %s, kind: %s, metadata: {name: web}, spec: {%s}}`, w.apiVersion, w.kind, w.spec))
				if !a.Allowed() || len(a.Warnings) > 0 {
					t.Errorf("it answers %q and warns %q", a.Message, a.Warnings)
				}
				if w.kind == "CronJob" {
					shared.mustKubectl(t, "", "create", "job", "now", "--from=cronjob/web", "-n", namespace)
				}
				wantPods(t, namespace)
			})
		}
	}
}

// wantPods waits for the pods of a controller, or what it says in their place.
func wantPods(t *testing.T, namespace string) {
	t.Helper()
	shared.eventually(t, "there are pods", func() (bool, string) {
		pods, err := shared.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		events, err := shared.Client.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			t.Errorf("%s: %s", e.InvolvedObject.Kind, e.Message)
		}
		return len(pods.Items) > 0 || len(events.Items) > 0, "there is none"
	})
}

// goodNamespace is one with a level to enforce and to warn about, once it does.
func goodNamespace(t *testing.T, name, level string) string {
	t.Helper()
	shared.namespace(t, name, map[string]string{enforceLabel: level, warnLabel: level})
	shared.eventually(t, "the level is in force", func() (bool, string) {
		return !shared.try(t, name, unconfinedPod).Allowed(), "an Unconfined pod is admitted"
	})
	return name
}

func shapes(t *testing.T) []shape {
	t.Helper()
	text, err := os.ReadFile("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []shape
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if list[i].Level == "" {
			list[i].Level = "strict"
		}
	}
	return list
}

func (s shape) windows() bool {
	name, _, _ := unstructured.NestedString(s.Spec, "os", "name")
	return name == "windows"
}

// pod is the shape with a profile; its name is drawn by the API server.
func (s shape) pod(w way) *unstructured.Unstructured {
	pod := (&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"generateName": s.Name + "-"}, "spec": s.Spec,
	}}).DeepCopy()
	for key, value := range s.Metadata {
		set(value, "metadata", key)(pod.Object)
	}
	w.apply(pod.Object)
	return pod
}

// set writes a value, and the objects around it that are not there.
func set(value any, path ...string) func(map[string]any) {
	return func(object map[string]any) {
		if err := unstructured.SetNestedField(object, runtime.DeepCopyJSONValue(value), path...); err != nil {
			panic(err)
		}
	}
}

func both(a, b func(map[string]any)) func(map[string]any) {
	return func(pod map[string]any) { a(pod); b(pod) }
}

func podField(profile map[string]any) func(map[string]any) {
	return set(profile, "spec", "securityContext", "seccompProfile")
}

func containerFields(profile map[string]any) func(map[string]any) {
	return eachContainer(func(_, container map[string]any) { set(profile, "securityContext", "seccompProfile")(container) })
}

func containerLabels(profile string) func(map[string]any) {
	return eachContainer(func(pod, container map[string]any) {
		set(profile, "metadata", "labels", "profile.seccompgate.io/"+container["name"].(string))(pod)
	})
}

func eachContainer(do func(pod, container map[string]any)) func(map[string]any) {
	return func(pod map[string]any) {
		for _, list := range []string{"initContainers", "containers"} {
			containers, _ := pod["spec"].(map[string]any)[list].([]any)
			for _, c := range containers {
				do(pod, c.(map[string]any))
			}
		}
	}
}
