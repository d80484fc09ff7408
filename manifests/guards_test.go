// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
)

// guards are the components that hold a policy of the API server, with its name.
func guards() map[string]string {
	return map[string]string{
		agentGuard:           "seccompgate-agent-identity",
		"label-guard":        "seccompgate-label-guard",
		"status-annotations": "seccompgate-status-annotations",
	}
}

// guarded is an overlay with the component on it.
func guarded(t *testing.T, component string) install {
	t.Helper()
	if component == agentGuard {
		return build(t, "self-signed")
	}
	return build(t, "self-signed", component)
}

// TestGuardRow45NoSelector: a guard looks at every request of its rules, in every
// namespace, denies, and denies too when it cannot decide.
func TestGuardRow45NoSelector(t *testing.T) {
	all := admissionregistrationv1.Equivalent
	fail := admissionregistrationv1.Fail
	for component, name := range guards() {
		in := guarded(t, component)
		policy := one[*admissionregistrationv1.ValidatingAdmissionPolicy](t, in, name)
		binding := one[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, in, name)
		constraints := policy.Spec.MatchConstraints.DeepCopy()
		constraints.ResourceRules = nil
		if d := cmp.Diff(&admissionregistrationv1.MatchResources{MatchPolicy: &all}, constraints); d != "" {
			t.Errorf("%s: constraints beside the rules (-want +got):\n%s", component, d)
		}
		if d := cmp.Diff(&fail, policy.Spec.FailurePolicy); d != "" {
			t.Errorf("%s: failure policy (-want +got):\n%s", component, d)
		}
		want := admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		}
		if d := cmp.Diff(want, binding.Spec); d != "" {
			t.Errorf("%s: binding (-want +got):\n%s", component, d)
		}
	}
}

// TestGuardsCompile has the API server's compiler, as of Kubernetes 1.30, read every
// expression.
func TestGuardsCompile(t *testing.T) {
	for component, name := range guards() {
		policy := one[*admissionregistrationv1.ValidatingAdmissionPolicy](t, guarded(t, component), name)
		compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(version.MajorMinor(1, 30)))
		if err != nil {
			t.Fatal(err)
		}
		compile := func(what string, e cel.ExpressionAccessor, authorizer bool) {
			t.Helper()
			options := cel.OptionalVariableDeclarations{HasAuthorizer: authorizer}
			var result cel.CompilationResult
			if v, ok := e.(cel.NamedExpressionAccessor); ok {
				result = compiler.CompileAndStoreVariable(v, options, environment.NewExpressions)
			} else {
				result = compiler.CompileCELExpression(e, options, environment.NewExpressions)
			}
			if result.Error != nil {
				t.Errorf("%s: %s: %v", component, what, result.Error)
			}
		}
		for _, v := range policy.Spec.Variables {
			compile("variable "+v.Name, &validating.Variable{Name: v.Name, Expression: v.Expression}, true)
		}
		for _, c := range policy.Spec.MatchConditions {
			compile("condition "+c.Name, (*matchconditions.MatchCondition)(&c), true)
		}
		for _, v := range policy.Spec.Validations {
			compile(v.Expression, &validating.ValidationCondition{Expression: v.Expression}, true)
			if v.MessageExpression != "" {
				compile(v.MessageExpression, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}, false)
			}
			if (v.Message == "") == (v.MessageExpression == "") || v.Reason == nil || *v.Reason != metav1.StatusReasonForbidden {
				t.Errorf("%s: %s: want a message and the reason Forbidden", component, v.Expression)
			}
		}
	}
}

// TestGuardRow44Labels: the guarded labels are those that the API has for namespaces.
func TestGuardRow44Labels(t *testing.T) {
	got := listVariable(t, "label-guard", "guarded")
	if d := cmp.Diff(namespaceLabelNames(t), got); d != "" {
		t.Errorf("guarded labels (-API +policy):\n%s", d)
	}
}

// namespaceLabelNames are the values of all constants whose name ends in Label.
func namespaceLabelNames(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "api", "v1alpha1", "labels.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasSuffix(spec.Names[0].Name, "Label") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		labels = append(labels, value)
		return true
	})
	return labels
}

// TestGuardRow29Annotations: the annotations that are refused through pods/status are
// those that rules refuse in a pod.
func TestGuardRow29Annotations(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "policies", "lib", "annotations.rego"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^\t"(.*)",$`).FindAllStringSubmatch(string(text), -1) {
		want = append(want, m[1])
	}
	if d := cmp.Diff(want, listVariable(t, "status-annotations", "listed")); d != "" {
		t.Errorf("listed annotations (-rules +policy):\n%s", d)
	}
}

// listVariable is a variable of a component's policy that is a list of strings, which CEL
// writes as JSON does.
func listVariable(t *testing.T, component, variable string) []string {
	t.Helper()
	policy := one[*admissionregistrationv1.ValidatingAdmissionPolicy](t, guarded(t, component), guards()[component])
	for _, v := range policy.Spec.Variables {
		if v.Name != variable {
			continue
		}
		var list []string
		if err := json.Unmarshal([]byte(v.Expression), &list); err != nil {
			t.Fatalf("variable %s: %v", variable, err)
		}
		return list
	}
	t.Fatalf("component %s has no variable %s", component, variable)
	return nil
}

// TestGuardRow44Right: the ClusterRole gives the right that the guard asks for, and nobody
// has it without being given it.
func TestGuardRow44Right(t *testing.T) {
	in := build(t, "self-signed", "label-guard")
	const name = "seccompgate-namespace-labels"
	want := []rbacv1.PolicyRule{{APIGroups: []string{"seccompgate.io"}, Resources: []string{"namespacelabels"}, Verbs: []string{"update"}}}
	role := one[*rbacv1.ClusterRole](t, in, name)
	if d := cmp.Diff(want, role.Rules); d != "" {
		t.Errorf("rules (-want +got):\n%s", d)
	}
	if len(role.Labels) > 0 {
		t.Errorf("the role has the labels %v, which could add it to other roles", role.Labels)
	}
	for _, b := range all[*rbacv1.ClusterRoleBinding](in) {
		if b.RoleRef.Name == name {
			t.Errorf("%s has it", b.Name)
		}
	}
}

// TestGuardRowA6AgentAccess lists what the agent may do. It never does it without its
// guard.
func TestGuardRowA6AgentAccess(t *testing.T) {
	want := []string{
		"create events.events.k8s.io",
		"create profilesets.seccompgate.io", "create seccompnodes.seccompgate.io",
		"get profilesets.seccompgate.io", "get seccompnodes.seccompgate.io",
		"list localhostprofiles.seccompgate.io", "list nodes", "list pods", "list seccompnodes.seccompgate.io",
		"update seccompnodes.seccompgate.io",
		"watch localhostprofiles.seccompgate.io", "watch nodes",
	}
	for _, in := range combinations(t) {
		if d := cmp.Diff(want, access(t, in, agentName)); d != "" {
			t.Errorf("%s (-want +got):\n%s", in.name, d)
		}
		policy := one[*admissionregistrationv1.ValidatingAdmissionPolicy](t, in, guards()[agentGuard])
		one[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, in, guards()[agentGuard])
		account := strconv.Quote("system:serviceaccount:" + ownNamespace + ":" + templates(in)[agentName].Spec.ServiceAccountName)
		if conditions := policy.Spec.MatchConditions; len(conditions) != 1 || !strings.HasSuffix(conditions[0].Expression, account) {
			t.Errorf("%s: the guard is about %v, want only the account %s", in.name, conditions, account)
		}
	}
}
