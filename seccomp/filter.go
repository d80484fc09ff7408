// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Outcome is what the kernel does with a call.
type Outcome struct {
	Action specs.LinuxSeccompAction
	// Errno that the call returns, with SCMP_ACT_ERRNO; what a tracer is told, with
	// SCMP_ACT_TRACE; 0 otherwise.
	Errno uint
}

// LetsThrough says that the kernel carries out the call.
func (o Outcome) LetsThrough() bool { return !blocks(o.Action) }

// enosys is the errno for a syscall that does not exist.
const enosys = 38

// Filter is what runc, through libseccomp, makes of a profile on a node. It says what
// the kernel does with a call, as far as text and library determine it; where they
// leave it open, it says the milder of what may happen:
//
//   - several rules for one syscall have conditions, and not all are of one kind: the
//     tree that libseccomp makes of them was seen to let through, or to block, what no
//     rule says, so that each of their actions, and the default, may be the answer;
//   - a rule names a syscall newer than the libseccomp of many nodes, which ignores it;
//   - a short profile names a syscall that the architecture does not have, or need not have
//     when there is no table of it, see unsure.
type Filter struct {
	def   Outcome
	archs map[specs.Arch]*archFilter
}

// archFilter is the filter's part for one architecture.
type archFilter struct {
	arch  specs.Arch
	calls map[string]*chain
	// last is the highest number that the profile names; calls above it do not exist
	// for the container. 0 says that there is no such border: runc takes a profile that
	// names only number 0 for one that names nothing.
	last uint32
	// unsure says that libseccomp (2.5.4 was seen) may build a filter that compares
	// everything with the wrong word, so that every call gets the same action. It
	// does where the first of the syscalls, in its order, is one that the architecture
	// does not have, unless something else has loaded the number before: the check for
	// x32, or the tree that runc asks for above 32 rules.
	unsure bool
	// mistaken is what a call may get then: the default, but for architectures whose own
	// number is there to be taken for a syscall's.
	mistaken Outcome
}

// treeFrom is how many names runc takes for a list, not a tree.
const treeFrom = 32

// chain holds the rules for one syscall, in effect.
type chain struct {
	settled bool
	outcome Outcome // when settled
	rules   []conditional
}

// conditional is a rule that applies when all of its conditions hold.
type conditional struct {
	conditions []condition
	outcome    Outcome
}

// condition is one comparison, cut to the width of the architecture's arguments.
type condition struct {
	index       uint
	op          specs.LinuxSeccompOperator
	value, mask uint64
}

// Filter returns the profile as it acts on a node of the native architecture, which
// is always part of the filter. Architectures that no kernel of that one has programs of
// are left out: it never asks about them.
func (p *Profile) Filter(native specs.Arch) *Filter {
	f := &Filter{
		def:   outcome(p.oci.DefaultAction, p.oci.DefaultErrnoRet),
		archs: make(map[specs.Arch]*archFilter, 1+len(p.oci.Architectures)),
	}
	for _, a := range append([]specs.Arch{native}, p.oci.Architectures...) {
		if f.archs[a] == nil && slices.Contains(family(native), a) {
			f.archs[a] = p.archFilter(a, f.def)
		}
	}
	// The two share one list; with one of them alone, the other is checked for.
	x86, x32 := f.archs[specs.ArchX86_64], f.archs[specs.ArchX32]
	switch {
	case x86 != nil && x32 != nil:
		x86.unsure = x86.unsure || x32.unsure
		x32.unsure = x86.unsure
	case x86 != nil:
		x86.unsure = false
	case x32 != nil:
		x32.unsure = false
	}
	return f
}

// Architectures that the filter covers, sorted. Calls of any other kill the thread.
func (f *Filter) Architectures() []specs.Arch {
	archs := make([]specs.Arch, 0, len(f.archs))
	for a := range f.archs {
		archs = append(archs, a)
	}
	slices.Sort(archs)
	return archs
}

// Action says what happens to a call. The architecture is that of the program, such
// as SCMP_ARCH_X86 for a 32-bit one on x86_64.
func (f *Filter) Action(a specs.Arch, syscall string, args [6]uint64) Outcome {
	af := f.archs[a]
	if af == nil {
		return Outcome{Action: specs.ActKillThread}
	}
	nr, exists, _ := syscallNumber(a, syscall)
	if exists && af.last != 0 && nr > af.last {
		return Outcome{Action: specs.ActErrno, Errno: enosys}
	}
	out := f.def
	if c := af.calls[syscall]; c != nil {
		out = c.action(args, narrow(a), f.def)
	}
	if recent(a, syscall) {
		out = milder(out, f.def)
	}
	if af.unsure {
		out = milder(out, af.mistaken)
	}
	return out
}

func (c *chain) action(args [6]uint64, narrow bool, def Outcome) Outcome {
	if c.settled {
		return c.outcome
	}
	if narrow {
		for i := range args {
			args[i] &= 1<<32 - 1
		}
	}
	if !c.simple() {
		return c.mildest(def)
	}
	for i := range c.rules {
		if r := &c.rules[i]; r.matches(args) {
			return r.outcome
		}
	}
	return def
}

// mildest of what any rule or the default says.
func (c *chain) mildest(def Outcome) Outcome {
	if c.settled {
		return milder(def, c.outcome)
	}
	out := def
	for i := range c.rules {
		out = milder(out, c.rules[i].outcome)
	}
	return out
}

// simple says that libseccomp compiles the conditions to what they say: there is one
// rule, or all compare the same argument and do the same, with one operator for
// equality, or with one comparison by size beside values that are equal.
func (c *chain) simple() bool {
	if len(c.rules) == 1 {
		return true
	}
	first, sizes := c.rules[0], 0
	var equality specs.LinuxSeccompOperator
	for _, r := range c.rules {
		if len(r.conditions) != 1 || r.outcome != first.outcome || r.conditions[0].index != first.conditions[0].index {
			return false
		}
		switch op := r.conditions[0].op; {
		case !slices.Contains(equalities, op):
			sizes++
		case equality != "" && op != equality:
			return false
		default:
			equality = op
		}
	}
	return sizes == 0 || sizes == 1 && equality == specs.OpEqualTo
}

// equalities are the operators that need no comparison by size, which takes more than
// one step for an argument of 64 bits.
var equalities = []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual, specs.OpMaskedEqual}

func (r *conditional) matches(args [6]uint64) bool {
	for _, c := range r.conditions {
		if !c.holds(args[c.index]) {
			return false
		}
	}
	return true
}

func (c condition) holds(v uint64) bool {
	switch c.op {
	case specs.OpEqualTo:
		return v == c.value
	case specs.OpNotEqual:
		return v != c.value
	case specs.OpMaskedEqual:
		return v&c.mask == c.value
	case specs.OpLessThan:
		return v < c.value
	case specs.OpLessEqual:
		return v <= c.value
	case specs.OpGreaterThan:
		return v > c.value
	case specs.OpGreaterEqual:
		return v >= c.value
	default: // Parse accepts no other
		return false
	}
}

func (p *Profile) archFilter(a specs.Arch, def Outcome) *archFilter {
	af := &archFilter{arch: a, calls: make(map[string]*chain)}
	names := 0
	for _, call := range p.oci.Syscalls {
		for _, name := range call.Names {
			names++
			nr, exists, _ := syscallNumber(a, name)
			// The border counts every name, whatever becomes of its rule.
			if exists && nr > af.last && (multiplexed[name] == (mux{}) || !hasMux(a)) {
				af.last = nr
			}
			if p.isDefault(call) {
				continue
			}
			af.unsure = af.unsure || mayLack(a, name) && (!hasMux(a) || multiplexed[name] != (mux{}))
			for _, args := range separate(call.Args) {
				af.add(name, conditions(args, narrow(a)), outcome(call.Action, call.ErrnoRet))
			}
		}
	}
	if def.LetsThrough() || def.Action == specs.ActTrace {
		af.last = 0
	}
	af.unsure = af.unsure && names <= treeFrom
	af.mistaken = def
	if auditIsSyscall(a) {
		for _, c := range af.calls {
			af.mistaken = milder(af.mistaken, c.mildest(def))
		}
	}
	return af
}

// add puts a rule into the filter as libseccomp does.
func (af *archFilter) add(name string, conditions []condition, out Outcome) {
	_, exists, known := syscallNumber(af.arch, name)
	if m := multiplexed[name]; m != (mux{}) && hasMux(af.arch) {
		// The first argument now says which call is meant. The other conditions stay,
		// though they compare something else.
		carried := slices.DeleteFunc(slices.Clone(conditions), func(c condition) bool { return c.index == 0 })
		carried = append(carried, condition{op: specs.OpEqualTo, value: m.call})
		af.chain(m.carrier).add(carried, out)
	}
	if exists || !known || !KnownSyscall(name) {
		af.chain(name).add(conditions, out)
	}
}

func (af *archFilter) chain(name string) *chain {
	c := af.calls[name]
	if c == nil {
		c = &chain{}
		af.calls[name] = c
	}
	return c
}

func (c *chain) add(conditions []condition, out Outcome) {
	switch {
	case c.settled:
	case len(conditions) == 0:
		*c = chain{settled: true, outcome: out}
	default:
		c.rules = append(c.rules, conditional{conditions: conditions, outcome: out})
	}
}

// separate returns the rules that a runtime makes of the conditions of one: each a
// rule of its own when an argument is compared more than once.
func separate(args []specs.LinuxSeccompArg) [][]specs.LinuxSeccompArg {
	var seen [maxArgIndex + 1]bool
	for _, a := range args {
		if !seen[a.Index] {
			seen[a.Index] = true
			continue
		}
		each := make([][]specs.LinuxSeccompArg, len(args))
		for i := range args {
			each[i] = args[i : i+1]
		}
		return each
	}
	return [][]specs.LinuxSeccompArg{args}
}

// conditions returns the comparisons that the filter makes; one that always holds is
// not made at all.
func conditions(args []specs.LinuxSeccompArg, narrow bool) []condition {
	width := ^uint64(0)
	if narrow {
		width = 1<<32 - 1
	}
	out := make([]condition, 0, len(args))
	for _, a := range args {
		c := condition{index: a.Index, op: a.Op, value: a.Value & width}
		if a.Op == specs.OpMaskedEqual {
			c.mask = a.Value & width
			c.value = a.ValueTwo & c.mask
			if c.mask == 0 {
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

func outcome(a specs.LinuxSeccompAction, errno *uint) Outcome {
	return Outcome{Action: normalAction(a), Errno: normalErrno(a, errno)}
}

// milder returns the outcome that restrains the container less.
func milder(a, b Outcome) Outcome {
	if slices.Index(actions(), b.Action) < slices.Index(actions(), a.Action) {
		return b
	}
	return a
}
