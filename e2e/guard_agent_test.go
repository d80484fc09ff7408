// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	agentGuard   = "seccompgate-agent-identity"
	agentAccount = "seccomp-agent"
)

// What an agent hears that writes what it may not.
const (
	otherNodeMessage = "seccompgate: the agent of node a1 may write only the SeccompNode of that name"
	noNodeMessage    = "seccompgate: the agent's token names no node; run the agent as a pod, with the token that the kubelet mounts"
	setMessage       = "seccompgate: an agent may create a ProfileSet, and not change or delete one; create another under the hash of its content"
)

// agentRefusal is the answer with one of these messages.
func agentRefusal(resource, name, message string) string {
	return refusal(fmt.Sprintf("%s.seccompgate.io %q", resource, name), agentGuard, message)
}

// generated is a name that the API server made from "a1".
var generated = regexp.MustCompile(`"a1[a-z0-9]{5}"`)

// agent is a client of a compromised agent: all that it has is its token.
type agent struct{ nodes, sets dynamic.ResourceInterface }

// agentConfig has the token that the kubelet of a node would request for the agent's pod
// there. Without a node it is one of the account alone.
func agentConfig(t *testing.T, node string) *rest.Config {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	if node != "" {
		pod := parse(t, restrictedPod)
		pod.SetName("agent-" + node)
		spec := pod.Object["spec"].(map[string]any)
		spec["nodeName"], spec["serviceAccountName"] = node, agentAccount
		a, err := shared.Create(t.Context(), inNamespace(pod, ownNamespace))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			now := int64(0) // no kubelet would confirm it
			if err := shared.Client.CoreV1().Pods(ownNamespace).Delete(context.Background(), pod.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
				t.Errorf("delete Pod: %v", err)
			}
		})
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.GetName(), UID: a.Object.GetUID()}
	}
	token, err := shared.Client.CoreV1().ServiceAccounts(ownNamespace).CreateToken(t.Context(), agentAccount, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("request token: %v", err)
	}
	config := rest.AnonymousClientConfig(shared.Config)
	config.BearerToken = token.Status.Token
	config.WarningHandler = rest.NoWarnings{}
	return config
}

func inNamespace(o *unstructured.Unstructured, namespace string) *unstructured.Unstructured {
	o.SetNamespace(namespace)
	return o
}

func newAgent(t *testing.T, config *rest.Config) agent {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	own := schema.GroupVersion{Group: "seccompgate.io", Version: "v1alpha1"}
	return agent{client.Resource(own.WithResource("seccompnodes")), client.Resource(own.WithResource("profilesets"))}
}

// guardAgents waits for the guard, which every overlay has.
func guardAgents(t *testing.T) {
	t.Helper()
	useNodes(t)
	unbound := newAgent(t, agentConfig(t, ""))
	shared.eventuallyRefused(t, agentGuard, func() error {
		_, err := unbound.nodes.Patch(t.Context(), "a1", types.MergePatchType, []byte(addLabel), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
}

// allowAgents gives agents every right there is: what is refused then is refused by the
// guard.
func allowAgents(t *testing.T) {
	t.Helper()
	shared.bind(t, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ownNamespace, Name: agentAccount}, "cluster-admin")
}

const (
	newNode    = `{apiVersion: seccompgate.io/v1alpha1, kind: SeccompNode, metadata: {name: NAME}, facts: {seccompRoot: /var/lib/kubelet/seccomp, profiles: [{path: profiles/audit.json, valid: true}]}}`
	newSet     = `{apiVersion: seccompgate.io/v1alpha1, kind: ProfileSet, metadata: {name: c0b98ffeb1e0b53daf93364a29e72d86}, profiles: [{path: a.json, valid: false}]}`
	newSetName = "c0b98ffeb1e0b53daf93364a29e72d86"
	addProfile = `{"facts": {"profiles": [{"path": "profiles/audit.json", "valid": true}]}}`
	addLabel   = `{"metadata": {"labels": {"a": "b"}}}`
)

// TestGuardRowA6CompromisedAgent: who has the token of a node's agent can say what that
// node has, and nothing about any other node.
func TestGuardRowA6CompromisedAgent(t *testing.T) {
	guardAgents(t)
	allowAgents(t)
	a := newAgent(t, agentConfig(t, "a1"))
	before := nodeObjects(t)
	named := func(name string) *unstructured.Unstructured {
		o := parse(t, newNode)
		o.SetName(name)
		return o
	}
	for _, tc := range []struct {
		name   string
		object string
		try    func(ctx context.Context) error
	}{
		{"create", "new", func(ctx context.Context) error {
			_, err := a.nodes.Create(ctx, named("new"), metav1.CreateOptions{})
			return err
		}},
		{"create a longer name", "a1.example.com", func(ctx context.Context) error {
			_, err := a.nodes.Create(ctx, named("a1.example.com"), metav1.CreateOptions{})
			return err
		}},
		{"create a generated name", "GENERATED", func(ctx context.Context) error {
			o := named("")
			o.SetGenerateName("a1")
			_, err := a.nodes.Create(ctx, o, metav1.CreateOptions{})
			return err
		}},
		{"update", "a2", func(ctx context.Context) error {
			o := before["a2"].DeepCopy()
			o.Object["facts"] = map[string]any{"truncated": true}
			_, err := a.nodes.Update(ctx, o, metav1.UpdateOptions{})
			return err
		}},
		{"patch", "a2", func(ctx context.Context) error {
			_, err := a.nodes.Patch(ctx, "a2", types.MergePatchType, []byte(addProfile), metav1.PatchOptions{})
			return err
		}},
		{"apply", "a2", func(ctx context.Context) error {
			_, err := a.nodes.Apply(ctx, "a2", named("a2"), metav1.ApplyOptions{FieldManager: "e2e", Force: true})
			return err
		}},
		{"label", "a2", func(ctx context.Context) error {
			_, err := a.nodes.Patch(ctx, "a2", types.MergePatchType, []byte(addLabel), metav1.PatchOptions{})
			return err
		}},
		{"delete", "a2", func(ctx context.Context) error { return a.nodes.Delete(ctx, "a2", metav1.DeleteOptions{}) }},
		{"delete all", "Unknown", func(ctx context.Context) error {
			return a.nodes.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		}},
	} {
		err := tc.try(t.Context())
		if err != nil {
			err = errors.New(generated.ReplaceAllString(err.Error(), `"GENERATED"`))
		}
		wantRefused(t, tc.name, err, agentRefusal("seccompnodes", tc.object, otherNodeMessage))
	}
	if d := cmp.Diff(before, nodeObjects(t)); d != "" {
		t.Errorf("some node changed (-want +got):\n%s", d)
	}
}

// TestGuardRowA6TokenOfNoNode: a token of the account that no pod holds writes no node.
func TestGuardRowA6TokenOfNoNode(t *testing.T) {
	guardAgents(t)
	allowAgents(t)
	a := newAgent(t, agentConfig(t, ""))
	_, err := a.nodes.Patch(t.Context(), "a1", types.MergePatchType, []byte(addProfile), metav1.PatchOptions{})
	wantRefused(t, "patch", err, agentRefusal("seccompnodes", "a1", noNodeMessage))
}

// TestGuardRowA6ProfileSets: other nodes refer to a ProfileSet, so that an agent may only
// add some.
func TestGuardRowA6ProfileSets(t *testing.T) {
	guardAgents(t)
	allowAgents(t)
	a := newAgent(t, agentConfig(t, "a1"))
	if _, err := a.sets.Create(t.Context(), parse(t, newSet), metav1.CreateOptions{}); err != nil {
		t.Errorf("create: %v", err)
	}
	_, err := a.sets.Patch(t.Context(), newSetName, types.MergePatchType, []byte(addLabel), metav1.PatchOptions{})
	wantRefused(t, "label", err, agentRefusal("profilesets", newSetName, setMessage))
	wantRefused(t, "delete", a.sets.Delete(t.Context(), newSetName, metav1.DeleteOptions{}), agentRefusal("profilesets", newSetName, setMessage))
	wantRefused(t, "delete all", a.sets.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}), agentRefusal("profilesets", "Unknown", setMessage))
	// Whoever removes what nothing refers to any more is no agent.
	if err := newAgent(t, shared.Config).sets.Delete(t.Context(), newSetName, metav1.DeleteOptions{}); err != nil {
		t.Errorf("an administrator cannot delete a ProfileSet: %v", err)
	}
}

// TestGuardRowA6Agent: with its own rights and no others an agent does its work.
func TestGuardRowA6Agent(t *testing.T) {
	guardAgents(t)
	shared.mustKubectl(t, "", "delete", "seccompnode", "a1")
	a := newAgent(t, agentConfig(t, "a1"))
	o := parse(t, newNode)
	o.SetName("a1")
	if _, err := a.nodes.Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Errorf("create its node: %v", err)
	}
	o, err := a.nodes.Get(t.Context(), "a1", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("read its node: %v", err)
	}
	o.Object["facts"] = map[string]any{"profileSet": newSetName}
	if _, err := a.nodes.Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Errorf("update its node: %v", err)
	}
	if _, err := a.sets.Create(t.Context(), parse(t, newSet), metav1.CreateOptions{}); err != nil {
		t.Errorf("create a ProfileSet: %v", err)
	}
	// Who applies a node by hand is no agent.
	admin := newAgent(t, shared.Config)
	if _, err := admin.nodes.Patch(t.Context(), "a2", types.MergePatchType, []byte(addProfile), metav1.PatchOptions{}); err != nil {
		t.Errorf("an administrator cannot write a node: %v", err)
	}
}

// TestGuardRowA6AgentRights asks the API server what the agent's account may do.
func TestGuardRowA6AgentRights(t *testing.T) {
	client, err := kubernetes.NewForConfig(agentConfig(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"[create] [events.k8s.io] [events]",
		"[get create] [seccompgate.io] [profilesets]",
		"[get list create update] [seccompgate.io] [seccompnodes]",
		"[list watch] [] [nodes]",
		"[list watch] [seccompgate.io] [localhostprofiles]",
		"[list] [] [pods]",
	}
	shared.eventually(t, "the agent has its rights and no others", func() (bool, string) {
		review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
			Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: ownNamespace},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, rule := range review.Status.ResourceRules {
			// Every account may ask who it is and what it may do, and whom to trust.
			if slices.ContainsFunc(rule.APIGroups, func(g string) bool {
				return slices.Contains([]string{"authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"}, g)
			}) {
				continue
			}
			got = append(got, fmt.Sprint(rule.Verbs, rule.APIGroups, rule.Resources))
		}
		slices.Sort(got)
		d := cmp.Diff(want, got)
		return d == "", "rights (-want +got):\n" + d
	})
}

// nodeObjects are all SeccompNodes by name.
func nodeObjects(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	list, err := newAgent(t, shared.Config).nodes.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]*unstructured.Unstructured)
	for i := range list.Items {
		found[list.Items[i].GetName()] = &list.Items[i]
	}
	return found
}
