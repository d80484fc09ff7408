// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// makeNode makes a Linux node with labels, and no report of an agent.
func makeNode(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	all := map[string]string{"kubernetes.io/os": "linux", "kubernetes.io/hostname": name}
	maps.Copy(all, labels)
	shared.mustKubectl(t, toJSON(t, map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": name, "labels": all}}), "create", "-f", "-")
}

// report says for an agent which files its node has, by path, with their digests.
func report(t *testing.T, node string, files map[string]string) {
	t.Helper()
	list := []map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		list = append(list, map[string]any{
			"path": path, "digest": files[path], "valid": true, "managed": true,
			"analysis": map[string]any{"defaultAction": "SCMP_ACT_ERRNO"},
		})
	}
	shared.mustKubectl(t, toJSON(t, map[string]any{
		"apiVersion": "seccompgate.io/v1alpha1", "kind": "SeccompNode", "metadata": map[string]any{"name": node},
		"facts": map[string]any{"seccompRoot": "/var/lib/kubelet/seccomp", "profiles": list},
	}), "apply", "-f", "-")
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// profileObject is the part of a LocalhostProfile that these tests look at.
type profileObject struct {
	Metadata struct {
		Generation int64 `json:"generation"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int64  `json:"observedGeneration"`
		Digest             string `json:"digest"`
		Served             string `json:"served"`
		Nodes              struct {
			Desired   int       `json:"desired"`
			Installed int       `json:"installed"`
			Failed    []failure `json:"failed"`
		} `json:"nodes"`
		Conditions []struct {
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

type failure struct {
	Node   string `json:"node"`
	Reason string `json:"reason"`
}

func getProfile(t *testing.T, name string) (l profileObject) {
	t.Helper()
	if err := json.Unmarshal([]byte(shared.mustKubectl(t, "", "get", "localhostprofile", name, "-o", "json")), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// content is one content of a LocalhostProfile.
type content struct{ digest, path string }

// applyProfile makes or changes a LocalhostProfile that allows the syscalls, and waits until
// the controller has seen it.
func applyProfile(t *testing.T, name, syscalls string, nodeSelector map[string]string) content {
	t.Helper()
	profile := fmt.Sprintf(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":[%s],"action":"SCMP_ACT_ALLOW"}]}`, syscalls)
	shared.mustKubectl(t, toJSON(t, map[string]any{
		"apiVersion": "seccompgate.io/v1alpha1", "kind": "LocalhostProfile", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"nodeSelector": nodeSelector, "profile": json.RawMessage(profile)},
	}), "apply", "-f", "-")
	var digest string
	shared.eventually(t, "the controller has seen "+name, func() (bool, string) {
		l := getProfile(t, name)
		digest = l.Status.Digest
		return l.Status.ObservedGeneration == l.Metadata.Generation, fmt.Sprintf("%+v", l)
	})
	return content{digest, "seccompgate/" + name + "." + digest[len("sha256:"):][:12] + ".json"}
}

// standing is what a person looks at in a status.
type standing struct {
	Digest, Served     string
	Desired, Installed int
	Failed             []failure
	Ready              string
}

// eventuallyStands waits for the status of a LocalhostProfile.
func eventuallyStands(t *testing.T, name string, want standing) {
	t.Helper()
	shared.eventually(t, "the status of "+name+" is as it has to be", func() (bool, string) {
		l := getProfile(t, name)
		got := standing{
			Digest: l.Status.Digest, Served: l.Status.Served,
			Desired: l.Status.Nodes.Desired, Installed: l.Status.Nodes.Installed, Failed: l.Status.Nodes.Failed,
		}
		for _, c := range l.Status.Conditions {
			got.Ready = fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
		}
		diff := cmp.Diff(want, got)
		return diff == "", "(-want +got):\n" + diff
	})
}

// TestProfileStatus rolls a profile out, and then an update of it, half and whole: what
// injection writes is always on every node.
func TestProfileStatus(t *testing.T) {
	clearNodes(t)
	const plain = "seccompgate/app.json"
	namespace := shared.namespace(t, "rollout", map[string]string{enforceLabel: "baseline"})
	pod := `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: app, image: app}]}}`
	injected := func(want string) {
		t.Helper()
		shared.eventually(t, "pods get "+want, func() (bool, string) {
			a := shared.try(t, namespace, pod)
			if !a.Allowed() {
				return false, a.Message
			}
			spec, _ := a.Object.Object["spec"].(map[string]any)
			got := fmt.Sprint(spec["securityContext"])
			return strings.Contains(got, "localhostProfile:"+want+" "), got
		})
	}
	makeNode(t, "n1", nil)
	makeNode(t, "n2", nil)
	makeNode(t, "other", map[string]string{"pool": "other"})
	a := applyProfile(t, "app", `"read"`, nil)
	eventuallyStands(t, "app", standing{Digest: a.digest, Desired: 3, Ready: "Unknown NodesUnknown: installed on 0 of 3 nodes; 3 unknown: n1, n2, other"})

	both := func(c content) map[string]string { return map[string]string{plain: c.digest, c.path: c.digest} }
	report(t, "n2", nil)
	report(t, "n1", both(a))
	report(t, "other", both(a))
	lacks := []failure{{Node: "n2", Reason: plain + " does not exist"}}
	eventuallyStands(t, "app", standing{
		Digest: a.digest, Desired: 3, Installed: 2, Failed: lacks,
		Ready: "False RollingOut: installed on 2 of 3 nodes; lacking on 1, node n2: " + plain + " does not exist",
	})
	report(t, "n2", both(a))
	eventuallyStands(t, "app", standing{Digest: a.digest, Served: a.path, Desired: 3, Installed: 3, Ready: "True Installed: installed on 3 of 3 nodes"})
	injected(a.path)

	// The update has reached one node of three: the file of the content before it is still
	// everywhere.
	b := applyProfile(t, "app", `"read", "write"`, nil)
	updated := both(b)
	updated[a.path] = a.digest
	report(t, "n1", updated)
	earlier := plain + " still has an earlier content, " + a.digest
	eventuallyStands(t, "app", standing{
		Digest: b.digest, Served: a.path, Desired: 3, Installed: 1,
		Failed: []failure{{Node: "n2", Reason: earlier}, {Node: "other", Reason: earlier}},
		Ready:  "False RollingOut: installed on 1 of 3 nodes; lacking on 2, node n2: " + earlier,
	})
	injected(a.path)
	report(t, "n2", updated)
	report(t, "other", both(b))
	eventuallyStands(t, "app", standing{Digest: b.digest, Served: b.path, Desired: 3, Installed: 3, Ready: "True Installed: installed on 3 of 3 nodes"})
	injected(b.path)

	// A person changes a file by hand.
	updated[plain] = a.digest
	delete(updated, a.path)
	report(t, "n2", updated)
	drifted := fmt.Sprintf("%s has the content %s, which is not that of the LocalhostProfile, %s", plain, a.digest, b.digest)
	eventuallyStands(t, "app", standing{
		Digest: b.digest, Served: b.path, Desired: 3, Installed: 2, Failed: []failure{{Node: "n2", Reason: drifted}},
		Ready: "False NodesFailed: installed on 2 of 3 nodes; lacking on 1, node n2: " + drifted,
	})
	// The selector leaves that node out.
	applyProfile(t, "app", `"read", "write"`, map[string]string{"pool": "other"})
	eventuallyStands(t, "app", standing{Digest: b.digest, Served: b.path, Desired: 1, Installed: 1, Ready: "True Installed: installed on 1 of 1 node"})

	if r := shared.kubectl(t, "", "delete", "localhostprofile", "app"); !strings.Contains(r.Stderr, `LocalhostProfile "app" is deleted at once; pods that run keep its file`) {
		t.Errorf("deleting says %q", r.Stderr)
	}
}
