// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"slices"

	"github.com/seccompgate/seccompgate/seccomp"
)

const (
	// BaseAll is the base with the needs of every runtime that was measured.
	BaseAll = "all"
	// BaseNone is the base without any syscall.
	BaseNone = "none"
)

// ending are the calls of any process that a recording may have missed: those by which it
// ends, and those by which it comes back from a signal.
func ending() []string { return []string{"exit", "exit_group", "restart_syscall", "rt_sigreturn"} }

// Bases lists the names that Base takes.
func Bases() []string {
	var runtimes []string
	for _, s := range seccomp.Startups() {
		if s.Runtime != seccomp.AnyRuntime && !slices.Contains(runtimes, s.Runtime) {
			runtimes = append(runtimes, s.Runtime)
		}
	}
	slices.Sort(runtimes)
	return append(append([]string{BaseAll}, runtimes...), BaseNone)
}

// Base returns the syscalls, sorted, that a profile needs for a low-level runtime to start
// a container under it and for the container's processes to end: whatever any measured
// version of the runtime was seen to call. ok is false for a name that Bases does not
// list.
func Base(name string) (syscalls []string, ok bool) {
	if !slices.Contains(Bases(), name) {
		return nil, false
	}
	if name == BaseNone {
		return nil, true
	}
	syscalls = ending()
	for _, s := range seccomp.Startups() {
		if s.Runtime == name || name == BaseAll {
			syscalls = append(append(syscalls, s.Syscalls...), s.Seen...)
		}
	}
	slices.Sort(syscalls)
	return slices.Compact(syscalls), true
}
