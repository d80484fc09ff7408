// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// outcome is what a user sees.
type outcome struct {
	Allowed  bool
	Code     int32
	Message  string
	Warnings []string
	// Audit are the annotations, but for the digest of the rules.
	Audit map[string]string
}

func (r rig) validate(t testing.TB, req *admissionv1.AdmissionRequest) outcome {
	t.Helper()
	a := r.ask(t, PathValidate+"?timeout=3s", req)
	o := outcome{Allowed: a.Allowed, Warnings: a.Warnings, Audit: a.AuditAnnotations}
	if a.Result != nil {
		o.Code, o.Message = a.Result.Code, a.Result.Message
	}
	if digest, ok := o.Audit[annotationPolicy]; ok {
		if want := loadRules(t).Digest()[:policyDigits]; digest != want && len(digest) != policyDigits {
			t.Errorf("policy annotation %q", digest)
		}
		delete(o.Audit, annotationPolicy)
	}
	if len(o.Audit) == 0 {
		o.Audit = nil
	}
	return o
}

func update(req *admissionv1.AdmissionRequest, old []byte, subresource string) *admissionv1.AdmissionRequest {
	req.Operation, req.SubResource, req.OldObject.Raw = admissionv1.Update, subresource, old
	return req
}

func TestValidate(t *testing.T) {
	dryRun := func(s *setup) { s.Options.Settings.DryRun = true }
	exempt := func(s *setup) {
		s.Options.Settings.Exemptions = v1alpha1.Exemptions{Namespaces: []string{"restricted"}, Usernames: []string{"robot"}, RuntimeClasses: []string{"kata"}}
	}
	as := func(req *admissionv1.AdmissionRequest, user string) *admissionv1.AdmissionRequest {
		req.UserInfo.Username = user
		return req
	}
	connect := func(req *admissionv1.AdmissionRequest, op admissionv1.Operation) *admissionv1.AdmissionRequest {
		req.Operation = op
		return req
	}
	deployment := func(namespace string) *admissionv1.AdmissionRequest {
		req := on(t, namespace, `{metadata: {name: d}, spec: {template: {spec: {containers: [{name: app}]}}}}`)
		req.Kind = metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
		req.Resource = metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
		return req
	}
	binding := func(annotations string) *admissionv1.AdmissionRequest {
		req := on(t, "baseline", `{metadata: {name: p, annotations: {`+annotations+`}}, target: {kind: Node, name: a}}`)
		req.Kind.Kind, req.SubResource = "Binding", "binding"
		return req
	}
	for _, tc := range []struct {
		name   string
		change func(*setup)
		req    *admissionv1.AdmissionRequest
		want   []string // rules in the message, or a decision
		check  func(outcome) bool
	}{
		{"denied", nil, on(t, "baseline", bad), []string{"denied", "[unconfined]"}, func(o outcome) bool { return !o.Allowed && o.Code == 403 }},
		{"allowed", nil, on(t, "restricted", good), []string{"allowed"}, func(o outcome) bool { return o.Allowed && o.Warnings == nil }},
		{"warned", nil, on(t, "warned", without), []string{"allowed", "[unset]"}, func(o outcome) bool { return o.Allowed && len(o.Warnings) == 1 }},
		{"audited", nil, on(t, "audited", without), []string{"allowed", "[unset]"}, func(o outcome) bool { return o.Allowed && o.Warnings == nil && o.Audit["findings"] != "" }},
		{"denied, warned and audited: the denial says it all", nil, on(t, "all", without), []string{"denied", "[unset]"}, func(o outcome) bool { return !o.Allowed && o.Warnings == nil && o.Audit["findings"] != "" }},
		{"a namespace without labels", nil, on(t, "plain", bad), []string{"allowed"}, func(o outcome) bool { return o.Allowed && o.Warnings == nil }},
		{"a missing profile", nil, on(t, "baseline", onApp), []string{"denied", "[profile-missing]", "missing on 1 of the 3 nodes that the pod may use (c)"}, func(o outcome) bool { return !o.Allowed }},
		{"the whole product observes", dryRun, on(t, "baseline", bad), []string{"would-deny", "[unconfined]"}, func(o outcome) bool { return o.Allowed && o.Audit["would-deny"] != "" }},
		{"an exempt namespace", exempt, on(t, "restricted", bad), []string{"exempt"}, func(o outcome) bool { return o.Allowed && o.Audit["exempt"] == "namespace" }},
		{"an exempt user", exempt, as(on(t, "baseline", bad), "robot"), []string{"exempt"}, func(o outcome) bool { return o.Allowed && o.Audit["exempt"] == "user" }},
		{"another user", exempt, as(on(t, "baseline", bad), "robot2"), []string{"denied"}, func(o outcome) bool { return !o.Allowed }},
		{"an exempt runtime class", exempt, on(t, "baseline", `{spec: {runtimeClassName: kata, containers: [{name: app, securityContext: {seccompProfile: {type: Unconfined}}}]}}`), []string{"exempt"}, func(o outcome) bool { return o.Allowed && o.Audit["exempt"] == "runtimeClass" }},
		{"a workload is advised", nil, deployment("restricted"), []string{"allowed", "[unset]"}, func(o outcome) bool { return o.Allowed && len(o.Warnings) == 1 }},
		{"DELETE", nil, connect(on(t, "restricted", bad), admissionv1.Delete), nil, func(o outcome) bool { return o.Allowed }},
		{"CONNECT to exec", nil, connect(update(on(t, "restricted", bad), nil, "exec"), admissionv1.Connect), nil, func(o outcome) bool { return o.Allowed }},
		{"a new subresource", nil, update(on(t, "baseline", bad), toJSON(t, good), "foo"), []string{"denied", "[unconfined]"}, func(o outcome) bool { return !o.Allowed }},
		{"status that changes nothing", nil, update(on(t, "baseline", bad), toJSON(t, bad), "status"), []string{"allowed"}, func(o outcome) bool { return o.Allowed }},
		{"status that adds an annotation", nil, update(on(t, "baseline", `{metadata: {annotations: {run.oci.seccomp_bpf_data: x}}, spec: {containers: [{name: app}]}}`), toJSON(t, without), "status"), []string{"denied", "[profile-annotation]"}, func(o outcome) bool { return !o.Allowed }},
		{"finalizers of an old pod", nil, update(on(t, "restricted", bad), toJSON(t, bad), ""), []string{"allowed"}, func(o outcome) bool { return o.Allowed && o.Warnings == nil }},
		{"a binding with an annotation", nil, binding("run.oci.seccomp_bpf_data: x"), []string{"denied", "[profile-annotation]"}, func(o outcome) bool { return !o.Allowed }},
		{"a binding with another", nil, binding("team: x"), []string{"allowed"}, func(o outcome) bool { return o.Allowed }},
		{
			"a debug container", nil,
			update(on(t, "restricted", `{spec: {containers: [{name: app}], ephemeralContainers: [{name: debug}]}}`), toJSON(t, without), "ephemeralcontainers"),
			[]string{"denied", "[unset]", `"kubectl debug --custom FILE"`},
			func(o outcome) bool { return !o.Allowed && !strings.Contains(o.Message, `"app"`) },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newRig(t, tc.change).validate(t, tc.req)
			if !tc.check(o) {
				t.Errorf("got %+v", o)
			}
			text := o.Message + strings.Join(o.Warnings, "\n")
			for _, v := range o.Audit {
				text += "\n" + v
			}
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %s", want, text)
				}
			}
			checkWarnings(t, o.Warnings)
			checkAnnotations(t, o.Audit)
		})
	}
}

func TestValidateVerbatim(t *testing.T) {
	want := outcome{
		Code: 403, Audit: map[string]string{"decision": "denied"},
		Message: `seccompgate baseline: [unconfined] container "app": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost`,
	}
	if diff := cmp.Diff(want, newRig(t, nil).validate(t, on(t, "baseline", bad))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRow41NoObject(t *testing.T) {
	req := on(t, "baseline", good)
	req.Object.Raw = nil
	want := outcome{Code: 400, Message: "the request was not judged: the request has no object"}
	if diff := cmp.Diff(want, newRig(t, nil).validate(t, req)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRow39DryRunRequestsAreNotCounted: what a user only tries out is no decision.
func TestRow39DryRunRequestsAreNotCounted(t *testing.T) {
	r := newRig(t, nil)
	yes := true
	req := on(t, "baseline", bad)
	req.DryRun = &yes
	if r.validate(t, req).Allowed {
		t.Error("a dry run is not judged")
	}
	const (
		decisions = `seccompgate_decisions_total{decision="denied",operation="CREATE",resource="pod"}`
		findings  = `seccompgate_findings_total{mode="enforce",rule="unconfined"}`
	)
	if d, f := value(t, r.metrics, decisions), value(t, r.metrics, findings); d != "0" || f != "0" {
		t.Errorf("a dry run counts: %s decisions, %s findings", d, f)
	}
	req.DryRun = nil
	r.validate(t, req)
	if d, f := value(t, r.metrics, decisions), value(t, r.metrics, findings); d != "1" || f != "1" {
		t.Errorf("%s decisions, %s findings, want 1 and 1", d, f)
	}
}

// late is a namespace that is not known at first.
type late struct {
	namespaces
	after time.Time
}

func (l late) NamespaceLabels(name string) (map[string]string, bool) {
	if time.Now().Before(l.after) {
		return nil, false
	}
	return l.namespaces.NamespaceLabels(name)
}

func TestUnknownNamespace(t *testing.T) {
	t.Run("is waited for", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.Namespaces = late{standard(), time.Now().Add(150 * time.Millisecond)} })
		if o := r.validate(t, on(t, "warned", bad)); !o.Allowed {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("is strict in the end", func(t *testing.T) {
		r := newRig(t, nil)
		o := r.validate(t, on(t, "nowhere", without))
		want := []string{"seccompgate: namespace nowhere: its labels are not known to this replica of the webhook yet, so every level counts as strict; retry in a few seconds"}
		if o.Allowed || !strings.HasPrefix(o.Message, "seccompgate strict: [unset] ") {
			t.Errorf("got %+v", o)
		}
		if diff := cmp.Diff(want, o.Warnings); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
	})
	t.Run("keeps no others waiting", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.Options.Settings.Limits.ConcurrentRequests = 1 })
		var waiting sync.WaitGroup
		defer waiting.Wait()
		for range 8 {
			waiting.Go(func() { r.send(t, PathValidate, reviewOf(t, on(t, "nowhere", good))) })
		}
		time.Sleep(50 * time.Millisecond)
		start := time.Now()
		if o := r.validate(t, on(t, "restricted", good)); !o.Allowed {
			t.Errorf("got %+v", o)
		}
		if took := time.Since(start); took > namespaceWait/2 {
			t.Errorf("a request to a known namespace took %s", took)
		}
	})
}

func TestNotSynced(t *testing.T) {
	r := newRig(t, func(s *setup) {
		empty := inventory.NewIndex(inventory.Objects{})
		s.Facts, s.Synced = func() *inventory.Index { return empty }, func() bool { return false }
	})
	o := r.validate(t, on(t, "baseline", onApp))
	const want = `seccompgate baseline: [not-synced] container "app": its profile cannot be looked up, because this replica of the webhook has not read the nodes yet; retry in a few seconds`
	if o.Allowed || o.Message != want {
		t.Errorf("got %+v\nwant message %s", o, want)
	}
	if o := r.validate(t, on(t, "restricted", good)); !o.Allowed {
		t.Errorf("RuntimeDefault: got %+v", o)
	}
	if o := r.validate(t, on(t, "baseline", bad)); o.Allowed || !strings.Contains(o.Message, "[unconfined]") {
		t.Errorf("Unconfined: got %+v", o)
	}
}

// userRule is the text of a rule of a user's.
func userRuleText(id, body string) string {
	return `# METADATA
# title: A rule of ours
# description: It is for a test.
# related_resources:
#   - https://example.com
# custom:
#   level: baseline
#   since: v0.1
#   remediation: None.
package seccompgate.rules.` + id + `

` + body + "\n"
}

// withRule is a directory with one rule in it.
func withRule(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	writeRule(t, dir, text)
	return dir
}

func writeRule(t testing.TB, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "rule.rego"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func useRules(t testing.TB, dir string) func(*setup) {
	t.Helper()
	rules, err := policies.Load(t.Context(), policies.Options{Directory: dir, Parameters: map[string]any{"missingProfile": "any"}})
	if err != nil {
		t.Fatal(err)
	}
	return func(s *setup) { s.Config.Policies = func() *policies.Set { return rules } }
}

func TestRow83RuleThatFails(t *testing.T) {
	dir := withRule(t, userRuleText("divide", `deny contains {"container": "", "field": "", "message": "m"} if 1 / (count(input.containers) - 1) > 7`))
	r := newRig(t, useRules(t, dir))
	want := "[rule-error] rule divide could not be evaluated: " + dir + "/rule.rego:12: div: divide by zero"
	if o := r.validate(t, on(t, "baseline", good)); o.Allowed || o.Code != 403 || o.Message != "seccompgate baseline: "+want {
		t.Errorf("enforce: got %+v, want %s", o, want)
	}
	if o := r.validate(t, on(t, "warned", good)); !o.Allowed || len(o.Warnings) != 1 || o.Warnings[0] != "seccompgate: "+want {
		t.Errorf("warn: got %+v, want %s", o, want)
	}
	// The other rules judge all the same.
	if o := r.validate(t, on(t, "baseline", bad)); !strings.Contains(o.Message, "[unconfined]") {
		t.Errorf("got %+v", o)
	}
	if got := value(t, r.metrics, `seccompgate_findings_total{mode="enforce",rule="rule-error"}`); got != "2" {
		t.Errorf("rule errors: %s, want 2", got)
	}
}

func TestRow22RuleThatTakesTooLong(t *testing.T) {
	slow := withRule(t, userRuleText("slow", `deny contains {"container": "", "field": "", "message": "m"} if {
	n := 20000 * count(input.containers)
	some i in numbers.range(1, n)
	some j in numbers.range(1, n)
	i * j == -1
}`))
	r := newRig(t, useRules(t, slow))
	ask := func(namespace string) (outcome, time.Duration) {
		start := time.Now()
		w := r.send(t, PathValidate+"?timeout=400ms", reviewOf(t, on(t, namespace, good)))
		took := time.Since(start)
		a := accepted(t, PathValidate, on(t, namespace, good), w.Body.Bytes())
		o := outcome{Allowed: a.Allowed, Audit: a.AuditAnnotations, Warnings: a.Warnings}
		if a.Result != nil {
			o.Code, o.Message = a.Result.Code, a.Result.Message
		}
		return o, took
	}
	const text = "could not be evaluated in time; retry, and give the webhook more processors if it stays so"
	audit := map[string]string{"decision": "error", "error": text}
	o, took := ask("baseline")
	if diff := cmp.Diff(outcome{Code: http.StatusGatewayTimeout, Message: text, Audit: audit}, o); diff != "" {
		t.Errorf("enforce (-want +got):\n%s", diff)
	}
	if took > 2*time.Second {
		t.Errorf("the answer took %s, and the client waits 400ms", took)
	}
	o, _ = ask("warned")
	if diff := cmp.Diff(outcome{Allowed: true, Audit: audit}, o); diff != "" {
		t.Errorf("warn (-want +got):\n%s", diff)
	}
	if got := value(t, r.metrics, `seccompgate_decisions_total{decision="error",operation="CREATE",resource="pod"}`); got != "2" {
		t.Errorf("errors: %s, want 2", got)
	}
}

func TestTimeoutOf(t *testing.T) {
	h := &handlers{timeout: 2500 * time.Millisecond}
	for query, want := range map[string]time.Duration{
		"": 2500 * time.Millisecond, "?timeout=3s": 2500 * time.Millisecond, "?timeout=1s": 700 * time.Millisecond,
		"?timeout=400ms": 200 * time.Millisecond, "?timeout=10s": 2500 * time.Millisecond, "?timeout=x": 2500 * time.Millisecond,
		"?timeout=-1s": 2500 * time.Millisecond, "?timeout=0s": 2500 * time.Millisecond, "?a=b&timeout=1s": 700 * time.Millisecond, "?xtimeout=1s": 2500 * time.Millisecond,
	} {
		if got := h.timeoutOf(httptest.NewRequestWithContext(t.Context(), http.MethodPost, PathValidate+query, nil)); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

// TestRow61Overload fills all places: further requests wait, and then are told so.
func TestRow61Overload(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 10)
	r := newRig(t, func(s *setup) {
		s.Options.Settings.Limits = v1alpha1.Limits{ConcurrentRequests: 1, WaitingRequests: 1, Timeout: metav1.Duration{Duration: time.Second}}
		rules := loadRules(t)
		s.Config.Policies = func() *policies.Set {
			arrived <- struct{}{}
			<-release
			return rules
		}
		close(release) // for Register
	})
	release = make(chan struct{})
	for len(arrived) > 0 {
		<-arrived
	}
	body := reviewOf(t, on(t, "baseline", good))
	var inWork sync.WaitGroup
	inWork.Go(func() {
		if w := r.send(t, PathValidate, body); w.Code != http.StatusOK {
			t.Errorf("the request in work: status %d: %s", w.Code, w.Body)
		}
	})
	<-arrived
	late := make(chan *httptest.ResponseRecorder)
	go func() { late <- r.send(t, PathValidate, body) }()
	time.Sleep(200 * time.Millisecond) // until it waits; nothing tells
	if w := r.send(t, PathValidate, body); w.Code != http.StatusServiceUnavailable || w.Body.String() != errFull.Error()+"\n" {
		t.Errorf("one too many: status %d: %s", w.Code, w.Body)
	}
	if w := <-late; w.Code != http.StatusServiceUnavailable || w.Body.String() != errLate.Error()+"\n" {
		t.Errorf("the request that waited: status %d: %s", w.Code, w.Body)
	}
	if got := value(t, r.metrics, `seccompgate_requests_refused_total{reason="overload"}`); got != "2" {
		t.Errorf("refused requests: %s, want 2", got)
	}
	if got := value(t, r.metrics, `seccompgate_requests_in_work`); got != "1" {
		t.Errorf("requests in work: %s, want 1", got)
	}
	close(release)
	inWork.Wait()
	if w := r.send(t, PathValidate, body); w.Code != http.StatusOK {
		t.Errorf("afterwards: status %d", w.Code)
	}
}

// TestPanic: a bug in one kind of request must not end all others, and allows nothing.
func TestPanic(t *testing.T) {
	var broken atomic.Bool
	rules := loadRules(t)
	r := newRig(t, func(s *setup) {
		s.Config.Policies = func() *policies.Set {
			if broken.Load() {
				panic("a bug")
			}
			return rules
		}
		facts := s.Config.Facts
		s.Config.Facts = func() *inventory.Index {
			if broken.Load() {
				panic("a bug")
			}
			return facts()
		}
	})
	broken.Store(true)
	want := outcome{Code: 500, Message: "internal error, see the log of the webhook; the request was not judged"}
	if diff := cmp.Diff(want, r.validate(t, on(t, "baseline", good))); diff != "" {
		t.Errorf("validate (-want +got):\n%s", diff)
	}
	a := r.ask(t, PathMutate, on(t, "baseline", labelled))
	if diff := cmp.Diff([]string{"seccompgate: no profile was injected: internal error, see the log of the webhook"}, a.Warnings); diff != "" || !a.Allowed {
		t.Errorf("mutate: allowed %v (-want +got):\n%s", a.Allowed, diff)
	}
	if got := value(t, r.metrics, `seccompgate_decisions_total{decision="error",operation="CREATE",resource="other"}`); got != "1" {
		t.Errorf("errors: %s, want 1", got)
	}
	broken.Store(false)
	if o := r.validate(t, on(t, "baseline", good)); !o.Allowed {
		t.Errorf("afterwards: %+v", o)
	}
	if got := value(t, r.metrics, `seccompgate_requests_in_work`); got != "0" {
		t.Errorf("requests in work: %s, want 0", got)
	}
}

// TestRuleReadsObject: a rule that reads the object gets it as it was submitted.
func TestRuleReadsObject(t *testing.T) {
	r := newRig(t, useRules(t, withRule(t, userRuleText("hosts", `deny contains {"container": "", "field": "spec.hostNetwork", "message": "host network"} if input.object.spec.hostNetwork`))))
	if o := r.validate(t, on(t, "baseline", `{spec: {hostNetwork: true, containers: [{name: app}]}}`)); o.Message != "seccompgate baseline: [hosts] host network" {
		t.Errorf("got %+v", o)
	}
	if o := r.validate(t, on(t, "baseline", `{spec: {containers: [{name: app}]}}`)); !o.Allowed {
		t.Errorf("got %+v", o)
	}
	if got := value(t, r.metrics, `seccompgate_findings_total{mode="enforce",rule="user"}`); got != "1" {
		t.Errorf("findings of users' rules: %s, want 1", got)
	}
}

func TestOptionsAreNeeded(t *testing.T) {
	err := Register(http.NewServeMux(), Options{Reviewer: &review.Reviewer{}})
	if err == nil || err.Error() != "webhook options: reviewer, policies, metrics and readiness are needed" {
		t.Errorf("got %v", err)
	}
}

// TestCancelledRequests: a client that is gone costs no judgement, and gets no allowance.
func TestCancelledRequests(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body := reviewOf(t, on(t, "baseline", good))
	w := r.do(httptest.NewRequestWithContext(ctx, http.MethodPost, PathValidate, strings.NewReader(string(body))))
	a := accepted(t, PathValidate, on(t, "baseline", good), w.Body.Bytes())
	if a.Allowed || a.Result.Code != http.StatusGatewayTimeout {
		t.Errorf("allowed %v, status %+v", a.Allowed, a.Result)
	}
}
