// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const judging = `deny contains finding if {
	some container in input.containers
	container.kind == "ephemeral"
	finding := {"container": container.name, "field": container.field, "message": "no debugging here"}
}`

func TestUserRules(t *testing.T) {
	dir := directory(t, map[string]string{
		"team/no-debug.rego":      rule("no_debug", "strict", judging),
		"team/no-debug_test.rego": "this is not read",
		"lib.rego":                "package team.lib\n\nword := \"debug\"\n",
		"README.md":               "neither is this",
		// A ConfigMap volume keeps its files a second time in here.
		"..data/no-debug.rego": rule("no_debug", "strict", judging),
	})
	s := load(t, Options{Directory: dir})
	i := slices.IndexFunc(s.Rules(), func(r Rule) bool { return !r.BuiltIn })
	if i < 0 {
		t.Fatal("the user's rule is not listed")
	}
	want := Rule{
		ID: "no-debug", Title: "A title", Description: "A description.", Level: Strict, Since: "v1.0",
		Remediation: "A remedy.", Related: []string{"https://example.org"},
		pkg: "no_debug", file: filepath.Join(dir, "team/no-debug.rego"),
	}
	if d := cmp.Diff(want, s.Rules()[i], cmp.AllowUnexported(Rule{})); d != "" {
		t.Errorf("rule (-want +got):\n%s", d)
	}
	in := ordinary(2)
	in.Containers[1].Kind = "ephemeral"
	got, err := s.Evaluate(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	findings := []Finding{{
		Rule: "no-debug", Level: Strict, Since: "v1.0", Container: "container-1", Index: 1,
		Field: "spec.containers[1]", Message: "no debugging here", Remediation: "A remedy.",
	}}
	if d := cmp.Diff(findings, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}

// TestConfigMapVolume loads files as the kubelet lays them out: links into a folder that
// changes as a whole.
func TestConfigMapVolume(t *testing.T) {
	dir := directory(t, map[string]string{"..2026_01_01/no-debug.rego": rule("no_debug", "strict", judging)})
	for link, to := range map[string]string{"..data": "..2026_01_01", "no-debug.rego": "..data/no-debug.rego"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := len(load(t, Options{Directory: dir}).Rules()), len(load(t, Options{}).Rules())+1; got != want {
		t.Errorf("%d rules, want %d", got, want)
	}
}

// TestUserFilesDoNotReplaceOurs: the names of files must not decide what is in force.
func TestUserFilesDoNotReplaceOurs(t *testing.T) {
	dir := directory(t, map[string]string{
		"policies/rules/privileged/privileged.rego": rule("mine", "strict", judging),
		"policies/entry.rego":                       "package team.lib\n\nword := \"debug\"\n",
	})
	t.Chdir(dir)
	in := ordinary(1)
	in.Containers[0].Privileged = true
	for _, name := range []string{"policies", "."} {
		s := load(t, Options{Directory: name})
		got, err := s.Evaluate(t.Context(), in)
		if err != nil || len(got) != 1 || got[0].Rule != "privileged" {
			t.Errorf("--policies %s: findings %v, error %v", name, got, err)
		}
		if s.Digest() == load(t, Options{}).Digest() {
			t.Errorf("--policies %s: the digest is that of the built-in rules", name)
		}
	}
}

func TestDigest(t *testing.T) {
	files := map[string]string{"a.rego": rule("a", "strict", judging), "b.rego": rule("b", "strict", judging)}
	digest := func(files map[string]string) string {
		return load(t, Options{Directory: directory(t, files)}).Digest()
	}
	first := digest(files)
	if again := digest(files); first != again {
		t.Errorf("equal rules in two directories have the digests %s and %s", first, again)
	}
	changed := maps.Clone(files)
	changed["b.rego"] += "\n# a comment\n"
	if digest(changed) == first {
		t.Error("changed rules have the same digest")
	}
	if builtIn := load(t, Options{}).Digest(); !strings.HasPrefix(first, "sha256:") || len(first) != len("sha256:")+64 || builtIn == first {
		t.Errorf("digest %s, of the built-in rules %s", first, builtIn)
	}
}

// TestRefusedRules: DIR stands for the directory in the messages.
func TestRefusedRules(t *testing.T) {
	good := rule("mine", "strict", judging)
	without := func(line string) string {
		var kept []string
		for l := range strings.Lines(good) {
			if !strings.HasPrefix(l, line) {
				kept = append(kept, l)
			}
		}
		return strings.Join(kept, "")
	}
	call := func(expression string) string {
		return rule("mine", "strict", "deny contains finding if {\n\t"+expression+"\n\tfinding := {\"container\": \"\", \"field\": \"\", \"message\": \"m\"}\n}")
	}
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{
			"a path that the input does not have",
			map[string]string{"a.rego": call("input.containres[_].privileged")},
			"compile rules:\n  DIR/a.rego:13: undefined ref: input.containres[_].privileged (input.containres[_].privileged;       ^;       have: \"containres\";       want (one of): [\"annotations\" \"containers\" \"hostPaths\" \"kind\" \"labels\" \"mirror\" \"namespace\" \"nodes\" \"object\" \"operation\" \"os\" \"parameters\" \"pod\" \"profiles\" \"recording\" \"runtimeClass\" \"user\" \"version\"])",
		},
		{
			"row85 the network",
			map[string]string{"a.rego": call(`http.send({"method": "GET", "url": "http://example.org"}).status_code == 200`)},
			"compile rules:\n  DIR/a.rego:13: undefined function http.send",
		},
		{"row85 the host", map[string]string{"a.rego": call(`opa.runtime().env.HOME`)}, "compile rules:\n  DIR/a.rego:13: undefined function opa.runtime"},
		{"the time", map[string]string{"a.rego": call(`time.now_ns() > 0`)}, "compile rules:\n  DIR/a.rego:13: undefined function time.now_ns"},
		{"chance", map[string]string{"a.rego": call(`rand.intn("a", 2) == 1`)}, "compile rules:\n  DIR/a.rego:13: undefined function rand.intn"},
		{"row85 names on the network", map[string]string{"a.rego": call(`net.lookup_ip_addr("example.org")`)}, "compile rules:\n  DIR/a.rego:13: undefined function net.lookup_ip_addr"},
		{"files by a schema", map[string]string{"a.rego": call(`json.match_schema({}, {"$ref": "file:///etc/passwd"})[0]`)}, "compile rules:\n  DIR/a.rego:13: undefined function json.match_schema"},
		{"files by a schema's check", map[string]string{"a.rego": call(`json.verify_schema({"$ref": "file:///etc/passwd"})[0]`)}, "compile rules:\n  DIR/a.rego:13: undefined function json.verify_schema"},
		{"the time by certificates", map[string]string{"a.rego": call(`crypto.x509.parse_and_verify_certificates("x")[0]`)}, "compile rules:\n  DIR/a.rego:13: undefined function crypto.x509.parse_and_verify_certificates"},
		{
			"no Rego",
			map[string]string{"a.rego": "package team.lib\n\nthis is { not Rego\n"},
			"compile rules:\n  DIR/a.rego:4: unexpected eof token (this is { not Rego;                  ^)",
		},
		{"an empty file", map[string]string{"a.rego": ""}, "DIR/a.rego:1: the file is empty; a rule begins with its package"},
		{
			"each broken file is named",
			map[string]string{"a.rego": "", "b.rego": ""},
			"DIR/a.rego:1: the file is empty; a rule begins with its package\nDIR/b.rego:1: the file is empty; a rule begins with its package",
		},
		{
			"a huge file",
			map[string]string{"a.rego": strings.Repeat("#", maxPolicyBytes+1)},
			"DIR/a.rego: not a regular file of at most 1048576 bytes",
		},
		{
			"row86 a built-in rule",
			map[string]string{"a.rego": rule("unconfined", "strict", judging)},
			"DIR/a.rego:10: package seccompgate.rules.unconfined: a built-in rule has this id; choose another",
		},
		{
			"row86 below a built-in rule",
			map[string]string{"a.rego": rule("unconfined.x", "strict", judging)},
			"DIR/a.rego:10: package seccompgate.rules.unconfined.x: a built-in rule has this id; choose another",
		},
		{
			"row86 below a built-in rule with quotes",
			map[string]string{"a.rego": rule(`unconfined["x-y"]`, "strict", judging)},
			`DIR/a.rego:10: package seccompgate.rules.unconfined["x-y"]: a built-in rule has this id; choose another`,
		},
		{
			"row86 the entry",
			map[string]string{"a.rego": "package seccompgate.entry\n\nx := 1\n"},
			"DIR/a.rego:1: package seccompgate.entry: only packages seccompgate.rules.<id> are open to you; a library takes a name outside seccompgate",
		},
		{
			"row86 all rules",
			map[string]string{"a.rego": "package seccompgate.rules\n\nx := 1\n"},
			"DIR/a.rego:1: package seccompgate.rules: only packages seccompgate.rules.<id> are open to you; a library takes a name outside seccompgate",
		},
		{
			"row86 a library of ours",
			map[string]string{"a.rego": "package seccompgate.lib.annotations\n\nall := []\n"},
			"DIR/a.rego:1: package seccompgate.lib.annotations: only packages seccompgate.rules.<id> are open to you; a library takes a name outside seccompgate",
		},
		{
			"an id in two parts",
			map[string]string{"a.rego": rule("mine.x", "strict", judging)},
			"DIR/a.rego:10: package seccompgate.rules.mine.x: a rule is a package seccompgate.rules.<id> with letters, digits and underscores",
		},
		{
			"one rule in two files",
			map[string]string{"a.rego": good, "b.rego": good},
			"DIR/b.rego:10: package seccompgate.rules.mine is also in DIR/a.rego; a rule is one file",
		},
		{
			"no METADATA",
			map[string]string{"a.rego": "package seccompgate.rules.mine\n\n" + judging},
			"DIR/a.rego:1: package seccompgate.rules.mine: no METADATA block above the package; add one with title, description, custom.level, custom.since, custom.remediation and related_resources",
		},
		{"no title", map[string]string{"a.rego": without("# title")}, "DIR/a.rego:9: package seccompgate.rules.mine: METADATA lacks title"},
		{"no description", map[string]string{"a.rego": without("# description")}, "DIR/a.rego:9: package seccompgate.rules.mine: METADATA lacks description"},
		{"no level", map[string]string{"a.rego": without("#   level")}, "DIR/a.rego:9: package seccompgate.rules.mine: METADATA lacks custom.level"},
		{"no since", map[string]string{"a.rego": without("#   since")}, "DIR/a.rego:9: package seccompgate.rules.mine: METADATA lacks custom.since"},
		{"no remediation", map[string]string{"a.rego": without("#   remediation")}, "DIR/a.rego:9: package seccompgate.rules.mine: METADATA lacks custom.remediation"},
		{
			"an unknown level",
			map[string]string{"a.rego": rule("mine", "severe", judging)},
			`DIR/a.rego:10: package seccompgate.rules.mine: METADATA custom.level "severe" is not one of baseline, restricted, strict`,
		},
		{
			"no deny",
			map[string]string{"a.rego": rule("mine", "strict", "allow := true")},
			`DIR/a.rego:10: package seccompgate.rules.mine: no rule called deny; a rule package says "deny contains finding if { ... }"`,
		},
		{
			"deny is a value",
			map[string]string{"a.rego": rule("mine", "strict", "deny if input.os == \"linux\"")},
			`DIR/a.rego:12: package seccompgate.rules.mine: deny is not a set of findings; write "deny contains finding if { ... }"`,
		},
		{
			"deny is a default",
			map[string]string{"a.rego": rule("mine", "strict", "default deny := set()")},
			`DIR/a.rego:12: package seccompgate.rules.mine: deny is not a set of findings; write "deny contains finding if { ... }"`,
		},
		{
			"deny has parts",
			map[string]string{"a.rego": rule("mine", "strict", "deny.pod contains \"x\" if input.os == \"linux\"")},
			`DIR/a.rego:12: package seccompgate.rules.mine: deny is not a set of findings; write "deny contains finding if { ... }"`,
		},
		{
			"not strict",
			map[string]string{"a.rego": call("unused := 1")},
			"compile rules:\n  DIR/a.rego:13: assigned var unused unused",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := directory(t, tc.files)
			_, err := Load(t.Context(), Options{Directory: dir})
			if got := strings.ReplaceAll(fmt.Sprint(err), dir, "DIR"); got != tc.want {
				t.Errorf("error\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestRefusedDirectory(t *testing.T) {
	dir := directory(t, map[string]string{"file": ""})
	for name, want := range map[string]string{
		"none": "read policies: stat DIR/none: no such file or directory",
		"file": "read policies: DIR/file is not a directory; name the folder that holds the .rego files",
	} {
		_, err := Load(t.Context(), Options{Directory: filepath.Join(dir, name)})
		if got := strings.ReplaceAll(fmt.Sprint(err), dir, "DIR"); got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	_, err := Load(t.Context(), Options{Parameters: map[string]any{"x": func() {}}})
	if want := "read parameters: ast: interface conversion: json: unsupported type: func()"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestListedAnnotation(t *testing.T) {
	s := load(t, Options{})
	for key, want := range map[string]bool{
		"run.oci.seccomp_bpf_data":                 true,
		"seccomp-profile.crio.io/app":              true,
		"seccomp.security.alpha.kubernetes.io/pod": true,
		"io.katacontainers.config_path":            true,
		"prometheus.io/scrape":                     false,
		"":                                         false,
	} {
		if got := s.ListedAnnotation(key); got != want {
			t.Errorf("%q is listed: %v, want %v", key, got, want)
		}
	}
}

func TestRank(t *testing.T) {
	for level, want := range map[Level]int{Baseline: 0, Restricted: 1, Strict: 2, "privileged": -1, "": -1} {
		if got := level.Rank(); got != want {
			t.Errorf("%q has rank %d, want %d", level, got, want)
		}
	}
}
