// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	scheduling "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

const (
	largeNodes    = 15_000
	largeProfiles = 200
	// askedPath is one that most nodes of the large cluster have.
	askedPath = "profiles/app-042.json"
)

// large is the largest cluster that is promised to work.
var large = sync.OnceValue(func() Objects {
	var o Objects
	sets := make([]*v1alpha1.ProfileSet, 5)
	for i := range sets {
		var files []v1alpha1.ProfileFile
		for p := range largeProfiles {
			if i == 4 && p%10 == 2 {
				continue // those lack some, the asked one among them
			}
			content := p
			if i == 3 && p%20 == 0 {
				content += 1000 // and those have other contents
			}
			files = append(files, analysed(fmt.Sprintf("profiles/app-%03d.json", p), fmt.Sprintf("%012x", content), v1alpha1.ProfileAnalysis{
				DefaultAction: "SCMP_ACT_ERRNO", Architectures: []v1alpha1.Arch{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"}, Dangerous: []string{"bpf", "mount"},
			}))
		}
		sets[i] = setOf(files...)
		sets[i].UID, sets[i].ResourceVersion = types.UID(sets[i].Name), "1"
	}
	o.ProfileSets = sets
	for i := range largeNodes {
		name := fmt.Sprintf("ip-10-%d-%d-%d.compute.internal", i/65536, i/256%256, i%256)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"kubernetes.io/hostname":                name,
			"kubernetes.io/os":                      "linux",
			"kubernetes.io/arch":                    "amd64",
			"topology.kubernetes.io/region":         "region-1",
			"topology.kubernetes.io/zone":           "region-1" + string('a'+rune(i%3)),
			"node.kubernetes.io/instance-type":      fmt.Sprintf("m%d.large", i%20),
			"example.com/pool":                      fmt.Sprintf("pool-%02d", i%50),
			"example.com/cpu":                       strconv.Itoa(2 << (i % 6)),
			"example.com/rack":                      fmt.Sprintf("rack-%04d", i/30),
			"example.com/generation":                strconv.Itoa(i % 4),
			"example.com/spot":                      strconv.FormatBool(i%5 == 0),
			"failure-domain.beta.kubernetes.io/foo": "",
		}}}
		n.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}
		if i%50 == 7 {
			n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: fmt.Sprintf("team-%d", i%8), Effect: corev1.TaintEffectNoSchedule}}
		}
		if i%1000 == 3 {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoExecute})
		}
		o.Nodes = append(o.Nodes, n)
		set := 0
		if i%20 == 0 {
			set = 1 + i/20%4
		}
		if i%500 != 499 { // those have no facts yet
			sn := refersTo(name, sets[set].Name)
			sn.Facts.SeccompRoot = "/var/lib/kubelet/seccomp"
			sn.Facts.Runtimes = []v1alpha1.Runtime{{Name: "containerd", Version: "2.1.4", LowLevel: "runc", LowLevelVersion: "1.3.0"}}
			o.SeccompNodes = append(o.SeccompNodes, sn)
		}
	}
	for i := range 20 {
		o.LocalhostProfiles = append(o.LocalhostProfiles, localhost(fmt.Sprintf("managed-%d", i), "SCMP_ACT_ERRNO"))
	}
	return o
})

var largeIndex = sync.OnceValue(func() *Index { return NewIndex(large()) })

// retained is what f leaves in memory, in bytes.
func retained(f func() any) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := f()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	if after.HeapAlloc < before.HeapAlloc {
		return 0
	}
	return after.HeapAlloc - before.HeapAlloc
}

// TestIndexIsSmall holds the memory of the large cluster's index, without the objects.
func TestIndexIsSmall(t *testing.T) {
	o := large()
	const limit = 8 << 20
	got := retained(func() any { return NewIndex(o) })
	runtime.KeepAlive(o)
	t.Logf("%d nodes x %d profiles: %.1f MiB", len(o.Nodes), largeProfiles, float64(got)/(1<<20))
	if got > limit || got < 100<<10 {
		t.Errorf("the index keeps %d bytes, want at most %d", got, limit)
	}
}

// pods that are asked for, by what they make of the index.
func benchPods() []struct {
	name string
	Placement
} {
	every := []corev1.Toleration{
		{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"},
		{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute"},
	}
	return []struct {
		name string
		Placement
	}{
		{"plain", Placement{Tolerations: every}},
		{"nodeSelector", Placement{Tolerations: every, NodeSelector: map[string]string{"example.com/pool": "pool-07", "kubernetes.io/os": "linux"}}},
		{"affinity", Placement{Tolerations: every, Affinity: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: "topology.kubernetes.io/zone", Operator: "In", Values: []string{"region-1a", "region-1b"}},
				{Key: "example.com/cpu", Operator: "Gt", Values: []string{"4"}},
				{Key: "example.com/spot", Operator: "NotIn", Values: []string{"true"}},
			}},
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "node.kubernetes.io/instance-type", Operator: "In", Values: []string{"m1.large", "m2.large"}}}},
		}}}},
		{"tolerating", Placement{Tolerations: append([]corev1.Toleration{{Key: "dedicated", Operator: "Equal", Value: "team-1", Effect: "NoSchedule"}}, every...)}},
		{"bound", Placement{Tolerations: every, NodeName: "ip-10-0-7-8.compute.internal"}},
	}
}

// ask is what a request asks for one path.
func ask(x *Index, p *Placement, path string) ProfileFacts {
	set := x.Eligible(p)
	x.Summary(set)
	facts := x.Profile(set, path, p)
	set.Release()
	return facts
}

func BenchmarkNewIndex(b *testing.B) {
	o := large()
	b.ReportAllocs()
	for b.Loop() {
		NewIndex(o)
	}
	b.ReportMetric(float64(retained(func() any { return NewIndex(o) }))/(1<<20), "MiB-kept")
	runtime.KeepAlive(o)
}

func BenchmarkNext(b *testing.B) {
	o, x := large(), largeIndex()
	b.ReportAllocs()
	for b.Loop() {
		x.Next(o)
	}
}

// BenchmarkLookup asks for eligible nodes and one profile, and gives the time that the
// scheduler's code takes for the same.
func BenchmarkLookup(b *testing.B) {
	x, o := largeIndex(), large()
	has := make(map[string]bool)
	for _, n := range o.SeccompNodes {
		has[n.Name] = true
	}
	for _, set := range o.ProfileSets {
		files := make(map[string]bool)
		for _, f := range set.Profiles {
			files[f.Path] = true
		}
		for _, n := range o.SeccompNodes {
			if n.Facts.ProfileSet == set.Name {
				has[n.Name] = files[askedPath]
			}
		}
	}
	for _, pod := range benchPods() {
		b.Run(pod.name, func(b *testing.B) {
			b.ReportAllocs()
			var facts ProfileFacts
			for b.Loop() {
				facts = ask(x, &pod.Placement, askedPath)
			}
			perOp := float64(b.Elapsed().Nanoseconds()) / float64(b.N)

			const loops = 5
			start, eligible, have := time.Now(), 0, 0
			for range loops {
				eligible, have = loop(o.Nodes, has, &pod.Placement)
			}
			scheduler := float64(time.Since(start).Nanoseconds()) / loops
			if eligible != facts.Nodes.Eligible || have != facts.Nodes.Have {
				b.Fatalf("%d of %d nodes have the file; the scheduler's code says %d of %d", facts.Nodes.Have, facts.Nodes.Eligible, have, eligible)
			}
			b.ReportMetric(scheduler, "scheduler-ns/op")
			b.ReportMetric(scheduler/perOp, "times-faster")
		})
	}
}

// loop does it node by node, as the scheduler does.
func loop(nodes []*corev1.Node, has map[string]bool, p *Placement) (eligible, have int) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeSelector: p.NodeSelector}}
	if p.Affinity != nil {
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: p.Affinity}}
	}
	required := nodeaffinity.GetRequiredNodeAffinity(pod)
	hard := func(t *corev1.Taint) bool {
		return isHard(t) && (p.NodeName == "" || t.Effect == corev1.TaintEffectNoExecute)
	}
	for _, n := range nodes {
		if p.NodeName != "" && n.Name != p.NodeName {
			continue
		}
		if match, _ := required.Match(n); !match {
			continue
		}
		if _, untolerated := scheduling.FindMatchingUntoleratedTaint(logr.Discard(), n.Spec.Taints, p.Tolerations, hard, true); untolerated {
			continue
		}
		eligible++
		if has[n.Name] {
			have++
		}
	}
	return eligible, have
}
