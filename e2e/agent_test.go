// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// machine is a node whose file system is a directory.
type machine struct {
	name string
	// root is its "/", seccomp the kubelet's directory of profiles in there.
	root, seccomp string
	agent         *cluster.Pod
}

// newMachine makes the only node that there is, and runs the agent on it as the shipped
// DaemonSet has it, until the test ends.
func newMachine(t *testing.T, name string) *machine {
	t.Helper()
	clearNodes(t)
	m := &machine{name: name, root: t.TempDir()}
	m.seccomp = filepath.Join(m.root, "var", "lib", "kubelet", "seccomp")
	if err := os.MkdirAll(m.seccomp, 0o755); err != nil {
		t.Fatal(err)
	}
	m.write(t, "var/lib/kubelet/config.yaml", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nseccompDefault: true\n")
	m.write(t, "proc/sys/kernel/seccomp/actions_avail", "kill_process errno allow\n")
	_, err := shared.Client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{corev1.LabelOSStable: "linux", corev1.LabelHostname: name, "pool": "a"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m.agent, err = shared.StartDaemon(t.Context(), ownNamespace, agentAccount, name, m.root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(m.agent.Log) // the failure is the test's
			t.Logf("log of the agent:\n%s", log)
		}
		if err := m.agent.Delete(context.Background()); err != nil {
			t.Error(err)
		}
		// The test's own context is over.
		if _, err := shared.MustKubectl(context.Background(), "", "delete", "nodes,seccompnodes,profilesets,localhostprofiles", "--all"); err != nil {
			t.Error(err)
		}
	})
	if err := m.agent.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.agent.SetReady(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) write(t *testing.T, file, content string) {
	t.Helper()
	file = filepath.Join(m.root, file)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// reported are the facts of the machine, with the files of its ProfileSet in place of its
// name; nil if there are none.
func (m *machine) reported(t *testing.T) map[string]any {
	t.Helper()
	client := newAgent(t, shared.Config)
	n, err := client.nodes.Get(t.Context(), m.name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	facts := n.Object["facts"].(map[string]any)
	if name, _ := facts["profileSet"].(string); name != "" {
		set, err := client.sets.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		facts["profiles"] = set.Object["profiles"]
		delete(facts, "profileSet")
	}
	return facts
}

// paths are those of the files that the machine reports.
func (m *machine) paths(t *testing.T) []string {
	t.Helper()
	var paths []string
	profiles, _ := m.reported(t)["profiles"].([]any)
	for _, p := range profiles {
		paths = append(paths, p.(map[string]any)["path"].(string))
	}
	return paths
}

const logProfile = `{apiVersion: seccompgate.io/v1alpha1, kind: LocalhostProfile, metadata: {name: app}, spec: {profile: {defaultAction: SCMP_ACT_LOG}}}`

func podNaming(path string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: %q}}, containers: [{name: app, image: app}]}}`, path)
}

// TestAgent goes the whole way: a node reports what it has; a pod that names a profile that
// it lacks is denied; the profile is created, and the pod admitted, without a restart of
// anything.
func TestAgent(t *testing.T) {
	m := newMachine(t, "m1")
	shared.namespace(t, "agent-e2e", nil)
	shared.label(t, "agent-e2e", map[string]string{enforceLabel: "baseline"})

	if facts := m.reported(t); facts == nil || facts["seccompDefault"] != true || facts["seccompRoot"] != "/var/lib/kubelet/seccomp" {
		t.Fatalf("the node reports %v", facts)
	}
	pod := podNaming("seccompgate/app.json")
	shared.eventually(t, "a pod is denied that names what the node lacks", func() (bool, string) {
		a := shared.try(t, "agent-e2e", pod)
		return !a.Allowed(), "it is admitted"
	})

	start := time.Now()
	shared.mustKubectl(t, logProfile, "apply", "-f", "-")
	shared.eventually(t, "the pod is admitted", func() (bool, string) {
		a := shared.try(t, "agent-e2e", pod)
		return a.Allowed(), a.Message
	})
	t.Logf("admitted %s after the profile was created", time.Since(start).Round(10*time.Millisecond))
	if d := cmp.Diff([]string{"seccompgate/app.7fe6ec65d2a6.json", "seccompgate/app.json"}, m.paths(t)); d != "" {
		t.Errorf("reported files (-want +got):\n%s", d)
	}
}
