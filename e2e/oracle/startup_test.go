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

	"github.com/seccompgate/seccompgate/recording"
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
	checkInstalled(t, runtimes)
	measured := 0
	for _, s := range seccomp.Startups() {
		i := slices.IndexFunc(runtimes, func(r runtimeBinary) bool { return r.is(s) })
		if i < 0 {
			continue
		}
		measured++
		if ran, out := b.start(t, runtimes[i], def.OCI(), s.NoNewPrivileges); !ran {
			t.Errorf("%s %s (no new privileges: %v) does not start under the runtime's default: %s", s.Runtime, s.Version, s.NoNewPrivileges, out)
		}
		for _, name := range s.Syscalls {
			if b.alwaysStarts(t, runtimes[i], block(specs.ActErrno, name), s.NoNewPrivileges) {
				t.Errorf("%s %s (no new privileges: %v) starts without %s", s.Runtime, s.Version, s.NoNewPrivileges, name)
			}
		}
	}
	if measured < 2 {
		t.Errorf("%d measurements were repeated, want those of runc as this module has it", measured)
	}
}

// checkInstalled fails when a runtime that was measured is not here: nobody would notice that
// what is said of it is not true any more. All of them are to be had: runc as this module has
// it, and what Debian 12 packages.
func checkInstalled(t *testing.T, runtimes []runtimeBinary) {
	t.Helper()
	for _, what := range notInstalled(seccomp.Startups(), runtimes) {
		if os.Getenv("CI") != "" {
			t.Errorf("seccomp/startup.json has measurements of %s, which is not installed here, so that they are not repeated; "+
				"install it with make packages on Debian 12, or measure what is here with -measure", what)
		} else {
			t.Logf("%s is not installed here", what)
		}
	}
}

// notInstalled lists the measured versions that are not among the runtimes, each once.
func notInstalled(measured []seccomp.Startup, runtimes []runtimeBinary) []string {
	var missing []string
	for _, s := range measured {
		what := s.Runtime + " " + s.Version
		if s.Runtime != seccomp.AnyRuntime && !slices.Contains(missing, what) && !slices.ContainsFunc(runtimes, func(r runtimeBinary) bool { return r.is(s) }) {
			missing = append(missing, what)
		}
	}
	return missing
}

func TestNotInstalled(t *testing.T) {
	if got := notInstalled(seccomp.Startups(), nil); len(got) < 3 {
		t.Errorf("without any runtime %q are missing, want runc of two versions and crun", got)
	}
	own := []runtimeBinary{{name: "runc", version: "2"}}
	measured := []seccomp.Startup{
		{Runtime: "runc", Version: "2", NoNewPrivileges: true},
		{Runtime: "runc", Version: "1", NoNewPrivileges: true},
		{Runtime: "runc", Version: "1"},
		{Runtime: "crun", Version: "2"},
		{Runtime: seccomp.AnyRuntime},
	}
	if d := cmp.Diff([]string{"runc 1", "crun 2"}, notInstalled(measured, own)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// alwaysStarts says that several containers all start: whether a runtime makes some of its
// calls depends on timing.
func (b *bundle) alwaysStarts(t *testing.T, r runtimeBinary, profile *specs.LinuxSeccomp, noNewPrivileges bool) bool {
	t.Helper()
	for range 10 {
		if ran, _ := b.start(t, r, profile, noNewPrivileges); !ran {
			return false
		}
	}
	return true
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
	writeStartups(t, out)
	t.Log(cmp.Diff(seccomp.Startups(), out))
}

// startups is seccomp/startup.json.
type startups struct {
	How      string            `json:"how"`
	Startups []seccomp.Startup `json:"startups"`
}

func writeStartups(t *testing.T, all []seccomp.Startup) {
	t.Helper()
	text, err := json.MarshalIndent(startups{
		How:      "e2e/oracle, go test -run Startups -measure: containers started on Linux x86_64 with one syscall at a time failing with EPERM (syscalls), and under a filter that logs all (seen)",
		Startups: all,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(startupFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
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

// TestStartupsSeen starts containers under a profile with the base of their runtime, and of
// all runtimes, and nothing else but the call by which the program ends. With -measure, it
// records what runtimes call, and writes it to seccomp/startup.json.
func TestStartupsSeen(t *testing.T) {
	b := newBundle(t)
	runtimes := b.runtimes(t)
	if *measure {
		b.measureSeen(t, runtimes)
	}
	for _, r := range runtimes {
		for _, base := range []string{r.name, recording.BaseAll} {
			names, ok := recording.Base(base)
			if !ok {
				t.Fatalf("no base %s", base)
			}
			profile := &specs.LinuxSeccomp{
				DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64},
				Syscalls: []specs.LinuxSyscall{{Names: names, Action: specs.ActAllow}},
			}
			for _, nnp := range []bool{true, false} {
				for range 10 { // what a runtime calls depends on timing, too
					if ran, out := b.start(t, r, profile, nnp); !ran {
						t.Errorf("%s %s (no new privileges: %v) does not start under base %s: %s", r.name, r.version, nnp, base, out)
					}
				}
			}
		}
	}
}

// recordings is how often a start is recorded: what a runtime calls depends on timing.
const recordings = 100

func (b *bundle) measureSeen(t *testing.T, runtimes []runtimeBinary) {
	t.Helper()
	var file startups
	text, err := os.ReadFile(startupFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for i := range file.Startups {
		s := &file.Startups[i]
		at := slices.IndexFunc(runtimes, func(r runtimeBinary) bool { return r.is(*s) })
		if at < 0 {
			t.Logf("%s %s is not installed here", s.Runtime, s.Version)
			continue
		}
		s.Seen = nil
		for range recordings {
			records, code, out := b.record(t, runtimes[at], b.spec(logAll, s.NoNewPrivileges))
			if code != status {
				t.Fatalf("%s %s does not start: %s", s.Runtime, s.Version, out)
			}
			for _, r := range records {
				if name, ok := r.Call.Name(); !ok {
					t.Fatalf("%s has no name", r.Call)
				} else if name != own {
					s.Seen = append(s.Seen, name)
				}
			}
		}
		slices.Sort(s.Seen)
		s.Seen = slices.Compact(s.Seen)
		t.Logf("%s %s, no new privileges %v: %d seen", s.Runtime, s.Version, s.NoNewPrivileges, len(s.Seen))
	}
	writeStartups(t, file.Startups)
}
