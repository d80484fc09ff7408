// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/seccomp"
)

// Calls collects which syscalls were made, each once. Its zero value is ready for use.
type Calls struct {
	seen map[Call]bool // whether any was let through
	// compat has an architecture whose calls were those of another kernel's.
	compat map[Arch]bool
}

// Add takes the call of a record.
func (c *Calls) Add(r *Record) {
	if c.seen == nil {
		c.seen, c.compat = make(map[Call]bool), make(map[Arch]bool)
	}
	c.seen[r.Call] = c.seen[r.Call] || passed(r.Action)
	if r.Compat {
		c.compat[r.Arch] = true
	}
}

// passed says that a filter let the call through. TRACE and NOTIFY ask another process,
// whose answer no record has; they count as if it agreed.
func passed(a specs.LinuxSeccompAction) bool {
	return a == specs.ActLog || a == specs.ActTrace || a == specs.ActNotify
}

// Len returns how many different calls there are.
func (c *Calls) Len() int { return len(c.seen) }

// Unnamed returns the calls that no profile can name: their numbers, or their
// architectures, are not known here.
func (c *Calls) Unnamed() []Call {
	return c.sorted(func(call Call) bool {
		_, ok := call.Name()
		return !ok
	})
}

// Blocked returns the calls with a name that were seen, and never let through.
func (c *Calls) Blocked() []Call {
	return c.sorted(func(call Call) bool {
		_, ok := call.Name()
		return ok && !c.seen[call]
	})
}

func (c *Calls) sorted(wanted func(Call) bool) []Call {
	var out []Call
	for call := range c.seen {
		if wanted(call) {
			out = append(out, call)
		}
	}
	slices.SortFunc(out, func(a, b Call) int { return cmp.Or(cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Number, b.Number)) })
	return out
}

// ErrNoName is returned where no call has a name, so that a profile would let nothing
// through.
var ErrNoName = errors.New("none of the calls has a known name")

// enosys says that a kernel has no such call.
const enosys uint = 38

// Profile returns the profile that lets through the calls that were made, and those that
// base names on the architectures at hand, and answers all others with EPERM. With a base,
// clone3 is answered with ENOSYS unless it was seen: C libraries then try clone.
//
// The architectures are those of the calls, and the kernel's own. A name stands for the
// call on each of them, for profiles cannot tell them apart.
func (c *Calls) Profile(base []string) (*seccomp.Profile, error) {
	names := make(map[string]bool)
	for call := range c.seen {
		if name, ok := call.Name(); ok {
			names[name] = true
		}
	}
	if len(names) == 0 {
		return nil, ErrNoName
	}
	oci := specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: c.architectures()}
	for _, name := range base {
		if slices.ContainsFunc(oci.Architectures, func(a specs.Arch) bool { return has(a, name) }) {
			names[name] = true
		}
	}
	oci.Syscalls = []specs.LinuxSyscall{{Names: slices.Sorted(maps.Keys(names)), Action: specs.ActAllow}}
	if len(base) > 0 && !names["clone3"] {
		answer := enosys
		oci.Syscalls = append(oci.Syscalls, specs.LinuxSyscall{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: &answer})
	}
	text, err := json.Marshal(&oci)
	if err != nil {
		return nil, err
	}
	return seccomp.Parse(text)
}

// has says that an architecture has the syscall, or may have it: not all are known.
func has(a specs.Arch, name string) bool {
	_, ok := seccomp.SyscallNumber(a, name)
	return ok || len(seccomp.SyscallNames(a)) == 0
}

// architectures lists those of the calls and of the kernels that had them, a native one
// before those that it can run.
func (c *Calls) architectures() []specs.Arch {
	want := make(map[specs.Arch]bool)
	for call := range c.seen {
		if name, ok := call.SpecArch(); ok {
			want[name] = true
		}
	}
	all := arches()
	for _, a := range all {
		if want[a.name] && a.native != "" && (c.compat[a.audit] || a.name == specs.ArchX32) {
			want[a.native] = true
		}
	}
	all = slices.DeleteFunc(all, func(a arch) bool { return !want[a.name] })
	out := make([]specs.Arch, len(all))
	for i, a := range all {
		out[i] = a.name
	}
	return out
}
