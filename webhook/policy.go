// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
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

// Policies holds the rules and the exceptions in use: the built-in rules, those of a
// directory and those of SeccompPolicies. Changed rules are taken when they compile, and
// otherwise the last good ones stay.
type Policies struct {
	metrics    *Metrics
	log        logr.Logger
	current    atomic.Pointer[policies.Set]
	exceptions atomic.Pointer[review.Exceptions]
	synced     atomic.Bool

	// mu is held while rules are loaded: the directory and the SeccompPolicies change at
	// times of their own.
	mu      sync.Mutex
	options policies.Options  // with the policies that are wanted
	good    []policies.Policy // those in use
	// invalid and broken are what is wrong with SeccompPolicies, by name; what is wrong
	// with all rules together is broken under "". It is logged when it is new.
	invalid, broken map[string]string
}

// LoadPolicies loads the rules for the first time; broken ones are an error then.
func LoadPolicies(ctx context.Context, options policies.Options, metrics *Metrics, log logr.Logger) (*Policies, error) {
	p := &Policies{options: options, good: options.Policies, metrics: metrics, log: log}
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
func (p *Policies) Synced() bool { return p.synced.Load() }

// Use takes the SeccompPolicies that there are now in place of those before. Where one is
// wrong, what is stricter holds: rules that do not compile leave those before in use, and
// one that is not valid at all excuses nothing.
func (p *Policies) Use(ctx context.Context, all []*v1alpha1.SeccompPolicy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	valid := make([]*v1alpha1.SeccompPolicy, 0, len(all))
	wanted := make([]policies.Policy, 0, len(all))
	invalid := make(map[string]string)
	for _, s := range all {
		if errs := v1alpha1.ValidateSeccompPolicy(s); len(errs) > 0 {
			invalid[s.Name] = errs.ToAggregate().Error()
			// It is not asked for its rules. Those that it had stay while it exists.
			if i := slices.IndexFunc(p.good, func(g policies.Policy) bool { return g.Name == s.Name }); i >= 0 {
				wanted = append(wanted, p.good[i])
			}
			continue
		}
		valid, wanted = append(valid, s), append(wanted, review.PolicyOf(s))
	}
	for _, name := range news(invalid, p.invalid) {
		p.log.Error(errors.New(invalid[name]), "SeccompPolicy is not valid, its exceptions excuse nothing", "name", name)
	}
	p.invalid = invalid
	// Exceptions do not wait for a compiler.
	p.exceptions.Store(review.NewExceptions(valid))

	slices.SortFunc(wanted, func(a, b policies.Policy) int { return strings.Compare(a.Name, b.Name) })
	if !reflect.DeepEqual(wanted, p.options.Policies) {
		p.options.Policies = wanted
		p.reload(ctx)
	}
	broken := len(p.broken)
	if p.broken[""] != "" {
		broken--
	}
	p.metrics.supplied.WithLabelValues(policyInvalid).Set(float64(len(invalid)))
	p.metrics.supplied.WithLabelValues(policyBroken).Set(float64(broken))
	p.metrics.supplied.WithLabelValues(policyInUse).Set(float64(len(valid) - broken))
	p.synced.Store(true)
}

// news are the keys, in order, whose values are others than before.
func news(now, before map[string]string) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if now[key] != before[key] {
			keys = append(keys, key)
		}
	}
	return keys
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
			p.mu.Lock()
			p.reload(ctx)
			p.mu.Unlock()
		}
	}
}

// reload loads everything anew; mu is held.
func (p *Policies) reload(ctx context.Context) {
	loaded, err := policies.LoadGood(ctx, p.options, p.good)
	if ctx.Err() != nil {
		return
	}
	broken := make(map[string]string)
	if err != nil {
		maps.Copy(broken, p.broken) // nothing new is known of each
		broken[""] = err.Error()
	} else {
		for name, err := range loaded.Broken {
			broken[name] = err.Error()
		}
	}
	for _, name := range news(broken, p.broken) {
		log := p.log
		if name != "" {
			log = log.WithValues("policy", name)
		}
		p.metrics.loads.WithLabelValues("failure").Inc()
		log.Error(errors.New(broken[name]), "Changed rules are broken, the ones before stay in use", "digest", p.Current().Digest())
	}
	p.broken = broken
	if err != nil {
		return
	}
	p.good = loaded.Policies
	if loaded.Digest() == p.Current().Digest() {
		return
	}
	p.use(loaded.Set)
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
