// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func load(t testing.TB, opts Options) *Set {
	t.Helper()
	s, err := Load(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ordinary is a pod with n containers that a label confines, with annotations as pods
// have them, on nodes that have the profile.
func ordinary(n int) *Input {
	const path, field = "seccompgate/app.json", "spec.securityContext.seccompProfile"
	in := &Input{
		Version: InputVersion, Kind: "Pod", Operation: "CREATE",
		Namespace:   Namespace{Name: "shop", Labels: map[string]string{"seccompgate.io/enforce": "restricted"}},
		User:        User{Name: "system:serviceaccount:kube-system:replicaset-controller"},
		Labels:      map[string]string{"app": "web", "seccompgate.io/profile": "app"},
		Annotations: map[string]string{"prometheus.io/scrape": "true", "sidecar.istio.io/status": "injected", "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"},
		Pod:         Pod{Profile: Declared{Type: "Localhost", LocalhostProfile: path, Origin: "label", Field: field}},
		Nodes:       Nodes{Eligible: 5, SeccompRoots: []string{"/var/lib/kubelet/seccomp"}},
		Profiles: map[string]*Profile{path: {
			Valid: true, DefaultAction: "SCMP_ACT_ERRNO", Digests: []string{"sha256:abc"}, ExpectedDigest: "sha256:abc",
			Nodes: ProfileNodes{Eligible: 5, Have: 5},
		}},
	}
	requested := &Requested{Name: "app", Source: "pod label", Field: "metadata.labels[seccompgate.io/profile]", Known: true, InEffect: true, Type: "Localhost", Path: path}
	for i := range n {
		in.Containers = append(in.Containers, Container{
			Name: "container-" + strconv.Itoa(i), Index: i, Kind: "container", Field: fmt.Sprintf("spec.containers[%d]", i), Image: "registry.example/app",
			Declared:  Declared{Type: "Localhost", LocalhostProfile: path, Origin: "label", Field: field},
			Profile:   Effective{Type: "Localhost", LocalhostProfile: path, Origin: "label"},
			Requested: requested,
		})
	}
	return in
}

// doubtful is an ordinary pod that meets a condition of a rule, which then finds nothing.
func doubtful(n int) *Input {
	in := ordinary(n)
	in.Profiles["seccompgate/app.json"].BeyondDefault = []BeyondDefault{{Syscall: "chroot", UnlessCapability: []string{"CAP_SYS_CHROOT"}}}
	return in
}

// TestAllocations is the gate on one evaluation of four containers, its document included.
// It does not depend on the machine: a whole request is to stay below 300, and not far
// above with the strict rules.
func TestAllocations(t *testing.T) {
	s := load(t, Options{Parameters: map[string]any{"missingProfile": "any"}})
	in := ordinary(4)
	for level, most := range map[Level]float64{Baseline: 210, Restricted: 210, Strict: 255} {
		got := testing.AllocsPerRun(200, func() {
			if findings, _, err := s.evaluate(t.Context(), in, s.scope(level)); err != nil || len(findings) != 0 {
				t.Fatal(findings, err)
			}
		})
		t.Logf("%s: %.0f allocations", level, got)
		if got > most {
			t.Errorf("%s: %.0f allocations, at most %.0f are good", level, got, most)
		}
	}
}

// TestEvaluateUpTo leaves the strict rules to those who ask for them.
func TestEvaluateUpTo(t *testing.T) {
	s := load(t, Options{})
	in := ordinary(1)
	in.Containers[0].Declared.Type = "RuntimeDefault"
	in.Containers[0].Profile = Effective{Type: "RuntimeDefault", Origin: "pod"}
	in.Containers[0].Requested = nil
	for level, want := range map[Level]int{Baseline: 0, Restricted: 0, Strict: 1} {
		findings, err := s.EvaluateUpTo(t.Context(), in, level)
		if err != nil || len(findings) != want {
			t.Errorf("%s: findings %v, error %v", level, findings, err)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	s := load(b, Options{Parameters: map[string]any{"missingProfile": "any"}})
	for _, n := range []int{1, 4, 30} {
		in := ordinary(n)
		b.Run(fmt.Sprintf("containers=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if findings, err := s.Evaluate(b.Context(), in); err != nil || len(findings) != 0 {
					b.Fatal(findings, err)
				}
			}
		})
		b.Run(fmt.Sprintf("document/containers=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := in.toValue(s.scope(Strict).reads, s.parameters); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// rule is a user's rule with a body of its own.
func rule(id, level, body string) string {
	return fmt.Sprintf(`# METADATA
# title: A title
# description: A description.
# related_resources:
#   - ref: https://example.org
# custom:
#   level: %s
#   since: v1.0
#   remediation: A remedy.
package seccompgate.rules.%s

%s
`, level, id, body)
}

// directory holds the files of a user.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRow84RuleError shows that a rule that fails is answered by a finding at its own level,
// and that all other rules still judge.
func TestRow84RuleError(t *testing.T) {
	const privileged = `container "container-0": privileged, so the runtime sets no seccomp filter whatever seccompProfile says; drop privileged`
	for _, tc := range []struct {
		name, level, body, why string
	}{
		{
			"builtin error", "restricted",
			"deny contains finding if {\n\tsome container in input.containers\n\tto_number(container.name) > 1\n\tfinding := {\"container\": container.name, \"field\": \"\", \"message\": \"m\"}\n}",
			`FILE:14: to_number: strconv.ParseFloat: parsing "container-0": invalid syntax`,
		},
		{
			"a finding that is a text", "baseline", `deny contains "this is wrong"`,
			`FILE: a finding is an object with container, field and message`,
		},
		{
			"a finding without a message", "baseline", `deny contains {"container": "", "field": ""}`,
			`FILE: a finding without a message`,
		},
		{
			"a field that is no text", "baseline", `deny contains {"container": "", "field": "", "message": 7}`,
			`FILE: a finding has container, field and message as text, not message: 7`,
		},
		{
			"a field that findings do not have", "baseline", `deny contains {"container": "", "field": "", "message": "m", "severity": "high"}`,
			`FILE: a finding has container, field and message as text, not severity: high`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := directory(t, map[string]string{"mine.rego": rule("mine", tc.level, tc.body)})
			in := ordinary(1)
			in.Containers[0].Privileged = true
			got, err := load(t, Options{Directory: dir}).Evaluate(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "mine.rego")
			want := []Finding{
				{
					Rule: RuleError, Failed: "mine", Level: Level(tc.level), Since: "v1.0", Index: -1,
					Message:     "rule mine could not be evaluated: " + file + tc.why[len("FILE"):],
					Remediation: "Correct the rule; until then every pod is judged by this finding in its place.",
				},
				{
					Rule: "privileged", Level: Restricted, Since: "v0.1", Container: "container-0",
					Field: "spec.containers[0].securityContext.privileged", Message: privileged,
					Remediation: "Drop privileged and add the capabilities that the container really needs.",
				},
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
		})
	}
}

// TestOrder wants findings by container, then rule, whatever order OPA found them in.
func TestOrder(t *testing.T) {
	s := load(t, Options{})
	in := ordinary(3)
	in.Annotations["run.oci.seccomp_bpf_data"] = "AAAA"
	for i := range in.Containers {
		c := &in.Containers[i]
		c.Privileged, c.Requested = true, nil
		c.Declared.Type, c.Profile = "Unconfined", Effective{Type: "Unconfined", Origin: "privileged"}
	}
	in.HostPaths = []HostPath{{Path: "/", Container: "container-1", Volume: "b", Field: "f2"}, {Path: "/", Container: "container-1", Volume: "a", Field: "f1"}}
	want := []string{
		"-1 profile-annotation metadata.annotations[run.oci.seccomp_bpf_data]",
		"0 privileged spec.containers[0].securityContext.privileged",
		"0 unconfined spec.securityContext.seccompProfile",
		"1 privileged spec.containers[1].securityContext.privileged",
		"1 profile-store f1",
		"1 profile-store f2",
		"1 unconfined spec.securityContext.seccompProfile",
		"2 privileged spec.containers[2].securityContext.privileged",
		"2 unconfined spec.securityContext.seccompProfile",
	}
	for range 20 {
		findings, err := s.Evaluate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range findings {
			got = append(got, fmt.Sprintf("%d %s %s", f.Index, f.Rule, f.Field))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("order (-want +got):\n%s", d)
		}
	}
}

// TestCancel ends a rule that would run for hours: neither a verdict nor a rule-error
// comes of it.
func TestCancel(t *testing.T) {
	dir := directory(t, map[string]string{"slow.rego": rule("slow", "baseline", `deny contains finding if {
	some container in input.containers
	some a in numbers.range(1, count(container.name) * 10000)
	some b in numbers.range(1, count(container.name) * 10000)
	a + b < 0
	finding := {"container": container.name, "field": "", "message": "m"}
}`)})
	s := load(t, Options{Directory: dir})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	findings, err := s.Evaluate(ctx, ordinary(1))
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "evaluate rules: context deadline exceeded" || findings != nil {
		t.Errorf("findings %v, error %v", findings, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestUserRuleReadsAnything shows that nothing is left out of the document of a rule
// that reaches a field without naming it.
func TestUserRuleReadsAnything(t *testing.T) {
	dir := directory(t, map[string]string{"mine.rego": rule("mine", "baseline", `deny contains finding if {
	some container in input.containers
	some field, value in container
	value == "registry.example/app"
	some key, _ in input.annotations
	finding := {"container": container.name, "field": field, "message": key}
}`)})
	s := load(t, Options{Directory: dir})
	findings, err := s.Evaluate(t.Context(), ordinary(1))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings {
		got = append(got, f.Field+" "+f.Message)
	}
	want := []string{"image kubectl.kubernetes.io/restartedAt", "image prometheus.io/scrape", "image sidecar.istio.io/status"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}

// TestUserRuleReadsTheObject shows that the object as submitted is there for a rule that
// reads it, and asked for only then.
func TestUserRuleReadsTheObject(t *testing.T) {
	if load(t, Options{}).ReadsObject() {
		t.Error("the built-in rules ask for the object")
	}
	dir := directory(t, map[string]string{"mine.rego": rule("mine", "baseline", `deny contains finding if {
	input.object.spec.hostPID == true
	finding := {"container": "", "field": "spec.hostPID", "message": "hostPID is true"}
}`)})
	s := load(t, Options{Directory: dir})
	if !s.ReadsObject() {
		t.Error("the object is not asked for")
	}
	in := ordinary(1)
	in.Object = []byte(`{"spec": {"hostPID": true}}`)
	got, err := s.Evaluate(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	want := []Finding{{Rule: "mine", Level: Baseline, Since: "v1.0", Index: -1, Field: "spec.hostPID", Message: "hostPID is true", Remediation: "A remedy."}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}

// TestMissingProfileIsAnyByDefault: a Set without parameters must not be a Set without
// the rule.
func TestMissingProfileIsAnyByDefault(t *testing.T) {
	in := ordinary(1)
	in.Profiles["seccompgate/app.json"].Nodes = ProfileNodes{Eligible: 2, Have: 1, Missing: Group{Count: 1, Examples: []string{"n2"}}}
	for _, tc := range []struct {
		parameters map[string]any
		want       int
	}{
		{nil, 1},
		{map[string]any{"missingProfile": "any"}, 1},
		{map[string]any{"missingProfile": "all"}, 0},
	} {
		got, err := load(t, Options{Parameters: tc.parameters}).Evaluate(t.Context(), in)
		if err != nil || len(got) != tc.want {
			t.Errorf("%v: findings %v, error %v; want %d", tc.parameters, got, err, tc.want)
		}
	}
}
