// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Danger is a syscall that a container rarely needs and an attacker likes.
type Danger struct {
	Syscall string
	// Reason completes "lets a container ...".
	Reason string
	// Weight is 10 for what takes over the host's kernel, 7 for what reaches into other
	// processes or exploits well, 4 for what enlarges the attack surface.
	Weight int
	// calls are the arguments that make it dangerous; empty means any.
	calls [][6]uint64
}

// Flags and families that tell the dangerous uses of a syscall apart.
const (
	cloneNewUser = 0x10000000
	cloneNewNS   = 0x00020000
	afALG        = 38
	afVsock      = 40
	noRandomize  = 0x0040000
)

// Dangers lists the dangerous syscalls, the heaviest first, in the order of their
// names. They are those that the runtimes' default profiles give to single
// capabilities only, or to nobody.
func Dangers() []Danger {
	var out []Danger
	add := func(weight int, reason string, names ...string) {
		for _, n := range names {
			out = append(out, Danger{Syscall: n, Reason: reason, Weight: weight})
		}
	}
	add(10, "load code into the kernel", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf")
	add(10, "reach the hardware", "iopl", "ioperm", "pciconfig_read", "pciconfig_write")
	add(10, "stop the machine", "reboot", "swapon", "swapoff")
	add(10, "change what is mounted", "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "pivot_root")
	add(10, "enter or make namespaces", "setns", "unshare")
	out = append(out, Danger{"clone", "enter or make namespaces", 10, [][6]uint64{{cloneNewUser}, {cloneNewNS}}})
	add(10, "make namespaces with flags that no filter can see", "clone3")
	add(7, "read or change other processes", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise")
	add(7, "use interfaces that kernel exploits are made of", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "perf_event_open")
	add(7, "use the kernel's key rings, which are not per container", "keyctl", "add_key", "request_key")
	add(7, "open files by handles, past its own mounts", "open_by_handle_at")
	add(7, "watch the host", "fanotify_init", "syslog", "lookup_dcookie")
	out = append(out,
		Danger{"personality", "switch off protections of its own memory", 4, [][6]uint64{{noRandomize}}},
		Danger{"socket", "reach the kernel's crypto or the hypervisor by sockets (AF_ALG, AF_VSOCK)", 4, [][6]uint64{{afALG}, {afVsock}}})
	add(4, "change the clock of the host", "settimeofday", "clock_settime", "stime")
	add(4, "use what hardly any program needs", "acct", "quotactl", "quotactl_fd", "vhangup", "chroot", "mbind", "set_mempolicy", "sethostname", "setdomainname",
		"modify_ldt", "vm86", "vm86old", "uselib", "ustat", "sysfs", "_sysctl", "nfsservctl", "get_kernel_syms", "query_module", "create_module")
	slices.SortStableFunc(out, func(a, b Danger) int {
		if a.Weight != b.Weight {
			return b.Weight - a.Weight
		}
		return strings.Compare(a.Syscall, b.Syscall)
	})
	return out
}

// allowedBy says that the filter lets a dangerous call through, for programs of any
// architecture that it covers.
func (d *Danger) allowedBy(f *Filter) bool {
	for _, arch := range f.Architectures() {
		if _, exists, known := syscallNumber(arch, d.Syscall); known && !exists {
			continue
		}
		if len(d.calls) == 0 && f.Allows(arch, d.Syscall) != Never {
			return true
		}
		for _, args := range d.calls {
			if f.Action(arch, d.Syscall, argsOn(arch, d.Syscall, args)).LetsThrough() {
				return true
			}
		}
	}
	return false
}

// argsOn moves clone's flags to where the architecture has them.
func argsOn(arch specs.Arch, syscall string, args [6]uint64) [6]uint64 {
	if syscall == "clone" && (arch == specs.ArchS390 || arch == specs.ArchS390X) {
		args[0], args[1] = args[1], args[0]
	}
	return args
}
