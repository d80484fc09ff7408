// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/policies"
)

// labelValues are the values of every label of our metrics, by metric and label. All of
// them are there from the start, so that an alert on a rate sees the first event.
func labelValues(t *testing.T, m *Metrics) map[string][]string {
	t.Helper()
	values := make(map[string]map[string]bool)
	label := regexp.MustCompile(`([a-z]+)="([^"]*)"`)
	for line := range strings.Lines(scrape(t, m)) {
		if !strings.HasPrefix(line, "seccompgate_") {
			continue
		}
		name, rest, labelled := strings.Cut(line, "{")
		if !labelled {
			name, _, _ = strings.Cut(line, " ")
			values[name] = map[string]bool{}
			continue
		}
		for _, l := range label.FindAllStringSubmatch(rest[:strings.Index(rest, "}")], -1) {
			if l[1] == "le" || l[1] == "digest" {
				l[2] = "…"
			}
			key := name + "{" + l[1] + "}"
			if values[key] == nil {
				values[key] = map[string]bool{}
			}
			values[key][l[2]] = true
		}
	}
	out := make(map[string][]string)
	for key, set := range values {
		out[key] = slices.Sorted(maps.Keys(set))
	}
	return out
}

func TestMetricsVerbatim(t *testing.T) {
	r := newRig(t, nil)
	rules := []string{"not-synced", policies.RuleError, "user"}
	for _, rule := range loadRules(t).Rules() {
		rules = append(rules, rule.ID)
	}
	slices.Sort(rules)
	paths := []string{"/mutate", "/validate"}
	want := map[string][]string{
		"seccompgate_decisions_total{decision}":             {"allowed", "denied", "error", "exempt", "would-deny"},
		"seccompgate_decisions_total{operation}":            {"CREATE", "UPDATE"},
		"seccompgate_decisions_total{resource}":             {"binding", "namespace", "other", "own", "pod", "workload"},
		"seccompgate_findings_total{mode}":                  {"audit", "enforce", "warn"},
		"seccompgate_findings_total{rule}":                  rules,
		"seccompgate_findings_excused_total{mode}":          {"audit", "enforce", "warn"},
		"seccompgate_findings_excused_total{rule}":          rules,
		"seccompgate_injections_total{result}":              {"error", "injected", "unchanged"},
		"seccompgate_policy_info{digest}":                   {"…"},
		"seccompgate_policy_loads_total{result}":            {"failure", "success"},
		"seccompgate_request_duration_seconds_bucket{le}":   {"…"},
		"seccompgate_request_duration_seconds_bucket{path}": paths,
		"seccompgate_request_duration_seconds_count{path}":  paths,
		"seccompgate_request_duration_seconds_sum{path}":    paths,
		"seccompgate_requests_in_work":                      {},
		"seccompgate_seccomppolicies{state}":                {"broken", "in-use", "invalid"},
		"seccompgate_requests_refused_total{reason}":        {"malformed", "overload", "size"},
	}
	for k, v := range want {
		if len(v) == 0 {
			want[k] = nil
		}
	}
	if diff := cmp.Diff(want, labelValues(t, r.metrics)); diff != "" {
		t.Errorf("/metrics (-want +got):\n%s", diff)
	}
	lint(t, r.metrics)

	// Whatever comes adds no label value.
	hostile := withRule(t, userRuleText("mine", `deny contains {"container": "", "field": "", "message": "m"}`))
	r = newRig(t, useRules(t, hostile))
	for _, namespace := range []string{"baseline", "warned", "audited"} {
		for _, pod := range []string{good, bad, onApp, labelled} {
			req := on(t, namespace, pod)
			r.validate(t, req)
			r.ask(t, PathMutate, req)
			req.Operation, req.Kind.Kind, req.Resource.Resource, req.SubResource = "PATCH", "Evil", "evils", "evil"
			r.validate(t, req)
			req.Operation = "UPDATE"
			r.validate(t, req)
		}
	}
	r.send(t, "/validate?x=evil", []byte("{"))
	if diff := cmp.Diff(want, labelValues(t, r.metrics)); diff != "" {
		t.Errorf("/metrics after requests (-want +got):\n%s", diff)
	}
	if got := value(t, r.metrics, `seccompgate_request_duration_seconds_count{path="/mutate"}`); got != "12" {
		t.Errorf("requests of /mutate: %s, want 12", got)
	}
}

func TestHealth(t *testing.T) {
	r := newRig(t, nil)
	for path, want := range map[string]string{PathHealth: "ok\n", PathReady: "ok\n"} {
		w := r.send(t, path, nil)
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: status %d, %q", path, w.Code, w.Body)
		}
	}
}
