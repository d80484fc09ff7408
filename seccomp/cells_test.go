// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"
)

// TestRepresentativesAreComplete compares with a search over all values of a small
// argument: the conditions look at bits that 8 bits of it hold, wherever they lie.
func TestRepresentativesAreComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.SampledFrom([]int{0, 3, 24, 28, 50, 56}).Draw(t, "shift")
		small := rapid.Uint64Range(0, 255)
		conditions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) condition {
			c := condition{op: rapid.SampledFrom(operators()).Draw(t, "op"), value: small.Draw(t, "value") << shift}
			if c.op == specs.OpMaskedEqual {
				c.mask = rapid.Uint64Range(1, 255).Draw(t, "mask") << shift
				c.value &= c.mask
			}
			return c
		}), 1, 6).Draw(t, "conditions")
		answers := func(v uint64) string {
			out := make([]byte, len(conditions))
			for i, c := range conditions {
				out[i] = '0'
				if c.holds(v) {
					out[i] = '1'
				}
			}
			return string(out)
		}
		values, complete := representatives(conditions, false)
		if !complete {
			t.Fatalf("%d values are not all", len(values))
		}
		var got []string
		for _, v := range values {
			got = append(got, answers(v))
		}
		if sorted := slices.Sorted(slices.Values(got)); len(slices.Compact(sorted)) != len(got) {
			t.Fatalf("two of %#x answer alike: %v", values, got)
		}
		for v := range uint64(256) {
			for _, low := range []uint64{0, 1<<shift - 1} {
				if w := v<<shift | low; !slices.Contains(got, answers(w)) {
					t.Fatalf("%#x answers %s to %+v, and none of %#x does", w, answers(w), conditions, values)
				}
			}
		}
	})
}

func TestNextValue(t *testing.T) {
	const all = ^uint64(0)
	for _, tc := range []struct {
		name  string
		r     region
		want  uint64
		found bool
	}{
		{"the lowest", region{low: 5, high: 9}, 5, true},
		{"none between", region{low: 9, high: 5}, 0, false},
		{"bits that are right", region{low: 5, high: 9, mask: 4, value: 4}, 5, true},
		{"a bit to set", region{low: 3, high: 9, mask: 4, value: 4}, 4, true},
		{"a bit to clear", region{low: 5, high: 99, mask: 4}, 8, true},
		{"a bit to clear, too far", region{low: 5, high: 7, mask: 4}, 8, false},
		{"no bit above", region{low: all, high: all, mask: 1}, 0, false},
		{"the highest bit", region{low: 1 << 63, high: all, mask: 1 << 63}, 0, false},
		{"the highest bit, set", region{low: 1, high: all, mask: 1 << 63, value: 1 << 63}, 1 << 63, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, found := tc.r.next()
			if found != tc.found || found && got != tc.want {
				t.Errorf("got %#x %v, want %#x %v", got, found, tc.want, tc.found)
			}
		})
	}
}
