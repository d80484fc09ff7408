// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"math/bits"
	"slices"

	"github.com/bits-and-blooms/bitset"
)

// members is an immutable set of nodes, given by their position in Index.names. A
// small set is a sorted list: kubernetes.io/hostname has as many values as there
// are nodes, and a bitset for each would cost 28 MB at 15,000 nodes.
type members struct {
	dense  *bitset.BitSet
	sparse []uint32
}

// sparseRatio is where the two forms cost the same: a list takes 4 bytes a node, a
// bitset one bit for every node there is.
const sparseRatio = 32

// newMembers makes a set of the nodes in ids, which it may reorder, out of size nodes.
func newMembers(ids []uint32, size uint) members {
	// Sorting the long lists would be most of the time of a build.
	if uint(len(ids))*sparseRatio >= size {
		return members{dense: bitsOf(ids, size)}
	}
	slices.Sort(ids)
	return members{sparse: slices.Clip(slices.Clone(slices.Compact(ids)))}
}

func bitsOf(ids []uint32, size uint) *bitset.BitSet {
	dense := bitset.New(size)
	for _, id := range ids {
		dense.Set(uint(id))
	}
	return dense
}

func (m members) contains(id uint) bool {
	if m.dense != nil {
		return m.dense.Test(id)
	}
	_, found := slices.BinarySearch(m.sparse, uint32(id))
	return found
}

// addTo adds the members to set.
func (m members) addTo(set *bitset.BitSet) {
	if m.dense != nil {
		set.InPlaceUnion(m.dense)
		return
	}
	for _, id := range m.sparse {
		set.Set(uint(id))
	}
}

// removeFrom takes the members out of set.
func (m members) removeFrom(set *bitset.BitSet) {
	if m.dense != nil {
		set.InPlaceDifference(m.dense)
		return
	}
	for _, id := range m.sparse {
		set.Clear(uint(id))
	}
}

// countIn counts the members that are in set.
func (m members) countIn(set *bitset.BitSet) int {
	if m.dense != nil {
		return int(m.dense.IntersectionCardinality(set))
	}
	n := 0
	for _, id := range m.sparse {
		if set.Test(uint(id)) {
			n++
		}
	}
	return n
}

// firstIn is the first member that is in set.
func (m members) firstIn(set *bitset.BitSet) (id uint, found bool) {
	if m.dense == nil {
		for _, id := range m.sparse {
			if set.Test(uint(id)) {
				return uint(id), true
			}
		}
		return 0, false
	}
	in := set.Words()
	for i, word := range m.dense.Words() {
		if word &= in[i]; word != 0 {
			return uint(i*64 + bits.TrailingZeros64(word)), true
		}
	}
	return 0, false
}

// words are the members as bits; nil for the sparse form.
func (m members) words() []uint64 {
	if m.dense == nil {
		return nil
	}
	return m.dense.Words()
}

// first is the first member; the set is not empty.
func (m members) first() uint {
	if m.dense != nil {
		id, _ := m.dense.NextSet(0)
		return id
	}
	return uint(m.sparse[0])
}
