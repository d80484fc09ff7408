// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"maps"
	"slices"
	"sync"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// x32Bit marks the numbers of the x32 interface, which share the audit
// architecture of x86_64.
const x32Bit = 1 << 30

// Syscalls above lastCommon (set_mempolicy_home_node, Linux 5.17) are newer than
// libseccomp 2.5.4, which many nodes still have: such a library ignores rules that
// name them. Numbers are given out in order since 424, but for those from archSpecific
// on and for uretprobe, which came late to a gap.
const (
	lastCommon   = 450
	archSpecific = 512
)

// syscallTable returns the numbers of an architecture's syscalls by name, as the
// kernel has them up to Linux 6.15. There is none for the architectures that no
// maintained table covers.
func syscallTable(a specs.Arch) (map[string]int, bool) {
	switch a {
	case specs.ArchX86_64:
		return arch.X86_64.SyscallNames, true
	case specs.ArchX86:
		return arch.I386.SyscallNames, true
	case specs.ArchX32:
		return x32Syscalls(), true
	case specs.ArchAARCH64:
		return aarch64Syscalls(), true
	case specs.ArchARM:
		return arch.ARM.SyscallNames, true
	default:
		return nil, false
	}
}

// x32Syscalls has the numbers of x32's own variants, from 512 on, where there are
// two: the numbers that they share with x86_64 are for that one alone. So are the
// syscalls named here.
var x32Syscalls = sync.OnceValue(func() map[string]int {
	table := make(map[string]int, len(arch.X32.SyscallNumbers))
	for nr, name := range arch.X32.SyscallNumbers {
		table[name] = max(nr, table[name])
	}
	for _, name := range []string{
		"_sysctl", "create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms", "get_thread_area", "map_shadow_stack",
		"nfsservctl", "query_module", "set_thread_area", "uselib", "vserver",
	} {
		delete(table, name)
	}
	return table
})

// aarch64Syscalls leaves out the calls that only 32-bit architectures have, from
// clock_gettime64 to sched_rr_get_interval_time64, and the name of a range, which is no
// call. fstatat is what the kernel's function is called, not the call.
var aarch64Syscalls = sync.OnceValue(func() map[string]int {
	table := maps.Clone(arch.AARCH64.SyscallNames)
	maps.DeleteFunc(table, func(_ string, nr int) bool { return nr >= 403 && nr <= 423 })
	delete(table, "arch_specific_syscall")
	table["newfstatat"] = table["fstatat"]
	delete(table, "fstatat")
	return table
})

// SyscallNames lists the syscalls of an architecture, sorted; nil when its table is
// not known.
func SyscallNames(a specs.Arch) []string {
	table, _ := syscallTable(a)
	return slices.Sorted(maps.Keys(table))
}

// possibleNames lists the syscalls that an architecture has, sorted, or, when its table is
// not known, those that any has: what is left out would never be looked at.
func possibleNames(a specs.Arch) []string {
	if names := SyscallNames(a); names != nil {
		return names
	}
	return slices.Clone(allNames())
}

var allNames = sync.OnceValue(func() []string {
	var names []string
	for _, a := range tabled() {
		names = append(names, SyscallNames(a)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
})

// syscallNumber returns the number that the kernel sees. known is false where the
// architecture has no table.
func syscallNumber(a specs.Arch, name string) (nr uint32, exists, known bool) {
	table, known := syscallTable(a)
	n, exists := table[name]
	nr = uint32(n)
	if a == specs.ArchX32 {
		nr |= x32Bit
	}
	return nr, exists, known
}

// SyscallNumber returns the number of a syscall on an architecture; ok is false when
// it has none or no table is known.
func SyscallNumber(a specs.Arch, name string) (nr uint32, ok bool) {
	nr, ok, _ = syscallNumber(a, name)
	return nr, ok
}

// SyscallName returns the name of the syscall that the kernel sees under a number; ok is
// false when the architecture has none or no table is known.
func SyscallName(a specs.Arch, nr uint32) (name string, ok bool) {
	name, ok = syscallsByNumber()[archNumber{a, nr}]
	return name, ok
}

type archNumber struct {
	arch specs.Arch
	nr   uint32
}

var syscallsByNumber = sync.OnceValue(func() map[archNumber]string {
	names := make(map[archNumber]string)
	for _, a := range tabled() {
		for _, name := range SyscallNames(a) {
			nr, _, _ := syscallNumber(a, name)
			names[archNumber{a, nr}] = name
		}
	}
	return names
})

// recent says that a libseccomp in use may not know the syscall, and would ignore
// rules for it. Without a table, it is one that every such library knows only when it is
// known elsewhere: new numbers are the same on all architectures.
func recent(a specs.Arch, name string) bool {
	if _, _, known := syscallNumber(a, name); known {
		return recentOn(a, name)
	}
	return multiplexed[name] == mux{} && !slices.ContainsFunc(tabled(), func(t specs.Arch) bool { return !recentOn(t, name) })
}

// recentOn is recent for an architecture with a table.
func recentOn(a specs.Arch, name string) bool {
	nr, exists, _ := syscallNumber(a, name)
	nr &^= x32Bit
	return !exists || nr > lastCommon && nr < archSpecific || name == "uretprobe"
}

// mayLack says that the architecture does not have the syscall, or, without a table, that
// it need not have it: only what all others have is taken to be everywhere.
func mayLack(a specs.Arch, name string) bool {
	if _, exists, known := syscallNumber(a, name); known {
		return !exists
	}
	return !common()[name]
}

// common are the names that all tables have, under numbers of their own. riscv64 and
// loongarch64 lack some of them, which newer calls replace.
var common = sync.OnceValue(func() map[string]bool {
	out := make(map[string]bool)
	for _, name := range allNames() {
		out[name] = !slices.ContainsFunc(tabled(), func(a specs.Arch) bool {
			_, exists, _ := syscallNumber(a, name)
			return !exists
		})
	}
	for _, name := range []string{"renameat", "getrlimit", "setrlimit", "fstat"} {
		delete(out, name)
	}
	return out
})

// KnownSyscall says that some architecture has a syscall of that name.
func KnownSyscall(name string) bool {
	for _, a := range tabled() {
		if _, exists, _ := syscallNumber(a, name); exists {
			return true
		}
	}
	return multiplexed[name] != mux{}
}

// tabled are the architectures whose syscalls are known.
func tabled() []specs.Arch {
	return []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM}
}

// family are the architectures whose programs a kernel can run, its own first.
func family(native specs.Arch) []specs.Arch {
	switch native {
	case specs.ArchX86_64:
		return []specs.Arch{native, specs.ArchX86, specs.ArchX32}
	case specs.ArchAARCH64:
		return []specs.Arch{native, specs.ArchARM}
	case specs.ArchS390X:
		return []specs.Arch{native, specs.ArchS390}
	case specs.ArchPPC64:
		return []specs.Arch{native, specs.ArchPPC}
	case specs.ArchMIPS64:
		return []specs.Arch{native, specs.ArchMIPS, specs.ArchMIPS64N32}
	case specs.ArchMIPSEL64:
		return []specs.Arch{native, specs.ArchMIPSEL, specs.ArchMIPSEL64N32}
	case specs.ArchPARISC64:
		return []specs.Arch{native, specs.ArchPARISC}
	default:
		return []specs.Arch{native}
	}
}

// narrow says that the architecture passes arguments of 32 bits.
func narrow(a specs.Arch) bool {
	switch a {
	case specs.ArchX86, specs.ArchX32, specs.ArchARM, specs.ArchMIPS, specs.ArchMIPSEL, specs.ArchMIPS64N32,
		specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchS390, specs.ArchPARISC, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB:
		return true
	default:
		return false
	}
}

// auditIsSyscall says that the number of the architecture (AUDIT_ARCH) is in the range of its
// syscalls' numbers: it is that of its ELF machine alone, as for big-endian ones of 32 bits.
// On s390, both the architecture and umount are 22.
func auditIsSyscall(a specs.Arch) bool {
	switch a {
	case specs.ArchS390, specs.ArchPPC, specs.ArchPARISC, specs.ArchM68K, specs.ArchSHEB:
		return true
	default:
		return false
	}
}

// mux is the place of a syscall in one that carries several: its first argument
// says which is meant, the others are not the arguments that rules speak of.
type mux struct {
	carrier string
	call    uint64
}

// hasMux says whether the architecture has the carriers socketcall and ipc in a way
// that libseccomp knows of.
func hasMux(a specs.Arch) bool {
	switch a {
	case specs.ArchX86, specs.ArchMIPS, specs.ArchMIPSEL, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE,
		specs.ArchS390, specs.ArchS390X:
		return true
	default:
		return false
	}
}

// multiplexed has the numbers of linux/net.h and linux/ipc.h.
var multiplexed = map[string]mux{
	"socket": {"socketcall", 1}, "bind": {"socketcall", 2}, "connect": {"socketcall", 3}, "listen": {"socketcall", 4},
	"accept": {"socketcall", 5}, "getsockname": {"socketcall", 6}, "getpeername": {"socketcall", 7},
	"socketpair": {"socketcall", 8}, "send": {"socketcall", 9}, "recv": {"socketcall", 10}, "sendto": {"socketcall", 11},
	"recvfrom": {"socketcall", 12}, "shutdown": {"socketcall", 13}, "setsockopt": {"socketcall", 14},
	"getsockopt": {"socketcall", 15}, "sendmsg": {"socketcall", 16}, "recvmsg": {"socketcall", 17},
	"accept4": {"socketcall", 18}, "recvmmsg": {"socketcall", 19}, "sendmmsg": {"socketcall", 20},
	"semop": {"ipc", 1}, "semget": {"ipc", 2}, "semctl": {"ipc", 3}, "semtimedop": {"ipc", 4},
	"msgsnd": {"ipc", 11}, "msgrcv": {"ipc", 12}, "msgget": {"ipc", 13}, "msgctl": {"ipc", 14},
	"shmat": {"ipc", 21}, "shmdt": {"ipc", 22}, "shmget": {"ipc", 23}, "shmctl": {"ipc", 24},
}
