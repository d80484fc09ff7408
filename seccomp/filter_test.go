// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// That these answers are libseccomp's is shown by e2e/oracle.
func TestFilterAction(t *testing.T) {
	allow := Outcome{Action: specs.ActAllow}
	errno := func(n uint) Outcome { return Outcome{Action: specs.ActErrno, Errno: n} }
	kill := Outcome{Action: specs.ActKillThread}
	// names pads a profile to the length from which on runc asks for a tree.
	names := `"read","write","close","fstat","lseek","mmap","mprotect","munmap","brk","ioctl","pread64","pwrite64","readv","writev",
		"sched_yield","mremap","msync","mincore","madvise","shmget","shmat","shmctl","dup","nanosleep","getitimer","setitimer","getpid",
		"sendfile","socket","connect","execve","exit","wait4","kill"`
	for _, tc := range []struct {
		name    string
		profile string
		arch    specs.Arch
		syscall string
		args    [6]uint64
		want    Outcome
	}{
		{"default", `{"defaultAction":"SCMP_ACT_ALLOW"}`, specs.ArchX86_64, "bpf", [6]uint64{}, allow},
		{"the default errno is EPERM", `{"defaultAction":"SCMP_ACT_ERRNO"}`, specs.ArchX86_64, "bpf", [6]uint64{}, errno(1)},
		{"the default errno of the file", `{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":13}`, specs.ArchX86_64, "bpf", [6]uint64{}, errno(13)},
		{"an architecture that is not listed", `{"defaultAction":"SCMP_ACT_ALLOW"}`, specs.ArchX86, "read", [6]uint64{}, kill},
		{"one that is", `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"]}`, specs.ArchX86, "read", [6]uint64{}, allow},
		{"the native one is always there", `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"]}`, specs.ArchX86_64, "read", [6]uint64{}, allow},
		{
			"the first rule without conditions wins",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_LOG"},{"names":["bpf"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchX86_64, "bpf",
			[6]uint64{},
			Outcome{Action: specs.ActLog},
		},
		{
			"a rule without conditions wipes those before it",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
				{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]},
				{"names":["socket"],"action":"SCMP_ACT_TRAP"}]}`,
			specs.ArchX86_64, "socket",
			[6]uint64{2},
			Outcome{Action: specs.ActTrap},
		},
		{
			"a mask of nothing is no condition",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"valueTwo":7,"op":"SCMP_CMP_MASKED_EQ"}]}]}`,
			specs.ArchX86_64, "socket",
			[6]uint64{2},
			allow,
		},
		{
			"a rule equal to the default wipes nothing",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
				{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]},
				{"names":["socket"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}`,
			specs.ArchX86_64, "socket",
			[6]uint64{2},
			allow,
		},
		{
			"all conditions of a rule must hold",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"},{"index":1,"value":1,"op":"SCMP_CMP_GE"}]}]}`,
			specs.ArchX86_64, "socket",
			[6]uint64{2, 0},
			errno(1),
		},
		{
			"conditions on one argument are alternatives",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"},{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}]}`,
			specs.ArchX86_64, "personality",
			[6]uint64{8},
			allow,
		},
		{
			"arguments of 64 bits",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":38,"op":"SCMP_CMP_EQ"}]}]}`,
			specs.ArchX86_64, "socket",
			[6]uint64{1<<32 | 38},
			allow,
		},
		{
			"arguments of 32 bits",
			`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[{"names":["personality"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":38,"op":"SCMP_CMP_EQ"}]}]}`,
			specs.ArchX86, "personality",
			[6]uint64{1<<32 | 38},
			errno(1),
		},
		{
			"a masked value",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]}`,
			specs.ArchX86_64, "clone",
			[6]uint64{0x10000000},
			errno(1),
		},
		{
			"above the highest number that is named, nothing exists",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["mount"],"action":"SCMP_ACT_ALLOW"}]}`,
			specs.ArchX86_64, "bpf",
			[6]uint64{},
			errno(38),
		},
		{
			"a rule equal to the default counts for that",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchX86_64, "mount",
			[6]uint64{},
			errno(1),
		},
		{
			"a tracer is to see what does not exist",
			`{"defaultAction":"SCMP_ACT_TRACE","syscalls":[{"names":["mount"],"action":"SCMP_ACT_ALLOW"}]}`,
			specs.ArchX86_64, "bpf",
			[6]uint64{},
			Outcome{Action: specs.ActTrace, Errno: 1},
		},
		{
			"only number 0 is as no name at all",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}`,
			specs.ArchX86_64, "bpf",
			[6]uint64{},
			errno(1),
		},
		{
			"a blocked call is blocked in its carrier",
			`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[{"names":["socket"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchX86, "socketcall",
			[6]uint64{1},
			errno(1),
		},
		{
			"but not for some values of its arguments",
			`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]}`,
			specs.ArchX86, "socketcall",
			[6]uint64{1, 38},
			allow,
		},
		{
			"a node's libseccomp may not know what is new",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mseal"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchX86_64, "mseal",
			[6]uint64{},
			allow,
		},
		{
			"nor may anybody know what has no number",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["nosuch"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchX86_64, "nosuch",
			[6]uint64{},
			allow,
		},
		{
			"conditions of several kinds may come out as anything that is named",
			`{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["msgget"],"action":"SCMP_ACT_LOG","args":[{"index":1,"value":4,"op":"SCMP_CMP_LE"}]},
				{"names":["msgget"],"action":"SCMP_ACT_LOG","args":[{"index":1,"value":4294967296,"op":"SCMP_CMP_GT"}]}]}`,
			specs.ArchX86_64, "msgget",
			[6]uint64{0, 5},
			Outcome{Action: specs.ActLog},
		},
		{
			"a name that the architecture lacks can undo a short profile",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchAARCH64, "mkdirat",
			[6]uint64{},
			allow,
		},
		{
			"not on x86_64, where x32 is checked for first",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["umount","umount2"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchX86_64, "umount2",
			[6]uint64{},
			errno(1),
		},
		{
			"unless x32 is listed",
			`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X32"],"syscalls":[{"names":["umount","umount2"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchX86_64, "umount2",
			[6]uint64{},
			allow,
		},
		{
			"nor a long profile",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat",` + names + `],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchAARCH64, "mkdirat",
			[6]uint64{},
			errno(1),
		},
		{
			"arm64 calls it newfstatat",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["newfstatat"],"action":"SCMP_ACT_ALLOW"}]}`,
			specs.ArchAARCH64, "newfstatat",
			[6]uint64{},
			allow,
		},
		{
			"and libseccomp ignores what a function of the kernel is called",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["fstatat"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchAARCH64, "fstatat",
			[6]uint64{},
			allow,
		},
		{
			"what every architecture has is blocked without a table, too",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount","ptrace"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchS390X, "mount",
			[6]uint64{},
			errno(1),
		},
		{
			"without a table, what is new elsewhere is new",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mseal",` + names + `],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchS390X, "mseal",
			[6]uint64{},
			allow,
		},
		{
			"without a table, a name may be lacking that others lack, and undo a short profile",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["arch_prctl","mount"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchRISCV64, "mount",
			[6]uint64{},
			allow,
		},
		{
			"as may one that is carried in another",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["semop","umount2"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchPPC64LE, "umount2",
			[6]uint64{},
			allow,
		},
		{
			"on s390, it may let through whatever one rule does",
			`{"defaultAction":"SCMP_ACT_KILL","architectures":["SCMP_ARCH_S390"],"syscalls":[{"names":["accept","umount"],"action":"SCMP_ACT_ALLOW"}]}`,
			specs.ArchS390, "umount2",
			[6]uint64{},
			allow,
		},
		{
			"as may one that riscv64 has replaced",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["renameat","mount"],"action":"SCMP_ACT_ERRNO"}]}`,
			specs.ArchRISCV64, "mount",
			[6]uint64{},
			allow,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Parse([]byte(tc.profile))
			if err != nil {
				t.Fatal(err)
			}
			native := tc.arch
			for _, wide := range []specs.Arch{specs.ArchX86_64, specs.ArchS390X} {
				if slices.Contains(family(wide), tc.arch) {
					native = wide
				}
			}
			if d := cmp.Diff(tc.want, p.Filter(native).Action(tc.arch, tc.syscall, tc.args)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestFilterArchitectures(t *testing.T) {
	p, err := Parse([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86","SCMP_ARCH_X32","SCMP_ARCH_X86"]}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range p.Filter(specs.ArchX86_64).Architectures() {
		got = append(got, string(a))
	}
	if want := "SCMP_ARCH_X32 SCMP_ARCH_X86 SCMP_ARCH_X86_64"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
