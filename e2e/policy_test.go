// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// policy creates a SeccompPolicy or changes it; it is deleted with the test.
func (s *suite) policy(t *testing.T, name, spec string) {
	t.Helper()
	t.Cleanup(func() {
		if _, err := s.MustKubectl(context.Background(), "", "delete", "seccomppolicy", name, "--ignore-not-found"); err != nil { // the test's own context is over
			t.Error(err)
		}
	})
	s.mustKubectl(t, fmt.Sprintf("apiVersion: seccompgate.io/v1alpha1\nkind: SeccompPolicy\nmetadata: {name: %s}\nspec: %s\n", name, spec), "apply", "-f", "-")
}

// ready waits until the condition Ready is about the spec as it is now.
func (s *suite) ready(t *testing.T, name, want string) {
	t.Helper()
	s.eventually(t, fmt.Sprintf("SeccompPolicy %s is Ready=%s", name, want), func() (bool, string) {
		var p unstructured.Unstructured
		if err := p.UnmarshalJSON([]byte(s.mustKubectl(t, "", "get", "seccomppolicy", name, "-o", "json"))); err != nil {
			t.Fatal(err)
		}
		conditions, _, err := unstructured.NestedSlice(p.Object, "status", "conditions")
		if err != nil || len(conditions) != 1 {
			return false, fmt.Sprintf("it has the conditions %v, %v", conditions, err)
		}
		c, _ := conditions[0].(map[string]any)
		got := fmt.Sprintf("%v %v: %v", c["status"], c["reason"], c["message"])
		return c["type"] == "Ready" && c["observedGeneration"] == p.GetGeneration() && got == want,
			fmt.Sprintf("it is %s of generation %v", got, c["observedGeneration"])
	})
}

// rego is the spec of a policy with one rule, tag, whose message has a parameter in it.
func rego(t *testing.T, parameter, condition string) string {
	t.Helper()
	text, err := json.Marshal(`# METADATA
# title: The tag stays
# description: An image has a tag that does not move.
# custom:
#   level: baseline
#   since: v0.2
#   remediation: Write another tag.
package seccompgate.rules.tag

deny contains finding if {
	some container in input.containers
	` + condition + `
	finding := {"container": container.name, "field": container.field, "message": sprintf("container %q: use no tag %s", [container.name, input.parameters.tag])}
}
`)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("{parameters: {tag: %q}, rules: [{name: tag.rego, rego: %s}]}", parameter, text)
}

// TestException: an exception excuses what it names from the moment that it exists until
// the second in which it ends, and every answer says so.
func TestException(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "excepted", nil)
	shared.label(t, namespace, map[string]string{enforceLabel: "baseline"})
	other := shared.namespace(t, "not-excepted", nil)
	shared.label(t, other, map[string]string{enforceLabel: "baseline"})
	const spec = `{exceptions: [{rules: [unconfined], namespaces: [excepted], podSelector: {matchLabels: {app: legacy}}, reason: %s, expires: %q}]}`
	legacy := strings.Replace(unconfinedPod, "name: app}", "name: app, labels: {app: legacy}}", 1)

	shared.eventuallySays(t, namespace, legacy, unconfinedDenial)
	begins := time.Now()
	ends := begins.Add(12 * time.Second).UTC().Truncate(time.Second)
	shared.policy(t, "legacy", fmt.Sprintf(spec, "vendor image", ends.Format(time.RFC3339)))
	excused := fmt.Sprintf(`[unconfined] until %s by SeccompPolicy legacy (vendor image): container "app": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost`, ends.Format(time.RFC3339))
	shared.eventuallySays(t, namespace, legacy, "")
	if late := time.Since(begins); late > 5*time.Second {
		t.Errorf("the exception has an effect after %s", late)
	}
	a := shared.try(t, namespace, legacy)
	if d := cmp.Diff([]string{"seccompgate: excused: " + excused}, a.Warnings); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
	audit := shared.audited(t, a)
	if got := audit["enforce.seccompgate.io/excused"]; got != excused || audit["enforce.seccompgate.io/decision"] != "allowed" {
		t.Errorf("audit annotations: %v", audit)
	}
	for what, answer := range map[string]string{
		"another pod":       shared.try(t, namespace, unconfinedPod).Message,
		"another namespace": shared.try(t, other, legacy).Message,
	} {
		if answer != unconfinedDenial {
			t.Errorf("%s: the answer is %q, want %q", what, answer, unconfinedDenial)
		}
	}
	deployment := shared.try(t, namespace, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: {matchLabels: {app: legacy}}, template: {metadata: {labels: {app: legacy}}, spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app, image: app}]}}}}`)
	if d := cmp.Diff([]string{"seccompgate: excused: " + excused}, deployment.Warnings); d != "" {
		t.Errorf("warnings about a Deployment (-want +got):\n%s", d)
	}

	// Nothing but the time changes.
	time.Sleep(time.Until(ends.Add(-time.Second)))
	if a := shared.try(t, namespace, legacy); !a.Allowed() && time.Now().Before(ends) {
		t.Errorf("%s before its end: %s", time.Until(ends), a.Message)
	}
	time.Sleep(time.Until(ends))
	if a := shared.try(t, namespace, legacy); a.Message != unconfinedDenial {
		t.Errorf("the exception has ended, and the answer is %q", a.Message)
	}
	shared.ready(t, "legacy", "True Compiled: the policy is valid; it has no rules to compile")
}

// TestUserRules: a rule of a SeccompPolicy denies; one that is broken afterwards leaves it
// in use, and its status says where it is broken.
func TestUserRules(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "user-rules", nil)
	shared.label(t, namespace, map[string]string{enforceLabel: "baseline"})
	pinned := shared.namespace(t, "user-rules-pinned", nil)
	shared.label(t, pinned, map[string]string{enforceLabel: "baseline", enforceLabel + "-version": "v0.1"})
	latest := strings.Replace(defaultPod, "image: app", "image: 'app:latest'", 1)
	denial := func(tag string) string {
		return `admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [tag] container "app": use no tag ` + tag
	}
	const endsWith = `endswith(container.image, input.parameters.tag)`

	shared.policy(t, "images", rego(t, ":latest", endsWith))
	shared.ready(t, "images", "True Compiled: the policy is valid, and its rules compile")
	shared.eventuallySays(t, namespace, latest, denial(":latest"))
	shared.eventuallySays(t, namespace, defaultPod, "")
	// A rule that is newer than the version of the namespace only warns.
	a := shared.try(t, pinned, latest)
	if d := cmp.Diff([]string{`seccompgate: [tag] container "app": use no tag :latest`}, a.Warnings); d != "" || !a.Allowed() {
		t.Errorf("a pinned namespace answers %q; warnings (-want +got):\n%s", a.Message, d)
	}

	broken := rego(t, ":none", `endswith(container.imag, ":none")`)
	tried := shared.kubectl(t, "{apiVersion: seccompgate.io/v1alpha1, kind: SeccompPolicy, metadata: {name: images}, spec: "+broken+"}", "apply", "--dry-run=server", "-f", "-")
	if want := "Warning: seccompgate: not in use, compile rules:   images/tag.rego:12: undefined ref: container.imag"; tried.Code != 0 || !strings.HasPrefix(tried.Stderr, want) {
		t.Errorf("a dry run of a broken rule: exit %d, %q, want %q", tried.Code, tried.Stderr, want)
	}
	shared.policy(t, "images", broken)
	shared.ready(t, "images", `False NotCompiled: compile rules:
  images/tag.rego:12: undefined ref: container.imag (container.imag;           ^;           have: "imag";           want (one of): ["allowPrivilegeEscalation" "capabilities" "declared" "field" "image" "index" "kind" "name" "privileged" "profile" "requested"])`)
	// Another policy is taken all the same, which shows that this one was looked at.
	shared.policy(t, "probe", `{exceptions: [{rules: [unconfined], namespaces: [user-rules], reason: probe, expires: "2130-01-31T00:00:00Z"}]}`)
	shared.eventuallySays(t, namespace, unconfinedPod, "")
	if a := shared.try(t, namespace, latest); a.Message != denial(":latest") {
		t.Errorf("the rule before the broken one is not in use: the answer is %q", a.Message)
	}
	shared.policy(t, "taken", rego(t, "x", endsWith))
	shared.ready(t, "taken", "True Compiled: the policy is valid, and its rules compile")

	shared.mustKubectl(t, "", "delete", "seccomppolicy", "taken")
	shared.policy(t, "images", rego(t, ":new", endsWith))
	shared.ready(t, "images", "True Compiled: the policy is valid, and its rules compile")
	shared.eventuallySays(t, namespace, strings.Replace(latest, ":latest", ":new", 1), denial(":new"))
	shared.mustKubectl(t, "", "delete", "seccomppolicy", "images")
	shared.eventuallySays(t, namespace, latest, "")
}

// TestPolicyBypassingValidation: what the API server let by while the webhook was away
// excuses nothing, and its status says why.
func TestPolicyBypassingValidation(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "bad-exception", nil)
	shared.label(t, namespace, map[string]string{enforceLabel: "baseline"})
	webhookDown(t, func() {
		shared.policy(t, "bad", `{exceptions: [{rules: [unconfined], reason: ' ', expires: "2130-01-31T00:00:00Z"}]}`)
	})
	shared.ready(t, "bad", "False Invalid: spec.exceptions[0].reason: Required value: say why; it is shown with every excused finding")
	shared.policy(t, "good", `{exceptions: [{rules: [unconfined], namespaces: [bad-exception], podSelector: {matchLabels: {app: good}}, reason: probe, expires: "2130-01-31T00:00:00Z"}]}`)
	shared.eventuallySays(t, namespace, strings.Replace(unconfinedPod, "name: app}", "name: app, labels: {app: good}}", 1), "")
	if a := shared.try(t, namespace, unconfinedPod); a.Message != unconfinedDenial {
		t.Errorf("the answer is %q, want %q", a.Message, unconfinedDenial)
	}
}
