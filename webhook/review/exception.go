// SPDX-License-Identifier: Apache-2.0

package review

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
)

// Exceptions are those of all SeccompPolicies. They never change, and are safe for
// concurrent use.
type Exceptions struct {
	// byRule are the exceptions from each rule, those that last longest first.
	byRule map[string][]*exception
}

// exception excuses findings of some pods until a time.
type exception struct {
	namespaces []string           // empty for all
	pods       k8slabels.Selector // nil for all
	policy     string
	reason     string
	until      time.Time
}

// Excused is a finding that an exception excuses. It is shown, and nothing else follows
// from it.
type Excused struct {
	policies.Finding
	// Policy is the SeccompPolicy that has the exception.
	Policy string
	Reason string
	// Until is when the exception ends.
	Until time.Time
	// Enforce, Warn and Audit are the modes that the finding would have concerned.
	Enforce, Warn, Audit bool
}

// NewExceptions takes the exceptions out of SeccompPolicies, which have to be valid. One
// that cannot be read all the same excuses nothing.
func NewExceptions(of []*v1alpha1.SeccompPolicy) *Exceptions {
	x := &Exceptions{byRule: make(map[string][]*exception)}
	for _, p := range of {
		for i := range p.Spec.Exceptions {
			e := &p.Spec.Exceptions[i]
			made := &exception{namespaces: e.Namespaces, policy: p.Name, reason: e.Reason, until: e.Expires.Time}
			if e.PodSelector != nil {
				pods, err := metav1.LabelSelectorAsSelector(e.PodSelector)
				if err != nil {
					continue
				}
				made.pods = pods
			}
			for _, rule := range e.Rules {
				x.byRule[rule] = append(x.byRule[rule], made)
			}
		}
	}
	for _, of := range x.byRule {
		slices.SortStableFunc(of, func(a, b *exception) int {
			return cmp.Or(b.until.Compare(a.until), cmp.Compare(a.policy, b.policy))
		})
	}
	return x
}

// subject is whom findings are about, as exceptions choose.
type subject struct {
	namespace string
	labels    map[string]string
	// labelled is false where the labels of the pod are not known: a binding does not
	// show them.
	labelled bool
}

// find returns the exception that excuses a finding, nil for none.
func (x *Exceptions) find(f *policies.Finding, s subject, now time.Time) *exception {
	// What a rule would have found is excused, and so is that it could not say.
	for _, e := range x.byRule[cmp.Or(f.Failed, f.Rule)] {
		if now.Before(e.until) && e.covers(s) {
			return e
		}
	}
	return nil
}

func (e *exception) covers(s subject) bool {
	if len(e.namespaces) > 0 && !slices.Contains(e.namespaces, s.namespace) {
		return false
	}
	return e.pods == nil || s.labelled && e.pods.Matches(k8slabels.Set(s.labels))
}

// excuse moves the findings that are excused at that time, and returns the others.
func (d *Decision) excuse(findings []policies.Finding, x *Exceptions, s subject, now time.Time) []policies.Finding {
	return slices.DeleteFunc(findings, func(f policies.Finding) bool {
		e := x.find(&f, s, now)
		if e == nil {
			return false
		}
		excused := Excused{
			Finding: f, Policy: e.policy, Reason: e.reason, Until: e.until,
			Enforce: d.Modes.Enforce.covers(&f), Warn: d.Modes.Warn.covers(&f), Audit: d.Modes.Audit.covers(&f),
		}
		if excused.Enforce || excused.Warn || excused.Audit {
			d.Excused = append(d.Excused, excused)
		}
		return true
	})
}
