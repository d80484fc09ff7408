// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// PolicyReady is the condition of a SeccompPolicy that says whether it has the effect that
// it is written for: it is valid, and its rules compile beside those of all policies that
// are older.
const PolicyReady = "Ready"

// Reasons of PolicyReady.
const (
	ReasonCompiled    = "Compiled"
	ReasonNotCompiled = "NotCompiled"
	ReasonInvalid     = "Invalid"
)

// maxConditionMessage bounds what is written of a compiler's complaints, in bytes: far
// below what the API allows, far above what anybody reads.
const maxConditionMessage = 4096

// SeccompPolicies writes the status of every SeccompPolicy. It asks the same compiler as
// the webhook, which writes nothing. Rules of a directory that only the webhook has are not
// known here.
type SeccompPolicies struct {
	Client client.Client
	Log    logr.Logger
}

// Reconcile judges all policies, whichever has changed: one may stand in the way of
// another.
func (s *SeccompPolicies) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var all v1alpha1.SeccompPolicyList
	if err := s.Client.List(ctx, &all); err != nil {
		return reconcile.Result{}, fmt.Errorf("list SeccompPolicies: %w", err)
	}
	verdicts, err := verdicts(all.Items)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("judge SeccompPolicies: %w", err)
	}
	var errs []error
	for i := range all.Items {
		if err := s.write(ctx, &all.Items[i], verdicts[i]); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("write status of SeccompPolicy %s: %w", all.Items[i].Name, err))
		}
	}
	return reconcile.Result{}, errors.Join(errs...)
}

// write brings the condition to the API server, if it is not there.
func (s *SeccompPolicies) write(ctx context.Context, p *v1alpha1.SeccompPolicy, ready metav1.Condition) error {
	before := p.DeepCopy()
	if !meta.SetStatusCondition(&p.Status.Conditions, ready) {
		return nil
	}
	if err := s.Client.Status().Patch(ctx, p, client.MergeFrom(before)); err != nil {
		return err
	}
	s.Log.Info("SeccompPolicy was judged", "name", p.Name, "ready", ready.Status, "reason", ready.Reason, "message", ready.Message)
	return nil
}

// verdicts are the conditions of policies, in their order.
func verdicts(all []v1alpha1.SeccompPolicy) ([]metav1.Condition, error) {
	out := make([]metav1.Condition, len(all))
	var valid []*v1alpha1.SeccompPolicy
	for i := range all {
		p := &all[i]
		out[i] = metav1.Condition{Type: PolicyReady, Status: metav1.ConditionFalse, ObservedGeneration: p.Generation}
		if errs := v1alpha1.ValidateSeccompPolicy(p); len(errs) > 0 {
			out[i].Reason, out[i].Message = ReasonInvalid, shortened(errs.ToAggregate().Error())
			continue
		}
		valid = append(valid, p)
	}
	settings := v1alpha1.WebhookConfig{}
	settings.Default()
	broken, err := policies.Check(policies.Options{
		Policies: review.PoliciesOf(valid), Parameters: review.SettingsParameters(&settings),
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		c := &out[i]
		if c.Reason != "" {
			continue
		}
		if err := broken[all[i].Name]; err != nil {
			c.Reason, c.Message = ReasonNotCompiled, shortened(err.Error())
			continue
		}
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, ReasonCompiled, compiled(&all[i])
	}
	return out, nil
}

// compiled says what of the policy has an effect.
func compiled(p *v1alpha1.SeccompPolicy) string {
	if len(p.Spec.Rules) == 0 {
		return "the policy is valid; it has no rules to compile"
	}
	return "the policy is valid, and its rules compile"
}

// shortened is the beginning of a long message, to the end of a line if there is one.
func shortened(message string) string {
	const more = "\n..."
	if len(message) <= maxConditionMessage {
		return message
	}
	end := maxConditionMessage - len(more)
	if line := strings.LastIndexByte(message[:end], '\n'); line > 0 {
		return message[:line] + more
	}
	for !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + more
}
