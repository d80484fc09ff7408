// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestOwnKinds(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	set := `{metadata: {name: 37517e5f3dc66819f61f5a7bb8ace192}, profiles: []}`
	for _, tc := range []struct {
		name, kind, resource, object string
		want                         outcome
	}{
		{"a profile", "LocalhostProfile", "localhostprofiles", `{apiVersion: seccompgate.io/v1alpha1, kind: LocalhostProfile, metadata: {name: x, managedFields: [{fieldsV1: {"f:spec": {}}, time: "2025-01-01T00:00:00Z"}]}, spec: {nodeSelector: {a: b}, profile: {defaultAction: SCMP_ACT_ERRNO, syscalls: [{names: [read], action: SCMP_ACT_ALLOW}]}}}`, outcome{Allowed: true}},
		{"a profile with a value that means nothing", "LocalhostProfile", "localhostprofiles", `{metadata: {name: x}, spec: {profile: {defaultAction: SCMP_ACT_ERRNO, syscalls: [{names: [read], action: SCMP_ACT_ALLOW, errnoRet: 1}]}}}`, outcome{Code: 422, Message: `LocalhostProfile "x" is not valid: spec.profile.syscalls[0].errnoRet: Invalid value: 1: has no meaning with SCMP_ACT_ALLOW; remove it, or use SCMP_ACT_ERRNO`}},
		{"a profile with a reserved name", "LocalhostProfile", "localhostprofiles", `{metadata: {name: unconfined}, spec: {profile: {defaultAction: SCMP_ACT_ERRNO}}}`, outcome{Code: 422, Message: `LocalhostProfile "x" is not valid: metadata.name: Invalid value: "unconfined": is reserved; choose another name`}},
		{"a profile of another shape", "LocalhostProfile", "localhostprofiles", `{metadata: {name: x}, spec: {profile: []}}`, outcome{Code: 400, Message: `the request was not judged: decode LocalhostProfile: /spec/profile: JSON array does not fit`}},
		{"a node", "SeccompNode", "seccompnodes", `{metadata: {name: x}, facts: {seccompRoot: /var/lib/kubelet/seccomp}}`, outcome{Allowed: true}},
		{"a set under a name that is not its hash", "ProfileSet", "profilesets", `{metadata: {name: abcd0000000000000000000000000000}, profiles: []}`, outcome{Code: 422, Message: `ProfileSet "x" is not valid: metadata.name: Invalid value: "abcd0000000000000000000000000000": is not the hash of the content; write 37517e5f3dc66819f61f5a7bb8ace192, or list files of your own in a SeccompNode`}},
		{"a set", "ProfileSet", "profilesets", set, outcome{Allowed: true}},
		{"a policy", "SeccompPolicy", "seccomppolicies", `{metadata: {name: x}, spec: {parameters: {a: b}}}`, outcome{Allowed: true}},
		{"a recording", "SyscallRecording", "syscallrecordings", `{metadata: {name: x}, spec: {podSelector: {matchLabels: {a: b}}, until: "` + until + `"}}`, outcome{Allowed: true}},
		{"a kind of a later version", "Later", "laters", `{metadata: {name: x}, spec: {a: 1}}`, outcome{Allowed: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, nil)
			if diff := cmp.Diff(tc.want, r.validate(t, own(t, tc.kind, tc.resource, tc.object))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			decision := map[int32]string{0: "allowed", 400: "error", 422: "denied"}[tc.want.Code]
			if got := value(t, r.metrics, `seccompgate_decisions_total{decision="`+decision+`",operation="CREATE",resource="own"}`); got != "1" {
				t.Errorf("%s: %s, want 1", decision, got)
			}
		})
	}
}

// TestOldRecording: what a recording was decides what may become of it.
func TestOldRecording(t *testing.T) {
	ended := `{metadata: {name: x, creationTimestamp: "2020-01-01T00:00:00Z"}, spec: {podSelector: {matchLabels: {a: b}}, until: "2020-01-02T00:00:00Z"}}`
	req := own(t, "SyscallRecording", "syscallrecordings", ended)
	if o := newRig(t, nil).validate(t, req); o.Code != 422 || !strings.HasPrefix(o.Message, `SyscallRecording "x" is not valid: spec.until: Invalid value: "2020-01-02T00:00:00Z": is in the past; use a time after `) {
		t.Errorf("a new recording that has ended: %+v", o)
	}
	req.Operation, req.OldObject.Raw = admissionv1.Update, toJSON(t, ended)
	if o := newRig(t, nil).validate(t, req); !o.Allowed {
		t.Errorf("a recording that ended cannot be changed any more: %+v", o)
	}
}

// TestPolicyWarnings: what has no effect is said to whoever writes it, and refused it is
// not.
func TestPolicyWarnings(t *testing.T) {
	module := func(text string) string {
		return strings.TrimSuffix(strings.TrimPrefix(ruleModule(t, text), "{"), ", parameters: {word: said}}")
	}
	const ends = `reason: r, expires: "2130-01-31T12:00:00Z"`
	for _, tc := range []struct {
		name, spec string
		want       []string
	}{
		{"nothing", `{}`, nil},
		{"good", `{` + module(userRuleText("my_own", `deny contains {"container": "", "field": "", "message": "m"}`)) + `, exceptions: [{rules: [unset, my-own], ` + ends + `}]}`, nil},
		{"a rule that does not compile", `{` + module(userRuleText("mine", `deny contains {"container": "", "field": "", "message": "m"} if input.labels.x ==`)) + `}`, []string{
			`seccompgate: not in use, compile rules:   x/rule.rego:13: unexpected eof token (deny contains {"container": "", "field": "", "message": "m"} if input.labels.x ==;`,
		}},
		{"a setting", `{` + module(userRuleText("mine", `deny contains {"container": "", "field": "", "message": "m"}`)) + `, parameters: {missingProfile: all}}`, []string{
			`seccompgate: not in use, x: parameter "missingProfile" is one of the configuration; choose another name`,
		}},
		{"exceptions without effect", `{exceptions: [{rules: [unset, unconfind], ` + ends + `}, {rules: [unset], reason: r, expires: "2020-01-31T13:00:00+01:00"}]}`, []string{
			`seccompgate: spec.exceptions[0].rules[1]: there is no rule unconfind; nothing is excused until there is one`,
			`seccompgate: spec.exceptions[1].expires: 2020-01-31T12:00:00Z has passed, so that nothing is excused`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := newRig(t, nil).validate(t, own(t, "SeccompPolicy", "seccomppolicies", `{metadata: {name: x}, spec: `+tc.spec+`}`))
			for i := range got.Warnings {
				if i < len(tc.want) && strings.HasPrefix(got.Warnings[i], tc.want[i]) {
					got.Warnings[i] = tc.want[i] // the rest is the compiler's
				}
			}
			if diff := cmp.Diff(outcome{Allowed: true, Warnings: tc.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDeleteOwn: what is deleted goes, and what stays behind is said.
func TestDeleteOwn(t *testing.T) {
	const warning = `seccompgate: LocalhostProfile "x" is deleted at once; pods that run keep its file until no pod of their node names it, and further pods that name it are denied`
	for _, tc := range []struct {
		kind, resource string
		want           outcome
	}{
		{"LocalhostProfile", "localhostprofiles", outcome{Allowed: true, Warnings: []string{warning}}},
		{"ProfileSet", "profilesets", outcome{Allowed: true}},
	} {
		req := own(t, tc.kind, tc.resource, "")
		req.Operation, req.OldObject, req.Object = admissionv1.Delete, req.Object, runtime.RawExtension{}
		if diff := cmp.Diff(tc.want, newRig(t, nil).validate(t, req)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.kind, diff)
		}
	}
}
