// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// Sizes of the cluster that benchmarks ask about.
const (
	benchNodes    = 15_000
	benchProfiles = 200
)

// sizes are the pods that benchmarks use, by their number of containers. Their reviews
// have about 4, 9 and 60 KB, as pods of Deployments have in real clusters.
var sizes = []struct {
	name       string
	containers int
	// mixed gives the last container a profile of its own.
	mixed bool
}{{"small", 1, false}, {"medium", 4, false}, {"medium-mixed", 4, true}, {"huge", 30, false}}

// bigIndex has 15,000 nodes in ten pools, each pool with a set of 200 profiles.
var bigIndex = sync.OnceValue(func() *inventory.Index {
	const pools = 10
	var o inventory.Objects
	names := make([]string, pools)
	for pool := range pools {
		files := make([]v1alpha1.ProfileFile, 0, benchProfiles)
		for i := range benchProfiles {
			// What follows "shared" is everywhere; the rest is of this pool alone.
			path := fmt.Sprintf("profiles/shared-%d.json", i)
			if i%4 == 3 {
				path = fmt.Sprintf("profiles/pool-%d-%d.json", pool, i)
			}
			files = append(files, profileFile(path))
		}
		names[pool] = v1alpha1.ProfileSetName(files)
		o.ProfileSets = append(o.ProfileSets, &v1alpha1.ProfileSet{ObjectMeta: metav1.ObjectMeta{Name: names[pool]}, Profiles: files})
	}
	for i := range benchNodes {
		name := fmt.Sprintf("node-%05d", i)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "pool": fmt.Sprint(i % pools), "topology.kubernetes.io/zone": fmt.Sprint("zone-", i%3),
		}}}
		n.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}
		o.Nodes = append(o.Nodes, n)
		o.SeccompNodes = append(o.SeccompNodes, &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Facts: v1alpha1.NodeFacts{
			SeccompRoot: "/var/lib/kubelet/seccomp", ProfileSet: names[i%pools],
			Runtimes: []v1alpha1.Runtime{{Name: "containerd", Version: "2.1.4", LowLevel: "runc", LowLevelVersion: "1.3.0"}},
		}})
	}
	return inventory.NewIndex(o)
})

// benchPod is a pod as a ReplicaSet makes it and an API server sends it. The first of
// several containers is an init container.
func benchPod(containers int, mixed bool) *corev1.Pod {
	yes, no, seconds := true, false, int64(300)
	localhost := func(name string) *corev1.SeccompProfile {
		return &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &name}
	}
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "checkout-7d9c5b8f6d-", Namespace: "restricted", UID: "7b1c2f9e-4a0d-4f6b-9d3e-1f2a3b4c5d6e",
			CreationTimestamp: metav1.NewTime(time.Date(2025, 5, 1, 10, 0, 0, 0, time.UTC)),
			Labels: map[string]string{
				"app.kubernetes.io/name": "checkout", "app.kubernetes.io/instance": "checkout-prod", "app.kubernetes.io/version": "4.7.1",
				"pod-template-hash": "7d9c5b8f6d", "team": "payments",
			},
			Annotations: map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": "9102", "checksum/config": strings.Repeat("0f", 32),
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "checkout-7d9c5b8f6d", UID: "0e9d8c7b-6a5f-4e3d-2c1b-0a9f8e7d6c5b", Controller: &yes, BlockOwnerDeletion: &yes,
			}},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: "checkout", DeprecatedServiceAccount: "checkout", RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst,
			SchedulerName: "default-scheduler", EnableServiceLinks: &yes,
			NodeSelector:    map[string]string{"pool": "3"},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: localhost("profiles/shared-1.json")},
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
				{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
			},
			Volumes: []corev1.Volume{
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "checkout"}}}},
				{Name: "kube-api-access-x2k9v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
					{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
					{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
					{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
				}}}},
			},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBurstable},
	}
	var managed strings.Builder
	for i := range containers {
		name := fmt.Sprintf("worker-%d", i)
		c := corev1.Container{
			Name: name, Image: "registry.example.com/payments/checkout:" + "4.7.1", ImagePullPolicy: corev1.PullIfNotPresent,
			Args: []string{"--config=/etc/checkout/config.yaml", "--listen=:8080"}, TerminationMessagePath: "/dev/termination-log",
			TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			Ports:                    []corev1.ContainerPort{{Name: "http", ContainerPort: int32(8080 + i), Protocol: corev1.ProtocolTCP}},
			Env: []corev1.EnvVar{
				{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}},
				{Name: "LOG_LEVEL", Value: "info"},
				{Name: "DATABASE_URL", Value: "postgres://checkout.payments.svc.cluster.local:5432/checkout?sslmode=verify-full"},
			},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("128Mi")},
				Limits:   corev1.ResourceList{"memory": resource.MustParse("256Mi")},
			},
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			VolumeMounts: []corev1.VolumeMount{
				{Name: "config", MountPath: "/etc/checkout", ReadOnly: true},
				{Name: "kube-api-access-x2k9v", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true},
			},
		}
		if i >= 4 {
			for j := range 6 { // pods with so many containers have much to say about each
				c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("FEATURE_%d", j), Value: strings.Repeat("on,", 8)})
			}
		}
		switch {
		case i == 0 && containers > 1:
			c.Ports = nil
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
		default:
			if i == containers-1 && mixed {
				c.SecurityContext.SeccompProfile = localhost("profiles/shared-2.json")
			}
			pod.Spec.Containers = append(pod.Spec.Containers, c)
		}
		fmt.Fprintf(&managed, `,"k:{\"name\":\"%s\"}":{".":{},"f:args":{},"f:env":{".":{},"k:{\"name\":\"DATABASE_URL\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{".":{},"f:limits":{".":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"f:securityContext":{".":{},"f:allowPrivilegeEscalation":{},"f:capabilities":{".":{},"f:drop":{}},"f:readOnlyRootFilesystem":{}},"f:volumeMounts":{".":{},"k:{\"mountPath\":\"/etc/checkout\"}":{".":{},"f:mountPath":{},"f:name":{},"f:readOnly":{}}}}`, name)
	}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:team":{}},"f:ownerReferences":{".":{}}},"f:spec":{"f:containers":{".":{}` + managed.String() + `}}}`),
	}}
	return pod
}

// benchReview is the request that creates the pod.
func benchReview(t testing.TB, containers int, mixed bool) []byte {
	t.Helper()
	req := &admissionv1.AdmissionRequest{
		UID: "5f2d6c1a-3b4e-4d5f-8a9b-0c1d2e3f4a5b", Namespace: "restricted", Operation: admissionv1.Create,
		Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		RequestKind: &metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, RequestResource: &metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		UserInfo: authenticationv1.UserInfo{
			Username: "system:serviceaccount:kube-system:replicaset-controller", UID: "b7f0",
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
		},
	}
	text, err := json.Marshal(benchPod(containers, mixed))
	if err != nil {
		t.Fatal(err)
	}
	req.Object.Raw = text
	return reviewOf(t, req)
}

// doubtful is a request for whose pod the rules have to run. They find nothing.
func doubtful(body []byte) []byte {
	return bytes.Replace(body, []byte(`"annotations":{`), []byte(`"annotations":{"seccomp.security.alpha.kubernetes.io/pod":"runtime/default",`), 1)
}

// benchRig remembers nothing: each request is judged from scratch.
func benchRig(t testing.TB) rig {
	bigIndex() // building it is not measured
	return newRig(t, func(s *setup) { s.Facts = bigIndex })
}

// rememberingRig remembers what it has decided.
func rememberingRig(t testing.TB) rig {
	rules, err := policies.Load(t.Context(), policies.Options{Remember: v1alpha1.DefaultRememberedDecisions})
	if err != nil {
		t.Fatal(err)
	}
	bigIndex()
	return newRig(t, func(s *setup) {
		s.Facts = bigIndex
		s.Config.Policies = func() *policies.Set { return rules }
	})
}

func eachSize(b *testing.B, run func(b *testing.B, body []byte)) {
	eachSizeOf(b, slices.Clone, run)
}

func eachSizeOf(b *testing.B, change func(body []byte) []byte, run func(b *testing.B, body []byte)) {
	for _, size := range sizes {
		body := change(benchReview(b, size.containers, size.mixed))
		b.Run(size.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			run(b, body)
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	eachSize(b, func(b *testing.B, body []byte) {
		for b.Loop() {
			if _, err := decode(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReview is everything between decode and respond: the input of the rules, the
// look-up of nodes, the conditions of the rules.
func BenchmarkReview(b *testing.B) {
	bigIndex() // building it is not measured
	rules := loadRules(b)
	reviewer, err := review.New(review.Config{Policies: func() *policies.Set { return rules }, Facts: bigIndex})
	if err != nil {
		b.Fatal(err)
	}
	eachSize(b, func(b *testing.B, body []byte) {
		req, err := decode(body)
		if err != nil {
			b.Fatal(err)
		}
		namespace := standard()["restricted"]
		for b.Loop() {
			d, err := reviewer.Review(b.Context(), &review.Request{
				Kind: "Pod", Operation: review.Create, Namespace: req.Namespace, NamespaceLabels: namespace, Object: req.Object.of(),
			})
			if err != nil || !d.Allowed {
				b.Fatal(err, d.Denied)
			}
		}
	})
}

// BenchmarkLookup asks the index what one pod asks: where it may run, and what is there.
func BenchmarkLookup(b *testing.B) {
	index := bigIndex()
	placement := inventory.Placement{NodeSelector: map[string]string{"pool": "3"}}
	for _, path := range []string{"profiles/shared-1.json", "profiles/pool-4-3.json"} {
		b.Run(strings.TrimSuffix(strings.TrimPrefix(path, "profiles/"), ".json"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set := index.Eligible(&placement)
				facts := index.Profile(set, path, &placement)
				set.Release()
				if facts.Nodes.Eligible != benchNodes/10 {
					b.Fatal(facts.Nodes)
				}
			}
		})
	}
}

func BenchmarkRespond(b *testing.B) {
	findings := make([]policies.Finding, 4)
	for i := range findings {
		findings[i] = policies.Finding{Rule: "unset", Message: fmt.Sprintf("container %q: no seccomp profile is set; set seccompProfile to RuntimeDefault or Localhost", fmt.Sprint("worker-", i))}
	}
	for _, tc := range []struct {
		name string
		make func() *answer
	}{
		{"allowed", func() *answer {
			a := &answer{uid: "5f2d6c1a-3b4e-4d5f-8a9b-0c1d2e3f4a5b", allowed: true}
			a.annotate(annotationPolicy, "sha256:0123456789ab")
			a.annotate(annotationDecision, decisionAllowed)
			return a
		}},
		{"warned", func() *answer {
			a := &answer{uid: "5f2d6c1a-3b4e-4d5f-8a9b-0c1d2e3f4a5b", allowed: true}
			a.warnFindings(findings)
			return a
		}},
		{"denied", func() *answer {
			a := &answer{uid: "5f2d6c1a-3b4e-4d5f-8a9b-0c1d2e3f4a5b"}
			a.deny(http.StatusForbidden, denial(&review.Decision{Denied: findings}, ""))
			return a
		}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			w := newDiscard()
			for b.Loop() {
				send(w, http.StatusOK, tc.make())
			}
		})
	}
}

// BenchmarkValidate is a whole request, but for the network and the HTTP server. Its pod
// meets the conditions of no rule.
func BenchmarkValidate(b *testing.B) { benchmarkPath(b, benchRig(b), PathValidate, slices.Clone) }

// BenchmarkValidateEvaluated is one for a pod that the rules have to be asked about.
func BenchmarkValidateEvaluated(b *testing.B) {
	benchmarkPath(b, benchRig(b), PathValidate, doubtful)
}

// BenchmarkValidateRemembered is one for such a pod that looks to the rules like one before.
func BenchmarkValidateRemembered(b *testing.B) {
	benchmarkPath(b, rememberingRig(b), PathValidate, doubtful)
}

// BenchmarkMutate is the same for the mutating webhook.
func BenchmarkMutate(b *testing.B) { benchmarkPath(b, benchRig(b), PathMutate, slices.Clone) }

func benchmarkPath(b *testing.B, r rig, path string, change func(body []byte) []byte) {
	eachSizeOf(b, change, func(b *testing.B, body []byte) {
		call := newCall(b, path, body)
		for b.Loop() {
			if status := call.serve(r); status != http.StatusOK {
				b.Fatal(status)
			}
		}
	})
}

// call is one request that is sent again and again, without the cost of making it.
type call struct {
	req  *http.Request
	body *bytes.Reader
	w    *discard
}

func newCall(t testing.TB, path string, body []byte) *call {
	c := &call{body: bytes.NewReader(body), w: newDiscard()}
	c.req = httptest.NewRequestWithContext(t.Context(), http.MethodPost, path+"?timeout=3s", c.body)
	c.req.Body = io.NopCloser(c.body)
	return c
}

func (c *call) serve(h http.Handler) int {
	_, _ = c.body.Seek(0, io.SeekStart)
	h.ServeHTTP(c.w, c.req)
	return c.w.status
}

// discard is a connection that nobody reads from.
type discard struct {
	header http.Header
	status int
}

func newDiscard() *discard { return &discard{header: make(http.Header)} }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// Deadlines can be set on a connection.
func (d *discard) SetReadDeadline(time.Time) error  { return nil }
func (d *discard) SetWriteDeadline(time.Time) error { return nil }
