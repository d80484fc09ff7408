// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"cmp"
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

	jsonv2 "github.com/go-json-experiment/json"
	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/seccomp"
	"github.com/seccompgate/seccompgate/webhook/review"
)

var update = flag.Bool("update", false, "rewrite docs/profiles.md")

const (
	profilesPage = "../../docs/profiles.md"

	intro = `# Profiles, measured

Written by ` + "`go -C e2e/oracle test -tags libseccomp,seccomp . -run Page -update`" + `, which starts the containers.
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
	rules := builtIn(t)
	page := intro + publicHead + public(t) + fmt.Sprintf(disguisedHead, runc.version)
	for _, d := range disguised {
		t.Run(d.name, func(t *testing.T) {
			if got := b.try(t, runc, d.text); !strings.HasPrefix(d.runc, got) {
				t.Errorf("runc: %s, want %s", got, d.runc)
			}
			rule, said := judge(t, rules, d.text)
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

// judge says which rule denies a pod that names a file and what the file's own checks have to
// say of it.
func judge(t *testing.T, rules *policies.Set, text string) (rule, said string) {
	t.Helper()
	rule = firstRule(t, rules, text)
	p, err := seccomp.Parse([]byte(text))
	var parse *seccomp.ParseError
	switch {
	case errors.As(err, &parse):
		return rule, parse.Reason()
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
	return rule, "lint: " + strings.Join(ids, ", ")
}

// pod has nothing wrong with it but, maybe, its profile: no level finds anything else.
const pod = `{"metadata":{"name":"app"},"spec":{"containers":[{"name":"app","image":"app","securityContext":{
	"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},
	"seccompProfile":{"type":"Localhost","localhostProfile":"app.json"}}}]}}`

// firstRule reviews a pod in a cluster whose node has the file, and returns the first rule of
// the lowest level that denies it.
func firstRule(t *testing.T, rules *policies.Set, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := inventory.FromProfilesDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	index := inventory.NewIndex(objects)
	r, err := review.New(review.Config{
		Policies: func() *policies.Set { return rules },
		Facts:    func() *inventory.Index { return index },
		Settings: v1alpha1.WebhookConfig{Defaults: v1alpha1.ModeDefaults{Enforce: v1alpha1.LevelStrict}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var o review.Object
	if err := jsonv2.Unmarshal([]byte(pod), &o); err != nil {
		t.Fatal(err)
	}
	d, err := r.Review(t.Context(), &review.Request{Kind: "Pod", Operation: review.Create, Namespace: "default", Object: &o})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Denied) == 0 {
		return ""
	}
	first := slices.MinFunc(d.Denied, func(a, b policies.Finding) int {
		return cmp.Or(cmp.Compare(a.Level.Rank(), b.Level.Rank()), cmp.Compare(a.Rule, b.Rule))
	})
	return first.Rule
}

// TestRuntimeDefaultMeetsNoRule: what denies a pod with another profile is that profile, and
// not the pod.
func TestRuntimeDefaultMeetsNoRule(t *testing.T) {
	p, err := seccomp.DefaultProfile(specs.ArchX86_64, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rule := firstRule(t, builtIn(t), string(p.Marshal())); rule != "" {
		t.Errorf("a pod with the runtime's default meets %s", rule)
	}
}

func builtIn(t *testing.T) *policies.Set {
	t.Helper()
	rules, err := policies.Load(t.Context(), policies.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}
