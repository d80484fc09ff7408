// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// Label values. Every set is closed: names of pods, users and user-supplied rules are in
// none of them.
const (
	decisionAllowed   = "allowed"
	decisionDenied    = "denied"
	decisionWouldDeny = "would-deny"
	decisionExempt    = "exempt"
	decisionError     = "error"

	resourcePod       = "pod"
	resourceWorkload  = "workload"
	resourceBinding   = "binding"
	resourceNamespace = "namespace"
	resourceOwn       = "own"
	resourceOther     = "other"

	resultInjected  = "injected"
	resultUnchanged = "unchanged"
	resultError     = "error"

	modeEnforce = "enforce"
	modeWarn    = "warn"
	modeAudit   = "audit"

	policyInUse   = "in-use"
	policyBroken  = "broken"
	policyInvalid = "invalid"

	// userRule stands for every rule that is not built in.
	userRule = "user"
)

// Metrics of the webhook.
type Metrics struct {
	registry *prometheus.Registry

	decisions  *prometheus.CounterVec
	findings   *prometheus.CounterVec
	excused    *prometheus.CounterVec
	injections *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	refused    *prometheus.CounterVec
	inWork     prometheus.Gauge
	checks     *prometheus.GaugeVec
	policy     *prometheus.GaugeVec
	loads      *prometheus.CounterVec
	supplied   *prometheus.GaugeVec

	// builtIn are the rules that have a label value of their own.
	builtIn map[string]bool
}

// NewMetrics makes the metrics, each of them present from the start.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seccompgate_decisions_total",
			Help: "Decisions of the validating webhook, without those of dry-run requests.",
		}, []string{"decision", "operation", "resource"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seccompgate_findings_total",
			Help: "Findings by rule and by the mode that they concern; rules that are not built in count as user.",
		}, []string{"rule", "mode"}),
		excused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seccompgate_findings_excused_total",
			Help: "Findings that an exception of a SeccompPolicy excuses, by rule and by the mode that they would have concerned; they count nowhere else.",
		}, []string{"rule", "mode"}),
		injections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seccompgate_injections_total",
			Help: "Requests to the mutating webhook, without dry-run ones: injected, unchanged, or answered without a change because of an error.",
		}, []string{"result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "seccompgate_request_duration_seconds",
			Help:    "Time from the first byte of a request's body to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"path"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seccompgate_requests_refused_total",
			Help: "Requests that were not looked at: too many at once, too large, or malformed.",
		}, []string{"reason"}),
		inWork: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "seccompgate_requests_in_work",
			Help: "Requests that are being decided.",
		}),
		checks: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "seccompgate_check_failing",
			Help: "1 while a check of readiness fails, also after the replica has become ready.",
		}, []string{"check"}),
		policy: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "seccompgate_policy_info",
			Help: "1 for the digest of the rules in use; replicas that differ judge differently.",
		}, []string{"digest"}),
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seccompgate_policy_loads_total",
			Help: "Loads of changed rules. After a failed one the rules before stay in use.",
		}, []string{"result"}),
		supplied: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "seccompgate_seccomppolicies",
			Help: "SeccompPolicies by state: in use, broken (rules that do not compile, so that the ones before stay), or invalid (its exceptions excuse nothing, too).",
		}, []string{"state"}),
	}
	m.registry.MustRegister(
		m.decisions, m.findings, m.excused, m.injections, m.duration, m.refused, m.inWork, m.checks, m.policy, m.loads, m.supplied,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, d := range []string{decisionAllowed, decisionDenied, decisionWouldDeny, decisionExempt, decisionError} {
		for _, op := range []string{review.Create, review.Update} {
			for _, r := range []string{resourcePod, resourceWorkload, resourceBinding, resourceNamespace, resourceOwn, resourceOther} {
				m.decisions.WithLabelValues(d, op, r)
			}
		}
	}
	for _, r := range []string{resultInjected, resultUnchanged, resultError} {
		m.injections.WithLabelValues(r)
	}
	for _, r := range []string{"overload", "size", "malformed"} {
		m.refused.WithLabelValues(r)
	}
	for _, r := range []string{"success", "failure"} {
		m.loads.WithLabelValues(r)
	}
	for _, s := range []string{policyInUse, policyBroken, policyInvalid} {
		m.supplied.WithLabelValues(s)
	}
	for _, p := range []string{PathMutate, PathValidate} {
		m.duration.WithLabelValues(p)
	}
	return m
}

// Register adds a collector of somebody else's.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) observe(path string, start time.Time) {
	m.duration.WithLabelValues(path).Observe(time.Since(start).Seconds())
}

// count counts a decision. What is only tried out (dry-run) does not count.
func (m *Metrics) count(req *request, resource, decision string) {
	if req.DryRun {
		return
	}
	operation := review.Create
	if req.Operation == review.Update {
		operation = review.Update
	}
	m.decisions.WithLabelValues(decision, operation, resource).Inc()
}

// remember counts what is answered without the rules, and what is not. The rules in use
// count anew when they change.
func (m *Metrics) remember(current func() *policies.Set) {
	for _, c := range []struct {
		result string
		count  func(*policies.Set) uint64
	}{
		{"cleared", (*policies.Set).Cleared},
		{"remembered", func(s *policies.Set) uint64 { hits, _ := s.Remembered(); return hits }},
		{"evaluated", func(s *policies.Set) uint64 { _, misses := s.Remembered(); return misses }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "seccompgate_evaluations_total",
			Help:        "Pods by how they were judged: cleared (they meet the conditions of no rule), remembered, or evaluated. The last two are 0 while nothing is to be remembered.",
			ConstLabels: prometheus.Labels{"result": c.result},
		}, func() float64 { return float64(c.count(current())) }))
	}
}

// use gives every built-in rule its label value. The built-in rules are the same in every
// set: only the first one counts.
func (m *Metrics) use(set *policies.Set) {
	if m.builtIn == nil {
		m.builtIn = map[string]bool{policies.RuleError: true, review.NotSynced: true}
		for _, r := range set.Rules() {
			if r.BuiltIn {
				m.builtIn[r.ID] = true
			}
		}
		for _, mode := range []string{modeEnforce, modeWarn, modeAudit} {
			for _, counter := range []*prometheus.CounterVec{m.findings, m.excused} {
				counter.WithLabelValues(userRule, mode)
				for rule := range m.builtIn {
					counter.WithLabelValues(rule, mode)
				}
			}
		}
	}
	m.policy.WithLabelValues(set.Digest()).Set(1)
}

// countInjection counts what the mutating webhook did. req is nil when it could not be read.
func (m *Metrics) countInjection(req *request, result string) {
	if req == nil || !req.DryRun {
		m.injections.WithLabelValues(result).Inc()
	}
}

func (m *Metrics) countFindings(mode string, findings []policies.Finding) {
	for i := range findings {
		m.findings.WithLabelValues(m.ruleValue(findings[i].Rule), mode).Inc()
	}
}

func (m *Metrics) countExcused(excused []review.Excused) {
	for i := range excused {
		e := &excused[i]
		for _, mode := range []struct {
			name     string
			concerns bool
		}{{modeEnforce, e.Enforce}, {modeWarn, e.Warn}, {modeAudit, e.Audit}} {
			if mode.concerns {
				m.excused.WithLabelValues(m.ruleValue(e.Rule), mode.name).Inc()
			}
		}
	}
}

// ruleValue is the label value of a rule.
func (m *Metrics) ruleValue(id string) string {
	if m.builtIn[id] {
		return id
	}
	return userRule
}
