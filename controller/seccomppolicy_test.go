// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// suppliedRule is the text of a rule.
func suppliedRule(id, body string) string {
	return "# METADATA\n# title: T\n# description: D\n# custom:\n#   level: baseline\n#   since: v0.1\n#   remediation: R\npackage seccompgate.rules." + id + "\n\n" + body + "\n"
}

const finds = `deny contains {"container": "", "field": "", "message": "m"}`

// supplied is a policy so many hours old.
func supplied(name string, age int, rules ...string) *v1alpha1.SeccompPolicy {
	p := &v1alpha1.SeccompPolicy{ObjectMeta: metav1.ObjectMeta{
		Name: name, Generation: 3, CreationTimestamp: metav1.NewTime(start.Add(-time.Duration(age) * time.Hour)),
	}}
	for i, r := range rules {
		p.Spec.Rules = append(p.Spec.Rules, v1alpha1.RegoModule{Name: fmt.Sprintf("r%d.rego", i), Rego: r})
	}
	return p
}

func policyClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return clientfake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.SeccompPolicy{}).
		WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
}

func TestSeccompPolicies(t *testing.T) {
	exception := supplied("exception", 1)
	exception.Spec.Exceptions = []v1alpha1.PolicyException{{Rules: []string{"unset"}, Reason: "r", Expires: metav1.NewTime(start)}}
	invalid := supplied("invalid", 1, suppliedRule("other", finds))
	invalid.Spec.Exceptions = []v1alpha1.PolicyException{{Rules: []string{"unset"}, Expires: metav1.NewTime(start)}}
	long := slices.Repeat([]string{suppliedRule("long", finds+" if {")}, 64)
	patches := 0
	c := policyClient(t, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			patches++
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	},
		supplied("good", 1, suppliedRule("good", finds)), exception, invalid,
		supplied("broken", 5, suppliedRule("broken", finds+" if {")),
		supplied("elder", 2, suppliedRule("same", finds)), supplied("younger", 1, suppliedRule("same", finds)),
		supplied("long", 1, long...),
	)
	s := &SeccompPolicies{Client: c, Log: testr.New(t)}
	reconciled := func() map[string]metav1.Condition {
		t.Helper()
		if _, err := s.Reconcile(t.Context(), reconcile.Request{}); err != nil {
			t.Fatal(err)
		}
		var all v1alpha1.SeccompPolicyList
		if err := c.List(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]metav1.Condition)
		for _, p := range all.Items {
			if len(p.Status.Conditions) != 1 || p.Status.Conditions[0].LastTransitionTime.IsZero() {
				t.Fatalf("conditions of %s: %+v", p.Name, p.Status.Conditions)
			}
			condition := p.Status.Conditions[0]
			condition.LastTransitionTime = metav1.Time{}
			got[p.Name] = condition
		}
		return got
	}
	ready := func(status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: "Ready", Status: status, Reason: reason, Message: message, ObservedGeneration: 3}
	}
	want := map[string]metav1.Condition{
		"good":      ready("True", "Compiled", "the policy is valid, and its rules compile"),
		"elder":     ready("True", "Compiled", "the policy is valid, and its rules compile"),
		"exception": ready("True", "Compiled", "the policy is valid; it has no rules to compile"),
		"invalid":   ready("False", "Invalid", "spec.exceptions[0].reason: Required value: say why; it is shown with every excused finding"),
		"broken":    ready("False", "NotCompiled", "compile rules:\n  broken/r0.rego:11: unexpected eof token ("+finds+" if {; "+strings.Repeat(" ", 64)+"^)"),
		"younger":   ready("False", "NotCompiled", "younger/r0.rego:8: package seccompgate.rules.same: elder/r0.rego has package seccompgate.rules.same, and packages are not shared; choose another name"),
	}
	got := reconciled()
	if message := got["long"].Message; len(message) > maxConditionMessage || len(message) < maxConditionMessage/2 ||
		!strings.HasPrefix(message, "compile rules:\n  long/r0.rego:11: ") || !strings.HasSuffix(message, "\n...") {
		t.Errorf("a long message, of %d bytes: %s", len(message), message)
	}
	delete(got, "long")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("conditions (-want +got):\n%s", d)
	}
	if patches != 7 {
		t.Errorf("%d writes, want one for each policy", patches)
	}
	reconciled()
	if patches != 7 {
		t.Errorf("%d writes when nothing has changed", patches-7)
	}

	// Without the elder one, the younger one has the rule.
	if err := c.Delete(t.Context(), supplied("elder", 2)); err != nil {
		t.Fatal(err)
	}
	if got := reconciled()["younger"]; got.Status != "True" || patches != 8 {
		t.Errorf("alone: %+v, %d writes", got, patches)
	}
}

// TestPolicyStatusIsNotWritten: one that cannot be written does not keep the others from
// it, and one that is gone is no error.
func TestPolicyStatusIsNotWritten(t *testing.T) {
	resource := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "seccomppolicies"}
	written := ""
	c := policyClient(t, interceptor.Funcs{
		SubResourcePatch: func(_ context.Context, _ client.Client, _ string, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
			switch o.GetName() {
			case "gone":
				return apierrors.NewNotFound(resource, o.GetName())
			case "refused":
				return errors.New("no")
			}
			written += o.GetName()
			return nil
		},
	}, supplied("a", 1), supplied("gone", 1), supplied("refused", 1), supplied("z", 1))
	_, err := (&SeccompPolicies{Client: c, Log: testr.New(t)}).Reconcile(t.Context(), reconcile.Request{})
	if want := "write status of SeccompPolicy refused: no"; err == nil || err.Error() != want || written != "az" {
		t.Errorf("got %v, wrote %q; want %s", err, written, want)
	}
}

func TestShortened(t *testing.T) {
	for in, want := range map[string]string{
		"short": "short",
		strings.Repeat("ä", maxConditionMessage):                                  strings.Repeat("ä", maxConditionMessage/2-2) + "\n...",
		strings.Repeat("x", 10) + "\n" + strings.Repeat("y", maxConditionMessage): strings.Repeat("x", 10) + "\n...",
	} {
		if got := shortened(in); got != want {
			t.Errorf("%.20s…: %d bytes, want %d", in, len(got), len(want))
		}
	}
}
