// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// noMkdir allows all but the making of directories.
const noMkdir = `{defaultAction: SCMP_ACT_ALLOW, syscalls: [{names: [mkdir, mkdirat], action: SCMP_ACT_ERRNO}]}`

// A pod that names a profile which the node lacks is denied, and admitted as soon as the
// profile is there, which takes no restart of anything. The kernel enforces it then.
func TestProvisioned(t *testing.T) {
	namespace := makeNamespace(t, map[string]string{"seccompgate.io/enforce": "baseline"})
	pod := probePod("probe", "{type: Localhost, localhostProfile: seccompgate/provisioned.json}")
	before := ownPods(t)

	r, err := shared.Kubectl(t.Context(), pod, "--namespace="+namespace, "create", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`denied the request: seccompgate baseline: [profile-missing] container "probe": profile "seccompgate/provisioned.json" is missing on 1 of the 1 nodes that the pod may use (%s)`, shared.Node.Name)
	if !strings.Contains(r.Stderr, want) {
		t.Fatalf("a pod that names a missing profile: exit %d: %s\nwant %s", r.Code, r.Stderr, want)
	}

	provision(t, "provisioned", noMkdir)
	start := time.Now()
	eventually(t, "the pod is admitted", func() (bool, string) {
		r, err := shared.Kubectl(t.Context(), pod, "--namespace="+namespace, "create", "-f", "-")
		if err != nil {
			t.Fatal(err)
		}
		return r.Code == 0, r.Stderr
	})
	t.Logf("admitted %s after the profile was applied", time.Since(start).Round(100*time.Millisecond))
	waitRunning(t, namespace, "probe")
	if got, want := logs(t, namespace, "probe"), "mkdir: operation not permitted\n"; got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
	if d := cmp.Diff(before, ownPods(t)); d != "" {
		t.Errorf("restarts of seccompgate's pods (-before +after):\n%s", d)
	}
}

// What somebody does to a file of ours is put right, and told with both digests.
func TestDrift(t *testing.T) {
	provision(t, "drifting", noMkdir)
	path := filepath.Join(shared.Node.Root, "var/lib/kubelet/seccomp/seccompgate/drifting.json")
	var want string
	eventually(t, "the profile is on the node", func() (bool, string) {
		content, err := os.ReadFile(path)
		want = string(content)
		return err == nil, fmt.Sprint(err)
	})
	tests := map[string]func() error{
		"changed":     func() error { return os.WriteFile(path, []byte(`{"defaultAction":"SCMP_ACT_ALLOW"}`), 0o644) },
		"removed":     func() error { return os.Remove(path) },
		"unreadable":  func() error { return os.Chmod(path, 0o000) },
		"a directory": func() error { _ = os.Remove(path); return os.Mkdir(path, 0o755) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			eventually(t, "the file is repaired", func() (bool, string) {
				content, err := os.ReadFile(path)
				info, statErr := os.Stat(path)
				return err == nil && statErr == nil && string(content) == want && info.Mode().Perm() != 0, fmt.Sprintf("%v %q", err, content)
			})
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("repaired after %s, want 5 s at most", took)
			}
		})
	}
	eventually(t, "an event tells of the drift", func() (bool, string) {
		events, err := shared.Client.EventsV1().Events("").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=ProfileDrifted"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if strings.Count(e.Note, "sha256:") == 2 {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d events, none with two digests", len(events.Items))
	})
}

// provision makes a LocalhostProfile, and deletes it in the end.
func provision(t *testing.T, name, profile string) {
	t.Helper()
	kubectl(t, fmt.Sprintf("{apiVersion: seccompgate.io/v1alpha1, kind: LocalhostProfile, metadata: {name: %s}, spec: {profile: %s}}", name, profile),
		"apply", "-f", "-")
	t.Cleanup(func() {
		if _, err := shared.MustKubectl(context.Background(), "", "delete", "localhostprofile", name); err != nil { // the test's own context is over
			t.Error(err)
		}
	})
}

// ownPods are seccompgate's with their restarts.
func ownPods(t *testing.T) map[string]int32 {
	t.Helper()
	pods, err := shared.Client.CoreV1().Pods("seccompgate").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	restarts := map[string]int32{}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			restarts[p.Name] += c.RestartCount
		}
	}
	return restarts
}
