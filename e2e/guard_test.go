// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// withComponents adds components to the shared overlay for the test. What they refuse must
// be waited for: the API server compiles a policy after it was told of it.
func (s *suite) withComponents(t *testing.T, components ...string) {
	t.Helper()
	dir := t.TempDir()
	s.compose(t, dir, "", components)
	t.Cleanup(func() {
		if _, err := s.MustKubectl(context.Background(), "", "delete", "-k", dir); err != nil { // the test's own context is over
			t.Error(err)
		}
	})
	s.mustKubectl(t, "", "apply", "-k", dir)
}

// composed makes an overlay of another one and components, as somebody's own.
func (s *suite) composed(t *testing.T, base cluster.Overlay, components ...string) cluster.Overlay {
	t.Helper()
	dir := t.TempDir()
	s.compose(t, dir, base, components)
	path, err := filepath.Rel(filepath.Join(s.root, "manifests", "overlays"), dir)
	if err != nil {
		t.Fatal(err)
	}
	return cluster.Overlay(path)
}

// compose writes a kustomization into a directory. Paths in it have to be relative, seen
// from where links lead to.
func (s *suite) compose(t *testing.T, dir string, base cluster.Overlay, components []string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.EvalSymlinks(s.root)
	if err != nil {
		t.Fatal(err)
	}
	up, err := filepath.Rel(dir, filepath.Join(root, "manifests"))
	if err != nil {
		t.Fatal(err)
	}
	file := "components:\n"
	if base != "" {
		file = "resources: [" + filepath.Join(up, "overlays", string(base)) + "]\n" + file
	}
	for _, c := range components {
		file += "- " + filepath.Join(up, "components", c) + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
}

// as is a client of somebody else.
func (s *suite) as(t *testing.T, user string, groups ...string) *kubernetes.Clientset {
	t.Helper()
	return impersonate(t, s.Config, user, groups...)
}

func impersonate(t *testing.T, config *rest.Config, user string, groups ...string) *kubernetes.Clientset {
	t.Helper()
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// grant gives somebody a ClusterRole of their own.
func (s *suite) grant(t *testing.T, subject rbacv1.Subject, rules ...rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{GenerateName: "e2e-"}
	role, err := s.Client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create ClusterRole: %v", err)
	}
	s.bind(t, subject, role.Name)
	t.Cleanup(func() {
		if err := s.Client.RbacV1().ClusterRoles().Delete(context.Background(), role.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete ClusterRole: %v", err)
		}
	})
}

// bind gives somebody a ClusterRole that there is, and waits until they have its rights:
// the API server reads bindings through a cache.
func (s *suite) bind(t *testing.T, subject rbacv1.Subject, role string) {
	t.Helper()
	binding, err := s.Client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create ClusterRoleBinding: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Client.RbacV1().ClusterRoleBindings().Delete(context.Background(), binding.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete ClusterRoleBinding: %v", err)
		}
	})
	r, err := s.Client.RbacV1().ClusterRoles().Get(t.Context(), role, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("get ClusterRole: %v", err)
	}
	s.waitAllowed(t, subject, "", r.Rules[0])
}

// waitAllowed waits until somebody has a right, in a namespace or, if that is empty,
// everywhere.
func (s *suite) waitAllowed(t *testing.T, subject rbacv1.Subject, namespace string, rule rbacv1.PolicyRule) {
	t.Helper()
	user := subject.Name
	if subject.Kind == rbacv1.ServiceAccountKind {
		user = "system:serviceaccount:" + subject.Namespace + ":" + subject.Name
	}
	attributes := &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0]}
	attributes.Resource, attributes.Subresource, _ = strings.Cut(rule.Resources[0], "/")
	if len(rule.ResourceNames) > 0 {
		attributes.Name = rule.ResourceNames[0]
	}
	s.eventually(t, user+" has their rights", func() (bool, string) {
		review, err := s.Client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: attributes},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed, fmt.Sprint(attributes, err)
	})
}

func userSubject(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

// refusal is how the API server says that a policy of ours denies a request.
func refusal(object, policy, message string) string {
	return fmt.Sprintf("%s is forbidden: ValidatingAdmissionPolicy '%s' with binding '%[2]s' denied request: %[3]s", object, policy, message)
}

// wantRefused compares an error with the refusal that must be it; an empty one means
// success.
func wantRefused(t *testing.T, what string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s answers\n%q, want\n%q", what, got, want)
	}
}

// eventuallyRefused waits until an attempt is refused by a policy.
func (s *suite) eventuallyRefused(t *testing.T, policy string, attempt func() error) {
	t.Helper()
	s.eventually(t, "policy "+policy+" is in force", func() (bool, string) {
		err := attempt()
		return err != nil && strings.Contains(err.Error(), "'"+policy+"'"), fmt.Sprint(err)
	})
}
