// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// changes visits every value at any depth with a function that changes it, and every
// list, map and pointer with one that makes it shorter.
func changes(path string, v reflect.Value, visit func(path string, change func())) {
	switch v.Kind() {
	case reflect.String:
		visit(path, func() { v.SetString(v.String() + "!") })
	case reflect.Int:
		visit(path, func() { v.SetInt(v.Int() + 1000) })
	case reflect.Bool:
		visit(path, func() { v.SetBool(!v.Bool()) })
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		visit(path, func() { v.SetZero() })
		changes(path, v.Elem(), visit)
	case reflect.Slice:
		if v.Len() == 0 {
			return
		}
		visit(path, func() { v.SetLen(v.Len() - 1) })
		for i := range v.Len() {
			changes(fmt.Sprintf("%s[%d]", path, i), v.Index(i), visit)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			at := fmt.Sprintf("%s[%s]", path, k)
			visit(at, func() { v.SetMapIndex(k, reflect.Value{}) })
			if e := v.MapIndex(k); e.Kind() == reflect.Pointer {
				changes(at, e.Elem(), visit)
			} else {
				visit(at, func() { v.SetMapIndex(k, reflect.ValueOf("another")) })
			}
		}
	case reflect.Struct:
		for i, name := range fieldNames(v.Type()) {
			if name != "object" && name != "parameters" { // with a reader of the first nothing is remembered; the second is the set's
				changes(path+"."+name, v.Field(i), visit)
			}
		}
	}
}

// filled is an Input with a value in every field, a new one each time.
func filled() *Input {
	var in Input
	n := 0
	fill(reflect.ValueOf(&in).Elem(), &n)
	in.Object, in.Parameters = nil, nil
	for i := range in.Containers {
		in.Containers[i].Index = i
	}
	return &in
}

// TestKeyIsTheDocument changes one thing at a time: whatever changes what the rules see
// changes the key.
func TestKeyIsTheDocument(t *testing.T) {
	builtIn := load(t, Options{}).scope(Restricted).reads
	unlisted := everything()
	unlisted.annotations = []string{"one"}
	for name, r := range map[string]reads{"everything": everything(), "rules up to restricted": builtIn, "all built-in rules": load(t, Options{}).scope(Strict).reads, "listed annotations": unlisted, "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			document, err := filled().toValue(r, emptyObject)
			if err != nil {
				t.Fatal(err)
			}
			before := string(filled().appendKey(nil, r))
			if again := string(filled().appendKey(nil, r)); again != before {
				t.Fatal("one input has two keys")
			}
			var paths []string
			changes("input", reflect.ValueOf(filled()).Elem(), func(path string, _ func()) { paths = append(paths, path) })
			if len(paths) < 150 {
				t.Fatalf("only %d values are changed", len(paths))
			}
			for i := range paths {
				in, n, changed := filled(), 0, ""
				changes("input", reflect.ValueOf(in).Elem(), func(path string, change func()) {
					if n == i {
						change()
						changed = path
					}
					n++
				})
				after, err := in.toValue(r, emptyObject)
				if err != nil {
					t.Fatal(err)
				}
				sameDocument, sameKey := after.Compare(document) == 0, string(in.appendKey(nil, r)) == before
				if !sameDocument && sameKey {
					t.Errorf("%s is part of the document and not of the key", changed)
				}
				// What rules do not read does not make a decision another one, but for the
				// containers, which findings refer to.
				if sameDocument && !sameKey && len(in.Containers) == 2 && !isContainer(changed) {
					t.Errorf("%s is part of the key and not of the document", changed)
				}
			}
		})
	}
}

func isContainer(path string) bool {
	for i := range 2 {
		if at := fmt.Sprintf("input.containers[%d].", i); path == at+"name" || path == at+"index" {
			return true
		}
	}
	return false
}

var (
	oneOfTypes = rapid.SampledFrom([]string{"", "Unconfined", "RuntimeDefault", "Localhost"})
	paths      = rapid.SampledFrom([]string{"a.json", "b.json"})
	few        = rapid.SampledFrom([]int{0, 1, 2, 2000})
	// Names that a container may have, and some that only a client without an API server
	// sends: what is quoted, what looks like a stand-in.
	names = rapid.SampledFrom([]string{"app", "web", "sidecar-2", "", "a b", "a\"b", "\u00e4", "⟦0⟧", "⟦1⟧"})
)

// anyInput is one of few that differ in what rules look at, so that some repeat. Some have
// nothing wrong, or one thing.
func anyInput(t *rapid.T) *Input {
	if rapid.SampledFrom([]bool{true, false, false}).Draw(t, "ordinary") {
		in := ordinary(rapid.IntRange(1, 3).Draw(t, "containers"))
		if rapid.Bool().Draw(t, "changed") {
			changeOne(t, in)
		}
		return in
	}
	in := ordinary(rapid.IntRange(1, 3).Draw(t, "containers"))
	in.OS = rapid.SampledFrom([]string{"", "windows"}).Draw(t, "os")
	if rapid.Bool().Draw(t, "annotated") {
		in.Annotations["run.oci.seccomp_bpf_data"] = rapid.SampledFrom([]string{"", "x"}).Draw(t, "annotation")
	}
	for i := range in.Containers {
		c := &in.Containers[i]
		c.Name = names.Draw(t, "name")
		if rapid.IntRange(0, 3).Draw(t, "mounts") == 0 {
			in.HostPaths = append(in.HostPaths, HostPath{Path: "/var/lib", Container: c.Name, Volume: names.Draw(t, "volume")})
		}
		c.Privileged = rapid.Bool().Draw(t, "privileged")
		c.Declared.Type = oneOfTypes.Draw(t, "declared")
		c.Profile = Effective{Type: c.Declared.Type, Origin: c.Declared.Origin}
		if c.Profile.Type == "Localhost" {
			c.Profile.LocalhostProfile = paths.Draw(t, "path")
		}
		if rapid.Bool().Draw(t, "requested") {
			r := *c.Requested
			r.InEffect, r.Known = rapid.Bool().Draw(t, "in effect"), rapid.Bool().Draw(t, "known")
			c.Requested = &r
		} else {
			c.Requested = nil
		}
	}
	in.Profiles = map[string]*Profile{}
	for _, p := range []string{"a.json", "b.json"} {
		if !rapid.Bool().Draw(t, "has facts") {
			continue
		}
		missing := few.Draw(t, "missing")
		facts := &Profile{
			Valid: rapid.Bool().Draw(t, "valid"), Permissive: rapid.Bool().Draw(t, "permissive"), DefaultAction: "SCMP_ACT_LOG",
			Nodes: ProfileNodes{Eligible: 2 + missing, Have: 2, Missing: Group{Count: missing}},
		}
		if missing > 0 {
			facts.Nodes.Missing.Examples = []string{rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "example")}
		}
		in.Profiles[p] = facts
	}
	return in
}

// changeOne changes one of all the values of an input.
func changeOne(t *rapid.T, in *Input) {
	n, chosen := 0, rapid.IntRange(0, 120).Draw(t, "value")
	changes("input", reflect.ValueOf(in).Elem(), func(_ string, change func()) {
		if n++; n == chosen {
			change()
		}
	})
}

var remembering = sync.OnceValues(func() (sets [2]*Set, err error) {
	for i, n := range []int{64, 0} {
		if sets[i], err = Load(context.Background(), Options{Parameters: map[string]any{"missingProfile": "any"}, Remember: n}); err != nil {
			return sets, err
		}
	}
	return sets, nil
})

// remembersRight compares what is found from memory, and by conditions, with what the
// rules find. The first set has to forget, the second remembers nothing.
func remembersRight(t *rapid.T) {
	sets, err := remembering()
	if err != nil {
		t.Fatal(err)
	}
	in := anyInput(t)
	want, complete, err := sets[1].evaluate(context.Background(), in, sets[1].scope(Strict))
	if err != nil || !complete {
		t.Fatal(complete, err)
	}
	ask := func() ([]Finding, error) { return sets[0].ask(context.Background(), in, sets[0].scope(Strict)) }
	whole := func() ([]Finding, error) { return sets[1].Evaluate(context.Background(), in) }
	for _, find := range []func() ([]Finding, error){ask, ask, whole} {
		got, err := find()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("findings (-evaluated +remembered):\n%s", d)
		}
		for i := range got { // nobody else's
			got[i].Message = "changed by the caller"
		}
	}
}

func TestRememberedEqualsEvaluated(t *testing.T) {
	rapid.Check(t, remembersRight)
	sets, err := remembering()
	if err != nil {
		t.Fatal(err)
	}
	if hits, misses := sets[0].Remembered(); hits < 90 || misses < 10 || sets[1].Cleared() < 10 {
		t.Errorf("%d hits, %d misses, %d cleared: too few of one of them to prove anything", hits, misses, sets[1].Cleared())
	}
	if hits, misses := sets[1].Remembered(); hits+misses != 0 {
		t.Errorf("%d hits and %d misses of a set that remembers nothing", hits, misses)
	}
}

func FuzzRemembered(f *testing.F) { f.Fuzz(rapid.MakeFuzz(remembersRight)) }

func TestMemoryIsBounded(t *testing.T) {
	s := load(t, Options{Remember: 32})
	for i := range 1000 {
		in := doubtful(1)
		in.Containers[0].Field = fmt.Sprint("spec.containers[", i, "]")
		for _, level := range scopeLevels() {
			if _, err := s.EvaluateUpTo(t.Context(), in, level); err != nil {
				t.Fatal(err)
			}
		}
	}
	kept := 0
	for i := range s.memory.shards {
		kept += s.memory.shards[i].known.Len()
	}
	if kept > 32 || kept < 16 {
		t.Errorf("%d decisions are remembered, want at most 32", kept)
	}
	// A key that is too long is judged each time.
	long := doubtful(300)
	for range 2 {
		if _, err := s.Evaluate(t.Context(), long); err != nil {
			t.Fatal(err)
		}
	}
	if hits, _ := s.Remembered(); hits != 0 {
		t.Errorf("%d hits, want none", hits)
	}
}

// TestScopesShareTheMemory asks each scope about the same input: what one has found is no
// answer of another.
func TestScopesShareTheMemory(t *testing.T) {
	always := Policy{Name: "mine", Modules: map[string]string{"mine.rego": `# METADATA
# title: All
# description: Finds something in every pod.
# custom: {level: strict, since: v0.1, remediation: None.}
package seccompgate.rules.mine

deny contains {"container": "", "field": "", "message": "m"} if input.kind == "Pod"
`}}
	s := load(t, Options{Remember: 32, Policies: []Policy{always}})
	// Otherwise what is read makes their keys differ.
	s.scopes[0].reads, s.scopes[0].builtIn = s.scopes[1].reads, s.scopes[1].builtIn
	for range 2 {
		for _, level := range scopeLevels() {
			in := ordinary(1)
			in.Containers[0].Declared.Type = "Unconfined"
			found, err := s.EvaluateUpTo(t.Context(), in, level)
			if mine := slices.ContainsFunc(found, func(f Finding) bool { return f.Rule == "mine" }); err != nil || mine != (level == Strict) {
				t.Errorf("level %s finds %+v, error %v", level, found, err)
			}
		}
	}
	if hits, misses := s.Remembered(); hits != 2 || misses != 2 {
		t.Errorf("%d hits and %d misses, want 2 of each", hits, misses)
	}
}

// TestNodesThatDoNotMatterForgetNothing is why the key holds what the nodes answered and
// not in which state of the nodes they did.
func TestNodesThatDoNotMatterForgetNothing(t *testing.T) {
	s := load(t, Options{Remember: 32})
	for i := range 3 {
		in := doubtful(4)
		in.Labels = map[string]string{"pod-template-hash": fmt.Sprint(i)} // what no rule reads
		in.Profiles["seccompgate/app.json"].Grade = fmt.Sprint(i)
		if _, err := s.Evaluate(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if hits, misses := s.Remembered(); hits != 2 || misses != 1 {
		t.Errorf("%d hits and %d misses, want 2 and 1", hits, misses)
	}
}

// TestNamesAreNotRemembered: pods that differ in the names of containers only are one to the
// rules, and each gets its own names to read.
func TestNamesAreNotRemembered(t *testing.T) {
	s := load(t, Options{Remember: 32})
	for _, names := range [][2]string{{"app", "helper"}, {"web", "proxy"}, {"helper", "app"}} {
		in := ordinary(2)
		for i := range in.Containers {
			in.Containers[i].Name = names[i]
			in.Containers[i].Profile = Effective{Type: "Unconfined", Origin: "pod"}
			in.Containers[i].Declared = Declared{Type: "Unconfined", Origin: "pod", Field: "spec.securityContext.seccompProfile"}
			in.Containers[i].Requested = nil
		}
		in.HostPaths = []HostPath{{Path: "/var/lib/kubelet", Container: names[1], Volume: "state"}}
		findings, err := s.Evaluate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range findings {
			got = append(got, f.Rule+" "+f.Container+": "+f.Message)
		}
		want := []string{
			"unconfined " + names[0] + `: container "` + names[0] + `": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost`,
			"profile-store " + names[1] + `: container "` + names[1] + `": volume "state" mounts host path "/var/lib/kubelet" for writing, which reaches the seccomp profiles of the node (/var/lib/kubelet/seccomp); mount it read-only`,
			"unconfined " + names[1] + `: container "` + names[1] + `": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost`,
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("findings (-want +got):\n%s", d)
		}
	}
	if hits, misses := s.Remembered(); hits != 2 || misses != 1 {
		t.Errorf("%d hits and %d misses, want 2 and 1", hits, misses)
	}
}

// TestUsersRulesSeeNames: they may decide by them.
func TestUsersRulesSeeNames(t *testing.T) {
	s := load(t, Options{Remember: 32, Directory: directory(t, map[string]string{"no-app.rego": rule("no_app", "baseline", `deny contains finding if {
	some container in input.containers
	container.name == "app"
	finding := {"container": container.name, "field": "", "message": "not that one"}
}`)})})
	for name, want := range map[string]int{"app": 1, "web": 0} {
		in := ordinary(1)
		in.Containers[0].Name = name
		findings, err := s.Evaluate(t.Context(), in)
		if err != nil || len(findings) != want {
			t.Errorf("container %s: findings %v, error %v", name, findings, err)
		}
	}
}

// TestFailuresAreNotRemembered: a rule that could not be evaluated may be tomorrow.
func TestFailuresAreNotRemembered(t *testing.T) {
	dir := t.TempDir()
	const rule = `# METADATA
# title: Fails
# description: Fails for every pod.
# custom:
#   level: baseline
#   since: v0.1
#   remediation: None.
package seccompgate.rules.fails

deny contains finding if {
	to_number(input.operation) > 0
	finding := {"container": "", "field": "", "message": "never"}
}
`
	if err := os.WriteFile(filepath.Join(dir, "fails.rego"), []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	s := load(t, Options{Directory: dir, Remember: 32})
	for range 2 {
		findings, err := s.Evaluate(t.Context(), ordinary(1))
		if err != nil || len(findings) != 1 || findings[0].Rule != RuleError {
			t.Fatalf("findings %v, error %v", findings, err)
		}
	}
	if hits, misses := s.Remembered(); hits != 0 || misses != 2 {
		t.Errorf("%d hits and %d misses, want 0 and 2", hits, misses)
	}
}

func TestRulesThatReadTheObjectForgetEverything(t *testing.T) {
	dir := t.TempDir()
	const rule = `# METADATA
# title: Reads
# description: Reads the object.
# custom:
#   level: baseline
#   since: v0.1
#   remediation: None.
package seccompgate.rules.reads

deny contains finding if {
	input.object.spec.priority > 5
	finding := {"container": "", "field": "", "message": "high"}
}
`
	if err := os.WriteFile(filepath.Join(dir, "reads.rego"), []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	s := load(t, Options{Directory: dir, Remember: 32})
	for priority, want := range map[int]int{9: 1, 1: 0} {
		in := ordinary(1)
		in.Object = json.RawMessage(fmt.Sprintf(`{"spec":{"priority":%d}}`, priority))
		findings, err := s.Evaluate(t.Context(), in)
		if err != nil || len(findings) != want {
			t.Errorf("priority %d: findings %v, error %v", priority, findings, err)
		}
	}
}

// TestRememberedAllocations is the gate on what an answer from memory costs.
func TestRememberedAllocations(t *testing.T) {
	s := load(t, Options{Remember: 32})
	in := doubtful(4)
	got := testing.AllocsPerRun(200, func() {
		if findings, err := s.Evaluate(t.Context(), in); err != nil || len(findings) != 0 {
			t.Fatal(findings, err)
		}
	})
	if got > 0 {
		t.Errorf("%.0f allocations, want none", got)
	}
}
