// SPDX-License-Identifier: Apache-2.0

package review

import (
	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
)

// PolicyOf is what the loader of rules takes of a SeccompPolicy.
func PolicyOf(s *v1alpha1.SeccompPolicy) policies.Policy {
	p := policies.Policy{Name: s.Name, Created: s.CreationTimestamp.Time, Parameters: s.Spec.Parameters}
	if len(s.Spec.Rules) > 0 {
		p.Modules = make(map[string]string, len(s.Spec.Rules))
	}
	for _, m := range s.Spec.Rules {
		p.Modules[m.Name] = m.Rego
	}
	return p
}

// PoliciesOf is PolicyOf for several.
func PoliciesOf(all []*v1alpha1.SeccompPolicy) []policies.Policy {
	out := make([]policies.Policy, len(all))
	for i, s := range all {
		out[i] = PolicyOf(s)
	}
	return out
}

// SettingsParameters are the parameters that the configuration gives to rules. No policy
// can change them.
func SettingsParameters(c *v1alpha1.WebhookConfig) map[string]any {
	return map[string]any{"missingProfile": string(c.MissingProfile)}
}
