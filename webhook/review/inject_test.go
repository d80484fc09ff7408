// SPDX-License-Identifier: Apache-2.0

package review

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
)

func TestInject(t *testing.T) {
	const app, plain = `Localhost "seccompgate/app.json"`, "RuntimeDefault"
	for _, tc := range []struct {
		name     string
		settings v1alpha1.WebhookConfig
		request  Request
		object   string
		old      string
		want     []string
		notes    []string
	}{
		{
			name:   "pod label",
			object: `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}]}}`,
			want:   []string{"/spec/securityContext = " + app},
		}, {
			name:   "into a securityContext that is there",
			object: `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {securityContext: {}, containers: [{name: c}]}}`,
			want:   []string{"/spec/securityContext/seccompProfile = " + app},
		}, {
			name:   "container labels reach every kind of container",
			object: `{metadata: {labels: {profile.seccompgate.io/i: app, profile.seccompgate.io/c: runtime-default}}, spec: {initContainers: [{name: h}, {name: i}], containers: [{name: c, securityContext: {}}]}}`,
			want:   []string{"/spec/initContainers/1/securityContext = " + app, "/spec/containers/0/securityContext/seccompProfile = " + plain},
		}, {
			name:   "container label before pod field",
			object: `{metadata: {labels: {profile.seccompgate.io/c: app}}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: c}]}}`,
			want:   []string{"/spec/containers/0/securityContext = " + app},
		}, {
			name:   "container field before container label",
			object: `{metadata: {labels: {profile.seccompgate.io/c: app}}, spec: {containers: [{name: c, securityContext: {seccompProfile: {type: RuntimeDefault}}}]}}`,
		}, {
			name:   "pod field before pod label",
			object: `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: c}]}}`,
		}, {
			name:   "pod label before pod annotation",
			object: `{metadata: {labels: {seccompgate.io/profile: app}, annotations: {seccompgate.io/localhost-profile: x.json}}, spec: {containers: [{name: c}]}}`,
			want:   []string{"/spec/securityContext = " + app},
		}, {
			name:    "pod annotation before namespace label",
			request: Request{NamespaceLabels: labels(v1alpha1.ProfileLabel, "app")},
			object:  `{metadata: {annotations: {seccompgate.io/localhost-profile: team/x.json}}, spec: {containers: [{name: c}]}}`,
			want:    []string{`/spec/securityContext = Localhost "team/x.json"`},
		}, {
			name:     "namespace label before configured default",
			settings: v1alpha1.WebhookConfig{DefaultProfile: "runtime-default"},
			request:  Request{NamespaceLabels: labels(v1alpha1.ProfileLabel, "app")},
			object:   `{spec: {containers: [{name: c}]}}`,
			want:     []string{"/spec/securityContext = " + app},
		}, {
			name:     "configured default",
			settings: v1alpha1.WebhookConfig{DefaultProfile: "runtime-default"},
			object:   `{spec: {containers: [{name: c}]}}`,
			want:     []string{"/spec/securityContext = " + plain},
		}, {
			name:   "nothing is asked for",
			object: `{spec: {containers: [{name: c}]}}`,
		}, {
			name:   "an unknown name leaves the pod as it is",
			object: `{metadata: {labels: {seccompgate.io/profile: app, profile.seccompgate.io/c: ap}}, spec: {containers: [{name: c}]}}`,
		}, {
			name:   "a label never becomes a path",
			object: `{metadata: {labels: {seccompgate.io/profile: ..}}, spec: {containers: [{name: c}]}}`,
		}, {
			name:   "an unclean annotation leaves the pod as it is",
			object: `{metadata: {annotations: {seccompgate.io/localhost-profile: a/../b.json}}, spec: {containers: [{name: c}]}}`,
		}, {
			name:   "windows pods cannot have the field",
			object: `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {os: {name: windows}, containers: [{name: c}]}}`,
		}, {
			name:    "mirror pods are shadows",
			request: Request{User: policies.User{Name: "system:node:a"}},
			object:  `{metadata: {labels: {seccompgate.io/profile: app}, annotations: {kubernetes.io/config.mirror: x}}, spec: {nodeName: a, containers: [{name: c}]}}`,
		}, {
			name:    "the fields of a pod cannot be changed later",
			request: Request{Operation: Update},
			object:  `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}]}}`,
		}, {
			name:    "a new ephemeral container gets the pod's own request",
			request: Request{Operation: Update, Subresource: "ephemeralcontainers"},
			object:  `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}], ephemeralContainers: [{name: old}, {name: new}]}}`,
			old:     `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}], ephemeralContainers: [{name: old}]}}`,
			want:    []string{"/spec/ephemeralContainers/1/securityContext = " + app},
		}, {
			name:    "and inherits from a pod that has a profile",
			request: Request{Operation: Update, Subresource: "ephemeralcontainers"},
			object:  `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: seccompgate/app.json}}, containers: [{name: c}], ephemeralContainers: [{name: new}]}}`,
			old:     `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: seccompgate/app.json}}, containers: [{name: c}]}}`,
		}, {
			name:    "templates are left alone",
			request: Request{Kind: "Deployment"},
			object:  `{spec: {template: {metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}]}}}}`,
		}, {
			name:    "unless they are a person's manifest",
			request: Request{Kind: "Deployment", Manifest: true},
			object:  `{spec: {template: {metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}]}}}}`,
			want:    []string{"/spec/template/spec/securityContext = " + app},
		}, {
			name:     "a dry run changes nothing",
			settings: v1alpha1.WebhookConfig{DryRun: true},
			object:   `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}]}}`,
		}, {
			name:     "what is exempt is left alone",
			settings: v1alpha1.WebhookConfig{Exemptions: v1alpha1.Exemptions{Usernames: []string{"ci"}}},
			request:  Request{User: policies.User{Name: "ci"}},
			object:   `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}]}}`,
		}, {
			name:   "an old annotation that says otherwise",
			object: `{metadata: {labels: {seccompgate.io/profile: app}, annotations: {seccomp.security.alpha.kubernetes.io/pod: runtime/default}}, spec: {containers: [{name: c}]}}`,
			notes: []string{`remove the annotation seccomp.security.alpha.kubernetes.io/pod ("runtime/default"): profile "app" of metadata.labels[seccompgate.io/profile] ` +
				`is not injected, because the API server refuses a pod whose annotation differs from its field`},
		}, {
			name:   "an old annotation that says the same",
			object: `{metadata: {labels: {seccompgate.io/profile: runtime-default}, annotations: {seccomp.security.alpha.kubernetes.io/pod: runtime/default}}, spec: {containers: [{name: c}]}}`,
			want:   []string{"/spec/securityContext = " + plain},
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
			m, notes := reviewer(t, tc.settings).Inject(&req)
			var got []string
			for _, i := range m.Injections {
				pointer := i.Pointer()
				if i.HasContext {
					pointer += "/seccompProfile"
				}
				got = append(got, fmt.Sprintf("%s = %s", pointer, &i.Profile))
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("Inject (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tc.notes, notes); d != "" {
				t.Errorf("notes (-want +got):\n%s", d)
			}
			// Once applied, nothing is left to do.
			for _, i := range m.Injections {
				i.apply()
			}
			if again, _ := reviewer(t, tc.settings).Inject(&req); len(again.Injections) > 0 {
				t.Errorf("a second call injects again: %+v", again)
			}
		})
	}
}

// TestInjectServed writes the generation that all nodes have, and accepts any other of
// the same profile as what a label asked for.
func TestInjectServed(t *testing.T) {
	const served = "seccompgate/app.0123456789ab.json"
	profile := &v1alpha1.LocalhostProfile{Status: v1alpha1.LocalhostProfileStatus{Served: served}}
	profile.Name = "app"
	index := inventory.NewIndex(inventory.Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{profile}})
	r := reviewerOf(t, Config{Facts: func() *inventory.Index { return index }})
	req := &Request{Kind: "Pod", Operation: Create, Object: object(t, `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: c}]}}`)}
	m, _ := r.Inject(req)
	if len(m.Injections) != 1 || m.Injections[0].Profile.LocalhostProfile != served {
		t.Fatalf("got %+v, want %s", m, served)
	}
	for _, tc := range []struct {
		path    string
		granted bool
	}{
		{served, true},
		{"seccompgate/app.json", true},
		{"seccompgate/app.ffffffffffff.json", true},
		{"seccompgate/app.fffffffffff.json", false},
		{"seccompgate/app.FFFFFFFFFFFF.json", false},
		{"seccompgate/apps.json", false},
		{"app.json", false},
	} {
		pod := object(t, `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: `+tc.path+`}}, containers: [{name: c}]}}`)
		d, err := r.Review(t.Context(), &Request{Kind: "Pod", Operation: Create, NamespaceLabels: labels(v1alpha1.WarnLabel, "baseline"), Object: pod})
		if err != nil {
			t.Fatal(err)
		}
		if granted := len(d.Notes) == 0; granted != tc.granted {
			t.Errorf("%s: granted %v, want %v (%v)", tc.path, granted, tc.granted, d.Notes)
		}
	}
}
