// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/seccomp"
)

// made returns a record of a call.
func made(arch Arch, nr int32, change ...func(*Record)) Record {
	return parsed(append([]func(*Record){func(r *Record) { r.Call = Call{arch, nr} }}, change...)...)
}

func compat(r *Record) { r.Compat = true }

func did(action specs.LinuxSeccompAction) func(*Record) {
	return func(r *Record) { r.Action = action }
}

func TestProfile(t *testing.T) {
	clone3 := specs.LinuxSyscall{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: new(uint(38))}
	for _, tc := range []struct {
		name    string
		records []Record
		base    []string
		archs   []specs.Arch
		rules   []specs.LinuxSyscall
		unnamed []string
	}{
		{
			"nothing but what was seen, each once",
			[]Record{made(archX86_64, 3), made(archX86_64, 0), made(archX86_64, 3)},
			nil,
			[]specs.Arch{specs.ArchX86_64},
			[]specs.LinuxSyscall{{Names: []string{"close", "read"}, Action: specs.ActAllow}},
			nil,
		},
		{
			"with a base",
			[]Record{made(archX86_64, 3)},
			[]string{"write", "close", "execve"},
			[]specs.Arch{specs.ArchX86_64},
			[]specs.LinuxSyscall{{Names: []string{"close", "execve", "write"}, Action: specs.ActAllow}, clone3},
			nil,
		},
		{
			"clone3 was seen",
			[]Record{made(archX86_64, 435)},
			[]string{"write"},
			[]specs.Arch{specs.ArchX86_64},
			[]specs.LinuxSyscall{{Names: []string{"clone3", "write"}, Action: specs.ActAllow}},
			nil,
		},
		{
			"32 bits on a kernel of 64",
			[]Record{made(0x40000003, 11, compat)},
			nil,
			[]specs.Arch{specs.ArchX86_64, specs.ArchX86},
			[]specs.LinuxSyscall{{Names: []string{"execve"}, Action: specs.ActAllow}},
			nil,
		},
		{
			"32 bits on a kernel of 32",
			[]Record{made(0x40000003, 11)},
			nil,
			[]specs.Arch{specs.ArchX86},
			[]specs.LinuxSyscall{{Names: []string{"execve"}, Action: specs.ActAllow}},
			nil,
		},
		{
			"the same number on two architectures",
			[]Record{made(archX86_64, 5), made(0x40000003, 5, compat)},
			nil,
			[]specs.Arch{specs.ArchX86_64, specs.ArchX86},
			[]specs.LinuxSyscall{{Names: []string{"fstat", "open"}, Action: specs.ActAllow}},
			nil,
		},
		{
			"x32",
			[]Record{made(archX86_64, 1<<30+39), made(archX86_64, 1<<30+59), made(archX86_64, 1<<30+520)},
			nil,
			[]specs.Arch{specs.ArchX86_64, specs.ArchX32},
			[]specs.LinuxSyscall{{Names: []string{"execve", "getpid"}, Action: specs.ActAllow}},
			[]string{"syscall 1073741883 of SCMP_ARCH_X32"}, // execve, which has a number of its own there
		},
		{
			"arm64 has no open, and a base does not change that",
			[]Record{made(0xc00000b7, 56)},
			[]string{"open", "read"},
			[]specs.Arch{specs.ArchAARCH64},
			[]specs.LinuxSyscall{{Names: []string{"openat", "read"}, Action: specs.ActAllow}, clone3},
			nil,
		},
		{
			"arm on arm64",
			[]Record{made(0x40000028, 5, compat)},
			nil,
			[]specs.Arch{specs.ArchAARCH64, specs.ArchARM},
			[]specs.LinuxSyscall{{Names: []string{"open"}, Action: specs.ActAllow}},
			nil,
		},
		{
			"what has no name",
			[]Record{made(archX86_64, 3), made(archX86_64, 3999), made(archX86_64, -1), made(0xc00000f3, 64), made(0xc0009026, 64)},
			nil,
			[]specs.Arch{specs.ArchX86_64, specs.ArchRISCV64},
			[]specs.LinuxSyscall{{Names: []string{"close"}, Action: specs.ActAllow}},
			[]string{
				"syscall -1 of SCMP_ARCH_X86_64", "syscall 3999 of SCMP_ARCH_X86_64", "syscall 64 of SCMP_ARCH_RISCV64", "syscall 64 of architecture 0xc0009026",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c Calls
			for i := range tc.records {
				c.Add(&tc.records[i])
			}
			p, err := c.Profile(tc.base)
			if err != nil {
				t.Fatal(err)
			}
			want := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: tc.archs, Syscalls: tc.rules}
			if d := cmp.Diff(want, p.OCI()); d != "" {
				t.Errorf("profile (-want +got):\n%s", d)
			}
			var unnamed []string
			for _, call := range c.Unnamed() {
				unnamed = append(unnamed, call.String())
			}
			if d := cmp.Diff(tc.unnamed, unnamed); d != "" {
				t.Errorf("calls without a name (-want +got):\n%s", d)
			}
			slices.Reverse(tc.records)
			var again Calls
			for i := range tc.records {
				again.Add(&tc.records[i])
			}
			if q, err := again.Profile(tc.base); err != nil || string(q.Marshal()) != string(p.Marshal()) {
				t.Errorf("in another order it is\n%s(%v), not\n%s", q.Marshal(), err, p.Marshal())
			}
		})
	}
}

func TestProfileOfNoName(t *testing.T) {
	var c Calls
	if _, err := c.Profile([]string{"write"}); !errors.Is(err, ErrNoName) {
		t.Errorf("without calls: %v", err)
	}
	r := made(0xc00000f3, 64)
	c.Add(&r)
	if p, err := c.Profile([]string{"write"}); !errors.Is(err, ErrNoName) {
		t.Errorf("without names: %v, %v", p, err)
	}
}

func TestBlocked(t *testing.T) {
	var c Calls
	for _, r := range []Record{
		made(archX86_64, 0), made(archX86_64, 1, did(specs.ActErrno)), made(archX86_64, 2, did(specs.ActErrno)), made(archX86_64, 2),
		made(archX86_64, 101, did(specs.ActKillProcess)), made(archX86_64, 3, did(specs.ActNotify)), made(archX86_64, 3999, did(specs.ActErrno)),
	} {
		c.Add(&r)
	}
	if d := cmp.Diff([]Call{{archX86_64, 1}, {archX86_64, 101}}, c.Blocked()); d != "" {
		t.Errorf("Blocked (-want +got):\n%s", d)
	}
	if c.Len() != 6 {
		t.Errorf("Len = %d, want 6", c.Len())
	}
}

// nginx is a recording of nginx 1.18 of Debian 11, started by runc 1.1.5 under a profile
// that logs everything, while it served its front page once and ended: of each process the
// first record of each syscall, as the kernel sent it on Linux 6.18.
const nginx = "testdata/nginx.log"

// TestTutorial finds the syscalls that the tutorial says nginx makes.
func TestTutorial(t *testing.T) {
	file, err := os.Open(nginx)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // nothing was written
	l := NewLog(file)
	got := make(map[string]int32)
	for {
		r, err := l.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if name, ok := r.Name(); ok && r.Exe == "/usr/sbin/nginx" {
			got[name] = r.Number
		}
	}
	if tally := l.Tally(); tally.Foreign+tally.Broken > 0 {
		t.Errorf("%+v, want records only", tally)
	}
	for name, nr := range map[string]int32{
		"accept4": 288, "close": 3, "epoll_ctl": 233, "epoll_wait": 232, "fstat": 5, "openat": 257,
		"recvfrom": 45, "sendfile": 40, "setsockopt": 54, "stat": 4, "write": 1, "writev": 20,
	} {
		if n, ok := got[name]; !ok || n != nr {
			t.Errorf("%s is %d (seen: %v), and %d in the tutorial", name, n, ok, nr)
		}
	}
}

func TestBase(t *testing.T) {
	if d := cmp.Diff([]string{"all", "crun", "runc", "none"}, Bases()); d != "" {
		t.Errorf("Bases (-want +got):\n%s", d)
	}
	if names, ok := Base("podman"); ok {
		t.Errorf("Base of a runtime that was not measured: %v", names)
	}
	if names, ok := Base(BaseNone); !ok || names != nil {
		t.Errorf("Base(none) = %v, %v", names, ok)
	}
	all, _ := Base(BaseAll)
	for _, name := range all {
		if !seccomp.KnownSyscall(name) {
			t.Errorf("%s is no syscall", name)
		}
	}
	for _, runtime := range []string{"crun", "runc"} {
		names, ok := Base(runtime)
		if !ok || !slices.IsSorted(names) || !slices.Contains(names, "execve") || !slices.Contains(names, "exit_group") {
			t.Errorf("Base(%s) = %v, %v", runtime, names, ok)
		}
		if i := slices.IndexFunc(names, func(name string) bool { return !slices.Contains(all, name) }); i >= 0 {
			t.Errorf("%s of %s is not in the base of all", names[i], runtime)
		}
	}
}

// TestProfileStarts: by what the model of seccomp knows, a container starts under a profile
// with the base, even if nothing of the runtime was recorded.
func TestProfileStarts(t *testing.T) {
	var c Calls
	r := made(archX86_64, 231)
	c.Add(&r)
	base, _ := Base(BaseAll)
	p, err := c.Profile(base)
	if err != nil {
		t.Fatal(err)
	}
	remarks, err := p.Lint(specs.ArchX86_64)
	if err != nil {
		t.Fatal(err)
	}
	for _, remark := range remarks {
		if remark.Severity != seccomp.SeverityInfo {
			t.Errorf("lint: %s", remark)
		}
	}
}
