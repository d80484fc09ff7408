// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/recording"
	"github.com/seccompgate/seccompgate/seccomp"
)

// logAll is the profile under which containers are recorded.
var logAll = &specs.LinuxSeccomp{DefaultAction: specs.ActLog, Architectures: []specs.Arch{specs.ArchX86_64}}

// record runs a container under logAll and returns the records that belong to it. Its
// first process must make the last call.
func (b *bundle) record(t *testing.T, r runtimeBinary, spec *specs.Spec) (records []recording.Record, code int, output string) {
	t.Helper()
	l, err := recording.Listen(recording.Buffer)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	code, output, pid := b.runSpec(t, r, spec)
	if pid == 0 {
		t.Fatalf("%s %s made no process: %s", r.name, r.version, output)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := false
	err = l.Receive(ctx, func(record *recording.Record) {
		// Others of this machine may be recorded at the same time; nobody else has the user.
		if record.PID != pid && (record.UID != spec.Process.User.UID || record.UID == 0) {
			return
		}
		records = append(records, *record)
		if name, _ := record.Call.Name(); record.PID == pid && strings.HasPrefix(name, "exit") && record.Exe == spec.Process.Args[0] {
			ended = true
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if losses := l.Losses(); !ended || losses != (recording.Losses{}) {
		t.Fatalf("the recording is not complete: ended %v, losses %+v, %d records", ended, losses, len(records))
	}
	return records, code, output
}

// recordedUser is who runs the program that is recorded, and nothing else.
const recordedUser = 58731

// pipeline is a program that starts others. The shell is its first process, and its last.
const pipeline = "cat /proc/filesystems /usr/lib/os-release | tr a-z A-Z | /usr/bin/wc -l; echo done"

// TestRecordedProgramRuns records a real program, makes a profile of what it called, and
// runs it again under that profile.
func TestRecordedProgramRuns(t *testing.T) {
	b := newBundle(t)
	for _, r := range b.runtimes(t) {
		for _, nnp := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s %s, no new privileges %v", r.name, r.version, nnp), func(t *testing.T) {
				b.recordAndRun(t, r, nnp)
			})
		}
	}
}

func (b *bundle) recordAndRun(t *testing.T, r runtimeBinary, nnp bool) {
	t.Helper()
	container := func(profile *specs.LinuxSeccomp) *specs.Spec {
		spec := b.spec(profile, nnp)
		spec.Process.Args = []string{"/usr/bin/dash", "-c", pipeline}
		spec.Process.Env = []string{"PATH=/usr/bin"}
		spec.Process.User = specs.User{UID: recordedUser, GID: recordedUser}
		for _, dir := range []string{"/usr", "/lib", "/lib64"} {
			if at, err := filepath.EvalSymlinks(dir); err == nil {
				spec.Mounts = append(spec.Mounts, specs.Mount{Destination: dir, Type: "bind", Source: at, Options: []string{"rbind", "ro"}})
			} else if !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		return spec
	}
	records, code, want := b.record(t, r, container(logAll))
	if code != 0 || !strings.HasSuffix(want, "done\n") {
		t.Fatalf("the program does not run: exit code %d, %s", code, want)
	}
	programs := make(map[string]int)
	var calls recording.Calls
	for i := range records {
		if strings.HasPrefix(records[i].Exe, "/usr/bin/") && !strings.Contains(records[i].Exe, r.name) { // not the runtime
			programs[records[i].Exe]++
			calls.Add(&records[i])
		}
	}
	if len(programs) != 4 || len(calls.Unnamed()) > 0 {
		t.Fatalf("recorded %v and no name for %v, want four programs", programs, calls.Unnamed())
	}
	for _, base := range []string{recording.BaseAll, r.name, recording.BaseNone} {
		names, _ := recording.Base(base)
		profile, err := calls.Profile(names)
		if err != nil {
			t.Fatal(err)
		}
		code, got, _ := b.runSpec(t, r, container(profile.OCI()))
		if runs := code == 0 && got == want; base != recording.BaseNone && !runs {
			t.Errorf("under its profile with base %s the program ends with %d: %s", base, code, got)
		} else if base == recording.BaseNone && runs && r.name == "runc" && !nnp {
			t.Errorf("the program runs without a base, whose test proves nothing then")
		}
		if base == recording.BaseAll {
			checkLint(t, profile)
			if code, got, _ := b.runSpec(t, r, container(without(t, profile.OCI(), "dup2"))); code == 0 && got == want {
				t.Error("the program runs without dup2, by which the shell makes a pipeline")
			}
		}
	}
}

// checkLint wants no fault in a profile that was made here.
func checkLint(t *testing.T, profile *seccomp.Profile) {
	t.Helper()
	if _, err := seccomp.Parse(profile.Marshal()); err != nil {
		t.Errorf("Parse: %v", err)
	}
	remarks, err := profile.Lint(specs.ArchX86_64)
	if err != nil {
		t.Fatal(err)
	}
	for _, remark := range remarks {
		if remark.Severity == seccomp.SeverityError {
			t.Errorf("lint: %s", remark)
		}
	}
}

// without takes one of the calls away that a profile lets through.
func without(t *testing.T, profile *specs.LinuxSeccomp, call string) *specs.LinuxSeccomp {
	t.Helper()
	less := *profile
	less.Syscalls = slices.Clone(less.Syscalls)
	names := &less.Syscalls[0].Names
	i := slices.Index(*names, call)
	if i < 0 {
		t.Fatalf("%s was not recorded", call)
	}
	*names = slices.Delete(slices.Clone(*names), i, i+1)
	return &less
}
