// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/policies"
)

func TestWrite(t *testing.T) {
	finding := func(rule, container string) Finding {
		return FindingOf(policies.Finding{
			Rule: rule, Level: policies.Baseline, Container: container, Field: "spec." + container,
			Message: container + " is wrong", Remediation: "Correct it.",
		})
	}
	r := Results{Results: []Result{
		{File: "a.yaml", Kind: "Pod", Name: "good", Allowed: true, Notes: []Note{{Message: "a label"}, {Rule: "x", Message: "not known"}}},
		{File: "b.yaml", Kind: "Job", Namespace: "shop", Findings: []Finding{finding("x", "a"), finding("x", "b"), finding("y", "b")}},
		{File: "c.yaml", Kind: "Pod", Name: "bad", Findings: []Finding{{Rule: "rule-error", Level: "strict", Message: "no field"}}},
	}}
	for _, tc := range []struct {
		format Format
		want   string
	}{
		{Text, `a.yaml: Pod good: ok
  note  a label
  note (x)  not known
b.yaml: Job shop/(no name): denied
  x (baseline)  a is wrong
    at spec.a
  x (baseline)  b is wrong
    at spec.b
    Correct it.
  y (baseline)  b is wrong
    at spec.b
    Correct it.
c.yaml: Pod bad: denied
  rule-error (strict)  no field
3 objects, 2 denied
`},
	} {
		var b strings.Builder
		if err := r.Write(&b, tc.format); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tc.want, b.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.format, d)
		}
	}
}

func TestWriteEmpty(t *testing.T) {
	for format, want := range map[Format]string{
		Text: "nothing to judge: no pod and no workload in the input\n",
		JSON: "{\n  \"results\": []\n}\n",
		JUnit: `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="seccompctl check" tests="0" failures="0" errors="0" time="0"></testsuites>
`,
	} {
		var b strings.Builder
		if err := (&Results{}).Write(&b, format); err != nil || b.String() != want {
			t.Errorf("%s: got %q, %v, want %q", format, b.String(), err, want)
		}
	}
}

func TestParseFormat(t *testing.T) {
	for _, tc := range []struct {
		name, problem string
		more          []Format
	}{
		{"text", "", nil},
		{"json", "", nil},
		{"junit", "", []Format{SARIF, JUnit}},
		{"sarif", `output "sarif" is not one of text, json`, nil},
		{"yaml", `output "yaml" is not one of text, json, sarif, junit`, []Format{SARIF, JUnit}},
	} {
		got, err := ParseFormat(tc.name, tc.more...)
		switch {
		case tc.problem == "" && (err != nil || got != Format(tc.name)):
			t.Errorf("%s: got %q, %v", tc.name, got, err)
		case tc.problem != "" && (err == nil || err.Error() != tc.problem):
			t.Errorf("%s: got %v, want %s", tc.name, err, tc.problem)
		}
	}
}
