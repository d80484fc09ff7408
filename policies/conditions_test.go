// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestOrdinaryPodsMeetNoCondition: what has nothing wrong is not to cost an evaluation.
func TestOrdinaryPodsMeetNoCondition(t *testing.T) {
	s := load(t, Options{Parameters: map[string]any{"missingProfile": "any"}})
	for _, level := range scopeLevels() {
		if s.scope(level).bodies == nil {
			t.Errorf("%s: a body of a built-in rule begins with no plain condition", level)
		}
		in := ordinary(4)
		before := s.Cleared()
		got := testing.AllocsPerRun(100, func() {
			if findings, err := s.EvaluateUpTo(t.Context(), in, level); err != nil || len(findings) != 0 {
				t.Fatal(findings, err)
			}
		})
		if cleared := s.Cleared() - before; cleared < 100 || got > 0 {
			t.Errorf("%s: %d of 101 cleared, with %.0f allocations each, want all with none", level, cleared, got)
		}
	}
}

// TestConditions has bodies of a user's rule, and what is to change in an ordinary pod for
// the rule to have to run.
func TestConditions(t *testing.T) {
	always, never := func(*Input) {}, (func(*Input))(nil)
	for _, tc := range []struct {
		name, body string
		runsFor    func(*Input)
		// all says that it runs for the ordinary pod, too.
		all bool
	}{
		{"a text", `input.operation == "UPDATE"`, func(in *Input) { in.Operation = "UPDATE" }, false},
		{"the constant first", `"UPDATE" == input.operation`, func(in *Input) { in.Operation = "UPDATE" }, false},
		{"another text", `input.kind != "Pod"`, func(in *Input) { in.Kind = "Job" }, false},
		{"a truth", `input.mirror == true`, func(in *Input) { in.Mirror = true }, false},
		{"a truth by itself", `input.mirror`, func(in *Input) { in.Mirror = true }, false},
		{"a container's truth by itself", `some c in input.containers
	c.privileged`, func(in *Input) { in.Containers[1].Privileged = true }, false},
		{"what may be absent by itself", `input.recording.name`, func(in *Input) { in.Recording = &Recording{Name: "r"} }, false},
		{"the first of a list by itself", `input.nodes.runtimes[0]`, func(in *Input) { in.Nodes.Runtimes = []string{"runc"} }, false},
		{"any of a list by itself", `input.nodes.runtimes[_]`, func(in *Input) { in.Nodes.Runtimes = []string{"runc"} }, false},
		{"a text by itself", `input.operation
	input.mirror == true`, func(in *Input) { in.Mirror = true }, false},
		{"a label by itself", `input.labels.nothing`, always, true},
		{"a number", `input.nodes.eligible == 0`, func(in *Input) { in.Nodes.Eligible = 0 }, false},
		{"above a number", `input.nodes.eligible > 5`, func(in *Input) { in.Nodes.Eligible = 6 }, false},
		{"not a number", `input.nodes.eligible != 5`, func(in *Input) { in.Nodes.Eligible = 6 }, false},
		{"an empty list", `input.nodes.seccompRoots == []`, func(in *Input) { in.Nodes.SeccompRoots = nil }, false},
		{"a list with items", `input.nodes.runtimes != []`, func(in *Input) { in.Nodes.Runtimes = []string{"runc"} }, false},
		{"what may be absent", `name := input.recording.name
	name == name`, func(in *Input) { in.Recording = &Recording{Name: "r"} }, false},
		{"an absent text", `some c in input.containers
	fault := c.profile.pathFault
	count(fault) > 0`, func(in *Input) { in.Containers[1].Profile.PathFault = "x" }, false},
		{"an absent object", `some c in input.containers
	c.requested.known == false`, func(in *Input) { r := *in.Containers[0].Requested; r.Known = false; in.Containers[1].Requested = &r }, false},
		{"any of the containers", `some c in input.containers
	c.privileged == true`, func(in *Input) { in.Containers[1].Privileged = true }, false},
		{"by an index", `input.containers[1].privileged == true`, func(in *Input) { in.Containers[1].Privileged = true }, false},
		{"without a name", `input.containers[_].privileged == true`, func(in *Input) { in.Containers[0].Privileged = true }, false},
		{"one container for both", `some c in input.containers
	c.privileged == true
	c.kind == "init"`, func(in *Input) { in.Containers[1].Privileged, in.Containers[1].Kind = true, "init" }, false},
		{"one for each", `some c in input.containers
	c.privileged == true
	some d in input.containers
	d.kind == "init"`, func(in *Input) { in.Containers[0].Privileged, in.Containers[1].Kind = true, "init" }, false},
		{"a part with a name", `some c in input.containers
	p := c.profile
	p.type == "Unconfined"`, func(in *Input) { in.Containers[1].Profile.Type = "Unconfined" }, false},
		{"a profile by its path", `some c in input.containers
	facts := input.profiles[c.profile.localhostProfile]
	facts.nodes.missing.count > 0`, func(in *Input) { in.Profiles["seccompgate/app.json"].Nodes.Missing.Count = 1 }, false},
		{"a profile that is the container's", `some path, facts in input.profiles
	some c in input.containers
	c.profile.localhostProfile == path
	facts.grade == "open"`, func(in *Input) { in.Profiles["seccompgate/app.json"].Grade = "open" }, false},
		{"any host path", `some h in input.hostPaths
	h.readOnly == false`, func(in *Input) { in.HostPaths = []HostPath{{Path: "/"}} }, false},
		{"any annotation", `some key, value in input.annotations
	startswith(key, "x")`, func(in *Input) { in.Annotations = map[string]string{"a": ""} }, true},
		{"conditions after what may fail", `to_number(input.operation) > 0
	input.mirror == true`, always, true},
		{"conditions after a denial", `not input.mirror
	input.nodes.eligible > 5`, always, true},
		{"conditions before what may fail", `input.mirror == true
	to_number(input.operation) > 0`, func(in *Input) { in.Mirror = true }, false},
		{"two fields", `input.kind == input.operation`, always, true},
		{"what is not compared with a constant", `x := input.nodes.eligible
	y := x + 1
	y > 3`, always, true},
		{"a field of the object", `input.object.spec.hostNetwork == true`, always, true},
		{"a label", `input.labels.team == "payments"`, always, true},
		{"an item of a list", `input.nodes.seccompRoots[0] == "/"`, always, true},
		{"a parameter", `input.parameters.missingProfile == "all"`, always, true},
		{"a list that is not a certain one", `input.nodes.runtimes != ["runc"]`, always, true},
		{"a list above a list", `input.nodes.runtimes > []`, always, true},
		{"one of several bodies", "input.mirror == true\n}\n\ndeny contains 2 if {\n\tinput.nodes.eligible > 5", func(in *Input) { in.Nodes.Eligible = 6 }, false},
		{"a body without conditions beside one with", "input.mirror == true\n}\n\ndeny contains 2 if {\n\tinput.labels.a", always, true},
		{"a text above a text", `input.kind > "A"`, always, true},
		{"under another input", `input.mirror == true with input as {"mirror": true}`, always, true},
		{"another package", `data.seccompgate.lib.annotations.all[0] == "x"
	input.mirror == true`, always, true},
		{"a key of another package", `input.profiles[data.seccompgate.lib.annotations.all[0]].valid == true
	input.mirror == true`, always, true},
		{"what cannot be", `input.operation == "DELETE"`, never, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := ast.NewCompiler()
			c.Compile(map[string]*ast.Module{"user.rego": ast.MustParseModule("package " + rulesPackage + ".user\n\ndeny contains 1 if {\n\t" + tc.body + "\n}")})
			if c.Failed() {
				t.Fatal(c.Errors)
			}
			s, sc := &Set{}, &scope{bodies: bodiesOf(c, []*Rule{{pkg: "user"}})}
			if got := s.mayFind(sc, ordinary(2)); got != tc.all {
				t.Errorf("an ordinary pod: the rules have to run: %t", got)
			}
			if tc.runsFor == nil {
				return
			}
			in := ordinary(2)
			tc.runsFor(in)
			if !s.mayFind(sc, in) {
				t.Error("the rules do not run")
			}
		})
	}
}

// TestConditionsSeeTheDocument compares each field, as conditions see it, with the document
// that the rules would see.
func TestConditionsSeeTheDocument(t *testing.T) {
	compared := 0
	for _, in := range []*Input{filled(), {Containers: make([]Container, 1), HostPaths: make([]HostPath, 1), Profiles: map[string]*Profile{"": {}}}} {
		document, err := in.toValue(everything(), emptyObject)
		if err != nil {
			t.Fatal(err)
		}
		profile := ""
		for profile = range in.Profiles {
		}
		for root, v := range map[string]reflect.Value{
			"input":               reflect.ValueOf(in).Elem(),
			"input.containers[0]": reflect.ValueOf(&in.Containers[0]).Elem(),
			"input.hostPaths[0]":  reflect.ValueOf(&in.HostPaths[0]).Elem(),
			fmt.Sprintf("input.profiles[%q]", profile): reflect.ValueOf(in.Profiles[profile]).Elem(),
		} {
			leaves(v.Type(), root, func(path string) {
				r := bodyReader{locals: map[ast.Var]subject{}}
				s, known := r.subject(ast.MustParseTerm(path))
				if !known {
					t.Fatalf("%s is not known", path)
				}
				value, err := document.Find(ast.MustParseRef(path)[1:])
				c := condition{steps: s.steps, optional: s.optional}
				if got := c.met(v); got != (err == nil) {
					t.Errorf("%s is there: %t, in the document: %t", path, got, err == nil)
				}
				if err != nil {
					return
				}
				compared++
				if s, ok := value.(ast.String); ok {
					c.text = string(s)
				}
				switch value := value.(type) {
				case ast.Boolean:
					c.number = map[ast.Boolean]int64{true: 1}[value]
				case ast.Number:
					c.number, _ = value.Int64()
				}
				c.operator = isEqual
				if array, isArray := value.(*ast.Array); c.met(v) != (!isArray || array.Len() == 0) {
					t.Errorf("%s: equal to %v: %t", path, value, c.met(v))
				}
			})
		}
	}
	if compared < 100 {
		t.Errorf("only %d fields were compared", compared)
	}
}

// leaves are the paths of the fields that can be compared with a constant.
func leaves(t reflect.Type, path string, visit func(string)) {
	for i, name := range fieldNames(t) {
		field := t.Field(i).Type
		if field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		at := path + "." + name
		switch {
		case field.Kind() == reflect.Struct:
			leaves(field, at, visit)
		case field.Kind() == reflect.Map, name == "object", name == "containers", name == "hostPaths":
		default:
			visit(at)
		}
	}
}

// TestWhatIsClearedCannotFail: a rule that fails is a finding, and what keeps it from running
// has to be what would keep it from failing.
func TestWhatIsClearedCannotFail(t *testing.T) {
	s := load(t, Options{Directory: directory(t, map[string]string{"user.rego": rule("user", "baseline", `deny contains finding if {
	input.mirror == true
	to_number(input.operation) > 0
	finding := {"container": "", "field": "", "message": "found"}
}`)})})
	for mirror, want := range map[bool]string{false: "", true: "rule-error"} {
		in := ordinary(1)
		in.Mirror = mirror
		findings, err := s.Evaluate(t.Context(), in)
		var got []string
		for _, f := range findings {
			got = append(got, f.Rule)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("mirror %t: findings %v, error %v, want %q", mirror, got, err, want)
		}
	}
}
