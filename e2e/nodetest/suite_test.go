// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// patience is how long anything that is watched for may take, on two busy cores.
const patience = time.Minute

// probePod makes a directory, says what the kernel answered, and stays.
func probePod(name, profile string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {terminationGracePeriodSeconds: 1, securityContext: {seccompProfile: %s}, containers: [{name: probe, image: %q}]}}`,
		name, profile, cluster.ProbeImage)
}

// writeProfile puts a file where the kubelet looks for profiles, as an administrator would.
func writeProfile(t *testing.T, name, content string) {
	t.Helper()
	if err := shared.Node.WriteFile("var/lib/kubelet/seccomp/profiles/"+name, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

// makeNamespace makes a namespace that takes pods, and deletes it in the end.
func makeNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	made, err := shared.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deleteNamespace(t, made.Name) })
	if err := shared.WaitForServiceAccount(t.Context(), made.Name, "default"); err != nil {
		t.Fatal(err)
	}
	return made.Name
}

func deleteNamespace(t *testing.T, name string) {
	t.Helper()
	// The test's own context is over.
	if err := shared.Client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// kubectl runs a kubectl that has to succeed.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := shared.MustKubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func apply(t *testing.T, namespace, object string) {
	t.Helper()
	kubectl(t, object, "--namespace="+namespace, "apply", "-f", "-")
}

func logs(t *testing.T, namespace, pod string) string {
	t.Helper()
	return kubectl(t, "", "--namespace="+namespace, "logs", pod)
}

func waitRunning(t *testing.T, namespace, pod string) {
	t.Helper()
	eventually(t, "pod "+pod+" is ready", func() (bool, string) {
		p := getPod(t, namespace, pod)
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return true, ""
			}
		}
		return false, state(p)
	})
}

func getPod(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	p, err := shared.Client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// state is what the kubelet says of a pod's containers, or of what they wait for.
func state(p *corev1.Pod) string {
	out := []string{string(p.Status.Phase)}
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			out = append(out, c.Name, w.Reason, w.Message)
		}
		if e := c.LastTerminationState.Terminated; e != nil {
			out = append(out, e.Reason, e.Message)
		}
	}
	return strings.Join(out, " ")
}

// eventually waits until done says so; what it says otherwise is the test's failure.
func eventually(t *testing.T, what string, done func() (ok bool, state string)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is not so that %s: %s", patience, what, state)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
