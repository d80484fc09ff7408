// SPDX-License-Identifier: Apache-2.0

package review

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
)

// loadOnce compiles the rules for all tests: a Set never changes.
var loadOnce = sync.OnceValues(func() (*policies.Set, error) {
	return policies.Load(context.Background(), policies.Options{Parameters: map[string]any{"missingProfile": "any"}})
})

func loadRules(t testing.TB) *policies.Set {
	t.Helper()
	s, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reviewer knows three nodes, of which only a and b have the profile of app.
func reviewer(t testing.TB, settings v1alpha1.WebhookConfig) *Reviewer {
	t.Helper()
	return reviewerOf(t, Config{Settings: settings})
}

func reviewerOf(t testing.TB, c Config) *Reviewer {
	t.Helper()
	rules := loadRules(t)
	c.Policies = func() *policies.Set { return rules }
	if c.Facts == nil {
		index := testIndex()
		c.Facts = func() *inventory.Index { return index }
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testIndex() *inventory.Index {
	file := func(path string, permissive bool) v1alpha1.ProfileFile {
		action := v1alpha1.Action("SCMP_ACT_ERRNO")
		if permissive {
			action = "SCMP_ACT_LOG"
		}
		return v1alpha1.ProfileFile{
			Path: path, Digest: "sha256:" + strings.Repeat("ab", 32), Valid: true,
			Analysis: &v1alpha1.ProfileAnalysis{DefaultAction: action, Permissive: permissive},
		}
	}
	var o inventory.Objects
	for _, name := range []string{"a", "b", "c"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name, "pool": "web"}}}
		n.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}
		facts := v1alpha1.NodeFacts{SeccompRoot: "/var/lib/kubelet/seccomp", Profiles: []v1alpha1.ProfileFile{
			file("profiles/app.json", false), file("profiles/audit.json", true),
		}}
		if name == "c" {
			n.Labels["pool"] = "batch"
			facts.Profiles = facts.Profiles[1:]
		}
		o.Nodes = append(o.Nodes, n)
		o.SeccompNodes = append(o.SeccompNodes, &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Facts: facts})
	}
	o.LocalhostProfiles = []*v1alpha1.LocalhostProfile{{ObjectMeta: metav1.ObjectMeta{Name: "app"}}}
	return inventory.NewIndex(o)
}

func object(t testing.TB, text string) *Object {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var o Object
	if err := jsonv2.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return &o
}

func ruleIDs(findings []policies.Finding) []string {
	var ids []string
	for _, f := range findings {
		ids = append(ids, f.Rule)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

const (
	good       = `{metadata: {name: p}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app}]}}`
	bad        = `{metadata: {name: p}, spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}]}}`
	without    = `{metadata: {name: p}, spec: {containers: [{name: app}]}}`
	onApp      = `{metadata: {name: p}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`
	labelled   = `{metadata: {name: p, labels: {seccompgate.io/profile: runtime-default}}, spec: {containers: [{name: app}]}}`
	deployment = `{metadata: {name: d}, spec: {template: {spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}]}}}}`
	static     = `{metadata: {name: p, annotations: {kubernetes.io/config.mirror: x}}, spec: {nodeName: a, securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}]}}`
)

func labels(pairs ...string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// verdict is what a table compares of a decision.
type verdict struct {
	Allowed                            bool
	Denied, Warned, Audited, WouldDeny []string
	Notes                              []string
	Exempt                             string
}

func verdictOf(d Decision) verdict {
	return verdict{
		Allowed: d.Allowed, Denied: ruleIDs(d.Denied), Warned: ruleIDs(d.Warned), Audited: ruleIDs(d.Audited),
		WouldDeny: ruleIDs(d.WouldDeny), Notes: d.Notes, Exempt: d.Exempt,
	}
}

func TestReview(t *testing.T) {
	enforce := func(level string) map[string]string { return labels(v1alpha1.EnforceLabel, level) }
	for _, tc := range []struct {
		name     string
		settings v1alpha1.WebhookConfig
		request  Request
		object   string
		old      string
		want     verdict
	}{
		{
			name: "enforce denies", object: bad,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"unconfined"}},
		}, {
			name: "a level leaves out what lies above it", object: without,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true},
		}, {
			name: "a level includes those below it", object: bad,
			request: Request{NamespaceLabels: enforce("strict")},
			want:    verdict{Denied: []string{"unconfined"}},
		}, {
			name: "privileged judges nothing", object: bad,
			request: Request{NamespaceLabels: enforce("privileged")},
			want:    verdict{Allowed: true},
		}, {
			name: "warn and audit do not deny", object: bad,
			request: Request{NamespaceLabels: labels(v1alpha1.WarnLabel, "restricted", v1alpha1.AuditLabel, "baseline")},
			want:    verdict{Allowed: true, Warned: []string{"unconfined"}, Audited: []string{"unconfined"}},
		}, {
			name: "defaults hold where a namespace says nothing", object: bad,
			settings: v1alpha1.WebhookConfig{Defaults: v1alpha1.ModeDefaults{Enforce: "baseline"}},
			want:     verdict{Denied: []string{"unconfined"}},
		}, {
			name: "a label outranks the default", object: bad,
			settings: v1alpha1.WebhookConfig{Defaults: v1alpha1.ModeDefaults{Enforce: "baseline"}},
			request:  Request{NamespaceLabels: enforce("privileged")},
			want:     verdict{Allowed: true},
		}, {
			name: "a level that does not exist counts as the strictest", object: without,
			request: Request{NamespaceLabels: enforce("Restricted")},
			want: verdict{Denied: []string{"unset"}, Notes: []string{
				`label seccompgate.io/enforce: level "Restricted" is not one of privileged, baseline, restricted, strict; it counts as strict`,
			}},
		}, {
			name: "rules newer than the version only warn", object: bad,
			request: Request{NamespaceLabels: labels(v1alpha1.EnforceLabel, "baseline", v1alpha1.EnforceVersionLabel, "v0.0001")},
			want: verdict{Denied: []string{"unconfined"}, Notes: []string{
				`label seccompgate.io/enforce-version: version "v0.0001" is neither vX.Y, such as v0.1, nor latest; it counts as latest`,
			}},
		}, {
			name: "a namespace whose labels are unknown is strict", object: without,
			request: Request{Namespace: "new", NamespaceUnknown: true},
			want: verdict{Denied: []string{"unset"}, Warned: []string{"unset"}, Audited: []string{"unset"}, Notes: []string{
				"namespace new: its labels are not known to this replica of the webhook yet, so every level counts as strict; retry in a few seconds",
			}},
		}, {
			name: "missing on one of the nodes", object: onApp,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"profile-missing"}},
		}, {
			name:    "not missing on the nodes that it may use",
			object:  `{spec: {nodeSelector: {pool: web}, securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true},
		}, {
			name:    "unknown nodes warn",
			object:  `{spec: {nodeSelector: {pool: none}, securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true, Warned: []string{"profile-missing"}},
		}, {
			name:     "unknown nodes deny when told so",
			object:   `{spec: {nodeSelector: {pool: none}, securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`,
			settings: v1alpha1.WebhookConfig{UnknownNodes: v1alpha1.UnknownDeny},
			request:  Request{NamespaceLabels: enforce("baseline")},
			want:     verdict{Denied: []string{"profile-missing"}},
		}, {
			name: "a workload is advised", object: deployment,
			request: Request{Kind: "Deployment", NamespaceLabels: labels(v1alpha1.EnforceLabel, "baseline", v1alpha1.AuditLabel, "baseline")},
			want:    verdict{Allowed: true, Warned: []string{"unconfined"}, Audited: []string{"unconfined"}},
		}, {
			name:    "a workload is judged as the pod that it makes",
			object:  `{spec: {template: {metadata: {labels: {seccompgate.io/profile: runtime-default}}, spec: {containers: [{name: app}]}}}}`,
			request: Request{Kind: "Deployment", NamespaceLabels: enforce("restricted")},
			want:    verdict{Allowed: true},
		}, {
			name: "a pod is judged as it is", object: labelled,
			request: Request{NamespaceLabels: enforce("restricted")},
			want:    verdict{Denied: []string{"not-injected", "unset"}},
		}, {
			name: "a manifest is judged as what the mutation makes of it", object: labelled,
			request: Request{Manifest: true, NamespaceLabels: enforce("restricted")},
			want:    verdict{Allowed: true},
		}, {
			name: "labels are void where the namespace has not opted in", object: labelled,
			settings: v1alpha1.WebhookConfig{Defaults: v1alpha1.ModeDefaults{Enforce: "restricted"}},
			request:  Request{Manifest: true, NotOptedIn: true},
			want:     verdict{Denied: []string{"unset"}},
		}, {
			name: "a dry run denies nothing", object: bad,
			settings: v1alpha1.WebhookConfig{DryRun: true},
			request:  Request{NamespaceLabels: labels(v1alpha1.EnforceLabel, "baseline", v1alpha1.AuditLabel, "baseline")},
			want:     verdict{Allowed: true, WouldDeny: []string{"unconfined"}, Audited: []string{"unconfined"}},
		}, {
			name: "a dry run judges what the mutation would have made", object: labelled,
			settings: v1alpha1.WebhookConfig{DryRun: true},
			request:  Request{NamespaceLabels: enforce("restricted")},
			want:     verdict{Allowed: true},
		}, {
			name: "a mirror pod of its own node is reported", object: static,
			request: Request{User: policies.User{Name: "system:node:a"}, NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true, WouldDeny: []string{"unconfined"}},
		}, {
			name: "anybody else's mirror pod is judged", object: static,
			request: Request{User: policies.User{Name: "system:node:b"}, NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"unconfined"}},
		}, {
			name: "exempt namespace", object: bad,
			settings: v1alpha1.WebhookConfig{Exemptions: v1alpha1.Exemptions{Namespaces: []string{"ns"}}},
			request:  Request{Namespace: "ns", NamespaceLabels: enforce("baseline")},
			want:     verdict{Allowed: true, Exempt: "namespace"},
		}, {
			name: "exemptions are exact", object: bad,
			settings: v1alpha1.WebhookConfig{Exemptions: v1alpha1.Exemptions{Namespaces: []string{"kube"}}},
			request:  Request{Namespace: "kube-evil", NamespaceLabels: enforce("baseline")},
			want:     verdict{Denied: []string{"unconfined"}},
		}, {
			name: "exempt user", object: bad,
			settings: v1alpha1.WebhookConfig{Exemptions: v1alpha1.Exemptions{Usernames: []string{"ci"}}},
			request:  Request{User: policies.User{Name: "ci"}, NamespaceLabels: enforce("baseline")},
			want:     verdict{Allowed: true, Exempt: "user"},
		}, {
			name:     "exempt runtime class",
			object:   `{spec: {runtimeClassName: kata, securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}]}}`,
			settings: v1alpha1.WebhookConfig{Exemptions: v1alpha1.Exemptions{RuntimeClasses: []string{"kata"}}},
			request:  Request{NamespaceLabels: enforce("baseline")},
			want:     verdict{Allowed: true, Exempt: "runtimeClass"},
		}, {
			name: "an update that changes nothing is not judged", object: bad, old: bad,
			request: Request{Operation: Update, NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true},
		}, {
			name:    "an update of the image is judged",
			object:  `{spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app, image: new}]}}`,
			old:     `{spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app, image: old}]}}`,
			request: Request{Operation: Update, NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"unconfined"}},
		}, {
			name:    "an update of the profile is judged though no server allows it",
			object:  bad,
			old:     good,
			request: Request{Operation: Update, NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"unconfined"}},
		}, {
			name:    "an update that adds a listed annotation is judged",
			object:  `{metadata: {annotations: {run.oci.seccomp_bpf_data: x}}, spec: {nodeName: a, containers: [{name: app}]}}`,
			old:     `{metadata: {annotations: {}}, spec: {nodeName: a, containers: [{name: app}]}}`,
			request: Request{Operation: Update, NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"profile-annotation"}},
		}, {
			name:    "an update that takes a listed annotation away is not",
			object:  `{metadata: {annotations: {}}, spec: {nodeName: a, containers: [{name: app}]}}`,
			old:     `{metadata: {annotations: {run.oci.seccomp_bpf_data: x}}, spec: {nodeName: a, containers: [{name: app}]}}`,
			request: Request{Operation: Update, NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true},
		}, {
			name:    "tolerations of an unbound pod are judged",
			object:  `{spec: {tolerations: [{operator: Exists}], securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`,
			old:     `{spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`,
			request: Request{Operation: Update, NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"profile-missing"}},
		}, {
			name:    "tolerations of a bound pod are not",
			object:  `{spec: {nodeName: c, tolerations: [{operator: Exists}], securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`,
			old:     `{spec: {nodeName: c, securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`,
			request: Request{Operation: Update, NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true},
		}, {
			name:    "only new ephemeral containers are judged",
			object:  `{spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}], ephemeralContainers: [{name: old}, {name: debug, securityContext: {seccompProfile: {type: RuntimeDefault}}}]}}`,
			old:     `{spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}], ephemeralContainers: [{name: old}]}}`,
			request: Request{Operation: Update, Subresource: "ephemeralcontainers", NamespaceLabels: labels(v1alpha1.EnforceLabel, "restricted")},
			want:    verdict{Allowed: true},
		}, {
			name:    "a new ephemeral container that inherits is",
			object:  `{spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}], ephemeralContainers: [{name: debug}]}}`,
			old:     `{spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}]}}`,
			request: Request{Operation: Update, Subresource: "ephemeralcontainers", NamespaceLabels: labels(v1alpha1.EnforceLabel, "restricted")},
			want:    verdict{Denied: []string{"unconfined"}},
		}, {
			name:    "a bad new ephemeral container is denied",
			object:  `{spec: {containers: [{name: app}], ephemeralContainers: [{name: debug, securityContext: {privileged: true, seccompProfile: {type: RuntimeDefault}}}]}}`,
			old:     `{spec: {containers: [{name: app}]}}`,
			request: Request{Operation: Update, Subresource: "ephemeralcontainers", NamespaceLabels: labels(v1alpha1.EnforceLabel, "restricted")},
			want:    verdict{Denied: []string{"privileged"}},
		}, {
			name:    "row28 an unknown subresource is judged",
			object:  bad,
			request: Request{Subresource: "later", NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"unconfined"}},
		}, {
			name:    "a binding is judged by the annotations that it adds",
			object:  `{metadata: {annotations: {dev.gvisor.flag.debug: "1"}}, target: {name: a}}`,
			request: Request{Kind: "Binding", Subresource: "binding", NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"profile-annotation"}},
		}, {
			name:    "a binding without them passes",
			object:  `{metadata: {annotations: {team: web}}, target: {name: a}}`,
			request: Request{Kind: "Binding", Subresource: "binding", NamespaceLabels: enforce("strict")},
			want:    verdict{Allowed: true},
		}, {
			name:    "an object that makes no pods passes",
			object:  `{metadata: {name: s}, spec: {}}`,
			request: Request{Kind: "Service", NamespaceLabels: enforce("strict")},
			want:    verdict{Allowed: true},
		}, {
			name:    "a label that a field contradicts is a warning",
			object:  `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app}]}}`,
			request: Request{NamespaceLabels: enforce("restricted")},
			want: verdict{Allowed: true, Notes: []string{
				`metadata.labels[seccompgate.io/profile] asks for profile "app", but spec.securityContext.seccompProfile says RuntimeDefault, which wins; remove one of them`,
			}},
		}, {
			name:    "a label for a container that is not there is a warning",
			object:  `{metadata: {labels: {profile.seccompgate.io/ap: app}}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app}]}}`,
			request: Request{NamespaceLabels: enforce("restricted")},
			want: verdict{Allowed: true, Notes: []string{
				`metadata.labels[profile.seccompgate.io/ap] names container "ap", which the pod does not have; correct the label`,
			}},
		}, {
			name:    "an unknown name is denied, and explains the container",
			object:  `{metadata: {labels: {seccompgate.io/profile: ap}}, spec: {containers: [{name: app}]}}`,
			request: Request{NamespaceLabels: enforce("restricted")},
			want:    verdict{Denied: []string{"unknown-profile"}},
		}, {
			name:    "an unknown name does not make others guilty of what was not injected",
			object:  `{metadata: {labels: {profile.seccompgate.io/app: ap, profile.seccompgate.io/side: runtime-default}}, spec: {containers: [{name: app}, {name: side}]}}`,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"unknown-profile"}},
		}, {
			name:    "windows pods are exempt",
			object:  `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {os: {name: windows}, containers: [{name: app, securityContext: {privileged: true}}]}}`,
			request: Request{NamespaceLabels: enforce("strict")},
			want:    verdict{Allowed: true},
		}, {
			name:    "a privileged container has no other fault",
			object:  `{spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/none.json}}, containers: [{name: app, securityContext: {privileged: true}}]}}`,
			request: Request{NamespaceLabels: enforce("restricted")},
			want:    verdict{Denied: []string{"privileged"}},
		}, {
			name:    "an unclean path is not looked up",
			object:  `{spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: ./profiles/app.json}}, containers: [{name: app}]}}`,
			request: Request{NamespaceLabels: enforce("restricted")},
			want:    verdict{Denied: []string{"profile-path"}},
		}, {
			name:    "a profile that blocks nothing",
			object:  `{spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/audit.json}}, containers: [{name: app}]}}`,
			request: Request{NamespaceLabels: enforce("restricted")},
			want:    verdict{Denied: []string{"permissive"}},
		}, {
			name:    "a writable host path over the profiles",
			object:  `{spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, volumes: [{name: v, hostPath: {path: /var/lib}}], containers: [{name: app, volumeMounts: [{name: v, mountPath: /x, subPath: kubelet/seccomp/team}]}]}}`,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"profile-store"}},
		}, {
			name:    "a read-only one",
			object:  `{spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, volumes: [{name: v, hostPath: {path: /var/lib}}], containers: [{name: app, volumeMounts: [{name: v, mountPath: /x, readOnly: true, recursiveReadOnly: IfPossible}]}]}}`,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true, Warned: []string{"profile-store"}},
		}, {
			name:    "one that is read-only with all below it",
			object:  `{spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, volumes: [{name: v, hostPath: {path: /var/lib}}], containers: [{name: app, volumeMounts: [{name: v, mountPath: /x, readOnly: true, recursiveReadOnly: Enabled}]}]}}`,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Allowed: true},
		}, {
			name:    "a type that does not exist",
			object:  `{spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app, securityContext: {seccompProfile: {type: runtimeDefault}}}]}}`,
			request: Request{NamespaceLabels: enforce("baseline")},
			want:    verdict{Denied: []string{"unconfined"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := tc.request
			if req.Kind == "" {
				req.Kind = "Pod"
			}
			if req.Operation == "" {
				req.Operation = Create
			}
			req.Object = object(t, tc.object)
			if tc.old != "" {
				req.Old = object(t, tc.old)
			}
			d, err := reviewer(t, tc.settings).Review(t.Context(), &req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, verdictOf(d)); diff != "" {
				t.Errorf("Review (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReviewEveryWorkloadKind(t *testing.T) {
	for _, kind := range WorkloadKinds() {
		t.Run(kind.Kind, func(t *testing.T) {
			template := `{metadata: {}, spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}]}}`
			field := "spec.template.spec"
			text := `{spec: {template: ` + template + `}}`
			switch kind.Kind {
			case "CronJob":
				field, text = "spec.jobTemplate.spec.template.spec", `{spec: {jobTemplate: {spec: {template: `+template+`}}}}`
			case "PodTemplate":
				field, text = "template.spec", `{template: `+template+`}`
			}
			d, err := reviewer(t, v1alpha1.WebhookConfig{}).Review(t.Context(), &Request{
				Kind: kind.Kind, Operation: Create, NamespaceLabels: labels(v1alpha1.EnforceLabel, "baseline"), Object: object(t, text),
			})
			if err != nil {
				t.Fatal(err)
			}
			if !d.Allowed || len(d.Warned) != 1 || d.Warned[0].Field != field+".securityContext.seccompProfile" {
				t.Errorf("%s: got allowed %v, warned %+v", kind.Kind, d.Allowed, d.Warned)
			}
		})
	}
}

func TestNotSynced(t *testing.T) {
	empty := inventory.NewIndex(inventory.Objects{})
	r := reviewerOf(t, Config{Synced: func() bool { return false }, Facts: func() *inventory.Index { return empty }})
	for _, tc := range []struct {
		name, object string
		labels       map[string]string
		want         verdict
	}{
		{"a Localhost profile is denied", onApp, labels(v1alpha1.EnforceLabel, "baseline"), verdict{Denied: []string{"not-synced"}}},
		{"a label that names one, too", `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: app}]}}`, labels(v1alpha1.EnforceLabel, "baseline"), verdict{Denied: []string{"not-synced"}}},
		{"all else is judged", bad, labels(v1alpha1.EnforceLabel, "baseline"), verdict{Denied: []string{"unconfined"}}},
		{"and allowed", good, labels(v1alpha1.EnforceLabel, "restricted"), verdict{Allowed: true}},
		{"nobody is denied where nothing is enforced", onApp, labels(v1alpha1.WarnLabel, "baseline"), verdict{Allowed: true, Warned: []string{"profile-missing"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := r.Review(t.Context(), &Request{Kind: "Pod", Operation: Create, NamespaceLabels: tc.labels, Object: object(t, tc.object)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, verdictOf(d)); diff != "" {
				t.Errorf("Review (-want +got):\n%s", diff)
			}
		})
	}
	d, err := r.Review(t.Context(), &Request{Kind: "Pod", Operation: Create, NamespaceLabels: labels(v1alpha1.EnforceLabel, "baseline"), Object: object(t, onApp)})
	if err != nil {
		t.Fatal(err)
	}
	const want = `container "app": its profile cannot be looked up, because this replica of the webhook has not read the nodes yet; retry in a few seconds`
	if got := d.Denied[0].Message; got != want {
		t.Errorf("message\ngot  %s\nwant %s", got, want)
	}
}

func TestReviewEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name      string
		labels    map[string]string
		enforcing bool
	}{
		{"enforcing", labels(v1alpha1.EnforceLabel, "baseline"), true},
		{"advising", labels(v1alpha1.WarnLabel, "baseline"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := reviewer(t, v1alpha1.WebhookConfig{}).Review(ctx, &Request{Kind: "Pod", Operation: Create, Namespace: "ns", NamespaceLabels: tc.labels, Object: object(t, bad)})
			if err == nil {
				t.Fatal("no error from a context that has ended")
			}
			if want := "review Pod ns/p: evaluate rules: context canceled"; err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
			if d.Enforcing != tc.enforcing || d.Allowed == tc.enforcing {
				t.Errorf("enforcing %v, allowed %v", d.Enforcing, d.Allowed)
			}
		})
	}
}
