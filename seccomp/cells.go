// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"math/bits"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxCells bounds the work on one syscall. Profiles that people write stay below a
// hundred.
const maxCells = 1 << 14

// cells returns arguments that stand for all: for every call there is one among them
// on which each condition that a filter has for the syscall answers the same. So what
// holds for these holds for all calls. complete is false when there would be more than
// maxCells.
func cells(a specs.Arch, syscall string, filters ...*Filter) (out [][6]uint64, complete bool) {
	var byIndex [maxArgIndex + 1][]condition
	for _, f := range filters {
		af := f.archs[a]
		if af == nil || af.calls[syscall] == nil {
			continue
		}
		for _, r := range af.calls[syscall].rules {
			for _, c := range r.conditions {
				if !slices.Contains(byIndex[c.index], c) {
					byIndex[c.index] = append(byIndex[c.index], c)
				}
			}
		}
	}
	out = [][6]uint64{{}}
	for i, conditions := range byIndex {
		if len(conditions) == 0 {
			continue
		}
		values, ok := representatives(conditions, narrow(a))
		if !ok || len(values)*len(out) > maxCells {
			return nil, false
		}
		next := make([][6]uint64, 0, len(values)*len(out))
		for _, args := range out {
			for _, v := range values {
				args[i] = v
				next = append(next, args)
			}
		}
		out = next
	}
	return out, true
}

// representatives returns one value for each combination of answers that the
// conditions on one argument can give together.
func representatives(conditions []condition, narrow bool) (values []uint64, complete bool) {
	whole := region{high: ^uint64(0)}
	if narrow {
		whole.high = 1<<32 - 1
	}
	complete = true
	var divide func(region, []condition)
	divide = func(r region, rest []condition) {
		v, found := r.first()
		switch {
		case !found || !complete:
		case len(values) == maxCells:
			complete = false
		case len(rest) == 0:
			values = append(values, v)
		default:
			divide(r.where(rest[0], true), rest[1:])
			divide(r.where(rest[0], false), rest[1:])
		}
	}
	divide(whole, conditions)
	return values, complete
}

// region is a set of values of one argument.
type region struct {
	low, high   uint64
	mask, value uint64 // bits that are given
	not         []masked
}

// masked stands for the values whose bits under the mask are those.
type masked struct{ mask, value uint64 }

// where returns the part of the region in which the condition holds, or does not.
func (r region) where(c condition, holds bool) region {
	op := c.op
	if !holds {
		op = opposite(op)
	}
	switch op {
	case specs.OpEqualTo:
		r.atLeast(c.value)
		r.atMost(c.value)
	case specs.OpLessEqual:
		r.atMost(c.value)
	case specs.OpGreaterEqual:
		r.atLeast(c.value)
	case specs.OpLessThan:
		if c.value == 0 {
			return region{low: 1}
		}
		r.atMost(c.value - 1)
	case specs.OpGreaterThan:
		if c.value == ^uint64(0) {
			return region{low: 1}
		}
		r.atLeast(c.value + 1)
	case specs.OpMaskedEqual:
		if r.mask&c.mask&(r.value^c.value) != 0 {
			return region{low: 1}
		}
		r.mask, r.value = r.mask|c.mask, r.value|c.value
	case specs.OpNotEqual:
		r.not = append(slices.Clip(r.not), masked{^uint64(0), c.value})
	default: // not the value under the mask
		r.not = append(slices.Clip(r.not), masked{c.mask, c.value})
	}
	return r
}

// opposite is the operator that holds where op does not; empty for the one that has
// no name.
func opposite(op specs.LinuxSeccompOperator) specs.LinuxSeccompOperator {
	switch op {
	case specs.OpEqualTo:
		return specs.OpNotEqual
	case specs.OpNotEqual:
		return specs.OpEqualTo
	case specs.OpLessThan:
		return specs.OpGreaterEqual
	case specs.OpLessEqual:
		return specs.OpGreaterThan
	case specs.OpGreaterThan:
		return specs.OpLessEqual
	case specs.OpGreaterEqual:
		return specs.OpLessThan
	default:
		return ""
	}
}

func (r *region) atLeast(v uint64) { r.low = max(r.low, v) }
func (r *region) atMost(v uint64)  { r.high = min(r.high, v) }

// first returns the smallest value of the region; found is false when it is empty.
func (r region) first() (v uint64, found bool) {
	v, found = r.next()
	if !found {
		return 0, false
	}
	i := slices.IndexFunc(r.not, func(n masked) bool { return v&n.mask == n.value })
	if i < 0 {
		return v, true
	}
	n := r.not[i]
	rest := r
	rest.not = slices.Delete(slices.Clone(r.not), i, i+1)
	if n.mask == ^uint64(0) {
		rest.atLeast(v + 1)
		if v == r.high { // and v+1 may be 0
			return 0, false
		}
		return rest.first()
	}
	// Some bit under the mask is the other way round.
	found = false
	for free := n.mask &^ r.mask; free != 0; free &= free - 1 {
		bit := free & -free
		other := rest
		other.mask |= bit
		other.value |= bit &^ n.value
		if w, ok := other.first(); ok && (!found || w < v) {
			v, found = w, true
		}
	}
	return v, found
}

// next returns the smallest value between low and high that has the given bits.
func (r region) next() (uint64, bool) {
	v := r.low
	if wrong := (v ^ r.value) & r.mask; wrong != 0 {
		top := uint64(1) << (bits.Len64(wrong) - 1)
		if v&top != 0 {
			// The bit is to be 0 and is 1: a free one above it has to go up.
			up := ^v &^ r.mask &^ (top<<1 - 1)
			if top == 1<<63 || up == 0 {
				return 0, false
			}
			top = up & -up
		}
		v = v&^(top<<1-1) | top
		v |= r.value & (top - 1)
	}
	return v, r.low <= r.high && v <= r.high
}
