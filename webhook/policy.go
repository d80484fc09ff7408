// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/seccompgate/seccompgate/policies"
)

// policyInterval is how often a directory of rules is read again. The kubelet itself
// takes up to a minute to bring a changed ConfigMap.
const policyInterval = 10 * time.Second

// Policies holds the rules in use. Those of a directory are followed: changed ones are
// taken when they compile, and otherwise the last good ones stay.
type Policies struct {
	options policies.Options
	metrics *Metrics
	log     logr.Logger
	current atomic.Pointer[policies.Set]
	broken  string
}

// LoadPolicies loads the rules for the first time; broken ones are an error then.
func LoadPolicies(ctx context.Context, options policies.Options, metrics *Metrics, log logr.Logger) (*Policies, error) {
	p := &Policies{options: options, metrics: metrics, log: log}
	set, err := policies.Load(ctx, options)
	if err != nil {
		return nil, err
	}
	p.use(set)
	metrics.remember(p.Current)
	return p, nil
}

// Current returns the rules in use.
func (p *Policies) Current() *policies.Set { return p.current.Load() }

// Follow reads the directory again and again until the context ends.
func (p *Policies) Follow(ctx context.Context) {
	if p.options.Directory == "" {
		return
	}
	tick := time.NewTicker(policyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.reload(ctx)
		}
	}
}

func (p *Policies) reload(ctx context.Context) {
	set, err := policies.Load(ctx, p.options)
	if err != nil {
		if p.broken != err.Error() {
			p.broken = err.Error()
			p.metrics.loads.WithLabelValues("failure").Inc()
			p.log.Error(err, "Changed rules are broken, the ones before stay in use", "digest", p.Current().Digest())
		}
		return
	}
	p.broken = ""
	if set.Digest() == p.Current().Digest() {
		return
	}
	p.use(set)
	p.metrics.loads.WithLabelValues("success").Inc()
}

func (p *Policies) use(set *policies.Set) {
	before := p.current.Swap(set)
	p.metrics.use(set)
	if before != nil && before.Digest() != set.Digest() {
		p.metrics.policy.DeleteLabelValues(before.Digest())
	}
	p.log.Info("Rules are in use", "digest", set.Digest(), "rules", len(set.Rules()))
}
