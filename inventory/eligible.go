// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bits-and-blooms/bitset"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// Operating systems of nodes and pods, as the kubelet and spec.os.name spell them.
const (
	linux   = "linux"
	windows = "windows"
)

// flappingTaints is the prefix of the taints that nodes get and lose by themselves
// (not-ready, unreachable, memory-pressure, unschedulable). They are left out: the
// pod may land on the node once the taint is gone.
const flappingTaints = "node.kubernetes.io/"

// nodeNameField is the one field that matchFields knows.
const nodeNameField = "metadata.name"

// NodeSet is a set of nodes of one index. Release gives its memory back; the set
// must not be used afterwards. The zero NodeSet is empty.
type NodeSet struct {
	bits  *bitset.BitSet
	count int
	// owner is nil for a set that belongs to the index itself.
	owner *Index
}

// Len is the number of nodes.
func (s NodeSet) Len() int { return s.count }

// Release returns the set to the index that made it.
func (s NodeSet) Release() {
	if s.owner != nil {
		s.owner.pool.Put(s.bits)
	}
}

// Eligible is the set of nodes that the pod may run on. It is never an error: a
// selector that cannot be parsed matches no node, as in the scheduler.
//
// Without a node name the answer is the scheduler's: nodeSelector, required node
// affinity, taints with effect NoSchedule or NoExecute. Two things differ. Taints
// that flap do not count, nor does spec.unschedulable. And the operating system
// counts: a pod runs on Windows nodes if its OS is windows and on all others
// otherwise, which the scheduler leaves to the kubelet.
//
// With a node name the answer is the kubelet's, which admits the pod if it is that
// node, the operating system, nodeSelector and affinity match, and NoExecute taints
// are tolerated; NoSchedule taints are the scheduler's alone.
func (x *Index) Eligible(p *Placement) NodeSet {
	family := &x.linux
	if p.OS == windows {
		family = &x.windows
	}
	if p.NodeName != "" {
		return x.bound(p, family)
	}
	tolerates := x.toleratesAny(p.Tolerations)
	if !tolerates && len(p.NodeSelector) == 0 && p.Affinity == nil {
		return NodeSet{bits: family.untainted, count: family.untaintedCount}
	}

	set := x.scratch()
	if tolerates {
		family.all.CopyFull(set)
		x.removeTainted(set, p.Tolerations)
	} else {
		family.untainted.CopyFull(set)
	}
	return x.finish(set, p)
}

// bound is Eligible for a pod that names its node.
func (x *Index) bound(p *Placement, family *osFamily) NodeSet {
	id, found := slices.BinarySearch(x.names, p.NodeName)
	if !found || !family.all.Test(uint(id)) {
		return NodeSet{}
	}
	for i := range x.taints {
		if x.taints[i].evicts(uint(id), p.Tolerations) {
			return NodeSet{}
		}
	}
	set := x.scratch()
	set.ClearAll()
	set.Set(uint(id))
	return x.finish(set, p)
}

// finish applies the pod's selectors to set and makes it the answer.
func (x *Index) finish(set *bitset.BitSet, p *Placement) NodeSet {
	for key, value := range p.NodeSelector {
		x.keep(set, x.labels[key].value(value))
	}
	if p.Affinity != nil {
		x.matchTerms(set, p.Affinity.NodeSelectorTerms)
	}
	return NodeSet{bits: set, count: int(set.Count()), owner: x}
}

// scratch is a bitset of the index's size with any content.
func (x *Index) scratch() *bitset.BitSet {
	if set, ok := x.pool.Get().(*bitset.BitSet); ok {
		return set
	}
	return bitset.New(uint(len(x.names)))
}

// keep takes out of set what is not in m.
func (x *Index) keep(set *bitset.BitSet, m members) {
	if m.dense != nil {
		set.InPlaceIntersection(m.dense)
		return
	}
	if len(m.sparse) == 0 {
		set.ClearAll()
		return
	}
	kept := x.scratch()
	kept.ClearAll()
	for _, id := range m.sparse {
		if set.Test(uint(id)) {
			kept.Set(uint(id))
		}
	}
	kept.CopyFull(set)
	x.pool.Put(kept)
}

// Taints.

// taintKey is all hard taints of one key, with the nodes that carry any of them.
type taintKey struct {
	key    string
	nodes  members
	taints []taintNodes
}

// taintNodes is one distinct taint and the nodes that carry it.
type taintNodes struct {
	taint corev1.Taint
	nodes members
}

// isHard says that a taint keeps pods off its node for good.
func isHard(t *corev1.Taint) bool {
	return (t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute) &&
		!strings.HasPrefix(t.Key, flappingTaints)
}

// evicts says whether the node has a NoExecute taint of this key that none of the
// tolerations is for.
func (k *taintKey) evicts(node uint, tolerations []corev1.Toleration) bool {
	if !k.nodes.contains(node) {
		return false
	}
	for i := range k.taints {
		t := &k.taints[i]
		if t.taint.Effect == corev1.TaintEffectNoExecute && t.nodes.contains(node) && !tolerated(tolerations, &t.taint) {
			return true
		}
	}
	return false
}

// toleratesAny says whether any of the tolerations could matter here. Most pods
// have only the two for not-ready and unreachable that every pod gets.
func (x *Index) toleratesAny(tolerations []corev1.Toleration) bool {
	return slices.ContainsFunc(x.taints, func(k taintKey) bool { return mentions(tolerations, k.key) })
}

// mentions says whether any of the tolerations is for taints of that key.
func mentions(tolerations []corev1.Toleration, key string) bool {
	for i := range tolerations {
		if tolerations[i].Key == "" || tolerations[i].Key == key {
			return true
		}
	}
	return false
}

// removeTainted takes out of set the nodes with a taint that is not tolerated.
func (x *Index) removeTainted(set *bitset.BitSet, tolerations []corev1.Toleration) {
	for i := range x.taints {
		group := &x.taints[i]
		if !mentions(tolerations, group.key) {
			group.nodes.removeFrom(set)
			continue
		}
		for j := range group.taints {
			if t := &group.taints[j]; !tolerated(tolerations, &t.taint) {
				t.nodes.removeFrom(set)
			}
		}
	}
}

// tolerated asks the API type itself. Comparison operators (Lt, Gt) count although
// their feature gate is alpha: an API server without it refuses pods that use them.
func tolerated(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		if tolerations[i].ToleratesTaint(klog.Logger{}, taint, true) {
			return true
		}
	}
	return false
}

// Node affinity.

// matchTerms keeps the nodes that match any of the terms.
func (x *Index) matchTerms(set *bitset.BitSet, terms []corev1.NodeSelectorTerm) {
	if len(terms) == 1 {
		x.matchTerm(set, &terms[0])
		return
	}
	union, one := x.scratch(), x.scratch()
	union.ClearAll()
	for i := range terms {
		set.CopyFull(one)
		x.matchTerm(one, &terms[i])
		union.InPlaceUnion(one)
	}
	union.CopyFull(set)
	x.pool.Put(union)
	x.pool.Put(one)
}

// matchTerm keeps the nodes that match all of the term. A term that is empty or
// malformed matches none.
func (x *Index) matchTerm(set *bitset.BitSet, term *corev1.NodeSelectorTerm) {
	if len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0 || !wellFormed(term) {
		set.ClearAll()
		return
	}
	for i := range term.MatchExpressions {
		x.matchExpression(set, &term.MatchExpressions[i])
	}
	for i := range term.MatchFields {
		x.matchField(set, &term.MatchFields[i])
	}
}

func (x *Index) matchExpression(set *bitset.BitSet, r *corev1.NodeSelectorRequirement) {
	label := x.labels[r.Key]
	switch r.Operator {
	case corev1.NodeSelectorOpIn:
		if len(r.Values) == 1 {
			x.keep(set, label.value(r.Values[0]))
			return
		}
		union := x.scratch()
		union.ClearAll()
		for _, v := range r.Values {
			label.value(v).addTo(union)
		}
		set.InPlaceIntersection(union)
		x.pool.Put(union)
	case corev1.NodeSelectorOpNotIn:
		for _, v := range r.Values {
			label.value(v).removeFrom(set)
		}
	case corev1.NodeSelectorOpExists:
		x.keep(set, label.nodes())
	case corev1.NodeSelectorOpDoesNotExist:
		label.nodes().removeFrom(set)
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		bound, err := strconv.ParseInt(r.Values[0], 10, 64)
		if err != nil { // wellFormed has seen to it
			set.ClearAll()
			return
		}
		union := x.scratch()
		union.ClearAll()
		for _, n := range label.compared(r.Operator, bound) {
			label.at(n.value).addTo(union)
		}
		set.InPlaceIntersection(union)
		x.pool.Put(union)
	}
}

// matchField compares the one value with the node's name; every other field is
// empty on every node.
func (x *Index) matchField(set *bitset.BitSet, r *corev1.NodeSelectorRequirement) {
	equal := r.Operator == corev1.NodeSelectorOpIn
	value := r.Values[0]
	if r.Key != nodeNameField {
		if (value == "") != equal {
			set.ClearAll()
		}
		return
	}
	id, found := slices.BinarySearch(x.names, value)
	switch {
	case !equal && found:
		set.Clear(uint(id))
	case equal:
		stays := found && set.Test(uint(id))
		set.ClearAll()
		if stays {
			set.Set(uint(id))
		}
	}
}

// wellFormed says whether the scheduler's parser accepts the term: it refuses the
// whole term for one bad requirement.
func wellFormed(term *corev1.NodeSelectorTerm) bool {
	for i := range term.MatchExpressions {
		r := &term.MatchExpressions[i]
		if !isLabelKey(r.Key) {
			return false
		}
		switch r.Operator {
		case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
			if len(r.Values) == 0 {
				return false
			}
		case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
			if len(r.Values) != 0 {
				return false
			}
		case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
			if len(r.Values) != 1 {
				return false
			}
			if _, err := strconv.ParseInt(r.Values[0], 10, 64); err != nil {
				return false
			}
		default:
			return false
		}
		for _, v := range r.Values {
			if !isLabelValue(v) {
				return false
			}
		}
	}
	for i := range term.MatchFields {
		r := &term.MatchFields[i]
		if r.Operator != corev1.NodeSelectorOpIn && r.Operator != corev1.NodeSelectorOpNotIn || len(r.Values) != 1 {
			return false
		}
	}
	return true
}

// demands says whether only nodes with that label match the term.
func demands(term *corev1.NodeSelectorTerm, key, value string) bool {
	return slices.ContainsFunc(term.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool {
		return r.Key == key && r.Operator == corev1.NodeSelectorOpIn && len(r.Values) == 1 && r.Values[0] == value
	})
}

// isLabelKey and isLabelValue decide as apimachinery's validation does, without its
// regular expressions and messages: they run for every requirement of every pod.

func isLabelKey(s string) bool {
	prefix, name, prefixed := strings.Cut(s, "/")
	if !prefixed {
		name = prefix
	} else if !isSubdomain(prefix) {
		return false
	}
	return name != "" && isLabelValue(name)
}

// isLabelValue allows at most 63 letters, digits, '-', '_' and '.', letters or
// digits at both ends; or nothing at all.
func isLabelValue(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > 63 || !isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// isSubdomain allows dot-separated labels of lower-case letters, digits and '-',
// letters or digits at both ends of each, 253 bytes in all.
func isSubdomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Labels.

// labelKey is one label key: which nodes have which value.
type labelKey struct {
	// values are sorted; a value is known by its position.
	values []string
	// Nodes of the values with few nodes: those of value i are
	// nodesOf[start[i]:start[i+1]]. Values with many are in dense.
	start   []uint32
	nodesOf []uint32
	dense   map[uint32]*bitset.BitSet
	// all are the nodes that have the key at all.
	all members
	// numbers are the values that are integers, ascending.
	numbers []number
}

type number struct {
	n     int64
	value uint32
}

// value is the set of nodes whose label has the value. A nil key has no nodes.
func (k *labelKey) value(v string) members {
	if k == nil {
		return members{}
	}
	i, found := slices.BinarySearch(k.values, v)
	if !found {
		return members{}
	}
	return k.at(uint32(i))
}

func (k *labelKey) at(i uint32) members {
	if d := k.dense[i]; d != nil {
		return members{dense: d}
	}
	return members{sparse: k.nodesOf[k.start[i]:k.start[i+1]]}
}

func (k *labelKey) nodes() members {
	if k == nil {
		return members{}
	}
	return k.all
}

// compared are the integers above (Gt) or below (Lt) the bound.
func (k *labelKey) compared(op corev1.NodeSelectorOperator, bound int64) []number {
	if k == nil {
		return nil
	}
	if op == corev1.NodeSelectorOpLt {
		i, _ := slices.BinarySearchFunc(k.numbers, bound, func(x number, bound int64) int {
			if x.n < bound {
				return -1
			}
			return 1
		})
		return k.numbers[:i]
	}
	i, _ := slices.BinarySearchFunc(k.numbers, bound, func(x number, bound int64) int {
		if x.n <= bound {
			return -1
		}
		return 1
	})
	return k.numbers[i:]
}
