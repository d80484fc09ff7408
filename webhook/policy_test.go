// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/seccompgate/seccompgate/policies"
)

// TestPolicyReload replaces the rules of a directory by broken ones and by good ones.
func TestPolicyReload(t *testing.T) {
	says := func(message string) string {
		return userRuleText("mine", `deny contains {"container": "", "field": "", "message": "`+message+`"} if input.labels.mine`)
	}
	dir := withRule(t, says("first"))
	m := NewMetrics()
	logged := 0
	log := funcr.New(func(_, args string) {
		if strings.Contains(args, "Changed rules are broken") {
			logged++
		}
	}, funcr.Options{})
	p, err := LoadPolicies(t.Context(), policies.Options{Directory: dir, Parameters: map[string]any{"missingProfile": "any"}}, m, log)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(s *setup) { s.Config.Policies, s.Metrics = p.Current, m })
	judge := func(want string) {
		t.Helper()
		o := r.validate(t, on(t, "baseline", `{metadata: {labels: {mine: x}}, spec: {containers: [{name: app}]}}`))
		if want := "seccompgate baseline: [mine] " + want; o.Message != want {
			t.Errorf("got %q, want %q", o.Message, want)
		}
		if got := value(t, m, `seccompgate_policy_info{digest="`+p.Current().Digest()+`"}`); got != "1" {
			t.Errorf("policy_info of the rules in use: %s", got)
		}
		if n := strings.Count(scrape(t, m), "seccompgate_policy_info{"); n != 1 {
			t.Errorf("%d digests in policy_info", n)
		}
	}
	loads := func(success, failure string) {
		t.Helper()
		for result, want := range map[string]string{"success": success, "failure": failure} {
			if got := value(t, m, `seccompgate_policy_loads_total{result="`+result+`"}`); got != want {
				t.Errorf("%s: %s, want %s", result, got, want)
			}
		}
	}
	judge("first")
	loads("0", "0")
	p.reload(t.Context())
	loads("0", "0") // nothing has changed

	// However broken a bundle is, the rules before it judge on.
	good := says("broken")
	broken := 0
	for i := range 30 {
		text := ""
		switch i % 6 {
		case 0:
			text = good[:strings.Index(good, "broken")+i/6] // cut off
		case 1:
			text = strings.Replace(good, "input.labels", fmt.Sprintf("input.label%d", i), 1)
		case 2:
			text = strings.Replace(good, "package seccompgate.rules.mine", "package seccompgate.rules.unset", 1)
		case 3:
			text = strings.Replace(good, "input.labels.mine", fmt.Sprintf(`http.send({"url": "http://%d"})`, i), 1)
		case 4:
			text = strings.Repeat("\x00", i)
		default:
			text = strings.Replace(good, "level: baseline", fmt.Sprintf("level: %d", i), 1)
		}
		writeRule(t, dir, text)
		before := value(t, m, `seccompgate_policy_loads_total{result="failure"}`)
		p.reload(t.Context())
		p.reload(t.Context()) // still the same: counted once
		if value(t, m, `seccompgate_policy_loads_total{result="failure"}`) != before {
			broken++
		}
		judge("first")
	}
	if broken != 30 || logged != 30 {
		t.Errorf("%d of 30 broken bundles were noticed, %d logged", broken, logged)
	}
	writeRule(t, dir, says("second"))
	p.reload(t.Context())
	judge("second")
	loads("1", "30")

	if err := os.Remove(filepath.Join(dir, "rule.rego")); err != nil {
		t.Fatal(err)
	}
	p.reload(t.Context())
	if o := r.validate(t, on(t, "baseline", `{metadata: {labels: {mine: x}}, spec: {containers: [{name: app}]}}`)); !o.Allowed {
		t.Errorf("a rule that was removed judges on: %+v", o)
	}
}

// TestRow84BrokenRulesAtStart: there are no rules before them to fall back on.
func TestRow84BrokenRulesAtStart(t *testing.T) {
	dir := withRule(t, "package seccompgate.rules.mine\n\ndeny contains 1 if x\n")
	_, err := LoadPolicies(t.Context(), policies.Options{Directory: dir}, NewMetrics(), logr.Discard())
	if err == nil || !strings.Contains(err.Error(), dir+"/rule.rego:") {
		t.Errorf("got %v", err)
	}
}

// TestRememberedDecisionsAreCounted asks twice for pods that differ in a name only, and
// once for another.
func TestRememberedDecisionsAreCounted(t *testing.T) {
	m := NewMetrics()
	p, err := LoadPolicies(t.Context(), policies.Options{Parameters: map[string]any{"missingProfile": "any"}, Remember: 8}, m, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(s *setup) { s.Config.Policies, s.Metrics = p.Current, m })
	const denied = `seccompgate baseline: [unconfined] container "app": seccompProfile is Unconfined (set by the container); use RuntimeDefault or Localhost`
	for _, pod := range []string{
		`{metadata: {name: one}, spec: {containers: [{name: app, securityContext: {seccompProfile: {type: Unconfined}}}]}}`,
		`{metadata: {name: two}, spec: {containers: [{name: app, securityContext: {seccompProfile: {type: Unconfined}}}]}}`,
	} {
		if o := r.validate(t, on(t, "baseline", pod)); o.Message != denied {
			t.Errorf("got %q, want %q", o.Message, denied)
		}
	}
	if o := r.validate(t, on(t, "baseline", `{spec: {containers: [{name: app}]}}`)); !o.Allowed {
		t.Errorf("got %q", o.Message)
	}
	for result, want := range map[string]string{"remembered": "1", "evaluated": "2"} {
		if got := value(t, m, `seccompgate_evaluations_total{result="`+result+`"}`); got != want {
			t.Errorf("%s: %s, want %s", result, got, want)
		}
	}
}
