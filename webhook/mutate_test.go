// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// tree is a JSON object.
type tree = map[string]any

// TestPatchesOfRandomPods compares what the patch makes of pods with a model that works on
// the JSON itself: all that the model does not touch must stay as it was, fields that
// nobody knows included.
func TestPatchesOfRandomPods(t *testing.T) {
	r := newRig(t, func(s *setup) {
		s.Namespaces = namespaces{
			"named":   labels(v1alpha1.EnforceLabel, "baseline", v1alpha1.ProfileLabel, "app"),
			"unnamed": labels(v1alpha1.EnforceLabel, "baseline"),
		}
	})
	const shards = 4
	var injected, refused atomic.Int64
	t.Cleanup(func() {
		// The generator reaches both.
		if injected.Load() < 5_000 || refused.Load() < 100 {
			t.Errorf("%d pods were injected into, %d denied for their labels", injected.Load(), refused.Load())
		}
	})
	for shard := range uint64(shards) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, shard))
			for i := range 20_000 / shards {
				pod, namespace := randomPod(random), []string{"named", "unnamed"}[i%2]
				req := on(t, namespace, "{}")
				req.Object.Raw = marshal(t, pod)
				if _, ephemeral := pod["spec"].(tree)["ephemeralContainers"]; ephemeral {
					req.Operation, req.SubResource = admissionv1.Update, "ephemeralcontainers"
					old := clone(t, pod)
					delete(old["spec"].(tree), "ephemeralContainers")
					req.OldObject.Raw = marshal(t, old)
				}
				want, granted := model(clone(t, pod), namespace == "named", req.SubResource != "")

				patch := r.ask(t, PathMutate, req).Patch
				got := req.Object.Raw
				if len(patch) > 0 {
					injected.Add(1)
					got = apply(t, got, patch)
				}
				if is := untyped(t, got); !reflect.DeepEqual(want, is) {
					t.Fatalf("pod %d in namespace %s: %s\npatch %s (-model +patched):\n%s", i, namespace, req.Object.Raw, patch, cmp.Diff(want, is))
				}
				req.Object.Raw = got
				if len(patch) > 0 {
					if again := r.ask(t, PathMutate, req).Patch; len(again) > 0 {
						t.Fatalf("pod %d: a second call patches again: %s\n%s", i, again, got)
					}
				}
				if i%10 != 0 {
					continue
				}
				// Where the model injects, the validating webhook misses nothing.
				w := r.send(t, PathValidate, reviewOf(t, req))
				missed := strings.Contains(w.Body.String(), "[not-injected]") || strings.Contains(w.Body.String(), "[unknown-profile]")
				if missed && granted {
					t.Fatalf("pod %d: %s\n%s", i, w.Body, got)
				}
				if missed {
					refused.Add(1)
				}
			}
		})
	}
}

func randomPod(random *rand.Rand) tree {
	chance := func(percent int) bool { return random.IntN(100) < percent }
	one := func(values ...any) any { return values[random.IntN(len(values))] }
	securityContext := func(o tree) {
		switch random.IntN(5) {
		case 0: // none
		case 1:
			o["securityContext"] = nil
		case 2:
			o["securityContext"] = tree{}
		case 3:
			o["securityContext"] = tree{"runAsUser": 5, "later": tree{"a": []any{1, "x"}}, "seccompProfile": nil}
		default:
			o["securityContext"] = tree{"seccompProfile": one(
				tree{"type": "Unconfined"}, tree{"type": "RuntimeDefault", "later": 1},
				tree{"type": "Localhost", "localhostProfile": "profiles/app.json"}, tree{"type": "Localhost", "localhostProfile": "seccompgate/app.json"},
			)}
		}
	}
	name := func() any {
		if chance(90) {
			return one("app", "runtime-default")
		}
		return one("nope", "Unconfined", "")
	}
	given, annotations := tree{"app.kubernetes.io/name": "x"}, tree{}
	if chance(50) {
		given[v1alpha1.ProfileLabel] = name()
	}
	if chance(20) {
		annotations[v1alpha1.LocalhostProfileAnnotation] = one("profiles/app.json", "profiles/other.json", "../escape.json")
	}
	spec := tree{"later": tree{"containers": 1}, "nodeName": "a"}
	if chance(5) {
		spec["os"] = tree{"name": "windows"}
	}
	securityContext(spec)
	for list, most := range map[string]int{"initContainers": 2, "containers": 3, "ephemeralContainers": 1} {
		if list == "ephemeralContainers" && chance(70) {
			continue
		}
		var containers []any
		for i := range random.IntN(most + 1) {
			c := tree{"name": fmt.Sprintf("%s-%d", strings.ToLower(list), i), "image": "x", "env": []any{tree{"name": "A", "value": "\u2028<&>"}}}
			securityContext(c)
			if chance(20) {
				given[v1alpha1.ContainerProfilePrefix+c["name"].(string)] = name()
			}
			containers = append(containers, c)
		}
		if containers != nil || chance(50) {
			spec[list] = containers
		}
	}
	return tree{
		"apiVersion": "v1", "kind": "Pod", "spec": spec, "status": tree{},
		"metadata": tree{"name": "p", "labels": given, "annotations": annotations, "managedFields": []any{tree{"fieldsV1": tree{"f:spec": tree{}}}}},
	}
}

// model is what the mutation does, said once more: it returns the pod as it ought to be,
// and whether all that is asked for could be granted.
func model(pod tree, named, ephemeralOnly bool) (want tree, granted bool) {
	given, spec := pod["metadata"].(tree)["labels"].(tree), pod["spec"].(tree)
	profile := func(name string) tree {
		switch name {
		case "runtime-default":
			return tree{"type": "RuntimeDefault"}
		case "app":
			return tree{"type": "Localhost", "localhostProfile": "seccompgate/app.json"}
		default:
			return nil
		}
	}
	set := func(o, p tree) {
		sc, _ := o["securityContext"].(tree)
		if sc == nil {
			sc = tree{}
			o["securityContext"] = sc
		}
		if sc["seccompProfile"] == nil {
			sc["seccompProfile"] = p
		}
	}
	has := func(o tree) bool {
		sc, _ := o["securityContext"].(tree)
		return sc["seccompProfile"] != nil
	}
	if spec["os"] != nil {
		return pod, true
	}
	var forPod tree
	asked := true
	if name, ok := given[v1alpha1.ProfileLabel]; ok {
		forPod = profile(name.(string))
	} else if path, ok := pod["metadata"].(tree)["annotations"].(tree)[v1alpha1.LocalhostProfileAnnotation]; ok {
		if path != "../escape.json" {
			forPod = tree{"type": "Localhost", "localhostProfile": path}
		}
	} else if named {
		forPod = profile("app")
	} else {
		asked = false
	}
	if asked && forPod == nil {
		return pod, false
	}
	type wish struct{ o, p tree }
	var wishes []wish
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			c := c.(tree)
			name, ok := given[v1alpha1.ContainerProfilePrefix+c["name"].(string)]
			if ok && profile(name.(string)) == nil {
				return pod, false
			}
			switch {
			case ephemeralOnly && list != "ephemeralContainers":
			case ok:
				wishes = append(wishes, wish{c, profile(name.(string))})
			case ephemeralOnly && asked && !has(spec):
				// The pod cannot be changed any more; its new container can.
				wishes = append(wishes, wish{c, forPod})
			}
		}
	}
	if asked && !ephemeralOnly {
		wishes = append(wishes, wish{spec, forPod})
	}
	for _, w := range wishes {
		set(w.o, w.p)
	}
	return pod, true
}

func apply(t *testing.T, object, patch []byte) []byte {
	t.Helper()
	p, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatalf("patch %s: %v", patch, err)
	}
	for _, op := range p {
		if op.Kind() != "add" {
			t.Errorf("patch %s: operation %s", patch, op.Kind())
		}
	}
	out, err := p.Apply(object)
	if err != nil {
		t.Fatalf("apply patch %s to %s: %v", patch, object, err)
	}
	return out
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func untyped(t *testing.T, text []byte) tree {
	t.Helper()
	var v tree
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func clone(t *testing.T, v tree) tree {
	t.Helper()
	return untyped(t, marshal(t, v))
}

func TestPatchVerbatim(t *testing.T) {
	for _, tc := range []struct {
		name, namespace, pod, want string
	}{
		{
			"into the pod", "plain", labelled,
			`[{"op":"add","path":"/spec/securityContext","value":{"seccompProfile":{"type":"Localhost","localhostProfile":"seccompgate/app.json"}}}]`,
		},
		{
			"into a securityContext that is there", "plain",
			`{metadata: {labels: {seccompgate.io/profile: runtime-default}}, spec: {securityContext: {runAsUser: 1}, containers: [{name: app}]}}`,
			`[{"op":"add","path":"/spec/securityContext/seccompProfile","value":{"type":"RuntimeDefault"}}]`,
		},
		{
			"into containers", "plain",
			`{metadata: {labels: {profile.seccompgate.io/b: app, profile.seccompgate.io/i: runtime-default}}, spec: {initContainers: [{name: i}], containers: [{name: a}, {name: b, securityContext: {}}]}}`,
			`[{"op":"add","path":"/spec/initContainers/0/securityContext","value":{"seccompProfile":{"type":"RuntimeDefault"}}},` +
				`{"op":"add","path":"/spec/containers/1/securityContext/seccompProfile","value":{"type":"Localhost","localhostProfile":"seccompgate/app.json"}}]`,
		},
		{"a path that needs quoting", "plain", `{metadata: {annotations: {seccompgate.io/localhost-profile: 'a "b".json'}}, spec: {containers: [{name: app}]}}`, `[{"op":"add","path":"/spec/securityContext","value":{"seccompProfile":{"type":"Localhost","localhostProfile":"a \"b\".json"}}}]`},
		{"nothing over a field", "plain", `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}]}}`, ``},
		{"nothing into Windows pods", "plain", `{metadata: {labels: {seccompgate.io/profile: app}}, spec: {os: {name: windows}, containers: [{name: app}]}}`, ``},
		{"nothing for a name that does not exist", "plain", `{metadata: {labels: {seccompgate.io/profile: nope}}, spec: {containers: [{name: app}]}}`, ``},
		{"nothing without a label", "plain", without, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newRig(t, nil).ask(t, PathMutate, on(t, tc.namespace, tc.pod))
			if !a.Allowed || len(a.Warnings) > 0 {
				t.Errorf("allowed %v, warnings %q", a.Allowed, a.Warnings)
			}
			if diff := cmp.Diff(tc.want, string(a.Patch)); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
			if len(a.Patch) > 0 && a.PatchType != admissionv1.PatchTypeJSONPatch {
				t.Errorf("patch type %q", a.PatchType)
			}
		})
	}
}

func TestMutationNeverDenies(t *testing.T) {
	r := newRig(t, nil)
	req := on(t, "plain", labelled)
	req.Object.Raw = nil
	w := r.send(t, PathMutate, reviewOf(t, req))
	a := accepted(t, PathMutate, req, w.Body.Bytes())
	if w.Code != http.StatusOK || !a.Allowed {
		t.Errorf("status %d, allowed %v", w.Code, a.Allowed)
	}
	if diff := cmp.Diff([]string{"seccompgate: no profile was injected: the request has no object"}, a.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"error": "the request has no object"}, a.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
	if got := value(t, r.metrics, `seccompgate_injections_total{result="error"}`); got != "1" {
		t.Errorf("failed injections: %s, want 1", got)
	}
}

func TestInjectionsAreCounted(t *testing.T) {
	r := newRig(t, nil)
	r.ask(t, PathMutate, on(t, "plain", labelled))
	r.ask(t, PathMutate, on(t, "plain", without))
	tried := on(t, "plain", labelled)
	yes := true
	tried.DryRun = &yes
	if a := r.ask(t, PathMutate, tried); len(a.Patch) == 0 {
		t.Error("nothing is injected in a dry run of the user")
	}
	for result, want := range map[string]string{"injected": "1", "unchanged": "1", "error": "0"} {
		if got := value(t, r.metrics, `seccompgate_injections_total{result="`+result+`"}`); got != want {
			t.Errorf("%s: %s, want %s", result, got, want)
		}
	}
}
