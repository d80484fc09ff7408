// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/seccompgate/seccompgate/policies"
)

// example has one of everything that a report can hold.
func example() *Results {
	return &Results{
		Version: "v1.2.3",
		Rules: []policies.Rule{
			{
				ID: "unset", Title: "No profile", Description: "Nobody names one.", Level: policies.Restricted, Since: "v0.1",
				Remediation: "Name {one}.", Related: []string{"https://example.org/a", "https://example.org/b"},
			},
			{ID: "profile-missing", Title: "Missing", Description: "It is missing.", Level: policies.Baseline, Since: "v0.1", Remediation: "Create it."},
		},
		Results: []Result{
			{
				File: "deploy/my app.yaml", Kind: "Deployment", Namespace: "shop", Name: "web", Line: 2,
				Findings: []Finding{
					{Rule: "unset", Level: "restricted", Container: "app", Field: "spec.containers[0].x", Message: `has "{0}"`, Remediation: "Name {one}.", Line: 9},
					{Rule: "unset", Level: "restricted", Container: "log", Field: "spec.containers[1].x", Message: "has none", Remediation: "Name {one}.", Line: 12},
					{Rule: "rule-error", Level: "baseline", Message: "rule own could not be evaluated", Remediation: "Correct the rule."},
				},
			},
			{
				File: Stdin, Kind: "Pod", Allowed: true, Line: 1,
				Notes: []Note{{Message: "a label"}, {Rule: "profile-missing", Message: "not looked up"}, {Rule: "drift", Message: "not asked"}},
			},
		},
		Errors: []Error{{File: "/srv/bad.yaml", Message: "/srv/bad.yaml: document 1, line 3: no"}},
	}
}

func TestSARIF(t *testing.T) {
	at := func(uri string, line int, logical ...sarifLogicalLocation) []sarifLocation {
		l := sarifLocation{Physical: sarifPhysicalLocation{Artifact: sarifArtifact{URI: uri}}, Logical: logical}
		if line > 0 {
			l.Physical.Region = &sarifRegion{StartLine: line}
		}
		return []sarifLocation{l}
	}
	web := sarifLogicalLocation{Name: "web", QualifiedName: "shop/Deployment/web", Kind: "object"}
	field := func(name string) sarifLogicalLocation {
		return sarifLogicalLocation{Name: name, QualifiedName: "shop/Deployment/web/" + name, Kind: "property"}
	}
	hash := func(s string) map[string]string { return map[string]string{"findingHash/v1": s} }
	const file = "deploy/my%20app.yaml"
	pod := at("stdin", 1, sarifLogicalLocation{Name: "(no name)", QualifiedName: "Pod/(no name)", Kind: "object"})
	rule := func(id, short, full, help, markdown, level, since string) sarifRule {
		return sarifRule{
			ID: id, ShortDescription: sarifMessage{Text: short}, FullDescription: sarifMessage{Text: full},
			Help:          sarifMessage{Text: help, Markdown: markdown},
			Configuration: sarifConfiguration{Level: "error"},
			Properties:    sarifProperties{Level: level, Since: since, Tags: []string{"security"}},
		}
	}
	want := sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{{
		Tool: sarifTool{Driver: sarifDriver{
			Name: "seccompgate", Version: "v1.2.3", InformationURI: "https://github.com/seccompgate/seccompgate",
			Rules: []sarifRule{
				rule("unset", "No profile", "Nobody names one.", "Name {{one}}.",
					"Nobody names one.\n\n**Remedy:** Name {{one}}.\n\n- <https://example.org/a>\n- <https://example.org/b>", "restricted", "v0.1"),
				rule("profile-missing", "Missing", "It is missing.", "Create it.", "It is missing.\n\n**Remedy:** Create it.\n", "baseline", "v0.1"),
				rule("rule-error", "A rule could not be evaluated", "A rule could not be evaluated.", "Correct the rule.",
					"A rule could not be evaluated.\n\n**Remedy:** Correct the rule.\n", "baseline", ""),
			},
		}},
		Invocations: []sarifInvocation{{Notifications: []sarifNotification{
			{Level: "note", Message: sarifMessage{Text: "a label"}, Locations: pod},
			{Level: "note", Message: sarifMessage{Text: "not looked up"}, Locations: pod, AssociatedRule: &sarifRuleRef{ID: "profile-missing", Index: 1}},
			{Level: "note", Message: sarifMessage{Text: "not asked"}, Locations: pod},
			{Level: "error", Message: sarifMessage{Text: "/srv/bad.yaml: document 1, line 3: no"}, Locations: at("file:///srv/bad.yaml", 0)},
		}}},
		Results: []sarifResult{
			{
				RuleID: "unset", RuleIndex: 0, Level: "error", Message: sarifMessage{Text: `has "{{0}}"`},
				Locations: at(file, 9, web, field("spec.containers[0].x")), Fingerprints: hash("4fec4dbf686e4c0b265b75185aada8af:1"),
			},
			{
				RuleID: "unset", RuleIndex: 0, Level: "error", Message: sarifMessage{Text: "has none"},
				Locations: at(file, 12, web, field("spec.containers[1].x")), Fingerprints: hash("68f59bf0c00f75b331e60da55ce390b5:1"),
			},
			{
				RuleID: "rule-error", RuleIndex: 2, Level: "error", Message: sarifMessage{Text: "rule own could not be evaluated"},
				Locations: at(file, 2, web), Fingerprints: hash("e352632e9fff9962ecdcb8582fc4687e:1"),
			},
		},
	}}}
	var got sarifLog
	var b bytes.Buffer
	if err := example().Write(&b, SARIF); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// excused has a finding of each kind.
func excused() *Results {
	f := Finding{Rule: "unset", Level: "restricted", Message: "has none"}
	until := time.Date(2030, time.January, 31, 0, 0, 0, 0, time.UTC)
	return &Results{Results: []Result{
		{File: "a.yaml", Kind: "Pod", Name: "a", Findings: []Finding{f}},
		{File: "a.yaml", Kind: "Pod", Name: "b", Allowed: true, Excused: []Excused{{Finding: f, Policy: "legacy", Reason: "vendor image", Until: until}}},
	}}
}

// TestSARIFSuppressions: what is excused is suppressed and no error, and either every
// result has suppressions or none has.
func TestSARIFSuppressions(t *testing.T) {
	suppressions := func(r *Results) (all []*[]sarifSuppression, levels []string) {
		for _, result := range r.sarif().Runs[0].Results {
			all, levels = append(all, result.Suppressions), append(levels, result.Level)
		}
		return all, levels
	}
	got, levels := suppressions(excused())
	if d := cmp.Diff([]*[]sarifSuppression{
		{}, {{Kind: "external", Status: "accepted", Justification: "until 2030-01-31T00:00:00Z by SeccompPolicy legacy: vendor image"}},
	}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"error", "note"}, levels); d != "" {
		t.Errorf("levels (-want +got):\n%s", d)
	}
	without := excused()
	without.Results = without.Results[:1]
	if got, _ := suppressions(without); got[0] != nil {
		t.Errorf("suppressions of a run without any: %v", got[0])
	}
}

// TestSARIFSchema validates with the validator of the policy engine: the standard's schema
// is the only judge of what a reader accepts.
func TestSARIFSchema(t *testing.T) {
	schema, err := os.ReadFile("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	query, err := rego.New(rego.Query("[valid, problems] = json.match_schema(input.document, input.schema)")).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	validate := func(document string) (valid, problems any) {
		t.Helper()
		answer, err := query.Eval(t.Context(), rego.EvalInput(map[string]any{"document": document, "schema": string(schema)}))
		if err != nil || len(answer) != 1 {
			t.Fatalf("validate: %v, %v", answer, err)
		}
		return answer[0].Bindings["valid"], answer[0].Bindings["problems"]
	}
	written := func(r *Results) string {
		t.Helper()
		var b strings.Builder
		if err := r.Write(&b, SARIF); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	full := written(example())
	for name, document := range map[string]string{
		"everything": full,
		"nothing":    written(&Results{}),
		"excused":    written(excused()),
		"no lines":   written(&Results{Results: []Result{{File: "a b", Kind: "Pod", Findings: []Finding{{Rule: "x"}}, Notes: []Note{{}}}}}),
		"errors":     written(&Results{Errors: []Error{{}}}),
	} {
		if valid, problems := validate(document); valid != true {
			t.Errorf("%s: %v", name, problems)
		}
	}
	for _, broken := range [][2]string{
		{`"level": "error"`, `"level": "deadly"`},
		{`"startLine": 9`, `"startLine": 0`},
		{`"uri": "stdin"`, `"uri": "100%"`},
		{`"ruleIndex": 0`, `"ruleindex": 0`},
	} {
		if valid, _ := validate(strings.Replace(full, broken[0], broken[1], 1)); valid != false {
			t.Errorf("%s passes, so the schema is not asked", broken[1])
		}
	}
}

func TestFileURI(t *testing.T) {
	for file, want := range map[string]string{
		"a.yaml":              "a.yaml",
		"./deploy//a.yaml":    "deploy/a.yaml",
		"../a.yaml":           "../a.yaml",
		"a b/ü?#%.yaml":       "a%20b/%C3%BC%3F%23%25.yaml",
		"c:d/e:f.yaml":        "./c:d/e:f.yaml",
		"not\xffutf8\n.yaml":  "not%FFutf8%0A.yaml",
		"/srv/a b.yaml":       "file:///srv/a%20b.yaml",
		"standard input":      "stdin",
		"standard input.yaml": "standard%20input.yaml",
	} {
		if got := fileURI(file); got != want {
			t.Errorf("%q: got %s, want %s", file, got, want)
		}
	}
}

// TestFingerprint: results are followed from one version of a file to the next.
func TestFingerprint(t *testing.T) {
	base := func() (Result, Finding) {
		return Result{File: "a.yaml", Kind: "Pod", Namespace: "shop", Name: "web", Line: 1},
			Finding{Rule: "unset", Level: "restricted", Container: "app", Field: "spec.containers[0].x", Message: "no", Line: 7}
	}
	of := func(change func(*Result, *Finding)) string {
		r, f := base()
		change(&r, &f)
		return r.fingerprint(&f, make(map[string]int))
	}
	same := of(func(*Result, *Finding) {})
	for name, change := range map[string]func(*Result, *Finding){
		"file":    func(r *Result, _ *Finding) { r.File = "b.yaml" },
		"lines":   func(r *Result, f *Finding) { r.Line, f.Line = 2, 8 },
		"order":   func(_ *Result, f *Finding) { f.Field = "spec.containers[1].x" },
		"message": func(_ *Result, f *Finding) { f.Message = "other" },
		"level":   func(_ *Result, f *Finding) { f.Level = "strict" },
	} {
		if got := of(change); got != same {
			t.Errorf("another %s changes it: %s, was %s", name, got, same)
		}
	}
	for name, change := range map[string]func(*Result, *Finding){
		"kind":      func(r *Result, _ *Finding) { r.Kind = "Job" },
		"namespace": func(r *Result, _ *Finding) { r.Namespace = "" },
		"name":      func(r *Result, _ *Finding) { r.Name = "api" },
		"rule":      func(_ *Result, f *Finding) { f.Rule = "privileged" },
		"container": func(_ *Result, f *Finding) { f.Container = "log" },
		"field":     func(_ *Result, f *Finding) { f.Field = "metadata.labels[a]" },
	} {
		if got := of(change); got == same {
			t.Errorf("another %s does not change it: %s", name, got)
		}
	}
	seen := make(map[string]int)
	r, f := base()
	first, second := r.fingerprint(&f, seen), r.fingerprint(&f, seen)
	if first != same || second != strings.TrimSuffix(same, "1")+"2" {
		t.Errorf("got %s and %s for two that are alike, want %s counted", first, second, same)
	}
}
