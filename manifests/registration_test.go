// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// entry is one registered webhook, as the API server reads it.
type entry struct {
	webhook.WebhookAccessor
	mutating     bool
	reinvocation *admissionregistrationv1.ReinvocationPolicyType
}

func validators(t *testing.T, in install) []entry {
	t.Helper()
	config := one[*admissionregistrationv1.ValidatingWebhookConfiguration](t, in, "seccompgate")
	var entries []entry
	for i := range config.Webhooks {
		entries = append(entries, entry{WebhookAccessor: webhook.NewValidatingWebhookAccessor("", config.Name, &config.Webhooks[i])})
	}
	return entries
}

func mutators(t *testing.T, in install) []entry {
	t.Helper()
	config := one[*admissionregistrationv1.MutatingWebhookConfiguration](t, in, "seccompgate")
	var entries []entry
	for i := range config.Webhooks {
		w := &config.Webhooks[i]
		entries = append(entries, entry{webhook.NewMutatingWebhookAccessor("", config.Name, w), true, w.ReinvocationPolicy})
	}
	return entries
}

func entries(t *testing.T, in install) []entry {
	t.Helper()
	return append(validators(t, in), mutators(t, in)...)
}

// call is a request that the API server might ask about.
type call struct {
	operation   admission.Operation
	group       string
	version     string
	resource    string
	subresource string
	namespace   string // empty for what is in none
}

func (c call) attributes(kind schema.GroupVersionKind, o runtime.Object) admission.Attributes {
	resource := schema.GroupVersionResource{Group: c.group, Version: c.version, Resource: c.resource}
	return admission.NewAttributesRecord(o, nil, kind, c.namespace, "x", resource, c.subresource, c.operation, nil, false, &user.DefaultInfo{})
}

// matching are the names of the entries that the API server would call, but for their
// matchConditions. The labels are those of the namespace that the object is in, or is.
func matching(t *testing.T, entries []entry, c call, namespaceLabels map[string]string) []string {
	t.Helper()
	var names []string
	for _, e := range entries {
		selector, err := e.GetParsedNamespaceSelector()
		if err != nil {
			t.Fatalf("%s: %v", e.GetName(), err)
		}
		// The API server does not ask for the namespace of what is in none.
		if (c.namespace != "" || c.resource == "namespaces") && !selector.Matches(labels.Set(namespaceLabels)) {
			continue
		}
		attributes := c.attributes(schema.GroupVersionKind{}, nil)
		for _, r := range e.GetRules() {
			if m := (rules.Matcher{Rule: r, Attr: attributes}); m.Matches() {
				names = append(names, e.GetName())
				break
			}
		}
	}
	return names
}

func podCreate() call {
	return call{operation: admission.Create, version: "v1", resource: "pods", namespace: "shop"}
}

// TestEntries: what all entries have in common, and who fails closed.
func TestEntries(t *testing.T) {
	failing := map[string][]string{
		"audit-only":   nil,
		"cert-manager": {"enforce.seccompgate.io"},
		"cluster-wide": {"enforce.seccompgate.io"},
		"self-signed":  {"enforce.seccompgate.io"},
	}
	for _, in := range combinations(t) {
		overlay, _, _ := strings.Cut(in.name, "+")
		service := one[*corev1.Service](t, in, webhookName)
		seen := make(map[string]bool)
		var closed []string
		for _, e := range entries(t, in) {
			at := in.name + ": " + e.GetName()
			if seen[e.GetName()] {
				t.Errorf("%s stands there twice: audit annotations would clash", at)
			}
			seen[e.GetName()] = true
			if errs := validation.IsDNS1123Subdomain(e.GetName()); len(errs) > 0 || strings.Count(e.GetName(), ".") < 2 || !strings.HasSuffix(e.GetName(), ".seccompgate.io") {
				t.Errorf("%s: want a name of three segments under seccompgate.io %v", at, errs)
			}
			type common struct {
				Reviews      []string
				Match        admissionregistrationv1.MatchPolicyType
				Effects      admissionregistrationv1.SideEffectClass
				Seconds      int32
				ByObject     bool
				Reinvocation admissionregistrationv1.ReinvocationPolicyType
				Client       admissionregistrationv1.WebhookClientConfig
			}
			path := "/validate"
			want := common{Reviews: []string{"v1"}, Match: "Equivalent", Effects: "None", Seconds: 3}
			if e.mutating {
				path, want.Reinvocation = "/mutate", "IfNeeded"
			}
			want.Client.Service = &admissionregistrationv1.ServiceReference{Namespace: service.Namespace, Name: service.Name, Path: &path}
			got := common{
				Reviews: e.GetAdmissionReviewVersions(), Match: *e.GetMatchPolicy(), Effects: *e.GetSideEffects(),
				Seconds: *e.GetTimeoutSeconds(), ByObject: e.GetObjectSelector() != nil, Client: e.GetClientConfig(),
			}
			if e.reinvocation != nil {
				got.Reinvocation = *e.reinvocation
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", at, d)
			}
			if *e.GetFailurePolicy() == admissionregistrationv1.Fail {
				closed = append(closed, e.GetName())
			}
		}
		want := failing[overlay]
		if isStatic(in) {
			want = nil // it is on the API servers' disks
		}
		if d := cmp.Diff(want, closed); d != "" {
			t.Errorf("%s: entries that fail closed (-want +got):\n%s", in.name, d)
		}
	}
}

// TestRow51ExemptNamespaces: the configuration and every entry exempt the same ones, since the
// webhook is never asked about what the registration excludes.
func TestRow51ExemptNamespaces(t *testing.T) {
	want := []string{"kube-system", "kube-node-lease", ownNamespace}
	for _, in := range combinations(t) {
		if d := cmp.Diff(want, webhookConfig(t, in).Exemptions.Namespaces); d != "" {
			t.Errorf("%s: configuration (-want +got):\n%s", in.name, d)
		}
		for _, e := range entries(t, in) {
			var got []string
			for _, x := range e.GetNamespaceSelector().MatchExpressions {
				if x.Key == corev1.LabelMetadataName && x.Operator == metav1.LabelSelectorOpNotIn {
					got = x.Values
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s: %s (-want +got):\n%s", in.name, e.GetName(), d)
			}
		}
	}
}

// namespaceLabels yields the labels of every namespace that has some of ours: all levels,
// one that does not exist, an empty one, or none, in each of the modes.
func namespaceLabels(yield func(map[string]string) bool) {
	const absent = "-"
	values := []string{absent, "privileged", "baseline", "restricted", "strict", "stirct", ""}
	for _, enforce := range values {
		for _, warn := range values {
			for _, audit := range values {
				for _, profile := range []string{absent, "web"} {
					l := map[string]string{
						v1alpha1.EnforceLabel: enforce, v1alpha1.WarnLabel: warn, v1alpha1.AuditLabel: audit, v1alpha1.ProfileLabel: profile,
					}
					maps.DeleteFunc(l, func(_, v string) bool { return v == absent })
					l[corev1.LabelMetadataName] = "shop"
					if !yield(l) {
						return
					}
				}
			}
		}
	}
}

// TestOneEntryForEachNamespace is the truth table of the selectors. A namespace meets one
// entry, that of the first mode whose level is not privileged; where a level is mistyped
// it may meet more, but never none. Only a namespace with a level to enforce can be
// broken by an outage.
func TestOneEntryForEachNamespace(t *testing.T) {
	// first is the mode whose entry must be met, and whether some level is mistyped.
	first := func(l map[string]string) (mode string, mistyped bool) {
		for _, label := range []string{v1alpha1.EnforceLabel, v1alpha1.WarnLabel, v1alpha1.AuditLabel} {
			level, present := l[label]
			if !present || level == "privileged" {
				continue
			}
			if _, err := v1alpha1.ParseLevel(level); err != nil {
				mistyped = true
			}
			if mode == "" {
				mode = strings.TrimPrefix(label, "seccompgate.io/")
			}
		}
		return mode, mistyped
	}
	for _, overlay := range []string{"self-signed", "cert-manager"} {
		in := build(t, overlay)
		judging, injecting := validators(t, in), mutators(t, in)
		failing := slices.DeleteFunc(slices.Clone(judging), func(e entry) bool { return *e.GetFailurePolicy() != admissionregistrationv1.Fail })
		deployment := call{operation: admission.Create, group: "apps", version: "v1", resource: "deployments", namespace: "shop"}
		namespaces := 0
		for l := range namespaceLabels {
			namespaces++
			mode, mistyped := first(l)
			check := func(what string, met []string, want string) {
				t.Helper()
				switch {
				case want == "" && len(met) > 0, want != "" && !slices.Contains(met, want), len(met) > 1 && !mistyped:
					t.Errorf("%s: %s of a namespace with %v meet %v, want %q", overlay, what, l, met, want)
				}
			}
			pods, workloads, injector := "", "", ""
			if mode != "" {
				pods, workloads, injector = mode+".seccompgate.io", mode+"-workloads.seccompgate.io", "inject-"+mode+".seccompgate.io"
			} else if l[v1alpha1.ProfileLabel] != "" {
				injector = "inject-profile.seccompgate.io"
			}
			check("pods", matching(t, judging, podCreate(), l), pods)
			check("workloads", matching(t, judging, deployment, l), workloads)
			check("pods to inject", matching(t, injecting, podCreate(), l), injector)
			if met := matching(t, failing, podCreate(), l); (len(met) > 0) != (mode == "enforce") {
				t.Errorf("%s: pods of a namespace with %v meet %v when nobody answers", overlay, l, met)
			}
		}
		if want := 7 * 7 * 7 * 2; namespaces != want {
			t.Errorf("%d namespaces were tried, want %d", namespaces, want)
		}
	}
}

// TestOneEntryForAllNamespaces: in these overlays labels do not select.
func TestOneEntryForAllNamespaces(t *testing.T) {
	for _, in := range []install{build(t, "cluster-wide"), build(t, "audit-only"), build(t, "cert-manager", "cluster-wide")} {
		for l := range namespaceLabels {
			got := matching(t, entries(t, in), podCreate(), l)
			if d := cmp.Diff([]string{"enforce.seccompgate.io", "inject.seccompgate.io"}, got); d != "" {
				t.Fatalf("%s: pods of a namespace with %v meet (-want +got):\n%s", in.name, l, d)
			}
		}
	}
}

// TestCalls lists what the API server asks about, in a namespace that enforces.
func TestCalls(t *testing.T) {
	const (
		pods       = "enforce.seccompgate.io"
		namespaces = "namespaces.seccompgate.io"
		kinds      = "kinds.seccompgate.io"
	)
	overlays := []struct {
		in                  install
		workloads, injector string
	}{
		{build(t, "self-signed"), "enforce-workloads.seccompgate.io", "inject-enforce.seccompgate.io"},
		{build(t, "cert-manager"), "enforce-workloads.seccompgate.io", "inject-enforce.seccompgate.io"},
		{build(t, "cluster-wide"), "workloads.seccompgate.io", "inject.seccompgate.io"},
		{build(t, "audit-only"), "workloads.seccompgate.io", "inject.seccompgate.io"},
	}
	// met are the entries by operation; an operation that is not there meets none.
	type met map[admission.Operation][]string
	for _, o := range overlays {
		type resource struct{ group, version, name, subresource, namespace string }
		both := func(names ...string) met { return met{admission.Create: names, admission.Update: names} }
		want := map[resource]met{
			{"", "v1", "pods", "", "shop"}: {admission.Create: {pods, o.injector}, admission.Update: {pods}},
			// The API server knows no creation of these, and would ask.
			{"", "v1", "pods", "ephemeralcontainers", "shop"}: {admission.Create: {pods}, admission.Update: {pods, o.injector}},
			{"", "v1", "pods", "binding", "shop"}:             {admission.Create: {pods}},
			{"", "v1", "bindings", "", "shop"}:                {admission.Create: {pods}},
			{"", "v1", "namespaces", "", ""}:                  both(namespaces),
		}
		for _, k := range review.WorkloadKinds() {
			want[resource{k.Group, "v1", k.Resource, "", "shop"}] = both(o.workloads)
		}
		for _, k := range []string{"localhostprofiles", "profilesets", "seccompnodes", "seccomppolicies"} {
			want[resource{"seccompgate.io", "v1alpha1", k, "", ""}] = both(kinds)
		}
		want[resource{"seccompgate.io", "v1alpha1", "localhostprofiles", "", ""}][admission.Delete] = []string{kinds}
		want[resource{"seccompgate.io", "v1alpha1", "syscallrecordings", "", "shop"}] = both(kinds)
		// What is not to be asked about: each would cost, and an outage would break it.
		for _, r := range []resource{
			{"", "v1", "pods", "status", "shop"},
			{"", "v1", "pods", "exec", "shop"},
			{"", "v1", "pods", "attach", "shop"},
			{"", "v1", "pods", "portforward", "shop"},
			{"", "v1", "pods", "eviction", "shop"},
			{"", "v1", "pods", "log", "shop"},
			{"", "v1", "nodes", "", ""},
			{"", "v1", "nodes", "status", ""},
			{"", "v1", "events", "", "shop"},
			{"", "v1", "secrets", "", "shop"},
			{"", "v1", "configmaps", "", "shop"},
			{"", "v1", "serviceaccounts", "token", "shop"},
			{"", "v1", "namespaces", "status", ""},
			{"", "v1", "namespaces", "finalize", ""},
			{"coordination.k8s.io", "v1", "leases", "", "shop"},
			{"coordination.k8s.io", "v1", "leases", "", "kube-node-lease"},
			{"apps", "v1", "deployments", "scale", "shop"},
			{"apps", "v1", "deployments", "status", "shop"},
			{"batch", "v1", "jobs", "status", "shop"},
			{"apps", "v1", "controllerrevisions", "", "shop"},
			{"discovery.k8s.io", "v1", "endpointslices", "", "shop"},
			{"seccompgate.io", "v1alpha1", "seccompnodes", "status", ""},
			{"seccompgate.io", "v1alpha1", "localhostprofiles", "status", ""},
		} {
			want[r] = nil
		}
		l := map[string]string{corev1.LabelMetadataName: "shop", v1alpha1.EnforceLabel: "baseline", v1alpha1.WarnLabel: "restricted", v1alpha1.AuditLabel: "strict", v1alpha1.ProfileLabel: "web"}
		for r, met := range want {
			for _, operation := range []admission.Operation{admission.Create, admission.Update, admission.Delete, admission.Connect} {
				got := matching(t, entries(t, o.in), call{operation, r.group, r.version, r.name, r.subresource, r.namespace}, l)
				if d := cmp.Diff(met[operation], got); d != "" {
					t.Errorf("%s: %s of %v (-want +got):\n%s", o.in.name, operation, r, d)
				}
			}
			for _, exempt := range []string{"kube-system", "kube-node-lease", ownNamespace} {
				if r.namespace == "" && r.name != "namespaces" {
					continue
				}
				l := maps.Clone(l)
				l[corev1.LabelMetadataName] = exempt
				for _, operation := range []admission.Operation{admission.Create, admission.Update} {
					if got := matching(t, entries(t, o.in), call{operation, r.group, r.version, r.name, r.subresource, r.namespace}, l); len(got) > 0 {
						t.Errorf("%s: %s of %v in namespace %s meets %v", o.in.name, operation, r, exempt, got)
					}
				}
			}
		}
		// Names are exempt, not beginnings of names.
		l[corev1.LabelMetadataName] = "kube-evil"
		if got := matching(t, entries(t, o.in), podCreate(), l); len(got) != 2 {
			t.Errorf("%s: pods of namespace kube-evil meet %v", o.in.name, got)
		}
	}
}

// TestRow50MatchConditions has the API server's own evaluation say which bindings are asked
// about. An error of it would deny every pod where the webhook fails closed.
func TestRow50MatchConditions(t *testing.T) {
	compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	annotated := metav1.ObjectMeta{Name: "x", Namespace: "shop", Annotations: map[string]string{"run.oci.seccomp_bpf_data": "AAAA"}}
	bare := metav1.ObjectMeta{Name: "x", Namespace: "shop"}
	core := func(kind string) schema.GroupVersionKind { return corev1.SchemeGroupVersion.WithKind(kind) }
	binding := call{admission.Create, "", "v1", "pods", "binding", "shop"}
	legacy := call{admission.Create, "", "v1", "bindings", "", "shop"}
	ephemeral := call{admission.Update, "", "v1", "pods", "ephemeralcontainers", "shop"}
	tests := []struct {
		name string
		call call
		kind schema.GroupVersionKind
		o    client.Object
		want bool
	}{
		{"a binding", binding, core("Binding"), &corev1.Binding{ObjectMeta: bare}, false},
		{"a binding with annotations that are none", binding, core("Binding"), &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "x", Annotations: map[string]string{}}}, false},
		{"a binding with annotations", binding, core("Binding"), &corev1.Binding{ObjectMeta: annotated}, true},
		{"a binding at the old address", legacy, core("Binding"), &corev1.Binding{ObjectMeta: bare}, false},
		{"a binding with annotations at the old address", legacy, core("Binding"), &corev1.Binding{ObjectMeta: annotated}, true},
		{"a pod", podCreate(), core("Pod"), &corev1.Pod{ObjectMeta: bare}, true},
		{"a pod with annotations", podCreate(), core("Pod"), &corev1.Pod{ObjectMeta: annotated}, true},
		{"an ephemeral container", ephemeral, core("Pod"), &corev1.Pod{ObjectMeta: bare}, true},
		{"nothing at all", podCreate(), core("Pod"), nil, true},
	}
	for _, o := range overlays() {
		met := 0
		for _, e := range entries(t, build(t, o)) {
			asked := len(matching(t, []entry{e}, binding, selected(e))) > 0
			if asked != (len(e.GetMatchConditions()) > 0) {
				t.Errorf("%s: %s is asked about bindings %v and has the conditions %v", o, e.GetName(), asked, e.GetMatchConditions())
			}
			if !asked {
				continue
			}
			met++
			matcher := e.GetCompiledMatcher(compiler)
			for _, tc := range tests {
				var object runtime.Object
				if tc.o != nil {
					object = tc.o
				}
				attributes := &admission.VersionedAttributes{Attributes: tc.call.attributes(tc.kind, object), VersionedKind: tc.kind}
				if object != nil {
					attributes.VersionedObject.Set(object)
				}
				got := matcher.Match(t.Context(), attributes, nil, nil)
				if got.Error != nil || got.Matches != tc.want {
					t.Errorf("%s: %s is asked about %s: %v, error %v; want %v", o, e.GetName(), tc.name, got.Matches, got.Error, tc.want)
				}
			}
		}
		if want := map[bool]int{true: 3, false: 1}[o == "self-signed" || o == "cert-manager"]; met != want {
			t.Errorf("%s: %d entries are asked about bindings, want %d", o, met, want)
		}
	}
}

// selected are labels of a namespace that the entry selects.
func selected(e entry) map[string]string {
	l := map[string]string{corev1.LabelMetadataName: "shop"}
	for _, x := range e.GetNamespaceSelector().MatchExpressions {
		if x.Operator == metav1.LabelSelectorOpExists {
			l[x.Key] = "baseline"
		}
	}
	return l
}

// webhookConfig is what the webhook would read, by its own loader.
func webhookConfig(t *testing.T, in install) *v1alpha1.WebhookConfig {
	t.Helper()
	m := one[*corev1.ConfigMap](t, in, webhookName)
	c, err := v1alpha1.LoadWebhookConfig([]byte(m.Data["config.yaml"]), in.name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWebhookConfig: what each overlay does to namespaces without labels.
func TestWebhookConfig(t *testing.T) {
	type decisive struct {
		Defaults v1alpha1.ModeDefaults
		DryRun   bool
	}
	none := decisive{Defaults: v1alpha1.ModeDefaults{Enforce: "privileged", Warn: "privileged", Audit: "privileged"}}
	for overlay, want := range map[string]decisive{
		"self-signed":  none,
		"cert-manager": none,
		"cluster-wide": {Defaults: v1alpha1.ModeDefaults{Enforce: "baseline", Warn: "restricted", Audit: "restricted"}},
		"audit-only":   {Defaults: v1alpha1.ModeDefaults{Enforce: "baseline", Warn: "privileged", Audit: "restricted"}, DryRun: true},
	} {
		c := webhookConfig(t, build(t, overlay))
		if d := cmp.Diff(want, decisive{c.Defaults, c.DryRun}); d != "" {
			t.Errorf("%s (-want +got):\n%s", overlay, d)
		}
	}
	withComponent := webhookConfig(t, build(t, "cert-manager", "cluster-wide"))
	if d := cmp.Diff(webhookConfig(t, build(t, "cluster-wide")), withComponent); d != "" {
		t.Errorf("the component on cert-manager (-want +got):\n%s", d)
	}
}
