// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// metrics are what the agent counts. Digests are in events: as labels they would have no
// bound.
type metrics struct {
	changes, drift   *prometheus.CounterVec
	files            *prometheus.GaugeVec
	failing          prometheus.Gauge
	writes, failures prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seccompgate_agent_changes_total", Help: "Profiles of ours by what the agent did about them.",
		}, []string{"outcome"}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seccompgate_agent_drift_total", Help: "Profiles that somebody else changed on the node: managed ones are repaired.",
		}, []string{"managed"}),
		files: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "seccompgate_agent_files", Help: "Files below the kubelet's seccomp directory.",
		}, []string{"managed", "valid"}),
		failing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "seccompgate_agent_failing_profiles", Help: "Profiles that cannot be written now.",
		}),
		writes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "seccompgate_agent_writes_total", Help: "Objects written to the API server, events aside.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "seccompgate_agent_publish_failures_total", Help: "Tries to publish the node's facts that failed.",
		}),
	}
	for _, outcome := range []string{"written", "repaired", "removed", "failed"} {
		m.changes.WithLabelValues(outcome)
	}
	for _, managed := range []string{"true", "false"} {
		m.drift.WithLabelValues(managed)
		for _, valid := range []string{"true", "false"} {
			m.files.WithLabelValues(managed, valid)
		}
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.changes, m.drift, m.files, m.failing, m.writes, m.failures} {
		errs = append(errs, registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// observe counts what the node reports.
func (m *metrics) observe(facts *v1alpha1.NodeFacts) {
	counts := make(map[[2]bool]int)
	for i := range facts.Profiles {
		counts[[2]bool{facts.Profiles[i].Managed, facts.Profiles[i].Valid}]++
	}
	text := map[bool]string{true: "true", false: "false"}
	for managed, m0 := range text {
		for valid, v := range text {
			m.files.WithLabelValues(m0, v).Set(float64(counts[[2]bool{managed, valid}]))
		}
	}
	m.failing.Set(float64(len(facts.Failures)))
}
