// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/randfill"

	"github.com/seccompgate/seccompgate/webhook/review"
)

// TestProjection compares the one pass over an AdmissionReview with what the API server's
// own decoder makes of the same object: they must agree on every field that is read.
func TestProjection(t *testing.T) {
	const shards = 4
	for shard := range int64(shards) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < 2_000; seed += shards {
				compareProjections(t, randfill.NewWithSeed(seed), rand.New(rand.NewPCG(uint64(seed), 0)))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func FuzzProjection(f *testing.F) {
	f.Add([]byte("a"), uint64(1))
	f.Add([]byte("seccompProfile"), uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		compareProjections(t, randfill.NewFromGoFuzz(data), rand.New(rand.NewPCG(seed, 0)))
	})
}

// kinds are the kinds with a pod in them.
var kinds = []string{"Pod", "PodTemplate", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"}

func compareProjections(t *testing.T, fill *randfill.Filler, random *rand.Rand) {
	t.Helper()
	fill.NilChance(0.5).NumElements(0, 3).MaxDepth(14).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63n(1000), resource.BinarySI)
		},
		func(v *intstr.IntOrString, c randfill.Continue) { *v = intstr.FromInt32(int32(c.Intn(1000))) },
		func(v *metav1.Time, c randfill.Continue) { *v = metav1.Unix(c.Int63n(1<<31), 0) },
		func(v *metav1.MicroTime, c randfill.Continue) { *v = metav1.MicroTime(metav1.Unix(c.Int63n(1<<31), 0)) },
		func(v *metav1.FieldsV1, _ randfill.Continue) { v.SetRawString(`{"f:spec":{"f:containers":{".":{}}}}`) },
		func(v *runtime.RawExtension, _ randfill.Continue) { v.Raw = []byte(`{"containers":"no"}`) },
	)
	kind := kinds[random.IntN(len(kinds))]
	typed := newObject(kind)
	fill.Fill(typed)
	typed.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	text, err := json.Marshal(typed)
	if err != nil {
		t.Fatal(err)
	}
	text = disturb(t, text, random)

	req := &admissionv1.AdmissionRequest{UID: "u", Kind: metav1.GroupVersionKind{Kind: kind}, Operation: admissionv1.Update}
	req.Object.Raw, req.OldObject.Raw = text, text
	got, err := decode(reviewOf(t, req))
	if err != nil {
		t.Fatalf("decode: %v\n%s", err, text)
	}
	read := newObject(kind)
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, read); err != nil {
		t.Fatalf("the API server's decoder: %v\n%s", err, text)
	}
	want := projection(read)
	for name, o := range map[string]*object{"object": &got.Object, "oldObject": &got.OldObject} {
		if diff := cmp.Diff(want, complete(o.of()), cmp.Comparer(sameMounts)); diff != "" {
			t.Errorf("%s of kind %s (-decoder of the API server, +ours):\n%s\n%.4000s", name, kind, diff, text)
		}
	}
	// The whole object is needed by rules that read it, and for our own kinds.
	body := reviewOf(t, req)
	if diff := cmp.Diff(string(text), string(got.Object.text(body))); diff != "" {
		t.Errorf("text of the object:\n%s", diff)
	}
	if diff := cmp.Diff(string(text), string(got.OldObject.text(body))); diff != "" {
		t.Errorf("text of the old object:\n%s", diff)
	}
}

func newObject(kind string) runtime.Object {
	switch kind {
	case "Pod":
		return &corev1.Pod{}
	case "PodTemplate":
		return &corev1.PodTemplate{}
	case "ReplicationController":
		return &corev1.ReplicationController{}
	case "Deployment":
		return &appsv1.Deployment{}
	case "ReplicaSet":
		return &appsv1.ReplicaSet{}
	case "StatefulSet":
		return &appsv1.StatefulSet{}
	case "DaemonSet":
		return &appsv1.DaemonSet{}
	case "Job":
		return &batchv1.Job{}
	default:
		return &batchv1.CronJob{}
	}
}

// disturb puts nulls, empty values and unknown fields into a JSON text, here and there.
func disturb(t *testing.T, text []byte, random *rand.Rand) []byte {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	var walk func(v any) any
	walk = func(v any) any {
		chance := random.IntN(100)
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
			switch chance {
			case 0:
				return nil
			case 1:
				return map[string]any{}
			case 2, 3:
				v["x-later"] = []any{map[string]any{"containers": 1, "labels": []any{}}, "text", nil}
			}
			return v
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
			switch chance {
			case 0:
				return nil
			case 1:
				return []any{}
			case 2:
				return append(v, nil)
			}
			return v
		default:
			if chance == 0 {
				return nil
			}
			return v
		}
	}
	for k := range tree {
		// Which object it is stays.
		if k != "kind" {
			tree[k] = walk(tree[k])
		}
	}
	// Maps of strings take no lists; the API server's decoder is the judge of what is left.
	out, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if kjson.UnmarshalCaseSensitivePreserveInts(out, newObject(fmt.Sprint(tree["kind"]))) != nil {
		return text
	}
	return out
}

// projection is review.Object, written by hand from the typed objects.
func projection(o runtime.Object) *review.Object {
	meta := o.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta)
	p := &review.Object{Kind: o.GetObjectKind().GroupVersionKind().Kind, Metadata: metadata(meta)}
	switch o := o.(type) {
	case *corev1.Pod:
		p.Spec.PodSpec = podSpec(&o.Spec)
	case *corev1.PodTemplate:
		p.Template = template(&o.Template)
	case *corev1.ReplicationController:
		if o.Spec.Template != nil {
			p.Spec.Template = template(o.Spec.Template)
		}
	case *appsv1.Deployment:
		p.Spec.Template = template(&o.Spec.Template)
	case *appsv1.ReplicaSet:
		p.Spec.Template = template(&o.Spec.Template)
	case *appsv1.StatefulSet:
		p.Spec.Template = template(&o.Spec.Template)
	case *appsv1.DaemonSet:
		p.Spec.Template = template(&o.Spec.Template)
	case *batchv1.Job:
		p.Spec.Template = template(&o.Spec.Template)
	case *batchv1.CronJob:
		p.Spec.JobTemplate = &jobTemplate{}
		p.Spec.JobTemplate.Spec.Template = template(&o.Spec.JobTemplate.Spec.Template)
	}
	return p
}

// complete makes an absent template an empty one where the typed object has no other: both
// are no pod.
func complete(o *review.Object) *review.Object {
	empty := func(t **review.Template) {
		if *t == nil {
			*t = &review.Template{}
		}
	}
	switch o.Kind {
	case "PodTemplate":
		empty(&o.Template)
	case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job":
		empty(&o.Spec.Template)
	case "CronJob":
		if o.Spec.JobTemplate == nil {
			o.Spec.JobTemplate = &jobTemplate{}
		}
		empty(&o.Spec.JobTemplate.Spec.Template)
	}
	return o
}

type jobTemplate = struct {
	Spec struct {
		Template *review.Template `json:"template"`
	} `json:"spec"`
}

func metadata(m *metav1.ObjectMeta) review.Metadata {
	return review.Metadata{Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, Labels: m.Labels, Annotations: m.Annotations}
}

func template(t *corev1.PodTemplateSpec) *review.Template {
	return &review.Template{Metadata: metadata(&t.ObjectMeta), Spec: podSpec(&t.Spec)}
}

func podSpec(s *corev1.PodSpec) review.PodSpec {
	p := review.PodSpec{
		InitContainers: list(s.InitContainers, container),
		Containers:     list(s.Containers, container),
		EphemeralContainers: list(s.EphemeralContainers, func(c *corev1.EphemeralContainer) review.Container {
			return container((*corev1.Container)(&c.EphemeralContainerCommon))
		}),
		Volumes: list(s.Volumes, func(v *corev1.Volume) review.Volume {
			out := review.Volume{Name: v.Name}
			if v.HostPath != nil {
				out.HostPath = &struct {
					Path string `json:"path"`
				}{v.HostPath.Path}
			}
			return out
		}),
		NodeName: s.NodeName, NodeSelector: s.NodeSelector, Tolerations: s.Tolerations,
	}
	if s.RuntimeClassName != nil {
		p.RuntimeClassName = *s.RuntimeClassName
	}
	if s.SecurityContext != nil {
		p.SecurityContext = &review.PodSecurityContext{SeccompProfile: profile(s.SecurityContext.SeccompProfile)}
	}
	if s.OS != nil {
		p.OS = &review.OS{Name: string(s.OS.Name)}
	}
	if s.Affinity != nil {
		p.Affinity = &review.Affinity{}
		if s.Affinity.NodeAffinity != nil {
			p.Affinity.NodeAffinity = &review.NodeAffinity{Required: s.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution}
		}
	}
	return p
}

func container(c *corev1.Container) review.Container {
	out := review.Container{Name: c.Name, Image: c.Image}
	if c.RestartPolicy != nil {
		out.RestartPolicy = string(*c.RestartPolicy)
	}
	if c.VolumeMounts != nil {
		out.VolumeMounts, _ = json.Marshal(c.VolumeMounts)
	}
	sc := c.SecurityContext
	if sc == nil {
		return out
	}
	out.SecurityContext = &review.SecurityContext{
		SeccompProfile: profile(sc.SeccompProfile), AllowPrivilegeEscalation: sc.AllowPrivilegeEscalation,
		Privileged: sc.Privileged != nil && *sc.Privileged,
	}
	if sc.Capabilities != nil {
		name := func(c *corev1.Capability) string { return string(*c) }
		out.SecurityContext.Capabilities = &review.Capabilities{Add: list(sc.Capabilities.Add, name), Drop: list(sc.Capabilities.Drop, name)}
	}
	return out
}

func profile(p *corev1.SeccompProfile) *review.SeccompProfile {
	if p == nil {
		return nil
	}
	out := &review.SeccompProfile{Type: string(p.Type)}
	if p.LocalhostProfile != nil {
		out.LocalhostProfile = *p.LocalhostProfile
	}
	return out
}

// list converts a list; an absent one stays absent.
func list[T, U any](in []T, convert func(*T) U) []U {
	if in == nil {
		return nil
	}
	out := make([]U, 0, len(in))
	for i := range in {
		out = append(out, convert(&in[i]))
	}
	return out
}

// sameMounts compares what is read of mounts; null is none.
func sameMounts(a, b jsontext.Value) bool {
	var x, y []struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
		ReadOnly  bool   `json:"readOnly"`
		SubPath   string `json:"subPath"`
	}
	return len(a) == 0 && len(b) == 0 ||
		kjson.UnmarshalCaseSensitivePreserveInts(orNull(a), &x) == nil && kjson.UnmarshalCaseSensitivePreserveInts(orNull(b), &y) == nil && cmp.Equal(x, y)
}

func orNull(v jsontext.Value) []byte {
	if len(v) == 0 {
		return []byte("null")
	}
	return v
}
