// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestRow62InjectionChangesNothingElse compares a pod that was injected with the same pod in a
// namespace that we have no part in.
func TestRow62InjectionChangesNothingElse(t *testing.T) {
	useNodes(t)
	const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: app
  labels: {seccompgate.io/profile: web, profile.seccompgate.io/helper: api, profile.seccompgate.io/setup: runtime-default}
  annotations: {"a/b.c": "text with \"quotes\", < and \u2028"}
spec:
  securityContext: {runAsUser: 1000, sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}]}
  initContainers: [{name: setup, image: app}]
  containers:
  - {name: app, image: app, resources: {limits: {cpu: 1500m, memory: 1Gi}}, env: [{name: EMPTY}, {name: A, value: b}]}
  - {name: helper, image: app, securityContext: {capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}}
`
	var got [2]map[string]any
	for i, labels := range []map[string]string{nil, {enforceLabel: "restricted"}} {
		namespace := shared.namespace(t, []string{"alone", "injected"}[i], labels)
		a := shared.try(t, namespace, pod)
		if !a.Allowed() {
			t.Fatalf("namespace %s answers %q", namespace, a.Message)
		}
		got[i] = a.Object.Object
		for _, field := range []string{"uid", "creationTimestamp", "managedFields", "namespace"} {
			unstructured.RemoveNestedField(got[i], "metadata", field)
		}
		// The volume of the service account's token has a random name.
		removeToken(got[i])
	}
	take := func(holder map[string]any) any {
		context, _ := holder["securityContext"].(map[string]any)
		profile := context["seccompProfile"]
		delete(context, "seccompProfile")
		if len(context) == 0 {
			delete(holder, "securityContext")
		}
		return profile
	}
	spec, _ := got[1]["spec"].(map[string]any)
	profiles := map[string]any{"pod": take(spec)}
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			name, _ := container["name"].(string)
			profiles[name] = take(container)
		}
	}
	want := map[string]any{
		"pod":    map[string]any{"type": "Localhost", "localhostProfile": "seccompgate/web.cc14aa6ba10f.json"},
		"setup":  map[string]any{"type": "RuntimeDefault"},
		"app":    nil,
		"helper": map[string]any{"type": "Localhost", "localhostProfile": "seccompgate/api.json"},
	}
	if d := cmp.Diff(want, profiles); d != "" {
		t.Errorf("profiles (-want +got):\n%s", d)
	}
	if d := cmp.Diff(got[0], got[1]); d != "" {
		t.Errorf("all else (-without us +with us):\n%s", d)
	}
}

// removeToken takes out what the API server adds under a name that it draws.
func removeToken(pod map[string]any) {
	spec, _ := pod["spec"].(map[string]any)
	delete(spec, "volumes")
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			delete(container, "volumeMounts")
		}
	}
}
