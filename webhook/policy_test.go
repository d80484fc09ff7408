// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
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
	// The second one meets a condition of a rule that then finds nothing.
	const fine = `spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app}]}`
	for _, pod := range []string{
		`{` + fine + `}`,
		`{metadata: {annotations: {"seccomp.security.alpha.kubernetes.io/pod": runtime/default}}, ` + fine + `}`,
	} {
		if o := r.validate(t, on(t, "baseline", pod)); !o.Allowed {
			t.Errorf("got %q", o.Message)
		}
	}
	for result, want := range map[string]string{"cleared": "1", "remembered": "1", "evaluated": "2"} {
		if got := value(t, m, `seccompgate_evaluations_total{result="`+result+`"}`); got != want {
			t.Errorf("%s: %s, want %s", result, got, want)
		}
	}
}

// ruleModule is a policy's one rule, as the spec of it.
func ruleModule(t testing.TB, text string) string {
	t.Helper()
	module, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return `{rules: [{name: rule.rego, rego: ` + string(module) + `}], parameters: {word: said}}`
}

// TestPolicyRules: rules of SeccompPolicies judge; whatever becomes of one, the rules
// that it had stay, and the others are taken.
func TestPolicyRules(t *testing.T) {
	says := func(id, message string) string {
		return ruleModule(t, userRuleText(id, `deny contains {"container": "", "field": "", "message": sprintf("`+message+` %s", [input.parameters.word])} if input.labels.mine`))
	}
	var logged []string
	log := funcr.New(func(_, args string) {
		if strings.Contains(args, `"error"=`) {
			logged = append(logged, args)
		}
	}, funcr.Options{})
	m := NewMetrics()
	p := loadPolicies(t, m, log)
	r := newRig(t, usePolicies(p, time.Now))
	one, two := seccompPolicy(t, "one", says("one", "first")), seccompPolicy(t, "two", strings.Replace(says("two", "second"), "word: said", "other: x", 1))
	use := func(all ...*v1alpha1.SeccompPolicy) {
		t.Helper()
		logged = nil
		p.Use(t.Context(), all)
		slices.Reverse(all) // their order means nothing
		p.Use(t.Context(), all)
	}
	check := func(what, want string, states ...string) {
		t.Helper()
		o := r.validate(t, on(t, "baseline", `{metadata: {labels: {mine: x}}, spec: {containers: [{name: app}]}}`))
		if want != "" {
			want = "seccompgate baseline: " + want
		}
		if o.Message != want {
			t.Errorf("%s: got %q, want %q", what, o.Message, want)
		}
		for i, state := range []string{policyInUse, policyBroken, policyInvalid} {
			if got := value(t, m, `seccompgate_seccomppolicies{state="`+state+`"}`); got != states[i] {
				t.Errorf("%s: %s policies are %s, want %s", what, got, state, states[i])
			}
		}
	}
	said := func(what string, want ...string) {
		t.Helper()
		ok := len(logged) == len(want)
		for i := range want {
			ok = ok && strings.Contains(logged[i], want[i])
		}
		if !ok {
			t.Errorf("%s: logged %q, want %q", what, logged, want)
		}
	}
	use(one, two)
	check("both", "[one] first said; [two] second said", "2", "0", "0")
	said("both")

	broken := seccompPolicy(t, "one", says("one", "third\" x"))
	changed := seccompPolicy(t, "two", strings.Replace(says("two", "fourth"), "word: said", "other: x", 1))
	use(broken, changed)
	check("one is broken", "[one] first said; [two] fourth said", "1", "1", "0")
	said("one is broken", `compile rules:\n  one/rule.rego:12: `)

	invalid := seccompPolicy(t, "one", says("one", "fifth"))
	invalid.Spec.Rules[0].Name = "rule.txt"
	use(invalid, changed)
	check("it is invalid", "[one] first said; [two] fourth said", "1", "0", "1")
	said("it is invalid", `spec.rules[0].name: Invalid value: \"rule.txt\"`)

	use(changed)
	check("it is gone", "", "1", "0", "0")
	use(invalid, changed)
	check("it comes back, and nothing is known of it", "", "1", "0", "1")
	use(broken, changed)
	check("it comes back broken", "", "1", "1", "0")
	use(one, two)
	check("all is well again", "[one] first said; [two] second said", "2", "0", "0")
	said("all is well again")
	for result, want := range map[string]string{"success": "4", "failure": "2"} {
		if got := value(t, m, `seccompgate_policy_loads_total{result="`+result+`"}`); got != want {
			t.Errorf("%s: %s, want %s", result, got, want)
		}
	}
}

// TestBrokenDirectoryAndPolicies: exceptions do not wait for a directory that is broken,
// and rules are taken when it has been mended.
func TestBrokenDirectoryAndPolicies(t *testing.T) {
	good := userRuleText("mine", `deny contains {"container": "", "field": "", "message": "m"} if input.labels.mine`)
	dir := withRule(t, good)
	m := NewMetrics()
	p, err := LoadPolicies(t.Context(), policies.Options{Directory: dir, Parameters: map[string]any{"missingProfile": "any"}}, m, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, usePolicies(p, time.Now))
	broken, empty := seccompPolicy(t, "broken", ruleModule(t, "x")), seccompPolicy(t, "empty", "{}")
	p.Use(t.Context(), []*v1alpha1.SeccompPolicy{broken, empty})
	failures := func(what, want string) {
		t.Helper()
		if got := value(t, m, `seccompgate_policy_loads_total{result="failure"}`); got != want {
			t.Errorf("%s: %s failures, want %s", what, got, want)
		}
		if got := value(t, m, `seccompgate_seccomppolicies{state="broken"}`); got != "1" {
			t.Errorf("%s: %s policies are broken, want 1", what, got)
		}
	}
	failures("a broken policy", "1")
	writeRule(t, dir, "")
	p.Use(t.Context(), []*v1alpha1.SeccompPolicy{empty, broken})
	failures("the same policies are not loaded again", "1")
	p.reload(t.Context())
	failures("a broken directory", "2")
	s := seccompPolicy(t, "s", strings.Replace(ruleModule(t, userRuleText("theirs", `deny contains {"container": "", "field": "", "message": "t"} if input.labels.theirs`)), "word", "other", 1))
	s.Spec.Exceptions = seccompPolicy(t, "e", `{exceptions: [{rules: [mine], reason: r, expires: "2130-01-31T12:00:00Z"}]}`).Spec.Exceptions
	p.Use(t.Context(), []*v1alpha1.SeccompPolicy{s, broken})
	failures("nothing can be loaded", "2")
	pod := func(label string) outcome {
		return r.validate(t, on(t, "baseline", `{metadata: {labels: {`+label+`: x}}, spec: {containers: [{name: app}]}}`))
	}
	if o := pod("mine"); !o.Allowed || o.Audit["excused"] == "" {
		t.Errorf("an exception from a rule of the directory: %+v", o)
	}
	if o := pod("theirs"); !o.Allowed {
		t.Errorf("a rule that cannot have been loaded: %+v", o)
	}
	writeRule(t, dir, good)
	p.reload(t.Context())
	if o := pod("theirs"); o.Message != "seccompgate baseline: [theirs] t" {
		t.Errorf("the directory is mended: %+v", o)
	}
	failures("the policy is as broken as before", "2")
}

// TestPinnedVersion: rules that came after the version of a mode warn in place of what the
// mode does.
func TestPinnedVersion(t *testing.T) {
	late := strings.Replace(userRuleText("late", `deny contains {"container": "", "field": "", "message": "m"}`), "since: v0.1", "since: v0.3", 1)
	pinned := func(version string) map[string]string {
		return labels(v1alpha1.EnforceLabel, "baseline", v1alpha1.EnforceVersionLabel, version, v1alpha1.AuditLabel, "baseline", v1alpha1.AuditVersionLabel, version)
	}
	r := newRig(t, func(s *setup) {
		useRules(t, withRule(t, late))(s)
		s.Options.Namespaces = namespaces{"v0.2": pinned("v0.2"), "v0.3": pinned("v0.3"), "v1.0": pinned("v1.0"), "latest": pinned("latest")}
	})
	for namespace, want := range map[string]outcome{
		"v0.2":   {Allowed: true, Warnings: []string{"seccompgate: [late] m"}, Audit: labels("decision", "allowed")},
		"v0.3":   {Code: 403, Message: "seccompgate baseline: [late] m", Audit: labels("decision", "denied", "findings", "[late] m")},
		"v1.0":   {Code: 403, Message: "seccompgate baseline: [late] m", Audit: labels("decision", "denied", "findings", "[late] m")},
		"latest": {Code: 403, Message: "seccompgate baseline: [late] m", Audit: labels("decision", "denied", "findings", "[late] m")},
	} {
		if diff := cmp.Diff(want, r.validate(t, on(t, namespace, good))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", namespace, diff)
		}
	}
}
