// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	scheduling "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"pgregory.net/rapid"
)

var seedFlag = flag.Uint64("seed", 0, "repeat the random clusters and pods of an earlier run")

// seed is that of this run.
func seed() uint64 {
	return cmp.Or(*seedFlag, uint64(time.Now().UnixNano()))
}

// namesIn are the nodes of the set.
func namesIn(x *Index, set NodeSet) []string {
	names := []string{}
	if set.bits == nil {
		return names
	}
	for id, ok := set.bits.NextSet(0); ok; id, ok = set.bits.NextSet(id + 1) {
		names = append(names, x.names[id])
	}
	return names
}

// TestEligibleEqualsScheduler compares with the scheduler's own code on random
// clusters and pods. What differs on purpose is taken out of what the oracle is
// given: taints that flap are taken off its nodes, and it is asked about the nodes of
// the pod's operating system only.
func TestEligibleEqualsScheduler(t *testing.T) {
	const clusters, podsPerCluster = 80, 300
	seed := seed()
	var pods, some, none, all, bound, nodes int
	for c := range uint64(clusters) {
		r := random{rand.New(rand.NewPCG(seed, c))}
		cluster := r.cluster()
		nodes += len(cluster)
		x := NewIndex(Objects{Nodes: cluster})
		calm := withoutFlapping(cluster)
		for range podsPerCluster {
			p := r.placement(cluster)
			set := x.Eligible(&p)
			got := namesIn(x, set)
			if set.Len() != len(got) {
				t.Fatalf("-seed=%d: Len is %d, the set has %d: %s", seed, set.Len(), len(got), show(p))
			}
			set.Release()
			want := schedulable(calm, &p)
			for _, n := range cluster {
				if slices.Contains(want, n.Name) != slices.Contains(got, n.Name) {
					t.Fatalf("-seed=%d: scheduler says %t:\npod %s\nnode %s, labels %v, taints %s", seed, slices.Contains(want, n.Name), show(p), n.Name, n.Labels, show(n.Spec.Taints))
				}
			}
			if !slices.Equal(want, got) {
				t.Fatalf("-seed=%d: Eligible has %d nodes, the scheduler %d: %s", seed, len(got), len(want), show(p))
			}
			pods++
			switch {
			case len(got) == 0:
				none++
			case len(got) == len(cluster):
				all++
			default:
				some++
			}
			if p.NodeName != "" && len(got) > 0 {
				bound++
			}
		}
	}
	t.Logf("%d pods on %d clusters of %d nodes: %d (%d %%) may run on some nodes, %d on none, %d on all; %d were admitted by the node that they name",
		pods, clusters, nodes/clusters, some, 100*some/pods, none, all, bound)
	if pods < 20_000 || some*100 < pods*30 || all == 0 || bound*200 < pods {
		t.Errorf("-seed=%d: the pods do not tell right from wrong", seed)
	}
}

// schedulable is the answer of the scheduler, or that of the kubelet of the node that
// the pod names.
func schedulable(nodes []*corev1.Node, p *Placement) []string {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeSelector: p.NodeSelector}}
	if p.Affinity != nil {
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: p.Affinity}}
	}
	required := nodeaffinity.GetRequiredNodeAffinity(pod)
	keepsAway := func(taint *corev1.Taint) bool {
		return taint.Effect == corev1.TaintEffectNoSchedule && p.NodeName == "" || taint.Effect == corev1.TaintEffectNoExecute
	}
	names := []string{}
	for _, n := range nodes {
		if p.NodeName != "" && n.Name != p.NodeName {
			continue
		}
		system := cmp.Or(n.Status.NodeInfo.OperatingSystem, n.Labels[corev1.LabelOSStable])
		if (system == "windows") != (p.OS == "windows") {
			continue
		}
		// An error means that a term could not be parsed: it matches nothing.
		if match, _ := required.Match(n); !match {
			continue
		}
		if _, untolerated := scheduling.FindMatchingUntoleratedTaint(logr.Discard(), n.Spec.Taints, p.Tolerations, keepsAway, true); untolerated {
			continue
		}
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return names
}

// withoutFlapping is the cluster as the oracle sees it.
func withoutFlapping(nodes []*corev1.Node) []*corev1.Node {
	calm := make([]*corev1.Node, len(nodes))
	for i, n := range nodes {
		calm[i] = n.DeepCopy()
		calm[i].Spec.Taints = nil
		for _, taint := range n.Spec.Taints {
			if !strings.HasPrefix(taint.Key, "node.kubernetes.io/") {
				calm[i].Spec.Taints = append(calm[i].Spec.Taints, taint)
			}
		}
	}
	return calm
}

func show(v any) string { return fmt.Sprintf("%+v", v) }

// random draws clusters and pods.
type random struct{ *rand.Rand }

func (r random) chance(percent int) bool { return r.IntN(100) < percent }

func pick[T any](r random, from ...T) T { return from[r.IntN(len(from))] }

var (
	longValue = strings.Repeat("x", 64)
	// labelValues of the nodes, by key.
	labelValues = map[string][]string{
		"zone":               {"a", "b", "c"},
		"pool":               {"general", "gpu", "batch", "A", "0"},
		"cpu":                {"2", "4", "8", "16", "007", "9223372036854775807", "9223372036854775808", "4.5", "many", ""},
		"example.com/gpu":    {"", "true", "false"},
		corev1.LabelOSStable: {"linux", "windows", "plan9"},
	}
	labelKeys = []string{"zone", "pool", "cpu", "example.com/gpu", corev1.LabelOSStable, corev1.LabelHostname}
	taintKeys = []string{"dedicated", "gpu", "level", "node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable", "node-role.kubernetes.io/control-plane"}
	taintVals = []string{"", "a", "b", "5", "05", "-3", "x"}
)

func (r random) cluster() []*corev1.Node {
	// Sizes about those of a word of 64 nodes, and large enough for sparse sets.
	size := pick(r, 0, 1, 2, 7, 20, 40, 63, 64, 65, 130, 200)
	nodes := make([]*corev1.Node, size)
	tainted := pick(r, 0, 15, 50)
	for i := range nodes {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + strconv.Itoa(i), Labels: map[string]string{}}}
		for _, key := range labelKeys[:4] {
			if r.chance(80) {
				n.Labels[key] = pick(r, labelValues[key]...)
			}
		}
		if r.chance(90) {
			n.Labels[corev1.LabelHostname] = n.Name
		}
		if r.chance(10) {
			n.Labels[corev1.LabelOSStable] = pick(r, labelValues[corev1.LabelOSStable]...)
		}
		if r.chance(50) {
			n.Status.NodeInfo.OperatingSystem = pick(r, "linux", "linux", "linux", "windows")
		}
		for r.chance(tainted) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{
				Key: pick(r, taintKeys...), Value: pick(r, taintVals...),
				Effect: pick(r, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule),
			})
		}
		n.Spec.Unschedulable = r.chance(5)
		nodes[i] = n
	}
	r.Shuffle(size, func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes
}

func (r random) placement(nodes []*corev1.Node) Placement {
	var p Placement
	if r.chance(8) {
		p.NodeName = r.nodeName(nodes)
	}
	if r.chance(5) {
		p.OS = "windows"
	} else if r.chance(20) {
		p.OS = "linux"
	}
	if r.chance(35) {
		p.NodeSelector = map[string]string{}
		for range 1 + r.IntN(2) {
			key := pick(r, labelKeys...)
			p.NodeSelector[key] = r.value(key, nodes)
		}
	}
	if r.chance(50) {
		p.Affinity = &corev1.NodeSelector{}
		for range r.IntN(10) % 4 {
			p.Affinity.NodeSelectorTerms = append(p.Affinity.NodeSelectorTerms, r.term(nodes))
		}
	}
	for r.chance(45) {
		p.Tolerations = append(p.Tolerations, r.toleration())
	}
	return p
}

func (r random) nodeName(nodes []*corev1.Node) string {
	if len(nodes) == 0 || r.chance(5) {
		return pick(r, "node-x", "", "node")
	}
	return pick(r, nodes...).Name
}

// value is one that nodes have under the key, mostly, or one that no node can have.
func (r random) value(key string, nodes []*corev1.Node) string {
	switch {
	case r.chance(4):
		return pick(r, "absent", "-5", "not a value", longValue, "ä", ".x")
	case key == corev1.LabelHostname:
		return r.nodeName(nodes)
	case labelValues[key] == nil:
		return "x"
	default:
		return pick(r, labelValues[key]...)
	}
}

func (r random) term(nodes []*corev1.Node) corev1.NodeSelectorTerm {
	var term corev1.NodeSelectorTerm
	for range r.IntN(4) {
		term.MatchExpressions = append(term.MatchExpressions, r.expression(nodes))
	}
	if r.chance(15) {
		for range 1 + r.IntN(2) {
			term.MatchFields = append(term.MatchFields, r.field(nodes))
		}
	}
	return term
}

func (r random) expression(nodes []*corev1.Node) corev1.NodeSelectorRequirement {
	e := corev1.NodeSelectorRequirement{Key: pick(r, labelKeys...)}
	if r.chance(4) {
		e.Key = pick(r, "absent", "", "not a key", "/zone", "example.com/", "a/b/c", "Example.com/gpu", "-.com/x", longValue, "ä")
	}
	e.Operator = pick(r, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists,
		corev1.NodeSelectorOpDoesNotExist, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt)
	count := 0
	switch e.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		count = 1 + r.IntN(3)
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if r.chance(80) {
			e.Key = "cpu"
		}
		count = 1
	}
	if r.chance(3) { // as no API server would let pass
		e.Operator = pick(r, "", "in", "Equals", e.Operator)
		count = r.IntN(3)
	}
	for range count {
		value := r.value(e.Key, nodes)
		if (e.Operator == corev1.NodeSelectorOpGt || e.Operator == corev1.NodeSelectorOpLt) && r.chance(90) {
			value = pick(r, "0", "2", "3", "8", "08", "16", "9223372036854775807")
		}
		e.Values = append(e.Values, value)
	}
	return e
}

func (r random) field(nodes []*corev1.Node) corev1.NodeSelectorRequirement {
	f := corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: pick(r, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn)}
	count := 1
	switch {
	case r.chance(5):
		f.Operator = pick(r, corev1.NodeSelectorOpExists, corev1.NodeSelectorOpGt, "")
	case r.chance(5):
		count = pick(r, 0, 2)
	case r.chance(10):
		f.Key = pick(r, "metadata.namespace", "spec.unschedulable", "")
	}
	for range count {
		f.Values = append(f.Values, pick(r, r.nodeName(nodes), r.nodeName(nodes), ""))
	}
	return f
}

func (r random) toleration() corev1.Toleration {
	return corev1.Toleration{
		Key:      pick(r, append([]string{"", "absent"}, taintKeys...)...),
		Operator: pick(r, "", corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt, "Like"),
		Value:    pick(r, append([]string{"4", "10"}, taintVals...)...),
		Effect:   pick(r, "", "", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule),
	}
}

// TestEligible is the behaviour in words: what the scheduler's code decides by itself,
// and what is ours.
func TestEligible(t *testing.T) {
	node := func(name, labels string, taints ...string) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
		for pair := range strings.FieldsSeq(labels) {
			key, value, _ := strings.Cut(pair, "=")
			n.Labels[key] = value
		}
		for _, taint := range taints {
			key, effect, _ := strings.Cut(taint, ":")
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect)})
		}
		return n
	}
	cordoned := node("cordoned", "pool=a", "node.kubernetes.io/unschedulable:NoSchedule")
	cordoned.Spec.Unschedulable = true
	reports := node("reports-windows", "kubernetes.io/os=linux")
	reports.Status.NodeInfo.OperatingSystem = "windows"
	x := NewIndex(Objects{Nodes: []*corev1.Node{
		node("a-1", "pool=a cpu=4"),
		node("a-2", "pool=a cpu=16"),
		node("b-1", "pool=b cpu=8"),
		node("control", "pool=b", "node-role.kubernetes.io/control-plane:NoSchedule"),
		node("draining", "pool=a", "maintenance:NoExecute"),
		node("flapping", "pool=a", "node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/memory-pressure:NoSchedule"),
		node("reluctant", "pool=b", "rather-not:PreferNoSchedule"),
		node("win", "kubernetes.io/os=windows"),
		cordoned, reports,
	}})
	in := func(key string, op corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}}
	}
	affinity := func(terms ...corev1.NodeSelectorTerm) *corev1.NodeSelector {
		return &corev1.NodeSelector{NodeSelectorTerms: terms}
	}
	named := corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"b-1"}}}}
	for _, tc := range []struct {
		name string
		pod  Placement
		want string
	}{
		{"a plain pod runs on every Linux node without a lasting taint", Placement{}, "a-1 a-2 b-1 cordoned flapping reluctant"},
		{"linux is the same as no operating system", Placement{OS: "linux"}, "a-1 a-2 b-1 cordoned flapping reluctant"},
		{"windows pods run on windows nodes; what the kubelet reports wins over the label", Placement{OS: "windows"}, "reports-windows win"},
		{"nodeSelector", Placement{NodeSelector: map[string]string{"pool": "a"}}, "a-1 a-2 cordoned flapping"},
		{"nodeSelector that no node has", Placement{NodeSelector: map[string]string{"pool": "c"}}, ""},
		{"nodeSelector with a key that no node has", Placement{NodeSelector: map[string]string{"team": ""}}, ""},
		{"affinity In", Placement{Affinity: affinity(in("pool", "In", "a", "c"))}, "a-1 a-2 cordoned flapping"},
		{"affinity NotIn takes nodes without the label", Placement{Affinity: affinity(in("cpu", "NotIn", "4", "8"))}, "a-2 cordoned flapping reluctant"},
		{"affinity Gt", Placement{Affinity: affinity(in("cpu", "Gt", "4"))}, "a-2 b-1"},
		{"affinity Lt", Placement{Affinity: affinity(in("cpu", "Lt", "8"))}, "a-1"},
		{"affinity DoesNotExist", Placement{Affinity: affinity(in("cpu", "DoesNotExist"))}, "cordoned flapping reluctant"},
		{"any of the terms", Placement{Affinity: affinity(in("cpu", "In", "4"), named)}, "a-1 b-1"},
		{"selector and affinity both", Placement{NodeSelector: map[string]string{"pool": "a"}, Affinity: affinity(in("cpu", "Exists"))}, "a-1 a-2"},
		{"an empty term matches nothing", Placement{Affinity: affinity(corev1.NodeSelectorTerm{})}, ""},
		{"no term matches nothing", Placement{Affinity: affinity()}, ""},
		{"a malformed term does not spoil the others", Placement{Affinity: affinity(in("cpu", "Gt", "many"), named)}, "b-1"},
		{
			"a toleration opens the node",
			Placement{Tolerations: []corev1.Toleration{{Key: "node-role.kubernetes.io/control-plane", Operator: "Exists"}}},
			"a-1 a-2 b-1 control cordoned flapping reluctant",
		},
		{
			"a toleration for everything opens all",
			Placement{Tolerations: []corev1.Toleration{{Operator: "Exists"}}},
			"a-1 a-2 b-1 control cordoned draining flapping reluctant",
		},
		{
			"a toleration for another effect opens nothing",
			Placement{Tolerations: []corev1.Toleration{{Key: "maintenance", Operator: "Exists", Effect: "NoSchedule"}}},
			"a-1 a-2 b-1 cordoned flapping reluctant",
		},
		{"nodeName is that node alone", Placement{NodeName: "a-1"}, "a-1"},
		{"nodeName passes by the scheduler's taints", Placement{NodeName: "control"}, "control"},
		{"nodeName does not pass by the kubelet's", Placement{NodeName: "draining"}, ""},
		{"nodeName with a toleration does", Placement{NodeName: "draining", Tolerations: []corev1.Toleration{{Key: "maintenance", Operator: "Exists"}}}, "draining"},
		{"nodeName does not pass by the selector", Placement{NodeName: "a-1", NodeSelector: map[string]string{"pool": "b"}}, ""},
		{"nodeName that does not exist", Placement{NodeName: "a"}, ""},
		{"nodeName of another operating system", Placement{NodeName: "win"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := x.Eligible(&tc.pod)
			defer set.Release()
			if got := strings.Join(namesIn(x, set), " "); got != tc.want {
				t.Errorf("Eligible:\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestLabelSyntax compares with apimachinery's validation.
func TestLabelSyntax(t *testing.T) {
	text := rapid.OneOf(
		rapid.StringMatching(`[a-z0-9A-Z._/-]{0,8}`),
		rapid.StringMatching(`[a-z]{1,2}(\.[a-z-]{1,3}){0,3}/[a-zA-Z_.]{0,3}`),
		rapid.StringMatching(`[a-z.]{60,66}`),
		rapid.StringMatching(`[a-z.]{250,256}/x`),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		if want, got := len(validation.IsQualifiedName(s)) == 0, isLabelKey(s); want != got {
			t.Errorf("isLabelKey(%q) is %t", s, got)
		}
		if want, got := len(validation.IsValidLabelValue(s)) == 0, isLabelValue(s); want != got {
			t.Errorf("isLabelValue(%q) is %t", s, got)
		}
	})
}
