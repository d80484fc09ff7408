// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimetools "github.com/opencontainers/runtime-tools/generate/seccomp"

	"github.com/seccompgate/seccompgate/seccomp"
)

const publicHead = `
## Public profiles

What ` + "`seccompctl profile explain`" + ` says of them on x86_64. *Allowed* counts syscalls of x86_64 that are let through for
some arguments at least; *beyond* those that Moby's default blocks for a container without capabilities, which is what
stands for the runtime's default everywhere here: as the rows show, the defaults of others let some of them through. The
profiles are taken out of the modules named here, in that version. Of a profile that blocks nothing (grade none), none is
counted as beyond.

| profile | from | grade | allowed | dangerous | beyond |
| --- | --- | --- | --- | --- | --- |
`

// Modules that publish profiles.
const (
	mobyModule         = "github.com/moby/profiles/seccomp"
	containerdModule   = "github.com/containerd/containerd/v2"
	runtimeToolsModule = "github.com/opencontainers/runtime-tools"
	runcModule         = "github.com/opencontainers/runc"
)

// dockerCapabilities are what Docker and containerd give a container that asks for none.
var dockerCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// published is a profile that others publish.
type published struct {
	name string
	// module that it comes from, empty for this one.
	module string
	text   []byte
}

// public are the lines of the page about profiles that others publish.
func public(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	rows := make(map[string]string)
	for _, p := range publishedProfiles(t) {
		profile, err := seccomp.Parse(p.text)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if other, ok := rows[string(profile.Marshal())]; ok {
			t.Errorf("%s is the same as %s", p.name, other)
		}
		rows[string(profile.Marshal())] = p.name
		a, err := profile.Analyze(specs.ArchX86_64)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		f, allowed := profile.Filter(specs.ArchX86_64), 0
		for _, call := range seccomp.SyscallNames(specs.ArchX86_64) {
			if f.Allows(specs.ArchX86_64, call) != seccomp.Never {
				allowed++
			}
		}
		from := "this repository"
		if p.module != "" {
			from = p.module + " " + ofModule(t, p.module, "Version")
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %d | %d | %d |\n", p.name, from, a.Grade, allowed, len(a.Dangerous), len(a.Beyond))
	}
	return out.String()
}

func publishedProfiles(t *testing.T) []published {
	t.Helper()
	var all []published
	add := func(name, module string, text []byte) { all = append(all, published{name, module, text}) }
	encoded := func(p *specs.LinuxSeccomp) []byte {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	read := func(elements ...string) []byte {
		text, err := os.ReadFile(filepath.Join(elements...))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, tc := range []struct {
		name         string
		capabilities []string
	}{
		{"no capability", nil},
		{"Docker's capabilities", dockerCapabilities},
		{"CAP_SYS_PTRACE", []string{"CAP_SYS_PTRACE"}},
		{"CAP_SYS_TIME", []string{"CAP_SYS_TIME"}},
		{"CAP_BPF", []string{"CAP_BPF"}},
		{"CAP_SYS_RAWIO", []string{"CAP_SYS_RAWIO"}},
		{"CAP_SYS_MODULE", []string{"CAP_SYS_MODULE"}},
		{"CAP_SYS_ADMIN", []string{"CAP_SYS_ADMIN"}},
	} {
		p, err := seccomp.DefaultProfile(specs.ArchX86_64, tc.capabilities)
		if err != nil {
			t.Fatal(err)
		}
		add("Moby's default, "+tc.name, mobyModule, p.Marshal())
	}
	// What a Docker-dialect file means where nobody understands the dialect.
	var plain specs.LinuxSeccomp
	if err := json.Unmarshal([]byte(dialect()), &plain); err != nil {
		t.Fatal(err)
	}
	add("Moby's default.json as containerd loads it, dialect ignored (74)", mobyModule, encoded(&plain))
	for _, source := range []struct {
		name, module string
		profile      func(*specs.Spec) *specs.LinuxSeccomp
	}{
		{"containerd's", containerdModule, containerd.DefaultProfile},
		{"OCI runtime-tools'", runtimeToolsModule, runtimetools.DefaultProfile},
	} {
		for _, tc := range []struct {
			name         string
			capabilities []string
		}{
			{"no capability", nil},
			{"Docker's capabilities", dockerCapabilities},
			{"CAP_SYS_ADMIN", []string{"CAP_SYS_ADMIN"}},
		} {
			spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: tc.capabilities}}}
			add(source.name+" default, "+tc.name, source.module, encoded(source.profile(spec)))
		}
	}
	runc := ofModule(t, runcModule, "Dir")
	for _, file := range []string{"seccomp_syscall_test1.json", "seccomp_syscall_test2.json"} {
		add("runc's "+file, runcModule, read(runc, "tests", "integration", "testdata", file))
	}
	for _, file := range []string{"audit.json", "violation.json", "fine-grained.json"} {
		add("the tutorial's "+file, "", read("../../examples/tutorial/profiles", file))
	}
	return all
}

// ofModule is a field of a module that go.mod pins.
func ofModule(t *testing.T, module, field string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{."+field+"}}", module).Output()
	if err != nil {
		t.Fatalf("find module %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}
