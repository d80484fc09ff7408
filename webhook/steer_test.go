// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
)

// steered is the webhook with steerPods and profiles for the nodes of a disk and of a zone.
func steered(t *testing.T) rig {
	t.Helper()
	profile := func(name string, selector map[string]string) *v1alpha1.LocalhostProfile {
		return &v1alpha1.LocalhostProfile{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.LocalhostProfileSpec{NodeSelector: selector, Profile: v1alpha1.OCIProfile{DefaultAction: "SCMP_ACT_ERRNO"}},
		}
	}
	index := inventory.NewIndex(inventory.Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{
		profile("app", nil), profile("ssd", map[string]string{"disk": "ssd"}), profile("hdd", map[string]string{"disk": "hdd"}),
		profile("both", map[string]string{"disk": "ssd", "zone": "a"}),
	}})
	return newRig(t, func(s *setup) {
		s.Options.Settings.SteerPods = true
		s.Facts = func() *inventory.Index { return index }
	})
}

const (
	injectSSD = `{"op":"add","path":"/spec/securityContext","value":{"seccompProfile":{"type":"Localhost","localhostProfile":"seccompgate/ssd.json"}}}`
	needsSSD  = `{"key":"disk","operator":"In","values":["ssd"]}`
	required  = "requiredDuringSchedulingIgnoredDuringExecution"
)

func TestSteering(t *testing.T) {
	const (
		ssd     = `metadata: {labels: {seccompgate.io/profile: ssd}}`
		both    = `metadata: {labels: {seccompgate.io/profile: both}}`
		wrapped = `{"nodeAffinity":{"` + required + `":{"nodeSelectorTerms":[{"matchExpressions":[` + needsSSD + `]}]}}}`
		terms   = "/spec/affinity/nodeAffinity/" + required + "/nodeSelectorTerms"
	)
	add := func(path, value string) string { return `{"op":"add","path":"` + path + `","value":` + value + `}` }
	for _, tc := range []struct{ name, pod, want string }{
		{"no affinity", `{` + ssd + `, spec: {containers: [{name: a}]}}`, injectSSD + "," + add("/spec/affinity", wrapped)},
		{"a null", `{` + ssd + `, spec: {affinity: null, containers: [{name: a}]}}`, injectSSD + "," + add("/spec/affinity", wrapped)},
		{
			"another affinity", `{` + ssd + `, spec: {affinity: {podAffinity: {}}, containers: [{name: a}]}}`,
			injectSSD + "," + add("/spec/affinity/nodeAffinity", `{"`+required+`":{"nodeSelectorTerms":[{"matchExpressions":[`+needsSSD+`]}]}}`),
		},
		{
			"preferred only", `{` + ssd + `, spec: {affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}, containers: [{name: a}]}}`,
			injectSSD + "," + add("/spec/affinity/nodeAffinity/"+required, `{"nodeSelectorTerms":[{"matchExpressions":[`+needsSSD+`]}]}`),
		},
		{
			"every term, but for those that match nothing or have it",
			`{` + ssd + `, spec: {affinity: {nodeAffinity: {` + required + `: {nodeSelectorTerms: [ {matchExpressions: [{key: zone, operator: Exists}]}, {}, {matchFields: [{key: metadata.name, operator: In, values: [n1]}]}, {matchExpressions: [{key: disk, operator: In, values: [ssd]}]}, {matchExpressions: [{key: disk, operator: In, values: [ssd, hdd]}]}]}}}, containers: [{name: a}]}}`,
			injectSSD + "," + add(terms+"/0/matchExpressions/0", needsSSD) + "," + add(terms+"/2/matchExpressions", "["+needsSSD+"]") + "," + add(terms+"/4/matchExpressions/0", needsSSD),
		},
		{
			"several requirements keep their order",
			`{` + both + `, spec: {affinity: {nodeAffinity: {` + required + `: {nodeSelectorTerms: [{matchExpressions: [{key: x, operator: Exists}]}]}}}, containers: [{name: a}]}}`,
			`{"op":"add","path":"/spec/securityContext","value":{"seccompProfile":{"type":"Localhost","localhostProfile":"seccompgate/both.json"}}},` +
				add(terms+"/0/matchExpressions/0", `{"key":"zone","operator":"In","values":["a"]}`) + "," + add(terms+"/0/matchExpressions/0", needsSSD),
		},
		{"its own nodeSelector says it", `{` + ssd + `, spec: {nodeSelector: {disk: ssd}, containers: [{name: a}]}}`, injectSSD},
		{"its own nodeSelector rules it out", `{` + ssd + `, spec: {nodeSelector: {disk: hdd}, containers: [{name: a}]}}`, injectSSD},
		{"the profile is on every node", `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: a}]}}`, `{"op":"add","path":"/spec/securityContext","value":{"seccompProfile":{"type":"Localhost","localhostProfile":"seccompgate/app.json"}}}`},
		{"a bound pod", `{` + ssd + `, spec: {nodeName: n1, containers: [{name: a}]}}`, injectSSD},
		{
			"a field, written by hand", `{spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: seccompgate/ssd.0123456789ab.json}}, containers: [{name: a}]}}`,
			add("/spec/affinity", wrapped),
		},
		{"only a privileged container", `{spec: {containers: [{name: a, securityContext: {privileged: true, seccompProfile: {type: Localhost, localhostProfile: seccompgate/ssd.json}}}]}}`, ""},
		{"nobody inherits it", `{spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: seccompgate/ssd.json}}, containers: [{name: a, securityContext: {seccompProfile: {type: RuntimeDefault}}}]}}`, ""},
		{
			"profiles that no node has together",
			`{spec: {containers: [{name: a, securityContext: {seccompProfile: {type: Localhost, localhostProfile: seccompgate/ssd.json}}}, {name: b, securityContext: {seccompProfile: {type: Localhost, localhostProfile: seccompgate/hdd.json}}}]}}`, "",
		},
		{"an unknown name leaves the pod as it is", `{metadata: {labels: {profile.seccompgate.io/a: nope}}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: seccompgate/ssd.json}}, containers: [{name: a}]}}`, ""},
		{"a file of nobody", `{spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: ssd.json}}, containers: [{name: a}]}}`, ""},
		{"Windows", `{` + ssd + `, spec: {os: {name: windows}, containers: [{name: a}]}}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := steered(t)
			req := on(t, "baseline", tc.pod)
			patch := r.ask(t, PathMutate, req).Patch
			want := ""
			if tc.want != "" {
				want = "[" + tc.want + "]"
			}
			if string(patch) != want {
				t.Fatalf("patch:\n got %s\nwant %s", patch, want)
			}
			if len(patch) > 0 {
				req.Object.Raw = apply(t, req.Object.Raw, patch)
				if again := r.ask(t, PathMutate, req).Patch; len(again) > 0 {
					t.Errorf("a second call patches again: %s", again)
				}
			}
			// Without the setting, nothing but profiles is written.
			plain := on(t, "baseline", tc.pod)
			if patch := newRig(t, nil).ask(t, PathMutate, plain).Patch; len(patch) > 0 {
				var was, is corev1.Pod
				decodeInto(t, plain.Object.Raw, &was)
				decodeInto(t, apply(t, plain.Object.Raw, patch), &is)
				if !reflect.DeepEqual(was.Spec.Affinity, is.Spec.Affinity) {
					t.Errorf("steered without being asked: %s", patch)
				}
			}
		})
	}
}

// TestSteeringOfEphemeral: a pod that runs stays where it is.
func TestSteeringOfEphemeral(t *testing.T) {
	req := on(t, "baseline", `{metadata: {labels: {seccompgate.io/profile: ssd}}, spec: {containers: [{name: a}], ephemeralContainers: [{name: d}]}}`)
	req.Operation, req.SubResource = "UPDATE", "ephemeralcontainers"
	req.OldObject.Raw = toJSON(t, `{spec: {containers: [{name: a}]}}`)
	const want = `[{"op":"add","path":"/spec/ephemeralContainers/0/securityContext","value":{"seccompProfile":{"type":"Localhost","localhostProfile":"seccompgate/ssd.json"}}}]`
	if patch := steered(t).ask(t, PathMutate, req).Patch; string(patch) != want {
		t.Errorf("patch:\n got %s\nwant %s", patch, want)
	}
}

func decodeInto(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// TestSteeringAsScheduler asks the scheduler's own code where steered pods may go: exactly
// where they could go before, among the nodes of the profile.
func TestSteeringAsScheduler(t *testing.T) {
	r := steered(t)
	random := rand.New(rand.NewPCG(1, 2))
	var fits, kept int
	for i := range 3000 {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{v1alpha1.ProfileLabel: "both"}}}
		pod.Spec.Containers = []corev1.Container{{Name: "a"}}
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: randomTerms(random)}}}
		if random.IntN(4) == 0 {
			pod.Spec.NodeSelector = map[string]string{"zone": "a"}
		}
		req := on(t, "baseline", "{}")
		req.Object.Raw = marshal(t, pod)
		var steered corev1.Pod
		decodeInto(t, apply(t, req.Object.Raw, r.ask(t, PathMutate, req).Patch), &steered)
		for _, disk := range []string{"ssd", "hdd", ""} {
			for _, zone := range []string{"a", "b", ""} {
				node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n" + disk + zone, Labels: map[string]string{}}}
				for key, value := range map[string]string{"disk": disk, "zone": zone} {
					if value != "" {
						node.Labels[key] = value
					}
				}
				before, _ := nodeaffinity.GetRequiredNodeAffinity(&pod).Match(node)
				after, err := nodeaffinity.GetRequiredNodeAffinity(&steered).Match(node)
				if want := before && disk == "ssd" && zone == "a"; after != want || err != nil {
					t.Fatalf("pod %d on node %v: %v before, %v after (%v)\n%+v", i, node.Labels, before, after, err, steered.Spec.Affinity.NodeAffinity)
				}
				if before {
					fits++
				}
				if after {
					kept++
				}
			}
		}
	}
	if kept < 500 || fits-kept < 1000 {
		t.Errorf("%d of %d nodes fit before and after: the pods are too alike", kept, fits)
	}
}

func randomTerms(random *rand.Rand) []corev1.NodeSelectorTerm {
	var terms []corev1.NodeSelectorTerm
	for range 1 + random.IntN(3) {
		var term corev1.NodeSelectorTerm
		for range random.IntN(3) {
			r := corev1.NodeSelectorRequirement{Key: []string{"disk", "zone"}[random.IntN(2)], Operator: corev1.NodeSelectorOpExists}
			if random.IntN(3) > 0 {
				r.Operator = []corev1.NodeSelectorOperator{corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn}[random.IntN(2)]
				r.Values = [][]string{{"ssd"}, {"a"}, {"hdd", "b"}}[random.IntN(3)]
			}
			term.MatchExpressions = append(term.MatchExpressions, r)
		}
		if random.IntN(4) == 0 {
			term.MatchFields = []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{fmt.Sprintf("n%d", random.IntN(3))}}}
		}
		terms = append(terms, term)
	}
	return terms
}
