// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"
)

// memoryNodes are few: making nodes takes most of the time.
var memoryNodes = flag.Int("memory-nodes", 1500, "nodes that TestReplicaMemory makes, each with 200 profiles")

// memoryLimit in KiB is what a replica may ever have had, with up to 5,000 nodes.
const memoryLimit = 150 << 10

// TestReplicaMemory says what a replica of the webhook takes that starts in a big cluster.
func TestReplicaMemory(t *testing.T) {
	const pools, profiles = 10, 200
	clearNodes(t)
	t.Cleanup(func() { deleteNodes(t) })
	namespace := shared.namespace(t, "memory", map[string]string{enforceLabel: "baseline"})
	var sets [pools]string
	for pool := range sets {
		type file struct {
			Path   string `json:"path"`
			Digest string `json:"digest"`
			Size   int64  `json:"size"`
			Valid  bool   `json:"valid"`
		}
		files := make([]file, profiles)
		for i := range files {
			files[i] = file{fmt.Sprintf("profiles/pool-%d-%03d.json", pool, i), fmt.Sprintf("sha256:%064x", pool*profiles+i), 1000, true}
		}
		text, err := json.Marshal(files)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(append(text, '\n'))
		sets[pool] = hex.EncodeToString(sum[:])[:32]
		makeObject(t, fmt.Sprintf(`{"apiVersion": "seccompgate.io/v1alpha1", "kind": "ProfileSet", "metadata": {"name": %q}, "profiles": %s}`, sets[pool], text))
	}
	var making sync.WaitGroup
	next := make(chan int)
	for range 16 {
		making.Go(func() {
			for i := range next {
				makeObject(t, fmt.Sprintf(`{apiVersion: v1, kind: Node, metadata: {name: m%[1]d, labels: {kubernetes.io/os: linux, kubernetes.io/arch: amd64, kubernetes.io/hostname: m%[1]d, pool: p%[2]d}}}`, i, i%pools))
				makeObject(t, fmt.Sprintf(`{apiVersion: seccompgate.io/v1alpha1, kind: SeccompNode, metadata: {name: m%d}, facts: {seccompRoot: /var/lib/kubelet/seccomp, profileSet: %q}}`, i, sets[i%pools]))
			}
		})
	}
	for i := range *memoryNodes {
		next <- i
	}
	close(next)
	making.Wait()
	if t.Failed() {
		return
	}

	begun := time.Now()
	replica, err := shared.webhook.Replace(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ready := time.Since(begun)
	pod := `{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {nodeSelector: {pool: p3}, securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/pool-3-007.json}}, containers: [{name: app, image: app}]}}`
	if a := shared.try(t, namespace, pod); !a.Allowed() || len(a.Warnings) > 0 {
		t.Errorf("the nodes of the pool have the profile, and a pod that names it gets %q, warnings %q", a.Message, a.Warnings)
	}
	peak, err := replica.Peak()
	if err != nil {
		t.Fatal(err)
	}
	rest, err := replica.Resident()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d nodes: a replica is ready after %s; it takes %d MiB, and took %d at most", *memoryNodes, ready.Round(time.Millisecond), rest>>10, peak>>10)
	if *memoryNodes <= 5000 && peak > memoryLimit {
		t.Errorf("a replica took %d KiB, want %d at most", peak, memoryLimit)
	}
}

func makeObject(t *testing.T, text string) {
	t.Helper()
	if _, err := shared.Create(t.Context(), parse(t, text)); err != nil {
		t.Error(err)
	}
}
