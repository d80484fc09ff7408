// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func parse(t *testing.T, text string) *Profile {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// defaultBut is the runtime's default for a container without capabilities, with more
// rules at its end.
func defaultBut(t *testing.T, rules ...specs.LinuxSyscall) *Profile {
	t.Helper()
	p, err := DefaultProfile(specs.ArchX86_64, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed := *p.OCI()
	changed.Syscalls = append(slices.Clone(changed.Syscalls), rules...)
	return &Profile{oci: changed}
}

func TestAnalyze(t *testing.T) {
	allow := func(names ...string) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: names, Action: specs.ActAllow}
	}
	withoutRead, err := DefaultProfile(specs.ArchX86_64, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, rule := range withoutRead.oci.Syscalls {
		withoutRead.oci.Syscalls[i].Names = slices.DeleteFunc(slices.Clone(rule.Names), func(n string) bool { return n == "read" })
	}
	for _, tc := range []struct {
		name      string
		profile   *Profile
		grade     Grade
		beyond    []string // syscall and what unblocks it
		dangerous string   // the first
		missing   string   // of runc with no new privileges
	}{
		{"the runtime's default", defaultBut(t), GradeDefault, nil, "", ""},
		{"less than that", withoutRead, GradeTight, nil, "", ""},
		{"nothing at all", parse(t, `{"defaultAction":"SCMP_ACT_ERRNO"}`), GradeTight, nil, "", "close execve fstat fstatfs getdents64 openat statx write"},
		{"everything", parse(t, `{"defaultAction":"SCMP_ACT_ALLOW"}`), GradeNone, nil, "bpf", ""},
		{"a call of one capability", defaultBut(t, allow("chroot")), GradeWeaker, []string{"chroot [CAP_SYS_CHROOT]"}, "chroot", ""},
		{"a call of nobody", defaultBut(t, allow("keyctl")), GradeWeaker, []string{"keyctl []"}, "keyctl", ""},
		{"a call of either of two", defaultBut(t, allow("bpf")), GradeWeaker, []string{"bpf [CAP_BPF CAP_SYS_ADMIN]"}, "bpf", ""},
		{
			"arguments beyond the default's",
			defaultBut(t, specs.LinuxSyscall{Names: []string{"personality"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Value: noRandomize, Op: specs.OpEqualTo}}}),
			GradeWeaker,
			[]string{"personality []"},
			"personality", "",
		},
		{
			"arguments within the default's",
			defaultBut(t, specs.LinuxSyscall{Names: []string{"personality"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Value: 8, Op: specs.OpEqualTo}}}),
			GradeDefault, nil, "", "",
		},
		{"an architecture that its kernel has no programs of", &Profile{oci: func() specs.LinuxSeccomp {
			oci := *defaultBut(t).OCI()
			oci.Architectures = append(slices.Clone(oci.Architectures), specs.ArchRISCV64)
			return oci
		}()}, GradeDefault, nil, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := tc.profile.Analyze(specs.ArchX86_64)
			if err != nil {
				t.Fatal(err)
			}
			if a.Grade != tc.grade {
				t.Errorf("grade %s, want %s", a.Grade, tc.grade)
			}
			var beyond []string
			for _, b := range a.Beyond {
				beyond = append(beyond, fmt.Sprint(b.Syscall, " ", b.Capabilities))
			}
			if d := cmp.Diff(tc.beyond, beyond); d != "" {
				t.Errorf("beyond the default (-want +got):\n%s", d)
			}
			if tc.dangerous != "" && !slices.ContainsFunc(a.Dangerous, func(d Danger) bool { return d.Syscall == tc.dangerous }) {
				t.Errorf("%s is not among the dangerous: %v", tc.dangerous, a.Dangerous)
			}
			var missing string
			for _, m := range a.Missing {
				if m.Runtime == "runc" && m.NoNewPrivileges {
					missing = strings.Join(m.Syscalls, " ")
				}
			}
			// Of the versions that were measured, the one that needs least.
			for _, name := range strings.Fields(missing) {
				if !strings.Contains(tc.missing, name) {
					t.Errorf("missing to start: %q, want of %q", missing, tc.missing)
				}
			}
			if (missing == "") != (tc.missing == "") {
				t.Errorf("missing to start: %q, want %q", missing, tc.missing)
			}
		})
	}
}

// TestDefaultIsExact keeps the model exact where verdicts are measured against it: what
// libseccomp might make otherwise would hide what a profile has beyond the default.
func TestDefaultIsExact(t *testing.T) {
	for _, native := range tabled() {
		d, err := runtimeDefaults(native)
		if err != nil {
			t.Fatal(err)
		}
		filters := map[string]*Filter{"no capability": d.bare}
		for c, f := range d.with {
			filters[c] = f
		}
		if len(filters) < 10 {
			t.Errorf("%s: the default has rules for %d capabilities", native, len(filters)-1)
		}
		for c, f := range filters {
			for arch, af := range f.archs {
				if af.unsure {
					t.Errorf("%s with %s: libseccomp may not build it for %s", native, c, arch)
				}
				for name, chain := range af.calls {
					if !chain.settled && !chain.simple() {
						t.Errorf("%s with %s: the rules for %s are more than libseccomp compiles to what they say", native, c, name)
					}
				}
			}
		}
	}
}

func TestDiff(t *testing.T) {
	args := func(v uint64) *[6]uint64 { return &[6]uint64{v} }
	allow, errno := Outcome{Action: specs.ActAllow}, Outcome{Action: specs.ActErrno, Errno: 1}
	for _, tc := range []struct {
		name string
		a, b string
		want []Difference
	}{
		{
			"the order of rules and of conditions, spelling, and rules without effect",
			`{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["read","write","bpf"],"action":"SCMP_ACT_ALLOW"}]}`,
			`{"defaultAction":"SCMP_ACT_KILL_THREAD","architectures":["SCMP_ARCH_X86_64"],"syscalls":[
				{"names":["bpf"],"action":"SCMP_ACT_ALLOW"},{"names":["write","read"],"action":"SCMP_ACT_ALLOW"},{"names":["read"],"action":"SCMP_ACT_TRAP"}]}`,
			nil,
		},
		{
			"a rule more",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","bpf"],"action":"SCMP_ACT_ALLOW"}]}`,
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","bpf","mount"],"action":"SCMP_ACT_ALLOW"}]}`,
			[]Difference{{Arch: specs.ArchX86_64, Syscall: "mount", From: errno, To: allow}},
		},
		{
			"an argument more",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ALLOW"},{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]}`,
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ALLOW"},{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_LE"}]}]}`,
			[]Difference{{Arch: specs.ArchX86_64, Syscall: "socket", Args: args(0), From: errno, To: allow}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Diff(parse(t, tc.a).Filter(specs.ArchX86_64), parse(t, tc.b).Filter(specs.ArchX86_64))
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestWithoutTable holds that no call goes unseen on an architecture whose syscalls are not
// known: what no filter names differs, too.
func TestWithoutTable(t *testing.T) {
	for _, native := range []specs.Arch{specs.ArchS390X, specs.ArchPPC64LE, specs.ArchRISCV64, specs.ArchLOONGARCH64} {
		t.Run(string(native), func(t *testing.T) {
			everything, nothing := parse(t, `{"defaultAction":"SCMP_ACT_ALLOW"}`), parse(t, `{"defaultAction":"SCMP_ACT_KILL_PROCESS"}`)
			var differ []string
			for _, d := range Diff(everything.Filter(native), nothing.Filter(native)) {
				if d.Arch == native {
					differ = append(differ, d.Syscall)
				}
			}
			for _, a := range tabled() {
				for _, name := range SyscallNames(a) {
					if !slices.Contains(differ, name) {
						t.Errorf("%s of %s is let through by one and kills by the other, and is no difference", name, a)
					}
				}
			}
			list := parse(t, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf","mount","ptrace","setns"],"action":"SCMP_ACT_ERRNO"}]}`)
			a, err := list.Analyze(native)
			if err != nil {
				t.Fatal(err)
			}
			if a.Grade != GradeBlockList {
				t.Errorf("grade %s, want %s", a.Grade, GradeBlockList)
			}
			var beyond []string
			for _, b := range a.Beyond {
				beyond = append(beyond, b.Syscall)
			}
			for _, name := range []string{"keyctl", "kexec_load", "unshare", "init_module", "userfaultfd"} {
				if !slices.Contains(beyond, name) {
					t.Errorf("%s is let through beyond the default, and is not in %v", name, beyond)
				}
			}
			for _, name := range []string{"bpf", "mount", "setns"} {
				if slices.Contains(beyond, name) {
					t.Errorf("%s is blocked, and is in %v", name, beyond)
				}
			}
			// No name that the default allows, or that no architecture has.
			if len(beyond) > 150 {
				t.Errorf("%d calls are beyond the default: %v", len(beyond), beyond)
			}
		})
	}
}

func TestParseDialect(t *testing.T) {
	const file = `{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},{"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}],
		"syscalls":[
			{"names":["read"],"action":"SCMP_ACT_ALLOW","comment":"always"},
			{"name":"write","action":"SCMP_ACT_ALLOW"},
			{"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
			{"names":["clone"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"]},"args":[{"index":0,"value":2114060288,"op":"SCMP_CMP_MASKED_EQ"}]},
			{"names":["arch_prctl"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["amd64"]}},
			{"names":["ptrace"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}}]}`
	for _, tc := range []struct {
		native       specs.Arch
		capabilities []string
		want         string
	}{
		{specs.ArchX86_64, nil, "[SCMP_ARCH_X86_64 SCMP_ARCH_X86] [read] [write] [clone] [arch_prctl] [ptrace]"},
		{specs.ArchX86_64, []string{"CAP_SYS_ADMIN"}, "[SCMP_ARCH_X86_64 SCMP_ARCH_X86] [read] [write] [mount] [arch_prctl] [ptrace]"},
		{specs.ArchAARCH64, []string{"CAP_CHOWN"}, "[SCMP_ARCH_AARCH64 SCMP_ARCH_ARM] [read] [write] [clone] [ptrace]"},
	} {
		p, err := ParseDialect([]byte(file), tc.native, tc.capabilities)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(p.OCI().Architectures)
		for _, rule := range p.OCI().Syscalls {
			got += fmt.Sprint(" ", rule.Names)
		}
		if got != tc.want {
			t.Errorf("%s %v: got %s, want %s", tc.native, tc.capabilities, got, tc.want)
		}
	}
}

func TestParseDialectRefuses(t *testing.T) {
	for _, tc := range []struct{ file, want string }{
		{``, `file is empty; put "defaultAction": "SCMP_ACT_ERRNO" (or another action) at the top of one object`},
		{`{"defaultActions":"SCMP_ACT_ERRNO"}`, `read profile in Docker's dialect: json: unknown field "defaultActions"`},
		{`{"defaultAction":"SCMP_ACT_NO"}`, `flattened profile: defaultAction: unknown action "SCMP_ACT_NO"`},
	} {
		_, err := ParseDialect([]byte(tc.file), specs.ArchX86_64, nil)
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %s", tc.file, err, tc.want)
		}
	}
}

func TestWorse(t *testing.T) {
	for _, tc := range []struct{ a, b, want Grade }{
		{GradeTight, GradeNone, GradeNone},
		{GradeBlockList, GradeWeaker, GradeBlockList},
		{GradeDefault, GradeDefault, GradeDefault},
		{GradeNone, "of tomorrow", "of tomorrow"},
	} {
		if got := Worse(tc.a, tc.b); got != tc.want {
			t.Errorf("of %s and %s: %s, want %s", tc.a, tc.b, got, tc.want)
		}
		if got := Worse(tc.b, tc.a); got != tc.want {
			t.Errorf("of %s and %s: %s, want %s", tc.b, tc.a, got, tc.want)
		}
	}
}

func BenchmarkAnalyze(b *testing.B) {
	p, err := DefaultProfile(specs.ArchX86_64, []string{"CAP_SYS_ADMIN"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := p.Analyze(specs.ArchX86_64); err != nil {
			b.Fatal(err)
		}
	}
}
