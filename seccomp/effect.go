// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// eperm is the errno of SCMP_ACT_ERRNO and SCMP_ACT_TRACE when a profile names
// none (runc and crun alike).
const eperm = 1

// Permissive reports whether the profile allows everything: nothing that is in
// effect blocks, kills or fails a call. A rule that stands in the file need not
// be in effect, for libseccomp settles a syscall by order, not by strictness:
//
//   - a rule whose action is the default action is skipped;
//   - the first rule without conditions settles the syscall, later ones for it
//     do nothing;
//   - and it wipes the rules with conditions that came before it.
//
// SCMP_ACT_TRACE counts as blocking (without a tracer the call fails with
// ENOSYS) and so does SCMP_ACT_NOTIFY (a supervisor decides). Every name counts
// as a syscall: whether the node's kernel has it is not known here.
func (p *Profile) Permissive() bool {
	if blocks(p.oci.DefaultAction) {
		return false
	}
	settled := make(map[string]bool)
	blocked := make(map[string]bool)
	for _, call := range p.oci.Syscalls {
		if p.isDefault(call) {
			continue
		}
		for _, name := range call.Names {
			switch {
			case settled[name]:
			case len(call.Args) == 0:
				settled[name] = true
				blocked[name] = blocks(call.Action)
			case blocks(call.Action):
				blocked[name] = true
			}
		}
	}
	for _, b := range blocked {
		if b {
			return false
		}
	}
	return true
}

// blocks reports whether the action keeps the kernel from carrying out the call.
func blocks(a specs.LinuxSeccompAction) bool {
	return a != specs.ActAllow && a != specs.ActLog
}

// isDefault reports whether a runtime skips the rule because it does what the
// default action does anyway.
func (p *Profile) isDefault(call specs.LinuxSyscall) bool {
	return normalAction(call.Action) == normalAction(p.oci.DefaultAction) &&
		normalErrno(call.Action, call.ErrnoRet) == normalErrno(p.oci.DefaultAction, p.oci.DefaultErrnoRet)
}

// normalAction gives the two names of one action the same spelling.
func normalAction(a specs.LinuxSeccompAction) specs.LinuxSeccompAction {
	if a == specs.ActKill {
		return specs.ActKillThread
	}
	return a
}

func normalErrno(a specs.LinuxSeccompAction, errno *uint) uint {
	switch {
	case !takesErrno(a):
		return 0
	case errno == nil:
		return eperm
	default:
		return *errno
	}
}

// takesErrno reports whether errnoRet has a meaning beside the action.
func takesErrno(a specs.LinuxSeccompAction) bool {
	return a == specs.ActErrno || a == specs.ActTrace
}

// conditions counts the comparisons that libseccomp keeps apart in the filter,
// at least one instruction each, and stops counting above limit. Two conditions
// on the same argument of one rule are alternatives, as runc and crun take them.
func (p *Profile) conditions(limit int) int {
	count := 0
	settled := make(map[string]bool)
	kept := make(map[string]map[string]bool)
	for _, call := range p.oci.Syscalls {
		if p.isDefault(call) {
			continue
		}
		alternatives := alternatives(call.Args)
		for _, name := range unique(call.Names) {
			switch {
			case settled[name]:
			case len(call.Args) == 0:
				settled[name] = true
				count -= len(kept[name])
				delete(kept, name)
			default:
				if kept[name] == nil {
					kept[name] = make(map[string]bool)
				}
				before := len(kept[name])
				for _, a := range alternatives {
					kept[name][a] = true
				}
				count += len(kept[name]) - before
			}
			// A later rule without conditions may take some back, yet a profile
			// that needs that is beyond reading; what matters is the bound on work.
			if count > limit {
				return count
			}
		}
	}
	return count
}

// alternatives returns the conditions of one rule, each as a text that equals
// only its like: one text for all arguments together, or one for each when an
// argument is compared more than once.
func alternatives(args []specs.LinuxSeccompArg) []string {
	if len(args) == 0 {
		return nil
	}
	var seen [maxArgIndex + 1]bool
	split := false
	texts := make([]string, len(args))
	for i, a := range args {
		split = split || seen[a.Index]
		seen[a.Index] = true
		texts[i] = fmt.Sprintf("%d %s %d %d", a.Index, a.Op, a.Value, a.ValueTwo)
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if split {
		return texts
	}
	return []string{fmt.Sprint(texts)}
}

func unique(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}
