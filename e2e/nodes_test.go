// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// configure changes a configuration file of the installed manifests for the rest of the
// test, and has the program that reads it start anew.
func configure(t *testing.T, configMap string, change func(text string) string, restart func(context.Context) error) {
	t.Helper()
	api := shared.Client.CoreV1().ConfigMaps(ownNamespace)
	write := func(ctx context.Context, change func(string) string) {
		config, err := api.Get(ctx, configMap, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		config.Data["config.yaml"] = change(config.Data["config.yaml"])
		if _, err := api.Update(ctx, config, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var before string
	t.Cleanup(func() { write(context.Background(), func(string) string { return before }) })
	write(t.Context(), func(text string) string { before = text; return change(text) })
}

func restartController(ctx context.Context) error {
	return errors.Join(shared.StopControllers(), shared.StartControllers(ctx, ownNamespace, "seccomp-webhook"))
}

func restartWebhook(ctx context.Context) error {
	_, err := shared.webhook.Replace(ctx)
	return err
}

// makeSet makes the ProfileSet of one file and returns its name.
func makeSet(t *testing.T, path string) string {
	t.Helper()
	sum := sha256.Sum256(fmt.Appendf(nil, "[{\"path\":%q,\"valid\":false}]\n", path))
	name := hex.EncodeToString(sum[:])[:32]
	shared.mustKubectl(t, fmt.Sprintf(`{apiVersion: seccompgate.io/v1alpha1, kind: ProfileSet, metadata: {name: %q}, profiles: [{path: %q, valid: false}]}`, name, path), "create", "-f", "-")
	return name
}

// TestProfileSetsAreCollected: what no node refers to goes, once it is old enough.
func TestProfileSetsAreCollected(t *testing.T) {
	clearNodes(t)
	configure(t, "seccomp-controller", func(text string) string { return "profileSetAge: 10s\n" + text }, restartController)
	makeNode(t, "n1", nil)
	used, idle := makeSet(t, "used.json"), makeSet(t, "idle.json")
	made := time.Now()
	shared.mustKubectl(t, fmt.Sprintf(`{apiVersion: seccompgate.io/v1alpha1, kind: SeccompNode, metadata: {name: n1}, facts: {profileSet: %q}}`, used), "create", "-f", "-")
	sets := func() string { return shared.mustKubectl(t, "", "get", "profilesets", "-o", "name") }
	shared.eventually(t, "the set without a reference is gone", func() (bool, string) {
		got := sets()
		return !strings.Contains(got, idle), got
	})
	if age := time.Since(made); age < 10*time.Second {
		t.Errorf("it went after %s", age)
	}
	late := makeSet(t, "late.json")
	if got := sets(); !strings.Contains(got, used) || !strings.Contains(got, late) {
		t.Errorf("the sets are %s; want %s, which is used, and %s, which is new", got, used, late)
	}
}

// TestStartupTaint: a node takes pods once it has its profiles, and says what it waits for
// when that takes long.
func TestStartupTaint(t *testing.T) {
	clearNodes(t)
	app := applyProfile(t, "app", `"read"`, nil)
	applyProfile(t, "elsewhere", `"read"`, map[string]string{"pool": "other"})
	const node = `{apiVersion: v1, kind: Node, metadata: {name: %s, labels: {kubernetes.io/os: linux}}, spec: {taints: [{key: a, effect: NoSchedule}, {key: seccompgate.io/not-ready, effect: NoSchedule}, {key: z, value: "1", effect: NoExecute}]}}`
	shared.mustKubectl(t, fmt.Sprintf(node, "silent"), "create", "-f", "-")
	shared.mustKubectl(t, fmt.Sprintf(node, "good"), "create", "-f", "-")
	taints := func(name string) string {
		return shared.mustKubectl(t, "", "get", "node", name, "-o", "jsonpath={.spec.taints[*].key}")
	}
	report(t, "good", map[string]string{"seccompgate/app.json": app.digest})
	report(t, "good", map[string]string{"seccompgate/app.json": app.digest, app.path: app.digest})
	shared.eventually(t, "node good takes pods", func() (bool, string) {
		got := taints("good")
		return !strings.Contains(got, "seccompgate.io/not-ready"), got
	})
	if got := strings.Fields(taints("good")); !slices.Contains(got, "a") || !slices.Contains(got, "z") {
		t.Errorf("the taints of others are %q, want a and z", got)
	}

	const why = "the node has not reported its profiles; see whether seccomp-agent runs on it"
	deadline := time.Now().Add(30*time.Second + patience)
	for {
		node, err := shared.Client.CoreV1().Nodes().Get(t.Context(), "silent", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		said := false
		for _, c := range node.Status.Conditions {
			said = said || c.Type == "SeccompProfilesReady" && c.Status == corev1.ConditionFalse && c.Message == why
		}
		if said {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the conditions of node silent are %+v", node.Status.Conditions)
		}
		time.Sleep(time.Second)
	}
	shared.eventually(t, "there is an event", func() (bool, string) {
		got := shared.mustKubectl(t, "", "events", "-n", "default", "--for", "node/silent")
		return strings.Contains(got, "ProfilesNotVerified") && strings.Contains(got, why), got
	})
	if got := taints("silent"); !strings.Contains(got, "seccompgate.io/not-ready") {
		t.Errorf("the taints of node silent are %q", got)
	}
}

// TestSteering: a pod goes to the nodes that its profile is for, where it would be refused
// otherwise.
func TestSteering(t *testing.T) {
	clearNodes(t)
	makeNode(t, "with", map[string]string{"disk": "ssd"})
	makeNode(t, "without", nil)
	app := applyProfile(t, "app", `"read"`, map[string]string{"disk": "ssd"})
	report(t, "with", map[string]string{"seccompgate/app.json": app.digest, app.path: app.digest})
	report(t, "without", nil)
	eventuallyStands(t, "app", standing{Digest: app.digest, Served: app.path, Desired: 1, Installed: 1, Ready: "True Installed: installed on 1 of 1 node"})
	namespace := shared.namespace(t, "steering", map[string]string{enforceLabel: "baseline"})
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {seccompgate.io/profile: app}}, spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: Exists}]}]}}}, containers: [{name: app, image: app}]}}`
	refused := fmt.Sprintf(`admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [profile-missing] container "app": profile %q is missing on 1 of the 2 nodes that the pod may use (without)`, app.path)
	shared.eventuallySays(t, namespace, pod, refused)

	configure(t, "seccomp-webhook", func(text string) string { return text + "\nsteerPods: true\n" }, restartWebhook)
	a := shared.try(t, namespace, pod)
	if !a.Allowed() {
		t.Fatalf("a pod that could be steered gets %q", a.Message)
	}
	terms, _, err := unstructured.NestedSlice(a.Object.Object, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	if err != nil {
		t.Fatal(err)
	}
	want := []any{map[string]any{"matchExpressions": []any{
		map[string]any{"key": "disk", "operator": "In", "values": []any{"ssd"}},
		map[string]any{"key": "kubernetes.io/os", "operator": "Exists"},
	}}}
	if d := cmp.Diff(want, terms); d != "" {
		t.Errorf("terms (-want +got):\n%s", d)
	}
}

// seccompctl runs the program against the cluster.
func seccompctl(t *testing.T, args ...string) cluster.Result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(shared.ProductPath(), "seccompctl"), args...)
	cmd.Env = append(os.Environ(), shared.KubectlEnv()...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cluster.Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

// TestNodesOfCluster is what a person sees of the nodes and of a pod on one of them.
func TestNodesOfCluster(t *testing.T) {
	clearNodes(t)
	makeNode(t, "n1", nil)
	makeNode(t, "n2", nil)
	makeNode(t, "n3", nil)
	app := applyProfile(t, "app", `"read"`, nil)
	installed := map[string]string{"seccompgate/app.json": app.digest, app.path: app.digest}
	report(t, "n1", installed)
	report(t, "n2", installed)
	report(t, "n3", nil)
	r := seccompctl(t, "nodes")
	const want = `PROFILE  n1 +1    n3
app      present  missing

n1 +1: n1, n2

n3: app is missing: seccompgate/app.json does not exist

1 profile on 3 nodes: 1 not as it should be
`
	if d := cmp.Diff(want, r.Stdout); d != "" || r.Code != 1 || r.Stderr != "" {
		t.Errorf("exit %d, stderr %q, stdout (-want +got):\n%s", r.Code, r.Stderr, d)
	}
	report(t, "n3", installed)
	if r := seccompctl(t, "nodes", "-o", "json"); r.Code != 0 || !json.Valid([]byte(r.Stdout)) {
		t.Errorf("exit %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	eventuallyStands(t, "app", standing{Digest: app.digest, Served: app.path, Desired: 3, Installed: 3, Ready: "True Installed: installed on 3 of 3 nodes"})

	namespace := shared.namespace(t, "why", map[string]string{enforceLabel: "baseline"})
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {seccompgate.io/profile: app}}, spec: {nodeName: n1, containers: [{name: app, image: app}, {name: side, image: app, securityContext: {privileged: true}}]}}`
	shared.eventually(t, "a pod gets the content that all have", func() (bool, string) {
		a := shared.try(t, namespace, pod)
		return a.Allowed() && strings.Contains(fmt.Sprint(a.Object.Object["spec"]), app.path), a.Message
	})
	if a := shared.create(t, namespace, pod); !a.Allowed() {
		t.Fatal(a.Message)
	}
	r = seccompctl(t, "why", "pod/app", "-n", namespace)
	explained := fmt.Sprintf(`pod why/app on node n1

app (container): Localhost %s
  decided by   pod label metadata.labels[seccompgate.io/profile]
  on the node  present, %s

side (container): Unconfined
  decided by   privileged spec.containers[1].securityContext.privileged
`, app.path, app.digest)
	if d := cmp.Diff(explained, r.Stdout); d != "" || r.Code != 0 || r.Stderr != "" {
		t.Errorf("exit %d, stderr %q, stdout (-want +got):\n%s", r.Code, r.Stderr, d)
	}
	if r := seccompctl(t, "why", "pod/none", "-n", namespace); r.Code != 2 || r.Stderr != "seccompctl: read pod why/none: it does not exist; correct the name or the namespace\n" {
		t.Errorf("a pod that is not there: exit %d, %q", r.Code, r.Stderr)
	}
}
