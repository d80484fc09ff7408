// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// policyInterval is how often a directory of rules is read again. The kubelet itself
// takes up to a minute to bring a changed ConfigMap.
const policyInterval = 10 * time.Second

// Policies holds the rules and the exceptions in use. Rules of a directory are followed:
// changed ones are taken when they compile, and otherwise the last good ones stay.
type Policies struct {
	options    policies.Options
	metrics    *Metrics
	log        logr.Logger
	current    atomic.Pointer[policies.Set]
	exceptions atomic.Pointer[review.Exceptions]
	broken     string

	// refused is what was last said about each SeccompPolicy that is not valid.
	refused map[string]string
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

// Exceptions returns the exceptions in use; nil while no SeccompPolicy has been seen.
func (p *Policies) Exceptions() *review.Exceptions { return p.exceptions.Load() }

// Synced says whether the SeccompPolicies of the cluster have been seen.
func (p *Policies) Synced() bool { return p.exceptions.Load() != nil }

// Use takes the SeccompPolicies that there are now in place of those before. One that is
// not valid excuses nothing.
func (p *Policies) Use(all []*v1alpha1.SeccompPolicy) {
	valid := p.valid(all)
	p.exceptions.Store(review.NewExceptions(valid))
	p.metrics.supplied.WithLabelValues(policyInUse).Set(float64(len(valid)))
	p.metrics.supplied.WithLabelValues(policyInvalid).Set(float64(len(all) - len(valid)))
}

// valid are the valid ones. The others are logged once.
func (p *Policies) valid(all []*v1alpha1.SeccompPolicy) []*v1alpha1.SeccompPolicy {
	valid, refused := make([]*v1alpha1.SeccompPolicy, 0, len(all)), make(map[string]string)
	for _, s := range all {
		errs := v1alpha1.ValidateSeccompPolicy(s)
		if len(errs) == 0 {
			valid = append(valid, s)
			continue
		}
		err := errs.ToAggregate()
		refused[s.Name] = err.Error()
		if p.refused[s.Name] != err.Error() {
			p.log.Error(err, "SeccompPolicy is not valid, its exceptions excuse nothing", "name", s.Name)
		}
	}
	p.refused = refused
	return valid
}

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
