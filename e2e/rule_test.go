// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
)

// TestRow83RuleFails: a rule that cannot be evaluated denies by itself, and says where it
// stands; the others still judge.
func TestRow83RuleFails(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "rule-fails", map[string]string{enforceLabel: "baseline"})
	dir := t.TempDir()
	file := filepath.Join(dir, "size", "size.rego")
	writeFile(t, file, `# METADATA
# title: The pod is not large
# description: Fails where the label is no size.
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Make it smaller.
package seccompgate.rules.size

deny contains finding if {
	units.parse(input.labels.size) > 10
	finding := {"container": "", "field": "metadata.labels[size]", "message": "pod: it is too large"}
}
`)
	if _, err := shared.webhook.Replace(t.Context(), "--policies="+dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := shared.webhook.Replace(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: app, labels: {size: "%s"}}, spec: {securityContext: {seccompProfile: {type: %s}}, containers: [{name: app, image: app}]}}`
	for _, tc := range []struct{ name, size, profile, want string }{
		{"passes", "5", "RuntimeDefault", ""},
		{"denies", "1K", "RuntimeDefault", "seccompgate baseline: [size] pod: it is too large"},
		{"fails", "many", "Unconfined", fmt.Sprintf(`seccompgate baseline: [rule-error] rule size could not be evaluated: %s:11: units.parse: units.parse: no amount provided; [unconfined] container "app": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost`, file)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := shared.try(t, namespace, fmt.Sprintf(pod, tc.size, tc.profile))
			want := tc.want
			if want != "" {
				want = `admission webhook "enforce.seccompgate.io" denied the request: ` + want
			}
			if a.Message != want {
				t.Errorf("the answer is %q, want %q", a.Message, want)
			}
		})
	}
}
