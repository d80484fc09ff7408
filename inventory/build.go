// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/bits-and-blooms/bitset"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/inventory/provision"
	"github.com/seccompgate/seccompgate/seccomp"
)

// version tells one state of an object from another; the zero version, of objects
// that never met an API server, tells nothing.
type version struct {
	uid             types.UID
	resourceVersion string
}

func versionOf(o metav1.Object) version {
	return version{o.GetUID(), o.GetResourceVersion()}
}

func (v version) same(w version) bool {
	return v == w && v.uid != "" && v.resourceVersion != ""
}

// reuse is what one build leaves for the next.
type reuse struct {
	sets map[string]*profileList
}

// profileList is the files of a ProfileSet, or of one node that lists its own.
type profileList struct {
	version version
	files   []*file
	// problem says why the list cannot be used.
	problem string
}

// builder gathers what is said about nodes; its product is one Index.
type builder struct {
	*Index
	prev *Index
	size uint
	// contents finds equal files, by path and digest.
	contents map[contentKey][]*file
	// listed are the nodes of every list.
	listed map[*profileList][]uint32
}

type contentKey struct{ path, digest string }

func build(objects Objects, prev *Index) *Index {
	nodes := firstOfName(objects.Nodes)
	b := &builder{
		Index: &Index{
			names:     make([]string, len(nodes)),
			failures:  make(map[string]map[uint32]string),
			unknown:   bitset.New(uint(len(nodes))),
			truncated: bitset.New(uint(len(nodes))),
			reuse:     reuse{sets: make(map[string]*profileList, len(objects.ProfileSets))},
		},
		prev:     prev,
		size:     uint(len(nodes)),
		contents: make(map[contentKey][]*file),
		listed:   make(map[*profileList][]uint32),
	}
	for i, n := range nodes {
		b.names[i] = n.Name
	}
	b.addSystems(nodes)
	b.addLabels(nodes)
	b.addTaints(nodes)
	b.addFacts(nodes, objects)
	b.addFiles()
	b.addLocalhostProfiles(objects.LocalhostProfiles)
	slices.Sort(b.problems)
	return b.Index
}

// firstOfName sorts by name and drops nil, unnamed and repeated objects.
func firstOfName[T any, P interface {
	*T
	metav1.Object
}](objects []P,
) []P {
	sorted := make([]P, 0, len(objects))
	for _, o := range objects {
		if o != nil && o.GetName() != "" {
			sorted = append(sorted, o)
		}
	}
	slices.SortStableFunc(sorted, func(a, b P) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return slices.CompactFunc(sorted, func(a, b P) bool { return a.GetName() == b.GetName() })
}

// addSystems sorts nodes by operating system: what the kubelet reports, else the
// well-known label, else linux.
func (b *builder) addSystems(nodes []*corev1.Node) {
	b.linux.all, b.windows.all = bitset.New(b.size), bitset.New(b.size)
	for i, n := range nodes {
		family := &b.linux
		if cmp.Or(n.Status.NodeInfo.OperatingSystem, n.Labels[corev1.LabelOSStable]) == windows {
			family = &b.windows
		}
		family.all.Set(uint(i))
	}
}

func (b *builder) addLabels(nodes []*corev1.Node) {
	type pair struct{ value, node uint32 }
	type column struct {
		values map[string]uint32
		pairs  []pair
	}
	columns := make(map[string]*column)
	for i, n := range nodes {
		for key, value := range n.Labels {
			c := columns[key]
			if c == nil {
				c = &column{values: make(map[string]uint32)}
				columns[key] = c
			}
			v, found := c.values[value]
			if !found {
				v = uint32(len(c.values))
				c.values[value] = v
			}
			c.pairs = append(c.pairs, pair{v, uint32(i)})
		}
	}

	b.labels = make(map[string]*labelKey, len(columns))
	for key, c := range columns {
		nodesOf := make([][]uint32, len(c.values))
		all := make([]uint32, len(c.pairs))
		for i, p := range c.pairs {
			nodesOf[p.value] = append(nodesOf[p.value], p.node)
			all[i] = p.node
		}
		k := &labelKey{
			values: slices.Sorted(maps.Keys(c.values)),
			start:  make([]uint32, 1, len(c.values)+1),
			dense:  make(map[uint32]*bitset.BitSet),
			all:    newMembers(all, b.size),
		}
		for i, value := range k.values {
			m := newMembers(nodesOf[c.values[value]], b.size)
			if m.dense != nil {
				k.dense[uint32(i)] = m.dense
			}
			k.nodesOf = append(k.nodesOf, m.sparse...)
			k.start = append(k.start, uint32(len(k.nodesOf)))
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				k.numbers = append(k.numbers, number{n, uint32(i)})
			}
		}
		k.nodesOf = slices.Clip(k.nodesOf)
		slices.SortFunc(k.numbers, func(a, b number) int { return cmp.Compare(a.n, b.n) })
		b.labels[key] = k
	}
}

func (b *builder) addTaints(nodes []*corev1.Node) {
	type identity struct {
		key, value string
		effect     corev1.TaintEffect
	}
	nodesOf := make(map[identity][]uint32)
	for i, n := range nodes {
		for j := range n.Spec.Taints {
			if t := &n.Spec.Taints[j]; isHard(t) {
				id := identity{t.Key, t.Value, t.Effect}
				nodesOf[id] = append(nodesOf[id], uint32(i))
			}
		}
	}
	sorted := slices.SortedFunc(maps.Keys(nodesOf), func(a, b identity) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value), cmp.Compare(a.effect, b.effect))
	})
	b.linux.untainted, b.windows.untainted = b.linux.all.Clone(), b.windows.all.Clone()
	var all []uint32
	for i, id := range sorted {
		if i == 0 || sorted[i-1].key != id.key {
			b.taints = append(b.taints, taintKey{key: id.key})
			all = all[:0]
		}
		group := &b.taints[len(b.taints)-1]
		all = append(all, nodesOf[id]...)
		group.taints = append(group.taints, taintNodes{
			taint: corev1.Taint{Key: id.key, Value: id.value, Effect: id.effect},
			nodes: newMembers(nodesOf[id], b.size),
		})
		if i == len(sorted)-1 || sorted[i+1].key != id.key {
			group.nodes = newMembers(all, b.size)
			group.nodes.removeFrom(b.linux.untainted)
			group.nodes.removeFrom(b.windows.untainted)
		}
	}
	b.linux.untaintedCount = int(b.linux.untainted.Count())
	b.windows.untaintedCount = int(b.windows.untainted.Count())
}

// addFacts takes in what the SeccompNodes say.
func (b *builder) addFacts(nodes []*corev1.Node, objects Objects) {
	facts := firstOfName(objects.SeccompNodes)
	sets := make(map[string]*v1alpha1.ProfileSet, len(objects.ProfileSets))
	for _, set := range firstOfName(objects.ProfileSets) {
		sets[set.Name] = set
		// Known files come first, so that equal new ones are found among them.
		if known := b.known(set); known != nil {
			b.share(known.files)
		}
	}

	var seccompDefault, defaultKnown, reporting []uint32
	architectures, runtimes, handlers, roots := make(properties), make(properties), make(properties), make(properties)
	next := 0
	for i, n := range nodes {
		id := uint32(i)
		var sn *v1alpha1.SeccompNode
		for next < len(facts) && facts[next].Name < n.Name {
			next++
		}
		if next < len(facts) && facts[next].Name == n.Name {
			sn = facts[next]
		}
		if a := architecture(n, sn); a != "" {
			architectures.add(a, id)
		}
		if sn == nil {
			b.unknown.Set(uint(i))
			continue
		}
		if owner := ownerOf(sn); owner != "" && n.UID != "" && owner != n.UID {
			b.unknown.Set(uint(i))
			b.problems = append(b.problems, fmt.Sprintf("SeccompNode %s is about an earlier node of that name; the node is unknown until its agent reports", n.Name))
			continue
		}
		if on := sn.Facts.SeccompDefault; on != nil {
			defaultKnown = append(defaultKnown, id)
			if *on {
				seccompDefault = append(seccompDefault, id)
			}
		}
		for _, f := range sn.Facts.Failures {
			if b.failures[f.Profile] == nil {
				b.failures[f.Profile] = make(map[uint32]string)
			}
			b.failures[f.Profile][id] = f.Reason
		}
		if sn.Facts.SeccompRoot != "" {
			roots.add(sn.Facts.SeccompRoot, id)
		}
		if len(sn.Facts.Runtimes) > 0 {
			reporting = append(reporting, id)
		}
		for _, r := range sn.Facts.Runtimes {
			if r.LowLevel != "" {
				runtimes.add(r.LowLevel, id)
			}
			if appliesSeccomp(r.LowLevel) {
				handlers.add(r.Handler, id)
			}
		}
		list := b.list(sn, sets)
		if list.problem != "" {
			b.unknown.Set(uint(i))
			continue
		}
		if sn.Facts.Truncated {
			b.truncated.Set(uint(i))
		}
		b.listed[list] = append(b.listed[list], id)
	}
	b.seccompDefault = newMembers(seccompDefault, b.size)
	b.defaultKnown = newMembers(defaultKnown, b.size)
	b.architectures = architectures.build(b.size)
	b.runtimes = runtimes.build(b.size)
	b.handlers = handlers.build(b.size)
	b.reporting = newMembers(reporting, b.size)
	b.roots = roots.build(b.size)
}

// appliesSeccomp says that a low-level runtime is known to apply the profile that it is
// given. gVisor has a kernel of its own, and Kata Containers may leave it to the guest.
func appliesSeccomp(lowLevel string) bool {
	switch lowLevel {
	case "runc", "crun", "youki":
		return true
	default:
		return false
	}
}

// nodeKind is the kind of the owner of a SeccompNode.
const nodeKind = "Node"

// ownerOf is the UID of the Node that the facts are about: a new machine may come
// under the name of an old one before the old one's facts are collected. It is empty
// if nobody says.
func ownerOf(sn *v1alpha1.SeccompNode) types.UID {
	for i := range sn.OwnerReferences {
		if sn.OwnerReferences[i].Kind == nodeKind {
			return sn.OwnerReferences[i].UID
		}
	}
	return ""
}

// list is the files of a node. A node that lists none has none.
func (b *builder) list(sn *v1alpha1.SeccompNode, sets map[string]*v1alpha1.ProfileSet) *profileList {
	name := sn.Facts.ProfileSet
	if name == "" {
		return b.convert(sn.Facts.Profiles, version{})
	}
	if list := b.reuse.sets[name]; list != nil {
		return list
	}
	list := &profileList{}
	if set := sets[name]; set == nil {
		list.problem = fmt.Sprintf("ProfileSet %s does not exist; the nodes that refer to it are unknown", name)
	} else if known := b.known(set); known != nil {
		list = known
	} else if want := v1alpha1.ProfileSetName(set.Profiles); want != name {
		list.version = versionOf(set)
		list.problem = fmt.Sprintf("ProfileSet %s has the content of %s; the nodes that refer to it are unknown; delete it, and the agents write it anew", name, want)
	} else {
		list = b.convert(set.Profiles, versionOf(set))
	}
	if list.problem != "" {
		b.problems = append(b.problems, list.problem)
	}
	b.reuse.sets[name] = list
	return list
}

// known is what the previous build made of the same set.
func (b *builder) known(set *v1alpha1.ProfileSet) *profileList {
	if known := b.prev.reuse.sets[set.Name]; known != nil && known.version.same(versionOf(set)) {
		return known
	}
	return nil
}

// share makes files of the previous build known to [builder.file].
func (b *builder) share(files []*file) {
	for _, f := range files {
		key := contentKey{f.path, f.digest}
		if !slices.Contains(b.contents[key], f) {
			b.contents[key] = append(b.contents[key], f)
		}
	}
}

// convert makes files of what a node reported, sharing those that are equal.
func (b *builder) convert(profiles []v1alpha1.ProfileFile, v version) *profileList {
	list := &profileList{version: v, files: make([]*file, len(profiles))}
	for i := range profiles {
		list.files[i] = b.file(&profiles[i])
	}
	return list
}

func (b *builder) file(p *v1alpha1.ProfileFile) *file {
	key := contentKey{p.Path, p.Digest}
	for _, known := range b.contents[key] {
		if known.equals(p) {
			return known
		}
	}
	f := &file{path: p.Path, digest: p.Digest, valid: p.Valid, reason: p.Reason}
	if a := p.Analysis; a != nil && p.Valid {
		f.grade, f.defaultAction, f.permissive = a.Grade, string(a.DefaultAction), a.Permissive
		f.dangerous = a.Dangerous
		f.beyondDefault, f.missingToStart = a.BeyondDefault, a.MissingToStart
		for _, arch := range a.Architectures {
			f.architectures = append(f.architectures, string(arch))
		}
	}
	b.contents[key] = append(b.contents[key], f)
	return f
}

// equals says whether the node reported just this. Agents of two versions may say
// different things about one digest.
func (f *file) equals(p *v1alpha1.ProfileFile) bool {
	if f.valid != p.Valid || f.reason != p.Reason {
		return false
	}
	a := p.Analysis
	if a == nil || !p.Valid {
		a = &v1alpha1.ProfileAnalysis{}
	}
	return f.grade == a.Grade && f.defaultAction == string(a.DefaultAction) && f.permissive == a.Permissive &&
		slices.Equal(f.dangerous, a.Dangerous) &&
		slices.EqualFunc(f.architectures, a.Architectures, func(x string, y v1alpha1.Arch) bool { return x == string(y) }) &&
		slices.EqualFunc(f.beyondDefault, a.BeyondDefault, func(x, y v1alpha1.BeyondDefault) bool { return compareBeyondDefault(x, y) == 0 }) &&
		slices.EqualFunc(f.missingToStart, a.MissingToStart, func(x, y v1alpha1.MissingToStart) bool { return compareMissingToStart(x, y) == 0 })
}

// addFiles turns lists of files per node into nodes per file.
func (b *builder) addFiles() {
	nodesOf := make(map[*file][]uint32)
	for list, nodes := range b.listed {
		for _, f := range list.files {
			nodesOf[f] = append(nodesOf[f], nodes...)
		}
	}
	byPath := make(map[string][]*file)
	for f := range nodesOf {
		byPath[f.path] = append(byPath[f.path], f)
	}
	b.files = make(map[string]*pathNodes, len(byPath))
	var paths []string
	for path, files := range byPath {
		entry := &pathNodes{contents: make([]contentNodes, len(files))}
		var all []uint32
		for i, f := range files {
			c := contentNodes{file: f, nodes: newMembers(nodesOf[f], b.size)}
			if f.digest != "" {
				c.digests = []string{f.digest}
			}
			entry.contents[i] = c
			all = append(all, nodesOf[f]...)
		}
		// Where nodes differ, the order decides between equals: it must not be a map's.
		slices.SortFunc(entry.contents, func(x, y contentNodes) int {
			return cmp.Or(cmp.Compare(x.digest, y.digest), cmp.Compare(x.nodes.first(), y.nodes.first()))
		})
		if entry.nodes = entry.contents[0].nodes; len(files) > 1 {
			entry.nodes = newMembers(all, b.size)
		}
		b.files[path] = entry
		if _, digits := seccomp.Generation(path); digits == "" {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	b.paths = newProposals(paths)
}

func (b *builder) addLocalhostProfiles(profiles []*v1alpha1.LocalhostProfile) {
	b.profiles = make(map[string]*localhostProfile, len(profiles))
	names := []string{v1alpha1.RuntimeDefaultName}
	for _, l := range firstOfName(profiles) {
		p := &localhostProfile{
			version:      versionOf(l),
			generation:   l.Generation,
			path:         seccomp.PlainPath(l.Name),
			nodeSelector: l.Spec.NodeSelector,
		}
		if name, digits := seccomp.Generation(l.Status.Served); name == l.Name && digits != "" {
			p.path = l.Status.Served
		}
		if prev := b.prev.profiles[l.Name]; prev != nil && prev.version.same(p.version) {
			p.digest, p.problem = prev.digest, prev.problem
		} else if digest, err := contentDigest(l); err != nil {
			p.problem = fmt.Sprintf("LocalhostProfile %s cannot be written to nodes: %v", l.Name, err)
		} else {
			p.digest = digest
		}
		if p.problem != "" {
			b.problems = append(b.problems, p.problem)
		}
		b.profiles[l.Name] = p
		names = append(names, l.Name)
	}
	slices.Sort(names)
	b.profileNames = newProposals(names)
}

// contentDigest is that of what is written to nodes for the profile. An object without a
// content stands for a file that somebody else wrote, as [FromProfilesDir] makes it: its
// status has the digest.
func contentDigest(l *v1alpha1.LocalhostProfile) (string, error) {
	if l.Spec.Profile.DefaultAction == "" {
		return l.Status.Digest, nil
	}
	p, err := provision.Content(l)
	return p.Digest, err
}

// architecture is the node's native one: what the kubelet reports, else the
// well-known label, else what the agent saw first; empty if nobody says.
func architecture(n *corev1.Node, sn *v1alpha1.SeccompNode) string {
	if a, known := node.NativeArch(cmp.Or(n.Status.NodeInfo.Architecture, n.Labels[corev1.LabelArchStable])); known {
		return string(a)
	}
	if sn != nil && len(sn.Facts.Architectures) > 0 {
		return string(sn.Facts.Architectures[0])
	}
	return ""
}

// properties are nodes by a value.
type properties map[string][]uint32

func (p properties) add(value string, node uint32) {
	p[value] = append(p[value], node)
}

func (p properties) build(size uint) valueNodes {
	v := valueNodes{values: slices.Sorted(maps.Keys(p))}
	for _, value := range v.values {
		v.nodes = append(v.nodes, newMembers(p[value], size))
	}
	return v
}
