// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

var (
	rateKubeconfig = flag.String("kubeconfig", "", "`FILE` of an API server that BenchmarkWrites may fill with nodes")
	rateNodes      = flag.Int("nodes", 200, "`NUMBER` of nodes of BenchmarkWrites")
)

// BenchmarkWrites has all nodes of a cluster report for the first time, and then all change
// at once. It says how many objects were written in a second on average and in the worst
// one. An end-to-end test runs it.
func BenchmarkWrites(b *testing.B) {
	if *rateKubeconfig == "" {
		b.Fatal("there is no API server; name one with -args -kubeconfig=FILE")
	}
	client, err := Connect(func(string) string { return *rateKubeconfig }, "seccomp-agent-benchmark")
	if err != nil {
		b.Fatal(err)
	}
	uids := makeNodes(b, client, *rateNodes)
	var writes, failures atomic.Int64
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	publishers := make([]*Publisher, len(uids))
	for i, uid := range uids {
		p := NewPublisher(client, nodeName(i), func() { writes.Add(1) }, func() { failures.Add(1) }, logr.Discard())
		p.SetOwner(nodeName(i), uid)
		publishers[i] = p
		running.Go(func() { p.Run(ctx) })
	}
	for _, phase := range []string{"first", "change"} {
		before := writes.Load()
		start := time.Now()
		for _, p := range publishers {
			p.SetFacts(factsOf(phase))
		}
		worst := int64(0)
		for last := before; ; {
			time.Sleep(time.Second)
			now := writes.Load()
			worst, last = max(worst, now-last), now
			if now-before > int64(len(uids)) { // a SeccompNode each, and one ProfileSet
				break
			}
			if time.Since(start) > 10*time.Minute {
				b.Fatalf("%s: %d writes after ten minutes, %d failures", phase, now-before, failures.Load())
			}
		}
		b.ReportMetric(float64(writes.Load()-before)/time.Since(start).Seconds(), phase+"-writes/s")
		b.ReportMetric(float64(worst), phase+"-worst-writes/s")
	}
	time.Sleep(2 * time.Second)
	if extra := writes.Load() - 2*int64(len(uids)+1); extra > 0 {
		b.Logf("%d writes more than there were changes", extra) // several nodes may make one set
	}
	b.ReportMetric(float64(failures.Load()), "failures")
}

func nodeName(i int) string { return "rate-" + strconv.Itoa(i) }

// factsOf are those of a node with two hundred files.
func factsOf(phase string) *v1alpha1.NodeFacts {
	facts := &v1alpha1.NodeFacts{SeccompRoot: "/var/lib/kubelet/seccomp"}
	for i := range 200 {
		facts.Profiles = append(facts.Profiles, v1alpha1.ProfileFile{Path: fmt.Sprintf("%s/%03d.json", phase, i), Valid: false, Reason: "a benchmark's"})
	}
	return facts
}

// makeNodes makes Node objects and returns their UIDs.
func makeNodes(b *testing.B, client *Client, n int) []string {
	b.Helper()
	uids := make([]string, n)
	var group sync.WaitGroup
	next := make(chan int)
	for range 16 {
		group.Go(func() {
			for i := range next {
				object := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: nodeName(i)}}
				var made metav1.PartialObjectMetadata
				if err := client.do(b.Context(), request{method: http.MethodPost, path: nodesPath, body: object}, &made); err != nil {
					b.Errorf("create Node: %v", err)
				}
				uids[i] = string(made.UID)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	return uids
}
