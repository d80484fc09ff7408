// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// seccompPolicy is one with a spec, given as YAML.
func seccompPolicy(t testing.TB, name, spec string) *v1alpha1.SeccompPolicy {
	t.Helper()
	p := &v1alpha1.SeccompPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

// loadPolicies has the built-in rules, and remembers.
func loadPolicies(t testing.TB, m *Metrics, log logr.Logger) *Policies {
	t.Helper()
	p, err := LoadPolicies(t.Context(), policies.Options{Parameters: map[string]any{"missingProfile": "any"}, Remember: 64}, m, log)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func usePolicies(p *Policies, now func() time.Time) func(*setup) {
	return func(s *setup) {
		s.Config.Policies, s.Config.Exceptions, s.Config.Now, s.Metrics = p.Current, p.Exceptions, now, p.metrics
	}
}

// TestExcused has everything that is said of an excused finding in each mode. The same pod
// is asked about again and again: a decision is remembered, and the exception is not.
func TestExcused(t *testing.T) {
	ends := time.Date(2030, time.January, 31, 12, 0, 0, 0, time.UTC)
	now := ends.Add(-time.Second)
	m := NewMetrics()
	p := loadPolicies(t, m, logr.Discard())
	r := newRig(t, usePolicies(p, func() time.Time { return now }))
	use := func(spec string) {
		p.Use(t.Context(), []*v1alpha1.SeccompPolicy{seccompPolicy(t, "legacy", spec)})
	}
	const (
		spec    = `{exceptions: [{rules: [unconfined], reason: "vendor image, OPS-12", expires: "2030-01-31T12:00:00Z"}]}`
		message = `container "app": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost`
		excused = `[unconfined] until 2030-01-31T12:00:00Z by SeccompPolicy legacy (vendor image, OPS-12): ` + message
		denial  = "seccompgate restricted: [unconfined] " + message
	)
	warning := []string{"seccompgate: excused: " + excused}
	if len(warning[0]) > maxWarning {
		t.Fatalf("a warning of %d bytes would be cut", len(warning[0]))
	}
	check := func(what, namespace string, want outcome) {
		t.Helper()
		if diff := cmp.Diff(want, r.validate(t, on(t, namespace, bad))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	denied := outcome{Code: 403, Message: denial, Audit: labels("decision", "denied")}
	check("no exception yet", "restricted", denied)
	use(spec)
	told := outcome{Allowed: true, Warnings: warning, Audit: labels("decision", "allowed", "excused", excused)}
	check("enforce", "restricted", told)
	check("warn", "warned", told)
	check("all modes", "all", told)
	check("audit tells auditors only", "audited", outcome{Allowed: true, Audit: labels("decision", "allowed", "excused", excused)})
	for mode, want := range map[string]string{"enforce": "2", "warn": "2", "audit": "2"} {
		if got := value(t, m, `seccompgate_findings_excused_total{mode="`+mode+`",rule="unconfined"}`); got != want {
			t.Errorf("excused in mode %s: %s, want %s", mode, got, want)
		}
	}
	if got := value(t, m, `seccompgate_findings_total{mode="enforce",rule="unconfined"}`); got != "1" {
		t.Errorf("findings: %s, want that of the denial", got)
	}
	dryRun := on(t, "restricted", bad)
	dryRun.DryRun = new(bool)
	*dryRun.DryRun = true
	r.validate(t, dryRun)
	if got := value(t, m, `seccompgate_findings_excused_total{mode="enforce",rule="unconfined"}`); got != "2" {
		t.Errorf("a dry-run request counts: %s", got)
	}

	// Another finding denies; auditors still see what is excused.
	other := `{metadata: {name: p}, spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app, securityContext: {privileged: true}}]}}`
	o := r.validate(t, on(t, "restricted", other))
	if o.Allowed || strings.Contains(o.Message, "unconfined") || !strings.Contains(o.Message, "[privileged]") || o.Warnings != nil || o.Audit["excused"] != excused {
		t.Errorf("another finding: %+v", o)
	}

	now = ends
	check("it has ended", "restricted", denied)
	now = ends.Add(-time.Second)
	check("the clock was wrong", "restricted", told)
	p.Use(t.Context(), nil)
	check("it was removed", "restricted", denied)
	use(strings.Replace(spec, "reason", "namespaces: [shop], reason", 1))
	check("another namespace", "restricted", denied)
	if hits, misses := p.Current().Remembered(); misses != 2 || hits < 9 {
		t.Errorf("%d decisions remembered, %d evaluated, want 2: one of each pod", hits, misses)
	}
}

// TestLongReason: what ends and why is told, whatever is found.
func TestLongReason(t *testing.T) {
	e := review.Excused{
		Finding: policies.Finding{Rule: "unconfined", Message: strings.Repeat("m", 300)},
		Policy:  "legacy", Reason: "OPS-12", Until: time.Date(2030, time.January, 31, 13, 0, 0, 0, time.FixedZone("", 3600)), Warn: true,
	}
	a := &answer{}
	a.warnExcused([]review.Excused{e})
	want := "seccompgate: excused: [unconfined] until 2030-01-31T12:00:00Z by SeccompPolicy legacy (OPS-12): mmm"
	if len(a.warnings) != 1 || !strings.HasPrefix(a.warnings[0], want) || len(a.warnings[0]) != maxWarning {
		t.Errorf("got %q", a.warnings)
	}
}

// TestInvalidPolicy: one that is not valid excuses nothing, and is logged once.
func TestInvalidPolicy(t *testing.T) {
	var logged []string
	log := funcr.New(func(_, args string) {
		if strings.Contains(args, "is not valid") {
			logged = append(logged, args)
		}
	}, funcr.Options{})
	m := NewMetrics()
	p := loadPolicies(t, m, log)
	r := newRig(t, usePolicies(p, time.Now))
	if p.Synced() {
		t.Error("synced before any policy was seen")
	}
	const valid = `{exceptions: [{rules: [unset], reason: r, expires: "2130-01-31T12:00:00Z"}]}`
	for _, spec := range []string{
		`{exceptions: [{rules: [unconfined], reason: "", expires: "2130-01-31T12:00:00Z"}]}`,
		`{exceptions: [{rules: [unconfined], reason: r}]}`,
		`{exceptions: [{rules: [unconfined], reason: r, expires: "2130-01-31T12:00:00Z", podSelector: {matchExpressions: [{key: app, operator: Like}]}}]}`,
		`{exceptions: [{rules: [unconfined], reason: r, expires: "2130-01-31T12:00:00Z"}, {rules: ["*"], reason: r, expires: "2130-01-31T12:00:00Z"}]}`,
		`{exceptions: [{rules: [unconfined], reason: r, expires: "2130-01-31T12:00:00Z"}, {rules: [rule-error], reason: r, expires: "2130-01-31T12:00:00Z"}]}`,
	} {
		logged = nil
		for range 2 {
			p.Use(t.Context(), []*v1alpha1.SeccompPolicy{seccompPolicy(t, "bad", spec), seccompPolicy(t, "good", valid)})
		}
		if len(logged) != 1 || !strings.Contains(logged[0], `"name"="bad"`) {
			t.Errorf("%s: logged %q", spec, logged)
		}
		if o := r.validate(t, on(t, "baseline", bad)); o.Allowed {
			t.Errorf("%s: Unconfined is excused: %+v", spec, o)
		}
		if o := r.validate(t, on(t, "restricted", without)); !o.Allowed {
			t.Errorf("the exception of another policy is ignored: %+v", o)
		}
		for state, want := range map[string]string{policyInUse: "1", policyInvalid: "1", policyBroken: "0"} {
			if got := value(t, m, `seccompgate_seccomppolicies{state="`+state+`"}`); got != want {
				t.Errorf("%s: %s policies are %s, want %s", spec, got, state, want)
			}
		}
	}
	if !p.Synced() {
		t.Error("not synced")
	}
}
