// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/seccomp"
)

var measure = flag.Bool("measure", false, "measure what runtimes need to start a container, and write it to seccomp/startup.json (minutes)")

const startupFile = "../../seccomp/startup.json"

// own is the call by which the program in the container ends.
const own = "exit"

// TestRow10Startups starts containers without one of the calls that seccomp/startup.json has
// for the runtime, and under the runtime's default profile, which has them all.
func TestRow10Startups(t *testing.T) {
	b := newBundle(t)
	runtimes := b.runtimes(t)
	if *measure {
		b.measure(t, runtimes)
	}
	def, err := seccomp.DefaultProfile(specs.ArchX86_64, []string{"CAP_SYS_CHROOT"})
	if err != nil {
		t.Fatal(err)
	}
	measured := 0
	for _, s := range seccomp.Startups() {
		i := slices.IndexFunc(runtimes, func(r runtimeBinary) bool { return r.name == s.Runtime && r.version == s.Version })
		if i < 0 {
			if s.Runtime != seccomp.AnyRuntime {
				t.Logf("%s %s is not installed here", s.Runtime, s.Version)
			}
			continue
		}
		measured++
		if ran, out := b.start(t, runtimes[i], def.OCI(), s.NoNewPrivileges); !ran {
			t.Errorf("%s %s (no new privileges: %v) does not start under the runtime's default: %s", s.Runtime, s.Version, s.NoNewPrivileges, out)
		}
		for _, name := range s.Syscalls {
			if ran, _ := b.start(t, runtimes[i], block(specs.ActErrno, name), s.NoNewPrivileges); ran {
				t.Errorf("%s %s (no new privileges: %v) starts without %s", s.Runtime, s.Version, s.NoNewPrivileges, name)
			}
		}
	}
	if measured < 2 {
		t.Errorf("%d measurements were repeated, want those of runc as this module has it", measured)
	}
}

func block(action specs.LinuxSeccompAction, names ...string) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: names, Action: action}}}
}

// measure finds, for each runtime, the calls without any one of which no container
// starts when it fails.
func (b *bundle) measure(t *testing.T, runtimes []runtimeBinary) {
	t.Helper()
	var out []seccomp.Startup
	for _, r := range runtimes {
		for _, nnp := range []bool{true, false} {
			s := seccomp.Startup{Runtime: r.name, Version: r.version, NoNewPrivileges: nnp}
			s.Syscalls = b.needed(t, r, nnp, seccomp.SyscallNames(specs.ArchX86_64))
			t.Logf("%s %s, no new privileges %v: %d needed", r.name, r.version, nnp, len(s.Syscalls))
			out = append(out, s)
		}
	}
	text, err := json.MarshalIndent(map[string]any{
		"how":      "e2e/oracle, TestRow10Startups -measure: containers started on Linux x86_64 with one syscall at a time failing with EPERM",
		"startups": out,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(startupFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Log(cmp.Diff(seccomp.Startups(), out))
}

// needed halves the names for as long as blocking them keeps the container from
// starting.
func (b *bundle) needed(t *testing.T, r runtimeBinary, nnp bool, names []string) []string {
	if len(names) == 0 {
		return nil
	}
	if ran, _ := b.start(t, r, block(specs.ActErrno, names...), nnp); ran {
		return nil
	}
	if len(names) == 1 {
		if names[0] == own {
			return nil
		}
		return names
	}
	half := len(names) / 2
	return append(b.needed(t, r, nnp, names[:half]), b.needed(t, r, nnp, names[half:])...)
}
