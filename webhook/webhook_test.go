// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	webhookrequest "k8s.io/apiserver/pkg/admission/plugin/webhook/request"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// loadOnce compiles the built-in rules for all tests: a Set never changes.
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

// namespaces are those that a test knows.
type namespaces map[string]map[string]string

func (n namespaces) NamespaceLabels(name string) (map[string]string, bool) {
	labels, known := n[name]
	return labels, known
}

func labels(pairs ...string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// standard are the namespaces of most tests.
func standard() namespaces {
	return namespaces{
		"baseline":   labels(v1alpha1.EnforceLabel, "baseline"),
		"restricted": labels(v1alpha1.EnforceLabel, "restricted"),
		"warned":     labels(v1alpha1.WarnLabel, "restricted"),
		"audited":    labels(v1alpha1.AuditLabel, "restricted"),
		"all":        labels(v1alpha1.EnforceLabel, "restricted", v1alpha1.WarnLabel, "restricted", v1alpha1.AuditLabel, "restricted"),
		"plain":      {},
	}
}

// testIndex knows the nodes a, b and c, of which c lacks profiles/app.json, and the
// LocalhostProfile app, which all of them have.
func testIndex() *inventory.Index {
	var o inventory.Objects
	for _, name := range []string{"a", "b", "c"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}}}
		n.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}
		facts := v1alpha1.NodeFacts{SeccompRoot: "/var/lib/kubelet/seccomp", Profiles: []v1alpha1.ProfileFile{
			profileFile("profiles/app.json"), profileFile("seccompgate/app.json"),
		}}
		if name == "c" {
			facts.Profiles = facts.Profiles[1:]
		}
		o.Nodes = append(o.Nodes, n)
		o.SeccompNodes = append(o.SeccompNodes, &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Facts: facts})
	}
	o.LocalhostProfiles = []*v1alpha1.LocalhostProfile{{ObjectMeta: metav1.ObjectMeta{Name: "app"}}}
	return inventory.NewIndex(o)
}

func profileFile(path string) v1alpha1.ProfileFile {
	return v1alpha1.ProfileFile{
		Path: path, Digest: "sha256:" + strings.Repeat("ab", 32), Valid: true,
		Analysis: &v1alpha1.ProfileAnalysis{DefaultAction: "SCMP_ACT_ERRNO"},
	}
}

// setup is what a test may have otherwise than the rest.
type setup struct {
	Options
	review.Config
}

// rig is the webhook without a network.
type rig struct {
	*http.ServeMux
	metrics *Metrics
}

func newRig(t testing.TB, change func(*setup)) rig {
	t.Helper()
	rules := loadRules(t)
	index := testIndex()
	s := setup{
		Options: Options{Namespaces: standard(), Metrics: NewMetrics(), Log: logr.Discard()},
		Config: review.Config{
			Policies: func() *policies.Set { return rules },
			Facts:    func() *inventory.Index { return index },
		},
	}
	s.Options.Settings.Default()
	if change != nil {
		change(&s)
	}
	s.Config.Settings = s.Options.Settings
	s.Options.Policies = s.Config.Policies
	if s.Options.Ready == nil {
		s.Options.Ready = NewReadiness(s.Metrics, s.Log)
	}
	var err error
	if s.Options.Reviewer, err = review.New(s.Config); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	if err := Register(mux, s.Options); err != nil {
		t.Fatal(err)
	}
	return rig{mux, s.Metrics}
}

// send posts a body as it is.
func (r rig) send(t testing.TB, path string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	return r.do(httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body)))
}

func (r rig) do(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// ask posts a request and reads the answer as the API server does.
func (r rig) ask(t testing.TB, path string, req *admissionv1.AdmissionRequest) *webhookrequest.AdmissionResponse {
	t.Helper()
	w := r.send(t, path, reviewOf(t, req))
	if w.Code != http.StatusOK {
		t.Fatalf("POST %s: status %d: %s", path, w.Code, w.Body)
	}
	return accepted(t, path, req, w.Body.Bytes())
}

// accepted is the answer, which the API server must not find fault with.
func accepted(t testing.TB, path string, req *admissionv1.AdmissionRequest, text []byte) *webhookrequest.AdmissionResponse {
	t.Helper()
	var answer admissionv1.AdmissionReview
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&answer); err != nil {
		t.Fatalf("answer is no AdmissionReview: %v: %s", err, text)
	}
	verified, err := webhookrequest.VerifyAdmissionResponse(req.UID, strings.HasPrefix(path, PathMutate), &answer)
	if err != nil {
		t.Fatalf("the API server refuses the answer: %v: %s", err, text)
	}
	return verified
}

// reviewOf is the body that the API server sends.
func reviewOf(t testing.TB, req *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	text, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: req,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// on is a request to create a pod, given as YAML, in a namespace.
func on(t testing.TB, namespace, pod string) *admissionv1.AdmissionRequest {
	t.Helper()
	req := &admissionv1.AdmissionRequest{
		UID: "uid-1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Namespace: namespace, Name: "p", Operation: admissionv1.Create,
	}
	req.Object.Raw = toJSON(t, pod)
	return req
}

func toJSON(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const (
	good     = `{metadata: {name: p}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app}]}}`
	bad      = `{metadata: {name: p}, spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app}]}}`
	without  = `{metadata: {name: p}, spec: {containers: [{name: app}]}}`
	onApp    = `{metadata: {name: p}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/app.json}}, containers: [{name: app}]}}`
	labelled = `{metadata: {name: p, labels: {seccompgate.io/profile: app}}, spec: {containers: [{name: app}]}}`
)

// value is that of one metric.
func value(t testing.TB, m *Metrics, line string) string {
	t.Helper()
	text := scrape(t, m)
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, line+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return fmt.Sprintf("no metric %s", line)
}

func scrape(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, PathMetrics, nil))
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func lint(t testing.TB, m *Metrics) {
	t.Helper()
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
}
