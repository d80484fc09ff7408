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

// window is over what the worst rate is taken: a busy machine has some goroutines wait for
// a second and then work all at once.
const window = 10

// seconds counts what happens in each second.
type seconds struct {
	mu     sync.Mutex
	start  time.Time
	counts []int
}

func (s *seconds) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := int(time.Since(s.start).Seconds())
	for len(s.counts) <= at {
		s.counts = append(s.counts, 0)
	}
	s.counts[at]++
}

// total is all, and worst the most in a second on average over a window.
func (s *seconds) total() (total int, worst float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range s.counts {
		total += n
		sum, length := 0, min(window, len(s.counts))
		for _, n := range s.counts[max(0, i+1-length) : i+1] {
			sum += n
		}
		worst = max(worst, float64(sum)/float64(length))
	}
	return total, worst
}

// BenchmarkWrites has all nodes of a cluster report for the first time, and then all change
// at once. It says how many objects were written in a second, on average and in the worst
// ten seconds.
func BenchmarkWrites(b *testing.B) {
	if *rateKubeconfig == "" {
		b.Skip("TestAgentWrites in e2e runs this, with an API server; for another name it with -args -kubeconfig=FILE")
	}
	client, err := Connect(func(string) string { return *rateKubeconfig }, "seccomp-agent-benchmark")
	if err != nil {
		b.Fatal(err)
	}
	uids := makeNodes(b, client, *rateNodes)
	var writes atomic.Pointer[seconds]
	var failures atomic.Int64
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	publishers := make([]*Publisher, len(uids))
	for i, uid := range uids {
		p := NewPublisher(client, nodeName(i), func() { writes.Load().add() }, func() { failures.Add(1) }, logr.Discard())
		p.SetOwner(nodeName(i), uid)
		publishers[i] = p
		running.Go(func() { p.Run(ctx) })
	}
	for _, phase := range []string{"first", "change"} {
		s := &seconds{start: time.Now()}
		writes.Store(s)
		for _, p := range publishers {
			p.SetFacts(factsOf(phase))
		}
		total, worst := 0, 0.0
		for total <= len(uids) { // a SeccompNode each, and one ProfileSet
			time.Sleep(time.Second)
			if time.Since(s.start) > 10*time.Minute {
				b.Fatalf("%s: %d writes after ten minutes, %d failures", phase, total, failures.Load())
			}
			total, worst = s.total()
		}
		b.ReportMetric(float64(total)/time.Since(s.start).Seconds(), phase+"-writes/s")
		b.ReportMetric(worst, phase+"-worst-writes/s")
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
