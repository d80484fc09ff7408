// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bits-and-blooms/bitset"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seccompgate/seccompgate/seccomp"
)

// State is how a node stands to a profile.
type State string

// The states of a profile on a node.
const (
	// Present is the right content, and valid.
	Present State = "present"
	// Missing is no file, or that of an earlier content which is to be replaced.
	Missing State = "missing"
	// Drifted is another content than was written.
	Drifted State = "drifted"
	// Invalid is a file that the strict loader refuses, or a LocalhostProfile that cannot
	// be written to any node.
	Invalid State = "invalid"
	// Unknown is a node that has not reported, or that lists only some of its files.
	Unknown State = "unknown"
)

// Why a state is unknown.
const (
	notReported = "the node has not reported"
	notListed   = "the node has more files than it lists, and %s is not listed"
)

// Standing is how one node stands to one profile.
type Standing struct {
	Node  string
	State State
	// Digest of what the node has; empty when there is nothing, or nothing is known.
	Digest string
	// Reason in a sentence; empty for Present.
	Reason string
	// Failed says that the node's agent has tried, and that Reason is why it could not.
	Failed bool
}

// Late says that there is nothing to do but to wait.
func (s *Standing) Late() bool { return s.State == Missing && !s.Failed }

// Rollout is where a LocalhostProfile stands on the nodes that are to have it: those
// that its nodeSelector chooses, Windows aside. Taints do not count.
type Rollout struct {
	// UID and Generation of the LocalhostProfile that this is about.
	UID        types.UID
	Generation int64
	// Digest of what is written to nodes. It is empty, and Problem says why, when the
	// content cannot be written.
	Digest  string
	Problem string
	// Desired is the sum of Installed, of Lacking and of Unknown.
	Desired, Installed, Lacking int
	// Unknown have not reported, or not all of their files.
	Unknown NodeCount
	// Shown are some of the lacking nodes: what cannot be a matter of waiting first, then
	// by name.
	Shown []Standing
	// Served is the path to inject: the newest content that all nodes have. Empty means
	// that there is none yet.
	Served string
}

// Rollout says where the LocalhostProfile stands, and shows at most so many of the nodes
// that lack it. known is false when there is no such LocalhostProfile.
func (x *Index) Rollout(name string, show int) (r Rollout, known bool) {
	p := x.profiles[name]
	if p == nil {
		return Rollout{}, false
	}
	r = Rollout{UID: p.version.uid, Generation: p.generation, Digest: p.digest, Problem: p.problem}
	set := x.desired(p)
	defer x.pool.Put(set)
	r.Desired = int(set.Count())
	r.Served = x.served(name, p, set)
	if p.problem != "" { // which is no node's
		r.Lacking = r.Desired
		return r, true
	}

	lacking := set.Clone()
	if p.digest != "" {
		installed := x.having(seccomp.PlainPath(name), p.digest)
		if path := seccomp.DigestPath(name, p.digest); x.files[path] != nil {
			installed.InPlaceIntersection(x.having(path, p.digest))
		}
		installed.InPlaceIntersection(set)
		r.Installed = int(installed.Count())
		lacking.InPlaceDifference(installed)
	}
	var waiting []Standing
	for id, more := lacking.NextSet(0); more; id, more = lacking.NextSet(id + 1) {
		s := x.standing(name, p, id)
		switch {
		case s.State == Unknown:
			if r.Unknown.Count++; len(r.Unknown.Examples) < maxExamples {
				r.Unknown.Examples = append(r.Unknown.Examples, s.Node)
			}
			continue
		case s.Late() && len(waiting) < show:
			waiting = append(waiting, s)
		case !s.Late() && len(r.Shown) < show:
			r.Shown = append(r.Shown, s)
		}
		r.Lacking++
	}
	r.Shown = append(r.Shown, waiting[:min(len(waiting), show-len(r.Shown))]...)
	return r, true
}

// Standing is how the node stands to the LocalhostProfile. known is false when there is
// no such LocalhostProfile, no such node, or when the node is not to have it.
func (x *Index) Standing(name, node string) (s Standing, known bool) {
	p := x.profiles[name]
	id, found := slices.BinarySearch(x.names, node)
	if p == nil || !found || !x.isDesired(p, uint(id)) {
		return Standing{}, false
	}
	return x.standing(name, p, uint(id)), true
}

// Lacking is how the node stands to every LocalhostProfile that it is to have and is not
// known to have, by name. What cannot be written to any node is left out.
func (x *Index) Lacking(node string) map[string]Standing {
	lacking := make(map[string]Standing)
	for name, p := range x.profiles {
		if s, known := x.Standing(name, node); known && s.State != Present && p.problem == "" {
			lacking[name] = s
		}
	}
	return lacking
}

// Reported says whether the node has reported something usable.
func (x *Index) Reported(node string) bool {
	id, found := slices.BinarySearch(x.names, node)
	return found && !x.unknown.Test(uint(id))
}

// SeccompDefault is the kubelet's setting of that name on the node, as far as it is known.
func (x *Index) SeccompDefault(node string) (on, known bool) {
	id, found := slices.BinarySearch(x.names, node)
	if !found {
		return false, false
	}
	return x.seccompDefault.contains(uint(id)), x.defaultKnown.contains(uint(id))
}

// Tainted are the nodes with a taint of the key that keeps pods away, by name.
func (x *Index) Tainted(key string) []string {
	var names []string
	for i := range x.taints {
		if x.taints[i].key != key {
			continue
		}
		for id, name := range x.names {
			if x.taints[i].nodes.contains(uint(id)) {
				names = append(names, name)
			}
		}
	}
	return names
}

// desired is the set of nodes that are to have the profile; it goes back to the pool.
func (x *Index) desired(p *localhostProfile) *bitset.BitSet {
	set := x.scratch()
	x.linux.all.CopyFull(set)
	for key, value := range p.nodeSelector {
		x.keep(set, x.labels[key].value(value))
	}
	return set
}

func (x *Index) isDesired(p *localhostProfile, id uint) bool {
	for key, value := range p.nodeSelector {
		if !x.labels[key].value(value).contains(id) {
			return false
		}
	}
	return x.linux.all.Test(id)
}

// having is the set of nodes with a valid file at the path whose digest begins so.
func (x *Index) having(path, digest string) *bitset.BitSet {
	set := bitset.New(uint(len(x.names)))
	if entry := x.files[path]; entry != nil {
		for i := range entry.contents {
			if c := &entry.contents[i]; c.valid && strings.HasPrefix(c.digest, digest) {
				c.nodes.addTo(set)
			}
		}
	}
	return set
}

// standing is what the files of the node say, and its agent where it could not write them.
func (x *Index) standing(name string, p *localhostProfile, id uint) Standing {
	s := x.compared(name, p, id)
	if why, failed := x.failures[name][uint32(id)]; failed && s.State != Present && s.State != Unknown && p.problem == "" {
		s.Failed, s.Reason = true, "cannot be written: "+why
	}
	return s
}

// compared compares both files of a profile, the one for people and the one of the
// generation, with what they are to be. Where no node has the latter, the files are not
// from an agent of ours, and the former is all there is to have.
func (x *Index) compared(name string, p *localhostProfile, id uint) Standing {
	s := Standing{Node: x.names[id], State: Present}
	plain, plainPath := x.fileOn(seccomp.PlainPath(name), id), seccomp.PlainPath(name)
	if plain != nil {
		s.Digest = plain.digest
	}
	say := func(state State, format string, args ...any) Standing {
		s.State, s.Reason = state, fmt.Sprintf(format, args...)
		return s
	}
	switch {
	case p.problem != "":
		return say(Invalid, "%s", p.problem)
	case x.unknown.Test(id):
		return say(Unknown, notReported)
	case plain != nil && !plain.valid:
		return say(Invalid, "%s: %s", plainPath, plain.reason)
	case plain == nil && x.truncated.Test(id):
		return say(Unknown, notListed, plainPath)
	case plain == nil:
		return say(Missing, "%s does not exist", plainPath)
	case p.digest != "" && plain.digest != p.digest:
		if earlier := x.fileOn(seccomp.DigestPath(name, plain.digest), id); earlier != nil && earlier.digest == plain.digest {
			return say(Missing, "%s still has an earlier content, %s", plainPath, plain.digest)
		}
		return say(Drifted, "%s has the content %s, which is not that of the LocalhostProfile, %s", plainPath, plain.digest, p.digest)
	}
	path := seccomp.DigestPath(name, plain.digest)
	switch generation := x.fileOn(path, id); {
	case x.files[path] == nil:
		return s
	case generation == nil && x.truncated.Test(id):
		return say(Unknown, notListed, path)
	case generation == nil:
		return say(Missing, "%s does not exist", path)
	case !generation.valid:
		return say(Invalid, "%s: %s", path, generation.reason)
	case generation.digest != plain.digest:
		return say(Drifted, "%s has the content %s, which its name denies", path, generation.digest)
	default:
		return s
	}
}

// fileOn is what the node has at the path, nil for nothing.
func (x *Index) fileOn(path string, id uint) *file {
	entry := x.files[path]
	if entry == nil {
		return nil
	}
	for i := range entry.contents {
		if entry.contents[i].nodes.contains(id) {
			return entry.contents[i].file
		}
	}
	return nil
}

// served is the path that injection is to write: that of the newest content that every
// reporting node has. While an update is under way that is the path before it; a node
// that has no file of the profile at all does not take it away, since no other path would
// help there. Where nodes have no content in common, it is the plain path, under which
// each has some.
func (x *Index) served(name string, p *localhostProfile, desired *bitset.BitSet) string {
	current, plain := "", seccomp.PlainPath(name)
	if p.digest != "" {
		current = seccomp.DigestPath(name, p.digest)
	}
	before := ""
	if p.path != plain {
		before = p.path
	}
	reporting := desired.Difference(x.unknown)
	if reporting.None() {
		// Nodes that come back have what they had; a new one gets the current content.
		if desired.Any() || before == current {
			return before
		}
		return ""
	}
	hasPlain := x.having(plain, "")
	if current != "" && reporting.Difference(x.having(current, p.digest)).None() {
		return current
	}
	if before != "" {
		_, digits := seccomp.Generation(before)
		have := x.having(before, digestPrefix+digits)
		if without := reporting.Difference(have); without.IntersectionCardinality(hasPlain) == 0 && reporting.IntersectionCardinality(have) > 0 {
			return before
		}
	}
	if reporting.Difference(hasPlain).None() {
		return plain
	}
	return ""
}
