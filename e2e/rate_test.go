// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// agentNodes is small by default: the full size takes minutes.
var agentNodes = flag.Int("agent-nodes", 200, "`NUMBER` of nodes whose agents write at once")

// TestAgentWrites: when all nodes of a cluster change at once, their agents write no more
// than a hundred objects a second. Agents without files run in one process; all that they
// do is publish.
func TestAgentWrites(t *testing.T) {
	clearNodes(t)
	t.Cleanup(func() { deleteNodes(t) })
	cmd := exec.CommandContext(t.Context(), "go", "test", "./inventory/agent", "-run", "^$", "-bench", "^BenchmarkWrites$", "-benchtime", "1x", "-timeout", "30m",
		"-args", "-kubeconfig="+shared.Kubeconfig, "-nodes="+strconv.Itoa(*agentNodes))
	cmd.Dir = shared.root
	cmd.Env = os.Environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("run the benchmark: %v\n%s", err, out)
	}
	for _, phase := range []string{"first", "change"} {
		worst := regexp.MustCompile(`([0-9.]+) ` + phase + `-worst-writes/s`).FindSubmatch(out)
		if worst == nil {
			t.Fatalf("the benchmark says nothing of %s:\n%s", phase, out)
		}
		n, err := strconv.ParseFloat(string(worst[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d nodes, %s: %v writes a second in the worst ten", *agentNodes, phase, n)
		if n > 100 {
			t.Errorf("%s: %v writes a second, want 100 at most", phase, n)
		}
	}
	t.Logf("%s", out)
}

// deleteNodes deletes all nodes and what they reported; kubectl would take minutes.
func deleteNodes(t *testing.T) {
	t.Helper()
	ctx := context.Background() // the test's own is over
	client := newAgent(t, shared.Config)
	for _, collection := range []interface {
		DeleteCollection(ctx context.Context, options metav1.DeleteOptions, which metav1.ListOptions) error
	}{shared.Client.CoreV1().Nodes(), client.nodes, client.sets} {
		if err := collection.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Errorf("delete nodes: %v", err)
		}
	}
}
