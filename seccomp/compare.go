// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Difference is a call that two filters treat differently.
type Difference struct {
	Arch    specs.Arch
	Syscall string
	// Args for which it is so, one example; nil when they do not matter.
	Args *[6]uint64
	// Undecided says that the conditions are too many to be compared.
	Undecided bool
	From, To  Outcome
}

// Diff lists the calls that the kernel treats differently under b than under a, by
// architecture and name, with one example for each. The text of the two does not
// matter.
func Diff(a, b *Filter) []Difference {
	return compare(a, b, func(x, y Outcome) bool { return x != y })
}

// beyond lists the calls that f lets through and limit does not.
func (f *Filter) beyond(limit *Filter) []Difference {
	return compare(limit, f, func(x, y Outcome) bool { return !x.LetsThrough() && y.LetsThrough() })
}

func compare(a, b *Filter, differ func(x, y Outcome) bool) []Difference {
	archs := make(map[specs.Arch]bool)
	for _, f := range []*Filter{a, b} {
		for arch := range f.archs {
			archs[arch] = true
		}
	}
	var out []Difference
	for _, arch := range slices.Sorted(maps.Keys(archs)) {
		for _, name := range names(arch, a, b) {
			if d, found := compareCall(a, b, arch, name, differ); found {
				out = append(out, d)
			}
		}
	}
	return out
}

func compareCall(a, b *Filter, arch specs.Arch, name string, differ func(x, y Outcome) bool) (Difference, bool) {
	points, complete := cells(arch, name, a, b)
	if !complete {
		return Difference{Arch: arch, Syscall: name, Undecided: true, From: a.def, To: b.def}, true
	}
	found, all := Difference{Arch: arch, Syscall: name}, true
	some := false
	for _, args := range points {
		x, y := a.Action(arch, name, args), b.Action(arch, name, args)
		switch {
		case !differ(x, y):
			all = false
		case !some:
			some = true
			found.Args, found.From, found.To = &args, x, y
		default:
			all = all && x == found.From && y == found.To
		}
	}
	if all {
		found.Args = nil
	}
	return found, some
}

// names lists the syscalls that an architecture has or may have, and those that the
// filters name though it is not known whether the architecture has them.
func names(arch specs.Arch, filters ...*Filter) []string {
	all := possibleNames(arch)
	for _, f := range filters {
		if af := f.archs[arch]; af != nil {
			for name := range af.calls {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Allowed says how much of a syscall a filter lets through.
type Allowed int

// From nothing to everything.
const (
	Never Allowed = iota
	Sometimes
	Always
)

// Allows says whether the filter lets calls of that name through: for all arguments, for
// some, or for none.
func (f *Filter) Allows(arch specs.Arch, name string) Allowed {
	points, complete := cells(arch, name, f)
	if !complete {
		return Sometimes
	}
	through := 0
	for _, args := range points {
		if f.Action(arch, name, args).LetsThrough() {
			through++
		}
	}
	switch through {
	case 0:
		return Never
	case len(points):
		return Always
	default:
		return Sometimes
	}
}
