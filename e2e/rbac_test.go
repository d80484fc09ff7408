// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestWebhookOnlyReads asks the API server what the webhook's service account may do.
func TestWebhookOnlyReads(t *testing.T) {
	config := rest.CopyConfig(shared.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: ownAccount,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + ownNamespace, "system:authenticated"},
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	reads := []string{"get", "list", "watch"}
	seen := map[string]bool{}
	for _, namespace := range []string{ownNamespace, "kube-system", "default"} {
		review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
			Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Incomplete {
			t.Fatalf("the list of permissions is not complete: %s", review.Status.EvaluationError)
		}
		for _, rule := range review.Status.ResourceRules {
			// Every account may ask who it is and what it may do.
			if slices.Equal(rule.APIGroups, []string{"authorization.k8s.io"}) || slices.Equal(rule.APIGroups, []string{"authentication.k8s.io"}) {
				continue
			}
			for _, verb := range rule.Verbs {
				if !slices.Contains(reads, verb) {
					t.Errorf("in namespace %s the webhook may %s %v of %v", namespace, verb, rule.Resources, rule.APIGroups)
				}
			}
			for _, resource := range rule.Resources {
				seen[resource] = true
				if resource == "*" || resource == "secrets" || resource == "configmaps" {
					t.Errorf("in namespace %s the webhook may read %s", namespace, resource)
				}
			}
		}
	}
	for _, resource := range []string{"nodes", "namespaces", "pods", "seccompnodes", "profilesets", "localhostprofiles"} {
		if !seen[resource] {
			t.Errorf("the webhook may not read %s: is this the right account?", resource)
		}
	}
}
