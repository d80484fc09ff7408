// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJUnit(t *testing.T) {
	r := example()
	r.Results = append(r.Results,
		Result{File: "deploy/my app.yaml", Kind: "Pod", Name: "same", Allowed: true, Line: 20},
		Result{File: "deploy/my app.yaml", Kind: "Pod", Name: "same", Line: 30, Findings: []Finding{{Rule: "x", Message: "a\x00\xff<&>\r\n]]>"}}},
		Result{File: "deploy/my app.yaml", Kind: "Pod", Name: "same #2", Allowed: true},
	)
	r.Errors = append(r.Errors, Error{File: Stdin, Message: "standard input: document 2: no"})
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="seccompctl check" tests="7" failures="2" errors="2" time="0">
  <testsuite name="deploy/my app.yaml" tests="4" failures="2" errors="0" time="0">
    <testcase classname="deploy/my app.yaml" name="Deployment shop/web" file="deploy/my app.yaml" line="9" time="0">
      <failure type="finding" message="3 findings: unset, rule-error">unset (restricted)  has &#34;{0}&#34;
  at spec.containers[0].x, line 9
unset (restricted)  has none
  at spec.containers[1].x, line 12
  Name {one}.
rule-error (baseline)  rule own could not be evaluated
  Correct the rule.
</failure>
    </testcase>
    <testcase classname="deploy/my app.yaml" name="Pod same" file="deploy/my app.yaml" line="20" time="0"></testcase>
    <testcase classname="deploy/my app.yaml" name="Pod same #2" file="deploy/my app.yaml" line="30" time="0">
      <failure type="finding" message="1 finding: x">x ()  a` + "\ufffd\ufffd" + `&lt;&amp;&gt;&#xD;
]]&gt;
</failure>
    </testcase>
    <testcase classname="deploy/my app.yaml" name="Pod same #2 #2" file="deploy/my app.yaml" time="0"></testcase>
  </testsuite>
  <testsuite name="standard input" tests="2" failures="0" errors="1" time="0">
    <testcase classname="standard input" name="Pod (no name)" file="standard input" line="1" time="0">
      <system-out>note  a label
note (profile-missing)  not looked up
note (drift)  not asked
</system-out>
    </testcase>
    <testcase classname="standard input" name="input" file="standard input" time="0">
      <error type="input" message="standard input: document 2: no">standard input: document 2: no
</error>
    </testcase>
  </testsuite>
  <testsuite name="/srv/bad.yaml" tests="1" failures="0" errors="1" time="0">
    <testcase classname="/srv/bad.yaml" name="input" file="/srv/bad.yaml" time="0">
      <error type="input" message="/srv/bad.yaml: document 1, line 3: no">/srv/bad.yaml: document 1, line 3: no
</error>
    </testcase>
  </testsuite>
</testsuites>
`
	var b strings.Builder
	if err := r.Write(&b, JUnit); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
