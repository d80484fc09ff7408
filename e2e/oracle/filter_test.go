// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"github.com/sirupsen/logrus"
	"golang.org/x/net/bpf"

	"github.com/seccompgate/seccompgate/seccomp"
)

var (
	comparisons = flag.Int("comparisons", 100_000, "calls to compare")
	seed        = flag.Uint64("seed", 0, "of the random profiles; 0 takes one at random")
)

// TestMain keeps runc from warning of every profile that names no syscall.
func TestMain(m *testing.M) {
	logrus.SetLevel(logrus.ErrorLevel)
	os.Exit(m.Run())
}

// architecture has the value of AUDIT_ARCH that the kernel gives a filter, and
// libseccomp's name.
type architecture struct {
	arch  specs.Arch
	audit uint32
	scmp  libseccomp.ScmpArch
}

// families are the architectures that programs on one kernel can have, the native one
// first. Others stay apart: with x86_64 and aarch64 in one filter, libseccomp 2.5.4
// forgets to load the number of the call for the second.
var families = [][]architecture{
	{
		{specs.ArchX86_64, 0xc000003e, libseccomp.ArchAMD64},
		{specs.ArchX86, 0x40000003, libseccomp.ArchX86},
		{specs.ArchX32, 0xc000003e, libseccomp.ArchX32},
	},
	{
		{specs.ArchAARCH64, 0xc00000b7, libseccomp.ArchARM64},
		{specs.ArchARM, 0x40000028, libseccomp.ArchARM},
	},
}

// TestRow78Row79FilterIsLibseccomps compares answers about random calls under random profiles.
func TestRow78Row79FilterIsLibseccomps(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	g := generator{rand.New(rand.NewPCG(*seed, 1))}
	var compared, milder, profiles, refused, endless int
	for compared < *comparisons {
		family := pick(g, families...)
		text := g.profile(family)
		p, err := seccomp.Parse(text)
		if err != nil {
			t.Fatalf("generated %s: %v", text, err)
		}
		vm, err := compile(p.OCI(), family[0].scmp)
		switch {
		case errors.Is(err, errEndless):
			endless++
			continue
		case err != nil: // such as two actions for the same conditions
			refused++
			continue
		}
		profiles++
		filter := p.Filter(family[0].arch)
		for range 200 {
			c := g.call(p.OCI(), family)
			want := kernel(t, vm, c)
			got := filter.Action(c.arch, c.name, c.args)
			compared++
			switch {
			case got == want:
			case !got.LetsThrough() && want.LetsThrough():
				t.Fatalf("unsafe: %s is %v, and %v here, under\n%s", c, want, got, about(t, p.OCI(), c.name))
			default:
				milder++
			}
		}
	}
	t.Logf("%d comparisons under %d profiles: 0 unsafe, %d answered otherwise but safely", compared, profiles, milder)
	t.Logf("no container starts under %d more: libseccomp refused %d, and came to no end with %d", refused+endless, refused, endless)
	// Where libseccomp makes what the rules say, so must this.
	if milder*4 > compared {
		t.Errorf("%d of %d answers are not what libseccomp does", milder, compared)
	}
}

// errEndless stands for what libseccomp 2.5.4 does with some profiles.
var errEndless = errors.New("libseccomp does not come to an end")

// compile is program with an end. What libseccomp does not end goes on in a thread of
// its own for as long as the test runs.
func compile(profile *specs.LinuxSeccomp, native libseccomp.ScmpArch) (vm *bpf.VM, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		vm, err = program(profile, native)
	}()
	select {
	case <-done:
		return vm, err
	case <-time.After(5 * time.Second):
		return nil, errEndless
	}
}

// about is the profile without what cannot matter to one syscall.
func about(t *testing.T, p *specs.LinuxSeccomp, name string) string {
	short := *p
	short.Syscalls = nil
	for _, rule := range p.Syscalls {
		if name != "socketcall" && name != "ipc" {
			if !slices.Contains(rule.Names, name) {
				continue
			}
			rule.Names = []string{name}
		}
		short.Syscalls = append(short.Syscalls, rule)
	}
	text, err := json.MarshalIndent(&short, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type call struct {
	arch  specs.Arch
	name  string
	audit uint32
	nr    uint32
	args  [6]uint64
}

func (c call) String() string {
	return fmt.Sprintf("%s on %s (%d) %#x", c.name, c.arch, c.nr, c.args)
}

// kernel runs the filter over what the kernel would show it (struct seccomp_data). The
// machine loads words as big-endian ones.
func kernel(t *testing.T, vm *bpf.VM, c call) seccomp.Outcome {
	t.Helper()
	var data [64]byte
	binary.BigEndian.PutUint32(data[0:], c.nr)
	binary.BigEndian.PutUint32(data[4:], c.audit)
	for i, a := range c.args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a)) // low word first: x86 and ARM are little-endian
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	ret, err := vm.Run(data[:])
	if err != nil {
		t.Fatalf("run filter: %v", err)
	}
	return outcome(uint32(ret))
}

func outcome(ret uint32) seccomp.Outcome {
	data := uint(ret & 0xffff)
	switch ret & 0xffff0000 {
	case 0x7fff0000:
		return seccomp.Outcome{Action: specs.ActAllow}
	case 0x7ffc0000:
		return seccomp.Outcome{Action: specs.ActLog}
	case 0x7ff00000:
		return seccomp.Outcome{Action: specs.ActTrace, Errno: data}
	case 0x7fc00000:
		return seccomp.Outcome{Action: specs.ActNotify}
	case 0x00050000:
		return seccomp.Outcome{Action: specs.ActErrno, Errno: data}
	case 0x00030000:
		return seccomp.Outcome{Action: specs.ActTrap}
	case 0x80000000:
		return seccomp.Outcome{Action: specs.ActKillProcess}
	default:
		return seccomp.Outcome{Action: specs.ActKillThread}
	}
}

// generator makes profiles that stress what is hard: few syscalls with many rules, values
// that are close to each other and to the border of 32 bits.
type generator struct{ *rand.Rand }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

func (g generator) profile(family []architecture) []byte {
	p := specs.LinuxSeccomp{DefaultAction: g.action()}
	if p.DefaultAction == specs.ActErrno && g.IntN(2) == 0 {
		p.DefaultErrnoRet = new(uint(1 + g.IntN(60)))
	}
	for _, a := range family {
		if g.IntN(2) == 0 {
			p.Architectures = append(p.Architectures, a.arch)
		}
	}
	// Half of the profiles decide each syscall with one action, as people write them.
	uniform := g.IntN(2) == 0
	action := g.action()
	names := make([]string, 1+g.IntN(4))
	for i := range names {
		names[i] = g.name()
	}
	// As people write them: one argument and one operator, or a range and values beside.
	alike, op, index := g.IntN(3) > 0, pick(g, operators()...), uint(g.IntN(2))
	ranges := g.IntN(2) == 0
	for range 1 + g.IntN(12) {
		call := specs.LinuxSyscall{Action: g.action(), Names: []string{pick(g, names...)}}
		if uniform {
			call.Action = action
		}
		for g.IntN(5) == 0 {
			call.Names = append(call.Names, g.name())
		}
		if call.Action == specs.ActErrno && g.IntN(2) == 0 && !uniform {
			call.ErrnoRet = new(uint(1 + g.IntN(60)))
		}
		if g.IntN(4) > 0 {
			for range 1 + g.IntN(3) {
				call.Args = append(call.Args, specs.LinuxSeccompArg{
					Index: uint(g.IntN(3)), Value: g.value(), ValueTwo: g.value(), Op: pick(g, operators()...),
				})
			}
		}
		if alike && len(call.Args) > 0 {
			call.Args = call.Args[:1]
			call.Args[0].Op, call.Args[0].Index = op, index
			if ranges {
				op = specs.OpEqualTo
			}
		}
		p.Syscalls = append(p.Syscalls, call)
	}
	text, err := json.Marshal(&p)
	if err != nil {
		panic(err)
	}
	return text
}

func operators() []specs.LinuxSeccompOperator {
	var out []specs.LinuxSeccompOperator
	for _, o := range seccomp.KnownOperators() {
		out = append(out, specs.LinuxSeccompOperator(o))
	}
	return out
}

func (g generator) action() specs.LinuxSeccompAction {
	return pick(g, specs.ActAllow, specs.ActAllow, specs.ActErrno, specs.ActErrno, specs.ActLog, specs.ActTrap,
		specs.ActKill, specs.ActKillProcess, specs.ActTrace)
}

// names that architectures number differently, lack, carry in others, or that are new.
var names = []string{
	"read", "write", "close", "mount", "umount", "umount2", "clone", "clone3", "socket", "connect", "accept", "accept4", "send",
	"recvmmsg", "socketcall", "ipc", "semop", "semtimedop", "shmat", "msgget", "personality", "open", "openat", "openat2",
	"arch_prctl", "bpf", "unshare", "ptrace", "time", "stat64", "newfstatat", "futex_time64", "pidfd_open", "process_vm_readv",
	"set_tls", "cacheflush", "epoll_pwait2", "landlock_create_ruleset", "memfd_secret", "cachestat", "mseal", "nosuchcall", "mmap2", "fadvise64_64",
}

func (g generator) name() string { return pick(g, names...) }

func (g generator) value() uint64 {
	v := pick(g, 0, 1, 2, 3, 5, 38, 0x7e020000, 1<<31, 1<<32-1, 1<<32, 1<<32+1, 1<<63, ^uint64(0), g.Uint64())
	return v + uint64(g.IntN(3)) - 1
}

// call is one under which the profile's rules matter, mostly.
func (g generator) call(p *specs.LinuxSeccomp, family []architecture) call {
	for {
		a := pick(g, family...)
		c := call{arch: a.arch, audit: a.audit, name: g.name()}
		var rule *specs.LinuxSyscall
		if len(p.Syscalls) > 0 && g.IntN(8) > 0 {
			rule = &p.Syscalls[g.IntN(len(p.Syscalls))]
			c.name = pick(g, rule.Names...)
			if g.IntN(6) == 0 {
				c.name = pick(g, "socketcall", "ipc")
			}
		}
		nr, ok := seccomp.SyscallNumber(c.arch, c.name)
		if !ok {
			continue
		}
		c.nr = nr
		for i := range c.args {
			c.args[i] = g.value()
		}
		if c.name == "socketcall" || c.name == "ipc" {
			c.args[0] = uint64(g.IntN(26))
		} else if rule != nil {
			for _, arg := range rule.Args {
				if g.IntN(4) > 0 {
					c.args[arg.Index] = pick(g, arg.Value, arg.Value+1, arg.Value-1, arg.ValueTwo, arg.ValueTwo|^arg.Value)
				}
			}
		}
		return c
	}
}

// TestNumbersAreLibseccomps compares the tables of syscalls.
func TestNumbersAreLibseccomps(t *testing.T) {
	for _, a := range slices.Concat(families...) {
		var common, newer int
		for _, name := range seccomp.SyscallNames(a.arch) {
			ours, _ := seccomp.SyscallNumber(a.arch, name)
			theirs, err := libseccomp.GetSyscallFromNameByArch(name, a.scmp)
			switch {
			case err != nil:
				newer++
			case int32(theirs) < 0 && int32(theirs) > -300: // carried in another
			case int32(theirs) != int32(ours):
				t.Errorf("%s on %s is %d, and %d for libseccomp", name, a.arch, ours, theirs)
			default:
				common++
			}
		}
		t.Logf("%s: %d numbers equal, %d names unknown to this libseccomp", a.arch, common, newer)
		if common < 300 || newer > 60 {
			t.Errorf("%s: only %d numbers compared, %d names unknown to libseccomp", a.arch, common, newer)
		}
	}
}
