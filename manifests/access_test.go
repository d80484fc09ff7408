// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// access lists what a service account of ours may do, one verb of one resource a line.
// A namespace stands before what is limited to it.
func access(t *testing.T, in install, account string) []string {
	t.Helper()
	var lines []string
	add := func(where string, subjects []rbacv1.Subject, rules []rbacv1.PolicyRule) {
		for _, s := range subjects {
			if s.Kind != rbacv1.ServiceAccountKind || s.Namespace != ownNamespace {
				t.Errorf("%s: rights for %v, who is not ours", in.name, s)
			}
		}
		if !slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool { return s.Name == account }) {
			return
		}
		for _, r := range rules {
			if len(r.NonResourceURLs) > 0 {
				t.Errorf("%s: %s may use %v", in.name, account, r.NonResourceURLs)
			}
			for _, group := range r.APIGroups {
				for _, resource := range r.Resources {
					for _, verb := range r.Verbs {
						line := strings.TrimSuffix(fmt.Sprintf("%s%s %s.%s", where, verb, resource, group), ".")
						if len(r.ResourceNames) > 0 {
							line += " " + strings.Join(r.ResourceNames, ",")
						}
						lines = append(lines, line)
					}
				}
			}
		}
	}
	for _, b := range all[*rbacv1.ClusterRoleBinding](in) {
		add("", b.Subjects, one[*rbacv1.ClusterRole](t, in, b.RoleRef.Name).Rules)
	}
	for _, b := range all[*rbacv1.RoleBinding](in) {
		add(b.Namespace+": ", b.Subjects, one[*rbacv1.Role](t, in, b.RoleRef.Name).Rules)
	}
	slices.Sort(lines)
	return lines
}

// TestWebhookOnlyReads: it has no verb that changes anything, and sees no Secret. Who
// breaks into it cannot make a profile look present.
func TestWebhookOnlyReads(t *testing.T) {
	// All pods at once would be a surprise: they are listed one namespace at a time, and
	// watched in none but our own, which has agents.
	want := []string{
		"get mutatingwebhookconfigurations.admissionregistration.k8s.io seccompgate",
		"get validatingwebhookconfigurations.admissionregistration.k8s.io seccompgate",
		"list pods",
		"seccompgate: list pods",
		"seccompgate: watch pods",
	}
	for _, r := range []string{
		"nodes", "namespaces", "localhostprofiles.seccompgate.io", "profilesets.seccompgate.io", "seccompnodes.seccompgate.io",
		"seccomppolicies.seccompgate.io", "syscallrecordings.seccompgate.io",
	} {
		want = append(want, "get "+r, "list "+r, "watch "+r)
	}
	slices.Sort(want)
	for _, in := range combinations(t) {
		got := access(t, in, webhookName)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", in.name, d)
		}
		for _, line := range got {
			verb, resource, _ := strings.Cut(strings.TrimPrefix(line, ownNamespace+": "), " ")
			if !slices.Contains([]string{"get", "list", "watch"}, verb) || strings.HasPrefix(resource, "secrets") || strings.Contains(resource, "*") {
				t.Errorf("%s: the webhook may %s", in.name, line)
			}
		}
	}
}

// TestControllerAccess: it may make and change one Secret, and change the two
// registrations. A list or a watch by name is one of that object only. Names cannot limit
// who creates, so that creating is all that is open, and only in our namespace.
func TestControllerAccess(t *testing.T) {
	want := []string{
		"seccompgate: create leases.coordination.k8s.io",
		"seccompgate: create secrets",
		"seccompgate: get leases.coordination.k8s.io seccomp-controller",
		"seccompgate: update leases.coordination.k8s.io seccomp-controller",
	}
	for _, verb := range []string{"get", "list", "update", "watch"} {
		want = append(want,
			"seccompgate: "+verb+" secrets seccomp-webhook-tls",
			verb+" mutatingwebhookconfigurations.admissionregistration.k8s.io seccompgate",
			verb+" validatingwebhookconfigurations.admissionregistration.k8s.io seccompgate",
		)
	}
	slices.Sort(want)
	for _, in := range combinations(t) {
		want := want
		if strings.HasPrefix(in.name, "cert-manager") {
			want = nil // the certificate is not ours to make
		}
		if d := cmp.Diff(want, access(t, in, controllerName)); d != "" {
			t.Errorf("%s (-want +got):\n%s", in.name, d)
		}
	}
}

// TestAccounts: every pod has an account of its own, which is there.
func TestAccounts(t *testing.T) {
	for _, in := range combinations(t) {
		for name, template := range templates(in) {
			if template.Spec.ServiceAccountName != name {
				t.Errorf("%s: %s runs as %q, want an account of its own", in.name, name, template.Spec.ServiceAccountName)
			}
			one[*corev1.ServiceAccount](t, in, template.Spec.ServiceAccountName)
		}
	}
}
