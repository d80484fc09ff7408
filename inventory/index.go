// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/bits-and-blooms/bitset"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

const (
	// maxExamples bounds the node names that a message shows.
	maxExamples = 3
	// maxNearest bounds the names and paths that a message proposes.
	maxNearest = 3
)

// Index is an immutable snapshot of the nodes and of what they know. All its
// methods may be called at once from many goroutines.
type Index struct {
	// names of the nodes, sorted: elsewhere a node is its position in here, and the
	// first bits of a set are its first names.
	names []string

	// linux holds the nodes that are not Windows.
	linux, windows osFamily
	labels         map[string]*labelKey
	// taints that keep pods away, sorted by key.
	taints []taintKey

	// unknown are the nodes that have reported nothing usable; truncated are those
	// that have more files than they list.
	unknown, truncated *bitset.BitSet
	files              map[string]*pathNodes
	// paths are the keys of files without those of a generation: nobody means to write
	// one by hand.
	paths proposals

	profiles map[string]*localhostProfile
	// failures are why agents could not write a LocalhostProfile, by its name and by node.
	failures     map[string]map[uint32]string
	profileNames proposals

	// seccompDefault are the nodes where that is on, defaultKnown those that say.
	seccompDefault, defaultKnown   members
	architectures, runtimes, roots valueNodes
	// handlers are RuntimeClass handlers whose low-level runtime applies profiles;
	// reporting are the nodes that say which they have.
	handlers  valueNodes
	reporting members

	problems []string
	reuse    reuse
	pool     sync.Pool
}

// osFamily is the nodes that pods of one operating system run on.
type osFamily struct {
	all *bitset.BitSet
	// untainted is the answer for most pods: no hard taint.
	untainted      *bitset.BitSet
	untaintedCount int
}

// file is what is known about one content under one path, shared by all nodes that
// report the same.
type file struct {
	path           string
	digest         string
	valid          bool
	reason         string
	grade          string
	defaultAction  string
	permissive     bool
	dangerous      []string
	architectures  []string
	beyondDefault  []v1alpha1.BeyondDefault
	missingToStart []v1alpha1.MissingToStart
}

// pathNodes is which nodes have a path, and with which contents.
type pathNodes struct {
	nodes    members
	contents []contentNodes
}

// contentNodes is one content of a path and the nodes that have it.
type contentNodes struct {
	*file
	nodes members
	// digests holds the digest alone: the answer where all nodes agree, ready made.
	digests []string
}

// localhostProfile is what the index keeps of a LocalhostProfile.
type localhostProfile struct {
	version version
	// generation of the object.
	generation int64
	// path that injection writes.
	path string
	// digest of the current content; empty if the content cannot be provisioned.
	digest string
	// problem says why it cannot.
	problem      string
	nodeSelector map[string]string
}

// valueNodes is a property of nodes: its values, sorted, and who has each.
type valueNodes struct {
	values []string
	nodes  []members
}

// NewIndex builds an index. A SeccompNode without a Node of its name is ignored, a
// Node without a SeccompNode is unknown; of two objects of one name the first
// counts. Contradictions in the objects are no errors, see [Index.Problems].
func NewIndex(objects Objects) *Index {
	return build(objects, &Index{})
}

// Next builds the index that follows x. It equals [NewIndex] and is cheaper: what
// was computed for an object (hashes, mostly) is taken over when its UID and
// resourceVersion have not changed.
func (x *Index) Next(objects Objects) *Index {
	return build(objects, x)
}

// Problems says, sorted, which objects contradict each other or themselves: nodes
// are unknown or digests are missing because of them.
func (x *Index) Problems() []string { return x.problems }

// Nodes is the number of nodes.
func (x *Index) Nodes() int { return len(x.names) }

// Unknown is the number of nodes that have reported nothing usable.
func (x *Index) Unknown() int { return int(x.unknown.Count()) }

// Profile is what the nodes of the set know about the path. p is the placement that
// the set is for: with no eligible node it tells a promise from the unknown.
//
// A node is unknown for the path if it has no SeccompNode, if the ProfileSet that
// it refers to is absent or has another content than its name says, or if its list
// is truncated and does not have the path.
func (x *Index) Profile(set NodeSet, path string, p *Placement) ProfileFacts {
	facts := ProfileFacts{Path: path, Valid: true, ExpectedDigest: x.expected(set, path, p)}
	facts.Nodes.Eligible = set.count
	entry := x.files[path]
	if set.count > 0 {
		x.count(&facts.Nodes, set.bits, entry)
	}
	if entry == nil {
		if facts.ExpectedDigest != "" {
			return facts // the name is right, the nodes are behind
		}
		facts.Nearest = x.paths.nearest(path)
		return facts
	}
	if facts.Nodes.Have > 0 {
		facts.describe(entry, set.bits)
	}
	return facts
}

// count fills in the numbers, 64 nodes at a time.
func (x *Index) count(counts *NodeCounts, set *bitset.BitSet, entry *pathNodes) {
	var have []uint64
	if entry != nil {
		if have = entry.nodes.words(); have == nil {
			scratch := x.scratch()
			defer x.pool.Put(scratch)
			scratch.ClearAll()
			entry.nodes.addTo(scratch)
			have = scratch.Words()
		}
	}
	unknown, truncated := x.unknown.Words(), x.truncated.Words()
	for i, eligible := range set.Words() {
		if eligible == 0 {
			continue
		}
		var has uint64
		if have != nil {
			has = have[i]
		}
		counts.Have += bits.OnesCount64(eligible & has)
		notKnown := unknown[i] | truncated[i]&^has
		// Mostly nodes have what pods name.
		if lacking := eligible & (^has | notKnown); lacking != 0 {
			x.add(&counts.Unknown, i, lacking&notKnown)
			x.add(&counts.Missing, i, lacking&^notKnown)
		}
	}
}

// add counts the nodes of the i-th word and names the first of them.
func (x *Index) add(c *NodeCount, i int, word uint64) {
	if word == 0 {
		return
	}
	c.Count += bits.OnesCount64(word)
	for word != 0 && len(c.Examples) < maxExamples {
		if c.Examples == nil {
			c.Examples = make([]string, 0, maxExamples)
		}
		c.Examples = append(c.Examples, x.names[i*64+bits.TrailingZeros64(word)])
		word &= word - 1
	}
}

// describe fills in the content. It allocates only where nodes differ.
func (f *ProfileFacts) describe(entry *pathNodes, set *bitset.BitSet) {
	if len(entry.contents) == 1 {
		c := &entry.contents[0]
		f.Valid, f.Reason, f.Digests = c.valid, c.reason, c.digests
		f.addAnalysis(c.file, true)
		return
	}
	type present struct {
		digest string
		nodes  int
	}
	var found []present
	firstInvalid, analysed := uint(0), false
	for i := range entry.contents {
		c := &entry.contents[i]
		n := c.nodes.countIn(set)
		if n == 0 {
			continue
		}
		if at := slices.IndexFunc(found, func(p present) bool { return p.digest == c.digest }); at >= 0 {
			found[at].nodes += n
		} else {
			found = append(found, present{c.digest, n})
		}
		if c.valid {
			f.addAnalysis(c.file, !analysed)
			analysed = true
		} else if first, _ := c.nodes.firstIn(set); f.Valid || first < firstInvalid {
			f.Valid, f.Reason, firstInvalid = false, c.reason, first
		}
	}
	slices.SortFunc(found, func(a, b present) int {
		return cmp.Or(cmp.Compare(b.nodes, a.nodes), cmp.Compare(a.digest, b.digest))
	})
	for _, p := range found {
		if p.digest != "" {
			f.Digests = append(f.Digests, p.digest)
		}
	}
}

// addAnalysis merges the analysis of one more content into the facts: the worst of
// both.
func (f *ProfileFacts) addAnalysis(c *file, first bool) {
	if !c.valid {
		return
	}
	if first {
		f.Grade, f.DefaultAction, f.Permissive = c.grade, c.defaultAction, c.permissive
		f.Dangerous, f.Architectures = c.dangerous, c.architectures
		f.BeyondDefault, f.MissingToStart = c.beyondDefault, c.missingToStart
		return
	}
	if c.permissive && !f.Permissive {
		f.Permissive, f.DefaultAction = true, c.defaultAction
	}
	f.Grade = string(seccomp.Worse(seccomp.Grade(f.Grade), seccomp.Grade(c.grade)))
	f.Dangerous = union(f.Dangerous, c.dangerous, strings.Compare)
	f.Architectures = commonArchitectures(f.Architectures, c.architectures)
	f.BeyondDefault = union(f.BeyondDefault, c.beyondDefault, compareBeyondDefault)
	f.MissingToStart = union(f.MissingToStart, c.missingToStart, compareMissingToStart)
}

// union is both lists in order without repetition; neither is changed.
func union[T any](a, b []T, compare func(T, T) int) []T {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, compare)
	return slices.CompactFunc(all, func(x, y T) bool { return compare(x, y) == 0 })
}

// commonArchitectures are those that both list. An empty list covers the node's own
// architecture, whichever that is, so it takes nothing away. Lists with nothing in
// common leave the first: an empty result would claim to cover everything.
func commonArchitectures(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	if len(a) == 0 {
		return b
	}
	var common []string
	for _, arch := range a {
		if slices.Contains(b, arch) {
			common = append(common, arch)
		}
	}
	if len(common) == 0 {
		return a
	}
	return common
}

func compareBeyondDefault(a, b v1alpha1.BeyondDefault) int {
	return cmp.Or(cmp.Compare(a.Syscall, b.Syscall), slices.Compare(a.UnlessCapability, b.UnlessCapability))
}

func compareMissingToStart(a, b v1alpha1.MissingToStart) int {
	order := 0
	if a.NoNewPrivileges != b.NoNewPrivileges {
		order = 1
		if b.NoNewPrivileges {
			order = -1
		}
	}
	return cmp.Or(cmp.Compare(a.Runtime, b.Runtime), order, slices.Compare(a.Syscalls, b.Syscalls))
}

// Summary is what the nodes of the set are.
func (x *Index) Summary(set NodeSet) NodeSummary {
	if set.count == 0 {
		return NodeSummary{}
	}
	return NodeSummary{
		Eligible:       set.count,
		SeccompDefault: x.seccompDefault.countIn(set.bits),
		Architectures:  x.architectures.in(set.bits),
		Runtimes:       x.runtimes.in(set.bits),
		SeccompRoots:   x.roots.in(set.bits),
	}
}

// AppliesSeccomp says that the RuntimeClass handler has a low-level runtime that is known
// to apply profiles on every node of the set that reports its runtimes, and that some do.
func (x *Index) AppliesSeccomp(set NodeSet, handler string) bool {
	if set.count == 0 {
		return false
	}
	i, found := slices.BinarySearch(x.handlers.values, handler)
	reporting := x.reporting.countIn(set.bits)
	return found && reporting > 0 && x.handlers.nodes[i].countIn(set.bits) == reporting
}

// in is the values that nodes of the set have. It allocates only if some value is
// not among them.
func (v *valueNodes) in(set *bitset.BitSet) []string {
	for i := range v.values {
		if _, found := v.nodes[i].firstIn(set); found {
			continue
		}
		var some []string
		for j := range v.values {
			if _, found := v.nodes[j].firstIn(set); found {
				some = append(some, v.values[j])
			}
		}
		return some
	}
	return v.values
}

// PathOf is the path that injection writes for the LocalhostProfile: status.served
// if it is a path of that profile, else the plain one. known is false, and the path
// empty, when there is no such LocalhostProfile.
func (x *Index) PathOf(name string) (path string, known bool) {
	p := x.profiles[name]
	if p == nil {
		return "", false
	}
	return p.path, true
}

// NodeSelector is that of the LocalhostProfile which the path belongs to: its current
// file, or that of any of its contents. It must not be changed.
func (x *Index) NodeSelector(path string) map[string]string {
	name, _ := seccomp.Generation(path)
	if p := x.profiles[name]; p != nil {
		return p.nodeSelector
	}
	return nil
}

// NearestNames are the profile names that resemble name.
func (x *Index) NearestNames(name string) []string {
	return x.profileNames.nearest(name)
}

// expected is the digest that a LocalhostProfile promises for the path.
//
// For the plain path and for that of the current content it is the digest of
// spec.profile. The path of an earlier generation carries the first digits of its
// own digest: expected is the reported digest with these digits, or the digits
// alone when no node has such a file, which equals no reported digest.
func (x *Index) expected(set NodeSet, path string, p *Placement) string {
	name, digits := seccomp.Generation(path)
	profile := x.profiles[name]
	if profile == nil {
		return ""
	}
	current := digits == "" || strings.HasPrefix(profile.digest, digestPrefix+digits)
	if set.count == 0 && !(profile.promisedTo(p) && (current || path == profile.path)) {
		return ""
	}
	if current {
		return profile.digest
	}
	promise := digestPrefix + digits
	if entry := x.files[path]; entry != nil {
		for i := range entry.contents {
			if d := entry.contents[i].digest; strings.HasPrefix(d, promise) {
				return d
			}
		}
	}
	return promise
}

const digestPrefix = "sha256:"

// promisedTo says whether every node that could match the pod is one that is to get
// the profile: the pod asks for all that the profile's nodeSelector asks for, in its
// own nodeSelector or in every term of its affinity.
func (l *localhostProfile) promisedTo(p *Placement) bool {
	if p == nil || p.OS == windows {
		return false
	}
	for key, value := range l.nodeSelector {
		if got, found := p.NodeSelector[key]; found && got == value {
			continue
		}
		if p.Affinity == nil || len(p.Affinity.NodeSelectorTerms) == 0 {
			return false
		}
		for i := range p.Affinity.NodeSelectorTerms {
			if !demands(&p.Affinity.NodeSelectorTerms[i], key, value) {
				return false
			}
		}
	}
	return true
}

// Names are the LocalhostProfiles, sorted.
func (x *Index) Names() []string {
	return slices.Sorted(maps.Keys(x.profiles))
}
