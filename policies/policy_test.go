// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// says is a rule that finds a message in every pod.
func says(id, message string) string {
	return rule(id, "baseline", fmt.Sprintf(`deny contains {"container": "", "field": "", "message": %q}`, message))
}

// policyOf is one with a module rule.rego, and without any if it is empty.
func policyOf(name string, age int, module string) Policy {
	p := Policy{Name: name, Created: time.Unix(int64(-age), 0)}
	if module != "" {
		p.Modules = map[string]string{"rule.rego": module}
	}
	return p
}

func withParameters(p Policy, pairs ...string) Policy {
	p.Parameters = make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		p.Parameters[pairs[i]] = pairs[i+1]
	}
	return p
}

// found are the messages of the findings of a good pod.
func found(t *testing.T, s *Set) []string {
	t.Helper()
	findings, err := s.Evaluate(t.Context(), ordinary(1))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range findings {
		all = append(all, f.Rule+" "+f.Message)
	}
	return all
}

func TestPolicies(t *testing.T) {
	// A rule, a library of its own, a test that is not read, and parameters of another.
	p := Policy{Name: "team", Modules: map[string]string{
		"rule.rego":      rule("mine", "baseline", "import data.team.lib\n\ndeny contains {\"container\": \"\", \"field\": \"\", \"message\": lib.text}"),
		"lib.rego":       "package team.lib\n\ntext := sprintf(\"%s %s\", [input.parameters.registry, input.parameters.missingProfile])\n",
		"rule_test.rego": "this is not read",
	}}
	parameters := withParameters(policyOf("other", 0, ""), "registry", "r.example")
	opts := Options{
		Policies: []Policy{p, parameters}, Parameters: map[string]any{"missingProfile": "any"},
		Directory: directory(t, map[string]string{"rule.rego": says("theirs", "from the directory")}),
	}
	s := load(t, opts)
	if d := cmp.Diff([]string{"mine r.example any", "theirs from the directory"}, found(t, s)); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
	digests := map[string]bool{s.Digest(): true}
	for _, change := range []func(*Options){
		func(o *Options) { o.Policies = o.Policies[:1] },
		func(o *Options) {
			o.Policies = []Policy{p, withParameters(parameters, "registry", "s.example")}
		},
		func(o *Options) {
			o.Policies = []Policy{p, withParameters(parameters, "x/registry", "r.example")}
		},
		func(o *Options) {
			o.Policies = []Policy{p, withParameters(parameters, "y/registry", "r.example")}
		},
	} {
		o := opts
		change(&o)
		digests[load(t, o).Digest()] = true
	}
	if len(digests) != 5 {
		t.Errorf("%d digests of 5 different sets", len(digests))
	}
}

// TestLoadGood: whatever is broken in one policy, the others are in use, and what was good
// of it stays.
func TestLoadGood(t *testing.T) {
	a, b := policyOf("a", 2, says("a", "one")), policyOf("b", 1, says("b", "one"))
	dir := directory(t, map[string]string{"lib.rego": "package team.dir\n\nx := 1\n", "rule.rego": says("theirs", "dir")})
	const function = "package fun\n\nf(x) := x + 1\n"
	calls := rule("calls", "baseline", "deny contains {\"container\": \"\", \"field\": \"\", \"message\": sprintf(\"%d\", [data.fun.f(1)])}")
	for _, tc := range []struct {
		name    string
		before  []Policy
		given   []Policy
		want    []string
		broken  map[string]string
		changed bool // some policy is used as it was before
	}{
		{
			name: "all good", given: []Policy{b, a},
			want: []string{"a one", "b one", "theirs dir"},
		}, {
			name: "none", before: []Policy{a, b},
			want: []string{"theirs dir"},
		}, {
			name: "changed", before: []Policy{a, b}, given: []Policy{a, policyOf("b", 1, says("b", "two"))},
			want: []string{"a one", "b two", "theirs dir"},
		}, {
			name: "broken from the start", given: []Policy{policyOf("a", 2, "package seccompgate.rules.a\n\ndeny contains 1 if x\n"), b},
			want:   []string{"b one", "theirs dir"},
			broken: map[string]string{"a": "a/rule.rego:1: package seccompgate.rules.a: no METADATA block above the package; add one with title, description, custom.level, custom.since, custom.remediation and related_resources"},
		}, {
			name: "broken afterwards, and another one changes", before: []Policy{a, b},
			given:  []Policy{policyOf("a", 2, strings.Replace(says("a", "two"), "deny contains", "deny contains {", 1)), policyOf("b", 1, says("b", "two"))},
			want:   []string{"a one", "b two", "theirs dir"},
			broken: map[string]string{"a": "compile rules:\n  a/rule.rego:13: unexpected eof token: expected rule key term"}, changed: true,
		}, {
			name: "a misspelt path", before: []Policy{a, b},
			given:  []Policy{a, policyOf("b", 1, rule("b", "baseline", "deny contains {\"container\": \"\", \"field\": \"\", \"message\": \"m\"} if input.labells.x"))},
			want:   []string{"a one", "b one", "theirs dir"},
			broken: map[string]string{"b": "compile rules:\n  b/rule.rego:12: undefined ref: input.labells.x"}, changed: true,
		}, {
			name: "two make the same rule: the older one has it", given: []Policy{policyOf("a", 1, says("same", "younger")), policyOf("b", 2, says("same", "older"))},
			want:   []string{"same older", "theirs dir"},
			broken: map[string]string{"a": "a/rule.rego:10: package seccompgate.rules.same: b/rule.rego has package seccompgate.rules.same, and packages are not shared; choose another name"},
		}, {
			name: "as old as each other: by name", given: []Policy{policyOf("b", 1, says("same", "second")), policyOf("a", 1, says("same", "first"))},
			want:   []string{"same first", "theirs dir"},
			broken: map[string]string{"b": "b/rule.rego:10: package seccompgate.rules.same: a/rule.rego has package seccompgate.rules.same, and packages are not shared; choose another name"},
		}, {
			name: "a built-in rule", given: []Policy{policyOf("a", 2, says("unset", "one")), b},
			want:   []string{"b one", "theirs dir"},
			broken: map[string]string{"a": "a/rule.rego:10: package seccompgate.rules.unset: a built-in rule has this id; choose another"},
		}, {
			name: "a rule of the directory", given: []Policy{policyOf("a", 2, says("theirs", "one")), b},
			want:   []string{"b one", "theirs dir"},
			broken: map[string]string{"a": "a/rule.rego:10: package seccompgate.rules.theirs: DIR/rule.rego has package seccompgate.rules.theirs, and packages are not shared; choose another name"},
		}, {
			name: "a library below another's", given: []Policy{policyOf("a", 2, "package team.dir.more\n\ny := 1\n"), b},
			want:   []string{"b one", "theirs dir"},
			broken: map[string]string{"a": "a/rule.rego:1: package team.dir.more: DIR/lib.rego has package team.dir, and packages are not shared; choose another name"},
		}, {
			name: "a library above another's", given: []Policy{policyOf("a", 2, "package team\n\ny := 1\n"), b},
			want:   []string{"b one", "theirs dir"},
			broken: map[string]string{"a": "a/rule.rego:1: package team: DIR/lib.rego has package team.dir, and packages are not shared; choose another name"},
		}, {
			name: "a setting of the configuration", before: []Policy{a}, given: []Policy{withParameters(policyOf("a", 2, says("a", "two")), "missingProfile", "all"), b},
			want:   []string{"a one", "b one", "theirs dir"},
			broken: map[string]string{"a": `a: parameter "missingProfile" is one of the configuration; choose another name`}, changed: true,
		}, {
			name: "a parameter of another", given: []Policy{withParameters(a, "x", "1"), withParameters(b, "x", "1", "y", "2")},
			want:   []string{"a one", "theirs dir"},
			broken: map[string]string{"b": `b: parameter "x" is one of policy a; choose another name`},
		}, {
			name: "what it was cannot be used any more", before: []Policy{policyOf("fun", 2, function), policyOf("calls", 1, calls)},
			given:  []Policy{policyOf("calls", 1, calls+"\n# changed\n"), b},
			want:   []string{"b one", "theirs dir"},
			broken: map[string]string{"calls": "compile rules:\n  calls/rule.rego:12: undefined function data.fun.f"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := Options{Directory: dir, Policies: tc.given, Parameters: map[string]any{"missingProfile": "any"}}
			got, err := LoadGood(t.Context(), opts, tc.before)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, found(t, got.Set)); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
			broken := make(map[string]string)
			for name, err := range got.Broken {
				text, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), dir, "DIR"), " (")
				broken[name] = text
			}
			want := make(map[string]string)
			for name, text := range tc.broken {
				want[name], _, _ = strings.Cut(text, " (")
			}
			if d := cmp.Diff(want, broken); d != "" {
				t.Errorf("broken (-want +got):\n%s", d)
			}
			asGiven := func(p Policy) bool {
				return slices.ContainsFunc(tc.given, func(g Policy) bool { return cmp.Equal(g, p) })
			}
			if all := !slices.ContainsFunc(got.Policies, func(p Policy) bool { return !asGiven(p) }); all == tc.changed {
				t.Errorf("policies in use: %+v", got.Policies)
			}
			if checked, err := Check(opts); err != nil || len(checked) != len(got.Broken) {
				t.Errorf("Check: %v, %v; broken are %v", checked, err, got.Broken)
			}
			if _, err := Load(t.Context(), opts); (err != nil) != (len(tc.broken) > 0) {
				t.Errorf("Load: %v", err)
			}
		})
	}
}

// TestLoadGoodNeedsTheDirectory: there is nothing to fall back on here.
func TestLoadGoodNeedsTheDirectory(t *testing.T) {
	dir := directory(t, map[string]string{"a.rego": ""})
	_, err := LoadGood(t.Context(), Options{Directory: dir}, nil)
	if want := dir + "/a.rego:1: the file is empty; a rule begins with its package"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestUserRulesRunAsWritten: partial evaluation would take the findings of these rules away,
// or make some.
func TestUserRulesRunAsWritten(t *testing.T) {
	const finding = "deny contains {\"container\": \"\", \"field\": \"\", \"message\": \"found\"} if "
	for name, tc := range map[string]struct {
		text   string
		labels map[string]string
		found  bool
	}{
		"a negated function of what is absent": {finding + "not exempt\n\nexempt if not bad(input.labels.team)\n\nbad(t) if t == \"web\"", nil, true},
		"a function with a default": {
			finding + "not exempt\n\nexempt if internal(input.labels.tier) == false\n\ndefault internal(_) := false\n\ninternal(t) if t == \"backend\"",
			map[string]string{"tier": "backend"},
			true,
		},
		"a function with else": {
			finding + "not exempt\n\nexempt if zone(input.labels.tier) == \"public\"\n\nzone(t) := \"private\" if t == \"backend\"\n\nelse := \"public\"",
			map[string]string{"tier": "backend"},
			true,
		},
		"a default that does not hold": {
			finding + "internal(input.labels.tier) == false\n\ndefault internal(_) := false\n\ninternal(t) if t == \"backend\"",
			map[string]string{"tier": "backend"},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, Options{Policies: []Policy{policyOf("mine", 0, rule("mine", "baseline", tc.text))}})
			in := ordinary(1)
			in.Labels = tc.labels
			findings, err := s.Evaluate(t.Context(), in)
			if err != nil || len(findings) > 0 != tc.found {
				t.Errorf("findings %+v, error %v; want one: %t", findings, err, tc.found)
			}
		})
	}
}

// TestARuleThatAlwaysFails is no trouble of the other policies.
func TestARuleThatAlwaysFails(t *testing.T) {
	fails := policyOf("bad", 1, rule("bad", "baseline", "deny contains {\"container\": \"\", \"field\": \"\", \"message\": sprintf(\"%d\", [1 / 0])}"))
	loaded, err := LoadGood(t.Context(), Options{Policies: []Policy{fails, policyOf("good", 2, says("good", "found"))}}, nil)
	if err != nil || len(loaded.Broken) > 0 {
		t.Fatalf("broken %v, error %v", loaded.Broken, err)
	}
	want := []string{"good found", "rule-error rule bad could not be evaluated: bad/rule.rego:12: div: divide by zero"}
	got := found(t, loaded.Set)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}
