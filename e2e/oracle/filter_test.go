// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
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

// untabled are families whose numbers seccompgate does not know. loongarch64 is not known
// to libseccomp 2.5.4, and PARISC, M68K and SH are not to runc.
var untabled = [][]architecture{
	{{specs.ArchPPC64LE, 0xc0000015, libseccomp.ArchPPC64LE}},
	{{specs.ArchRISCV64, 0xc00000f3, libseccomp.ArchRISCV64}},
	{
		{specs.ArchS390X, 0x80000016, libseccomp.ArchS390X},
		{specs.ArchS390, 0x00000016, libseccomp.ArchS390},
	},
	{
		{specs.ArchPPC64, 0x80000015, libseccomp.ArchPPC64},
		{specs.ArchPPC, 0x00000014, libseccomp.ArchPPC},
	},
	{
		{specs.ArchMIPSEL64, 0xc0000008, libseccomp.ArchMIPSEL64},
		{specs.ArchMIPSEL, 0x40000008, libseccomp.ArchMIPSEL},
		{specs.ArchMIPSEL64N32, 0xe0000008, libseccomp.ArchMIPSEL64N32},
	},
}

// auditLittleEndian is __AUDIT_ARCH_LE.
const auditLittleEndian = 1 << 30

// tally counts the answers about architectures whose numbers are known here, or not.
type tally struct {
	of                                                 string
	compared, milder, profiles, long, refused, endless int
	// mostMilder is how many in a thousand answers may be other than libseccomp's, though
	// safe.
	mostMilder int
}

// TestRow78Row79FilterIsLibseccomps compares answers about random calls under random profiles.
func TestRow78Row79FilterIsLibseccomps(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	g := generator{rand.New(rand.NewPCG(*seed, 1))}
	// Seen were 111 and 165 in a thousand.
	known, unknown := tally{of: "known", mostMilder: 140}, tally{of: "not known", mostMilder: 210}
	for known.compared+unknown.compared < *comparisons {
		family, count := pick(g, families...), &known
		if g.IntN(4) == 0 {
			family, count = pick(g, untabled...), &unknown
		}
		text := g.profile(family)
		p, err := seccomp.Parse(text)
		if err != nil {
			t.Fatalf("generated %s: %v", text, err)
		}
		vm, err := compile(p.OCI(), family[0].scmp)
		switch {
		case errors.Is(err, errEndless):
			count.endless++
			continue
		case errors.Is(err, errRefused):
			count.refused++
			continue
		case err != nil:
			t.Fatalf("compile %s: %v", text, err)
		}
		count.profiles++
		if calls(p.OCI()) > 32 {
			count.long++
		}
		filter := p.Filter(family[0].arch)
		for range probes {
			c := g.call(p.OCI(), family)
			want := kernel(t, vm, c)
			got := filter.Action(c.arch, c.name, c.args)
			count.compared++
			switch {
			case got == want:
			case strictness(got) > strictness(want):
				t.Fatalf("unsafe: %s is %v, and %v here, under\n%s\nof\n%s", c, want, got, about(t, p.OCI(), c.name), text)
			default:
				count.milder++
			}
		}
	}
	for _, c := range []tally{known, unknown} {
		t.Logf("numbers %s: %d comparisons under %d profiles, %d of them long: 0 unsafe, %d answered otherwise but safely",
			c.of, c.compared, c.profiles, c.long, c.milder)
		t.Logf("no container starts under %d more: libseccomp refused %d, and came to no end with %d", c.refused+c.endless, c.refused, c.endless)
		// Where libseccomp makes what the rules say, so must this.
		if c.milder*1000 > c.compared*c.mostMilder {
			t.Errorf("numbers %s: %d of %d answers are not what libseccomp does", c.of, c.milder, c.compared)
		}
		if c.long*8 < c.profiles {
			t.Errorf("numbers %s: %d of %d profiles are long enough for runc to ask for a tree", c.of, c.long, c.profiles)
		}
	}
}

// probes is how many calls are tried on one profile.
const probes = 40

// strictness is 0 for a call that is let through, 1 where a supervisor or a tracer
// decides, and 2 where nobody can let it through.
func strictness(o seccomp.Outcome) int {
	switch {
	case o.LetsThrough():
		return 0
	case o.Action == specs.ActNotify || o.Action == specs.ActTrace:
		return 1
	default:
		return 2
	}
}

// calls counts what runc takes for one: a name of a rule.
func calls(p *specs.LinuxSeccomp) int {
	n := 0
	for _, rule := range p.Syscalls {
		n += len(rule.Names)
	}
	return n
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
		if c.audit&auditLittleEndian != 0 {
			a = a<<32 | a>>32 // low word first
		}
		binary.BigEndian.PutUint64(data[16+8*i:], a)
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
// that are close to each other and to the border of 32 bits. Some profiles are as long as
// those that people use, so that runc asks for a tree.
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
	action := g.ruleAction()
	few := make([]string, 1+g.IntN(4))
	for i := range few {
		few[i] = g.name(family)
	}
	// As people write them: one argument and one operator, or a range and values beside.
	alike, op, index := g.IntN(3) > 0, pick(g, operators()...), g.index()
	ranges := g.IntN(2) == 0
	for range 1 + g.IntN(12) {
		call := specs.LinuxSyscall{Action: g.ruleAction(), Names: []string{pick(g, few...)}}
		if uniform {
			call.Action = action
		}
		for g.IntN(5) == 0 {
			call.Names = append(call.Names, g.name(family))
		}
		if call.Action == specs.ActErrno && g.IntN(2) == 0 && !uniform {
			call.ErrnoRet = new(uint(1 + g.IntN(60)))
		}
		if g.IntN(4) > 0 {
			for range 1 + g.IntN(3) {
				call.Args = append(call.Args, specs.LinuxSeccompArg{
					Index: g.index(), Value: g.value(), ValueTwo: g.value(), Op: pick(g, operators()...),
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
	if g.IntN(4) == 0 {
		g.lengthen(&p, family)
	}
	for i, call := range p.Syscalls {
		if call.Action != specs.ActNotify {
			continue
		}
		p.ListenerPath = "/run/agent.sock"
		if slices.Contains(call.Names, "write") { // which runc does not take
			p.Syscalls[i].Action = specs.ActTrap
		}
	}
	text, err := json.Marshal(&p)
	if err != nil {
		panic(err)
	}
	return text
}

// lengthen puts rules between those of a profile, most of them without conditions, up to a
// length between 33 and 400.
func (g generator) lengthen(p *specs.LinuxSeccomp, family []architecture) {
	all := g.Perm(len(everyName(family)))
	for missing := 33 + g.IntN(368) - calls(p); missing > 0; {
		call := specs.LinuxSyscall{Action: g.ruleAction()}
		for range min(missing, 1+g.IntN(60)) {
			if len(all) == 0 {
				all = g.Perm(len(everyName(family)))
			}
			call.Names = append(call.Names, everyName(family)[all[0]])
			all = all[1:]
		}
		missing -= len(call.Names)
		if g.IntN(4) == 0 {
			call.Args = []specs.LinuxSeccompArg{{Index: g.index(), Value: g.value(), ValueTwo: g.value(), Op: pick(g, operators()...)}}
		}
		p.Syscalls = slices.Insert(p.Syscalls, g.IntN(len(p.Syscalls)+1), call)
	}
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

// ruleAction may be SCMP_ACT_NOTIFY, too, which Parse and runc do not take for the default.
func (g generator) ruleAction() specs.LinuxSeccompAction {
	if g.IntN(10) == 0 {
		return specs.ActNotify
	}
	return g.action()
}

// index is that of an argument: more often one that others have, too.
func (g generator) index() uint {
	if g.IntN(2) == 0 {
		return uint(g.IntN(2))
	}
	return uint(g.IntN(6))
}

// hardNames are those that architectures number differently, lack, carry in others or call
// otherwise, or that are new.
var hardNames = []string{
	"read", "write", "close", "mount", "umount", "umount2", "clone", "clone3", "socket", "connect", "accept", "accept4", "send",
	"recvmmsg", "socketcall", "ipc", "semop", "semtimedop", "shmat", "msgget", "personality", "open", "openat", "openat2",
	"arch_prctl", "bpf", "unshare", "ptrace", "time", "stat64", "newfstatat", "futex_time64", "pidfd_open", "process_vm_readv",
	"set_tls", "cacheflush", "epoll_pwait2", "landlock_create_ruleset", "memfd_secret", "cachestat", "mseal", "nosuchcall", "mmap2", "fadvise64_64",
	"fstatat", "arch_specific_syscall", "sync_file_range", "sync_file_range2", "arm_sync_file_range", "renameat", "uretprobe", "spu_run", "s390_pci_mmio_read",
}

func (g generator) name(family []architecture) string {
	if g.IntN(4) == 0 {
		return pick(g, everyName(family)...)
	}
	return pick(g, hardNames...)
}

func (g generator) value() uint64 {
	v := pick(g, 0, 1, 2, 3, 5, 38, 0x7e020000, 1<<31, 1<<32-1, 1<<32, 1<<32+1, 1<<63, ^uint64(0), g.Uint64())
	return v + uint64(g.IntN(3)) - 1
}

// call is one under which the profile's rules matter, mostly.
func (g generator) call(p *specs.LinuxSeccomp, family []architecture) call {
	for {
		a := pick(g, family...)
		c := call{arch: a.arch, audit: a.audit, name: g.name(family)}
		var rule *specs.LinuxSyscall
		if len(p.Syscalls) > 0 && g.IntN(8) > 0 {
			rule = &p.Syscalls[g.IntN(len(p.Syscalls))]
			c.name = pick(g, rule.Names...)
			if g.IntN(6) == 0 {
				c.name = pick(g, "socketcall", "ipc")
			}
		}
		nr, ok := numbers(a)[c.name]
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

// numberBases are where architectures begin to count: x32 has a bit, MIPS a range for each
// of its interfaces, and ARM one for what is its own.
var numberBases = map[specs.Arch][]uint32{
	specs.ArchX32: {1 << 30}, specs.ArchARM: {0, 0xf0000},
	specs.ArchMIPSEL: {4000}, specs.ArchMIPSEL64: {5000}, specs.ArchMIPSEL64N32: {6000},
}

var (
	numbersOf = make(map[specs.Arch]map[string]uint32)
	namesOf   = make(map[specs.Arch][]string)
)

// numbers are the calls of an architecture, as the kernel numbers them. They are
// libseccomp's, so that it is seen what this one calls otherwise or lacks; only what is
// newer is taken from here.
func numbers(a architecture) map[string]uint32 {
	if out := numbersOf[a.arch]; out != nil {
		return out
	}
	out := make(map[string]uint32)
	numbersOf[a.arch] = out
	eachNumber(a, func(nr uint32) {
		if name, err := libseccomp.ScmpSyscall(nr).GetNameByArch(a.scmp); err == nil {
			// Where neither exists, as on this machine, libseccomp 2.5.4 takes this one of
			// PowerPC for switch_endian.
			if name != "sys_debug_setcontext" {
				out[name] = nr
			}
		} else if name, ok := seccomp.SyscallName(a.arch, nr); ok {
			out[name] = nr
		}
	})
	return out
}

// eachNumber goes through all numbers that an architecture may have given out.
func eachNumber(a architecture, do func(nr uint32)) {
	bases := numberBases[a.arch]
	if bases == nil {
		bases = []uint32{0}
	}
	for _, base := range bases {
		for nr := range uint32(1000) {
			do(base + nr)
		}
	}
}

// everyName lists the calls of a family, sorted.
func everyName(family []architecture) []string {
	native := family[0].arch
	if namesOf[native] == nil {
		for _, a := range family {
			namesOf[native] = slices.AppendSeq(namesOf[native], maps.Keys(numbers(a)))
		}
		slices.Sort(namesOf[native])
		namesOf[native] = slices.Compact(namesOf[native])
	}
	return namesOf[native]
}

// newer are names that libseccomp need not know: Linux 6.8 and later brought them.
var newer = []string{
	"statmount", "listmount", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal",
	"setxattrat", "getxattrat", "listxattrat", "removexattrat", "open_tree_attr", "uretprobe",
}

// TestNumbersAreLibseccomps compares the tables of syscalls, from numbers to names and back.
// Nothing may differ but that libseccomp lacks what is newer, and that it puts calls that
// x86 has in a carrier, too, under numbers of its own.
func TestNumbersAreLibseccomps(t *testing.T) {
	// Names that one architecture has must not be taken for another's.
	var all []string
	for _, family := range slices.Concat(families, untabled) {
		all = append(all, everyName(family)...)
	}
	for _, a := range slices.Concat(families...) {
		all = append(all, seccomp.SyscallNames(a.arch)...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, a := range slices.Concat(families...) {
		equal := 0
		eachNumber(a, func(nr uint32) {
			ours, ok := seccomp.SyscallName(a.arch, nr)
			theirs, err := libseccomp.ScmpSyscall(nr).GetNameByArch(a.scmp)
			switch {
			case err != nil && !ok, err != nil && slices.Contains(newer, ours):
			case ours != theirs:
				t.Errorf("%d on %s is %q, and %q for libseccomp", nr, a.arch, ours, theirs)
			default:
				equal++
			}
		})
		if equal < 300 {
			t.Errorf("%s: only %d numbers are given out", a.arch, equal)
		}
		for _, name := range all {
			ours, ok := seccomp.SyscallNumber(a.arch, name)
			nr, err := libseccomp.GetSyscallFromNameByArch(name, a.scmp)
			theirs := int32(nr)
			carried := err == nil && a.arch == specs.ArchX86 && theirs <= -100 && theirs > -300
			switch {
			case err != nil && slices.Contains(newer, name), carried:
			case (err == nil && theirs >= 0) != ok, ok && ours != uint32(theirs):
				t.Errorf("%s on %s is %d (known: %v), and %d for libseccomp (error: %v)", name, a.arch, ours, ok, theirs, err)
			}
		}
	}
}
