// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/seccomp"
)

var update = flag.Bool("update", false, "rewrite docs/profiles.md")

const (
	profilesPage = "../../docs/profiles.md"

	intro = `# Profiles, measured

Written by ` + "`go -C e2e/oracle test -tags libseccomp,seccomp . -run Page -update`" + `, which starts the containers.
`
	publicHead = `
## Public profiles

What ` + "`seccompctl profile explain`" + ` says of them on x86_64. *Allowed* counts syscalls of x86_64 that are let through for
some arguments at least; *beyond* those that the runtime's default blocks for a container without capabilities.

| profile | grade | allowed | dangerous | beyond |
| --- | --- | --- | --- | --- |
`
	disguisedHead = `
## Files that are not what they seem

Each was loaded as containerd loads it and given to runc %s. *Rule* is the first that a pod with it
meets, of whatever level; the number is that of the known bypass.

| # | file | rule | what is said of it | what runc did |
| --- | --- | --- | --- | --- |
`
)

// disguised are files that look like profiles. A name begins with the row of
// docs/bypasses.md that the file is an example of.
var disguised = []struct {
	name string
	text string
	// rule that denies it, of whatever level.
	rule string
	// runc is what happens.
	runc string
}{
	{"row71 an empty object", `{}`, "profile-invalid", unconfined},
	{"row71 null", `null`, "profile-invalid", unconfined},
	{"row71 no rules at all", `{"syscalls":[]}`, "profile-invalid", unconfined},
	{"row71 a profile in a wrapping", `{"profile":{"defaultAction":"SCMP_ACT_ERRNO"}}`, "profile-invalid", unconfined},
	{"row71 a Kubernetes object", `{"apiVersion":"security-profiles-operator.x-k8s.io/v1beta1","kind":"SeccompProfile","spec":{"defaultAction":"SCMP_ACT_ERRNO"}}`, "profile-invalid", unconfined},
	{"row71 rules without a default", `{"syscalls":[{"names":["unshare"],"action":"SCMP_ACT_ERRNO"}]}`, "profile-invalid", notStarted},
	{"row72 allow", `{"defaultAction":"SCMP_ACT_ALLOW"}`, "permissive", reached},
	{"row72 log", `{"defaultAction":"SCMP_ACT_LOG"}`, "permissive", reached},
	{"row73 a list of what is blocked", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount"],"action":"SCMP_ACT_ERRNO"}]}`, "weaker-than-default", reached},
	{"row74 Docker's dialect", dialect(), "profile-invalid", reached},
	{"row75 a name in place of names", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"unshare","action":"SCMP_ACT_ERRNO"}]}`, "profile-invalid", reached},
	{"row76 the default twice", `{"defaultAction":"SCMP_ACT_ERRNO","defaultAction":"SCMP_ACT_ALLOW"}`, "profile-invalid", reached},
	{"row76 the rules twice", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare"],"action":"SCMP_ACT_ERRNO"}],"syscalls":[{"names":["mount"]}]}`, "profile-invalid", reached},
	{"row77 another case", `{"defaultAction":"SCMP_ACT_ERRNO","DEFAULTACTION":"SCMP_ACT_ALLOW"}`, "profile-invalid", reached},
	{"row78 the first rule wins", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare"],"action":"SCMP_ACT_LOG"},{"names":["unshare"],"action":"SCMP_ACT_KILL_PROCESS"}]}`, "permissive", reached},
	{"row78 what has no conditions wipes what has", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"}]},{"names":["unshare"],"action":"SCMP_ACT_LOG"}]}`, "permissive", reached},
	{"row78 a rule as the default is none", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare"],"action":"SCMP_ACT_ALLOW"},{"names":["unshare"],"action":"SCMP_ACT_ERRNO"}]}`, "weaker-than-default", blocked},
	{"row79 one argument twice", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":1,"op":"SCMP_CMP_GE"},{"index":0,"value":3,"op":"SCMP_CMP_LE"}]}]}`, "weaker-than-default", blocked},
	{"row80 a space", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare "],"action":"SCMP_ACT_ERRNO"}]}`, "profile-invalid", reached},
	{"row80 a capital", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["Unshare"],"action":"SCMP_ACT_ERRNO"}]}`, "weaker-than-default", reached},
	{"row81 nobody to notify", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare"],"action":"SCMP_ACT_NOTIFY"}]}`, "weaker-than-default", notStarted},
	{"row81 notify by default", `{"defaultAction":"SCMP_ACT_NOTIFY"}`, "profile-invalid", notStarted},
	{"row82 errno 0", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare"],"action":"SCMP_ACT_ERRNO","errnoRet":0}]}`, "profile-invalid", reached + " (as far as the program can tell)"},
	{"row82 errno 5000", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["unshare"],"action":"SCMP_ACT_ERRNO","errnoRet":5000}]}`, "profile-invalid", notStarted},
	{"a byte order mark", "\ufeff" + `{"defaultAction":"SCMP_ACT_ERRNO"}`, "profile-invalid", notLoaded},
	{"more text", `{"defaultAction":"SCMP_ACT_ERRNO"} {}`, "profile-invalid", notLoaded},
	{"nothing", ``, "profile-invalid", notLoaded},
}

var ofRow = regexp.MustCompile(`^row(\d+) (.+)$`)

// What runc did.
const (
	unconfined = "started it without a filter"
	reached    = "started it with a filter that unshare passes"
	blocked    = "started it with a filter that blocks unshare"
	notStarted = "started nothing"
	notLoaded  = "containerd refuses the file"
)

// probe ends with a status that tells of the filter and of what a call meets.
const probe = `
static long call(long nr, long a, long b, long c) {
	long ret;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return ret;
}
void _start(void) {
	long filtered = call(157, 21, 0, 0) != 0; /* PR_GET_SECCOMP */
	long passed = call(272, 0, 0, 0) == 0; /* unshare */
	call(60, 64 + 2 * filtered + passed, 0, 0);
	for (;;)
		;
}
`

// TestPage tries every file and compares what is said and done with docs/profiles.md.
func TestPage(t *testing.T) {
	b := newBundle(t)
	c := filepath.Join(b.dir, "probe.c")
	if err := os.WriteFile(c, []byte(probe), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-static", "-nostdlib", "-O1", "-o", filepath.Join(b.dir, "rootfs", "start"), c).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	runc := b.runtimes(t)[0]
	page := intro + publicHead + public(t) + fmt.Sprintf(disguisedHead, runc.version)
	for _, d := range disguised {
		t.Run(d.name, func(t *testing.T) {
			if got := b.try(t, runc, d.text); !strings.HasPrefix(d.runc, got) {
				t.Errorf("runc: %s, want %s", got, d.runc)
			}
			rule, said := judge(t, d.text)
			if rule != d.rule {
				t.Errorf("rule %q, want %q", rule, d.rule)
			}
			row, name := "-", d.name
			if m := ofRow.FindStringSubmatch(d.name); m != nil {
				row, name = m[1], m[2]
			}
			page += fmt.Sprintf("| %s | %s | %s | %s | %s |\n", row, name, rule, strings.ReplaceAll(said, "|", "\\|"), d.runc)
		})
	}
	if *update {
		if err := os.WriteFile(profilesPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(profilesPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Errorf("docs/profiles.md is not what was measured; run this with -update and look at the difference")
	}
}

// dialect is Moby's default as it is published: what it allows on conditions is allowed
// without them where nobody understands the dialect.
func dialect() string {
	text, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		panic(err)
	}
	return string(text)
}

// try loads a file as containerd does and says what runc makes of it.
func (b *bundle) try(t *testing.T, r runtimeBinary, text string) string {
	t.Helper()
	var profile *specs.LinuxSeccomp
	loaded := new(specs.LinuxSeccomp)
	if err := json.Unmarshal([]byte(text), loaded); err != nil {
		return notLoaded
	}
	profile = loaded
	code, _ := b.run(t, r, profile, true)
	switch code {
	case 64, 65:
		return unconfined
	case 66:
		return blocked
	case 67:
		return reached
	default:
		return notStarted
	}
}

// judge says which rule denies a file and why, or what lint has to say of it. The strict
// one is for containers without capabilities.
func judge(t *testing.T, text string) (rule, said string) {
	t.Helper()
	p, err := seccomp.Parse([]byte(text))
	var parse *seccomp.ParseError
	switch {
	case errors.As(err, &parse):
		return "profile-invalid", parse.Reason()
	case err != nil:
		t.Fatal(err)
	}
	remarks, err := p.Lint(specs.ArchX86_64)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range remarks {
		if r.Severity != seccomp.SeverityInfo && r.ID != "startable" && !slices.Contains(ids, r.ID) {
			ids = append(ids, r.ID)
		}
	}
	a, err := p.Analyze(specs.ArchX86_64)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case a.Permissive:
		rule = "permissive"
	case len(a.Beyond) > 0:
		rule = "weaker-than-default"
	}
	return rule, "lint: " + strings.Join(ids, ", ")
}

// public are profiles that others publish.
func public(t *testing.T) string {
	t.Helper()
	docker := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
	var out strings.Builder
	add := func(name string, p *seccomp.Profile, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, err := p.Analyze(specs.ArchX86_64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f, allowed := p.Filter(specs.ArchX86_64), 0
		for _, call := range seccomp.SyscallNames(specs.ArchX86_64) {
			if f.Allows(specs.ArchX86_64, call) != seccomp.Never {
				allowed++
			}
		}
		fmt.Fprintf(&out, "| %s | %s | %d | %d | %d |\n", name, a.Grade, allowed, len(a.Dangerous), len(a.Beyond))
	}
	for _, tc := range []struct {
		name         string
		capabilities []string
	}{
		{"Moby's default, no capability", nil},
		{"Moby's default, Docker's capabilities", docker},
		{"Moby's default, CAP_SYS_PTRACE", []string{"CAP_SYS_PTRACE"}},
		{"Moby's default, CAP_SYS_TIME", []string{"CAP_SYS_TIME"}},
		{"Moby's default, CAP_BPF", []string{"CAP_BPF"}},
		{"Moby's default, CAP_SYS_RAWIO", []string{"CAP_SYS_RAWIO"}},
		{"Moby's default, CAP_SYS_MODULE", []string{"CAP_SYS_MODULE"}},
		{"Moby's default, CAP_SYS_ADMIN", []string{"CAP_SYS_ADMIN"}},
	} {
		p, err := seccomp.DefaultProfile(specs.ArchX86_64, tc.capabilities)
		add(tc.name, p, err)
	}
	// What a Docker-dialect file means where nobody understands the dialect.
	var plain specs.LinuxSeccomp
	if err := json.Unmarshal([]byte(dialect()), &plain); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(&plain)
	if err != nil {
		t.Fatal(err)
	}
	p, err := seccomp.Parse(text)
	add("Moby's default.json as containerd loads it, dialect ignored (74)", p, err)
	for _, tc := range []struct{ name, file string }{
		{"the tutorial's audit.json", "audit.json"},
		{"the tutorial's violation.json", "violation.json"},
		{"the tutorial's fine-grained.json", "fine-grained.json"},
	} {
		text, err := os.ReadFile(filepath.Join("../../examples/tutorial/profiles", tc.file))
		if err != nil {
			t.Fatal(err)
		}
		p, err := seccomp.Parse(text)
		add(tc.name, p, err)
	}
	return out.String()
}
