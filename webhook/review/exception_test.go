// SPDX-License-Identifier: Apache-2.0

package review

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
)

// ends is when the exceptions of these tests end.
var ends = time.Date(2030, time.January, 31, 0, 0, 0, 0, time.UTC)

// policy is a SeccompPolicy with exceptions, given as YAML, that end at ends unless they
// say otherwise.
func policy(t testing.TB, name, exceptions string) *v1alpha1.SeccompPolicy {
	t.Helper()
	p := &v1alpha1.SeccompPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := yaml.UnmarshalStrict([]byte(exceptions), &p.Spec.Exceptions); err != nil {
		t.Fatal(err)
	}
	for i := range p.Spec.Exceptions {
		if e := &p.Spec.Exceptions[i]; e.Expires.IsZero() {
			e.Expires = metav1.NewTime(ends)
		}
		if e := &p.Spec.Exceptions[i]; e.Reason == "" {
			e.Reason = "because"
		}
	}
	return p
}

// excusedBy lists what was excused: rule, container, policy, and modes.
func excusedBy(d Decision) []string {
	var all []string
	for _, e := range d.Excused {
		modes := ""
		for _, m := range []struct {
			letter string
			is     bool
		}{{"e", e.Enforce}, {"w", e.Warn}, {"a", e.Audit}} {
			if m.is {
				modes += m.letter
			}
		}
		all = append(all, fmt.Sprintf("%s %q by %s: %s, %s", e.Rule, e.Container, e.Policy, e.Reason, modes))
	}
	return all
}

func TestExceptions(t *testing.T) {
	const two = `{metadata: {name: p, labels: {app: legacy}}, spec: {containers: [{name: a, securityContext: {seccompProfile: {type: Unconfined}}}, {name: b}]}}`
	enforce := labels(v1alpha1.EnforceLabel, "restricted")
	unconfined := func(by string) []string { return []string{`unconfined "a" by ` + by + ": because, e"} }
	both := []string{`unconfined "a" by p: because, e`, `unset "b" by p: because, e`}
	for _, tc := range []struct {
		name       string
		exceptions []*v1alpha1.SeccompPolicy
		kind       string
		object     string
		labels     map[string]string
		settings   v1alpha1.WebhookConfig
		after      time.Duration // the clock stands so long after ends
		want       verdict
		excused    []string
	}{
		{
			name: "no exception", after: -time.Second,
			want: verdict{Denied: []string{"unconfined", "unset"}},
		}, {
			name: "one rule", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined]}]`)}, after: -time.Second,
			want: verdict{Denied: []string{"unset"}}, excused: unconfined("p"),
		}, {
			name: "both rules", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined, unset]}]`)}, after: -time.Second,
			want: verdict{Allowed: true}, excused: both,
		}, {
			name: "the last moment", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined, unset]}]`)}, after: -time.Nanosecond,
			want: verdict{Allowed: true}, excused: both,
		}, {
			name: "it has ended", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined, unset]}]`)},
			want: verdict{Denied: []string{"unconfined", "unset"}},
		}, {
			name: "the one that lasts longest is named", after: -60 * 24 * time.Hour,
			exceptions: []*v1alpha1.SeccompPolicy{
				policy(t, "a", `[{rules: [unconfined], expires: "2030-01-01T00:00:00Z"}]`),
				policy(t, "c", `[{rules: [unconfined]}]`), policy(t, "b", `[{rules: [unconfined]}]`),
			},
			want: verdict{Denied: []string{"unset"}}, excused: unconfined("b"),
		}, {
			name: "its namespace", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined], namespaces: [other, team]}]`)}, after: -time.Second,
			want: verdict{Denied: []string{"unset"}}, excused: unconfined("p"),
		}, {
			name: "other namespaces", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined], namespaces: [tea, team2]}]`)}, after: -time.Second,
			want: verdict{Denied: []string{"unconfined", "unset"}},
		}, {
			name: "its pods", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined], podSelector: {matchLabels: {app: legacy}}}]`)}, after: -time.Second,
			want: verdict{Denied: []string{"unset"}}, excused: unconfined("p"),
		}, {
			name: "other pods", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined], podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [legacy]}]}}]`)}, after: -time.Second,
			want: verdict{Denied: []string{"unconfined", "unset"}},
		}, {
			name: "an empty selector is all pods", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined], podSelector: {}}]`)}, after: -time.Second,
			want: verdict{Denied: []string{"unset"}}, excused: unconfined("p"),
		}, {
			name: "a selector that cannot be read", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined], podSelector: {matchExpressions: [{key: app, operator: Like}]}}]`)}, after: -time.Second,
			want: verdict{Denied: []string{"unconfined", "unset"}},
		}, {
			name: "every mode", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined, unset]}]`)}, after: -time.Second,
			labels: labels(v1alpha1.EnforceLabel, "baseline", v1alpha1.WarnLabel, "restricted", v1alpha1.AuditLabel, "baseline"),
			want:   verdict{Allowed: true}, excused: []string{`unconfined "a" by p: because, ewa`, `unset "b" by p: because, w`},
		}, {
			name: "a dry run", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined]}]`)}, after: -time.Second,
			settings: v1alpha1.WebhookConfig{DryRun: true},
			want:     verdict{Allowed: true, WouldDeny: []string{"unset"}}, excused: unconfined("p"),
		}, {
			name: "what no mode concerns is not shown", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unset]}]`)}, after: -time.Second,
			labels: labels(v1alpha1.EnforceLabel, "baseline"),
			want:   verdict{Denied: []string{"unconfined"}},
		}, {
			name: "a workload, by the labels of its template", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined], podSelector: {matchLabels: {app: legacy}}}]`)}, after: -time.Second,
			kind: "Deployment", object: `{metadata: {name: d, labels: {app: other}}, spec: {template: ` + two + `}}`,
			want: verdict{Allowed: true, Warned: []string{"unset"}}, excused: unconfined("p"),
		}, {
			name: "the labels of a workload itself", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unconfined], podSelector: {matchLabels: {app: other}}}]`)}, after: -time.Second,
			kind: "Deployment", object: `{metadata: {name: d, labels: {app: other}}, spec: {template: ` + two + `}}`,
			want: verdict{Allowed: true, Warned: []string{"unconfined", "unset"}},
		}, {
			name: "a binding", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [profile-annotation]}]`)}, after: -time.Second,
			kind: kindBinding, object: `{metadata: {name: p, annotations: {run.oci.seccomp_bpf_data: x}}}`,
			want: verdict{Allowed: true}, excused: []string{`profile-annotation "" by p: because, e`},
		}, {
			name: "a binding does not show the labels of its pod", exceptions: []*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [profile-annotation], podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}]`)}, after: -time.Second,
			kind: kindBinding, object: `{metadata: {name: p, annotations: {run.oci.seccomp_bpf_data: x}}}`,
			want: verdict{Denied: []string{"profile-annotation"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := &Request{Kind: kindPod, Operation: Create, Namespace: "team", NamespaceLabels: enforce, Object: object(t, two)}
			if tc.kind != "" {
				req.Kind, req.Object = tc.kind, object(t, tc.object)
			}
			if tc.labels != nil {
				req.NamespaceLabels = tc.labels
			}
			x := NewExceptions(tc.exceptions)
			r := reviewerOf(t, Config{
				Settings:   tc.settings,
				Exceptions: func() *Exceptions { return x },
				Now:        func() time.Time { return ends.Add(tc.after) },
			})
			d, err := r.Review(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, verdictOf(d)); diff != "" {
				t.Errorf("Review (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.excused, excusedBy(d)); diff != "" {
				t.Errorf("excused (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExceptionFromAFailingRule: what a rule would say is excused, and so is that it
// cannot say. No exception is one from all rules that fail.
func TestExceptionFromAFailingRule(t *testing.T) {
	failed := policies.Finding{Rule: policies.RuleError, Failed: "size", Level: policies.Baseline}
	for rule, want := range map[string]bool{"size": true, "other": false, policies.RuleError: false} {
		x := NewExceptions([]*v1alpha1.SeccompPolicy{policy(t, "p", "[{rules: ["+rule+"]}]")})
		if got := x.find(&failed, subject{}, ends.Add(-time.Second)) != nil; got != want {
			t.Errorf("an exception from %s excuses that size fails: %t", rule, got)
		}
	}
}

// TestNoExceptionFromWhatIsNoRule holds the ids that validation refuses to those of the
// findings.
func TestNoExceptionFromWhatIsNoRule(t *testing.T) {
	for _, id := range []string{policies.RuleError, NotSynced} {
		if len(v1alpha1.ValidateSeccompPolicy(policy(t, "p", "[{rules: ["+id+"]}]"))) == 0 {
			t.Errorf("an exception from %s is valid", id)
		}
	}
	if errs := v1alpha1.ValidateSeccompPolicy(policy(t, "p", "[{rules: [unset]}]")); len(errs) > 0 {
		t.Error(errs)
	}
}

// TestExcusingIsFree: who has no exception pays nothing for those of others.
func TestExcusingIsFree(t *testing.T) {
	x := NewExceptions([]*v1alpha1.SeccompPolicy{policy(t, "p", `[{rules: [unset], namespaces: [other], podSelector: {matchLabels: {app: legacy}}}, {rules: [unset], podSelector: {matchLabels: {app: x}}}]`)})
	findings := []policies.Finding{{Rule: "unconfined", Level: policies.Baseline}}
	of := subject{namespace: "team", labels: labels("app", "web"), labelled: true}
	var d Decision
	if n := testing.AllocsPerRun(100, func() { findings = d.excuse(findings, x, of, ends) }); n > 0 || len(findings) != 1 {
		t.Errorf("%v allocations, %d findings", n, len(findings))
	}
}
