// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"sigs.k8s.io/yaml"
)

// fixture is one document and every finding that all rules together have of it: so each
// fault is shown to have one rule. Only what matters is written down; complete adds the
// rest.
type fixture struct {
	Parameters map[string]any    `json:"parameters"`
	Input      json.RawMessage   `json:"input"`
	Findings   []expectedFinding `json:"findings"`
}

type expectedFinding struct {
	Rule      string `json:"rule"`
	Container string `json:"container"`
	Field     string `json:"field"`
	Message   string `json:"message"`
	Unknown   bool   `json:"unknown"`
}

// fixtures calls test with each document of testdata.
func fixtures(t *testing.T, test func(t *testing.T, parameters map[string]any, in *Input, f *fixture)) {
	t.Helper()
	files, err := filepath.Glob("rules/*/testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2*len(load(t, Options{}).Rules()) {
		t.Fatalf("%d fixtures found; a rule has at least two", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "rules/"), ".yaml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var f fixture
			if err := yaml.UnmarshalStrict(raw, &f); err != nil {
				t.Fatalf("read %s: %v", file, err)
			}
			if f.Parameters == nil {
				f.Parameters = map[string]any{"missingProfile": "any"}
			}
			in := &Input{Version: InputVersion, Kind: "Pod", Operation: "CREATE", Namespace: Namespace{Name: "default"}}
			decoder := json.NewDecoder(bytes.NewReader(f.Input))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(in); err != nil {
				t.Fatalf("read %s: %v", file, err)
			}
			complete(in)
			test(t, f.Parameters, in, &f)
		})
	}
}

// complete fills in what a fixture leaves out, as it follows from the rest.
func complete(in *Input) {
	if p := &in.Pod.Profile; in.Kind != "Binding" && p.Type == "" {
		p.Origin, p.Field = "unset", "spec.securityContext.seccompProfile"
	}
	for i := range in.Containers {
		c := &in.Containers[i]
		c.Index, c.Image = i, "registry.example/"+c.Name
		if c.Kind == "" {
			c.Kind = "container"
		}
		c.Field = fmt.Sprintf("spec.containers[%d]", i)
		if c.Declared.Type == "" {
			c.Declared.Origin, c.Declared.Field = "unset", c.Field+".securityContext.seccompProfile"
		}
		switch {
		case c.Profile.Type != "":
		case c.Privileged:
			c.Profile = Effective{Type: "Unconfined", Origin: "privileged"}
		default:
			c.Profile = Effective{Type: c.Declared.Type, LocalhostProfile: c.Declared.LocalhostProfile, Origin: c.Declared.Origin}
		}
	}
}

// expected are the findings in full: what a fixture does not say stands in the rule.
func (f *fixture) expected(t *testing.T, s *Set, in *Input) []Finding {
	t.Helper()
	var out []Finding
	for _, e := range f.Findings {
		rules := s.Rules()
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == e.Rule })
		if i < 0 {
			t.Fatalf("no rule is called %q", e.Rule)
		}
		out = append(out, Finding{
			Rule: e.Rule, Level: rules[i].Level, Since: rules[i].Since, Remediation: rules[i].Remediation,
			Container: e.Container, Field: e.Field, Message: e.Message, Unknown: e.Unknown,
			Index: slices.IndexFunc(in.Containers, func(c Container) bool { return c.Name == e.Container }),
		})
	}
	return out
}

// isStricter says that a rule is strict and that of the folder is not: what most pods are
// at fault for would stand in every fixture.
func isStricter(s *Set, rule, folder string) bool {
	strict := func(id string) bool {
		return slices.ContainsFunc(s.Rules(), func(r Rule) bool { return r.ID == id && r.Level == Strict })
	}
	return strict(rule) && !strict(folder)
}

func TestFixtures(t *testing.T) {
	fixtures(t, func(t *testing.T, parameters map[string]any, in *Input, f *fixture) {
		s := load(t, Options{Parameters: parameters})
		got, err := s.Evaluate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		folder := strings.Split(t.Name(), "/")[1]
		got = slices.DeleteFunc(got, func(f Finding) bool { return isStricter(s, f.Rule, folder) })
		if d := cmp.Diff(f.expected(t, s, in), got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("findings (-want +got):\n%s", d)
		}
		mine := slices.ContainsFunc(f.Findings, func(e expectedFinding) bool { return e.Rule == folder })
		if want := strings.HasPrefix(filepath.Base(t.Name()), "fail-"); mine != want {
			t.Errorf("the name says that %s has a finding: %v; it has: %v", folder, want, mine)
		}
	})
}

// TestPruningChangesNothing shows that what is left out of the document is nothing that
// a rule reads.
func TestPruningChangesNothing(t *testing.T) {
	fixtures(t, func(t *testing.T, parameters map[string]any, in *Input, _ *fixture) {
		s := load(t, Options{Parameters: parameters})
		pruned, err := s.Evaluate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		s.scope(Strict).reads = everything()
		whole, err := s.Evaluate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(whole, pruned); d != "" {
			t.Errorf("findings on the whole document and on the pruned one (-whole +pruned):\n%s", d)
		}
	})
}

// TestPartialEvaluationChangesNothing compares with the rules as they are written.
func TestPartialEvaluationChangesNothing(t *testing.T) {
	fixtures(t, func(t *testing.T, parameters map[string]any, in *Input, _ *fixture) {
		s := load(t, Options{Parameters: parameters})
		sc := s.scope(Strict)
		e, err := s.begin(t.Context(), in, sc)
		if err != nil {
			t.Fatal(err)
		}
		defer e.end()
		partial, err := e.together(sc.queries)
		if err != nil {
			t.Fatal(err)
		}
		written, err := e.each(sc.rules)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(written, partial); d != "" {
			t.Errorf("findings as written and partially evaluated (-written +partial):\n%s", d)
		}
	})
}

// TestMainSaysTheSame compares the entry point for stock tools with the query that is
// used.
func TestMainSaysTheSame(t *testing.T) {
	own, err := parseTree(builtin, ".", "policies")
	if err != nil {
		t.Fatal(err)
	}
	c := ast.NewCompiler()
	if c.Compile(own.modules); c.Failed() {
		t.Fatal(c.Errors)
	}
	stock, err := rego.New(rego.Compiler(c), rego.Query("data.seccompgate.main.findings"), rego.StrictBuiltinErrors(true)).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := load(t, Options{})
	fixtures(t, func(t *testing.T, parameters map[string]any, in *Input, f *fixture) {
		p, err := ast.InterfaceToValue(parameters)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := in.toValue(everything(), ast.NewTerm(p))
		if err != nil {
			t.Fatal(err)
		}
		rs, err := stock.Eval(t.Context(), rego.EvalParsedInput(doc))
		if err != nil {
			t.Fatal(err)
		}
		var got []expectedFinding
		for _, v := range rs[0].Expressions[0].Value.([]any) {
			raw, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			var said struct {
				Rule    string
				Finding expectedFinding
			}
			if err := json.Unmarshal(raw, &said); err != nil {
				t.Fatal(err)
			}
			said.Finding.Rule = strings.ReplaceAll(said.Rule, "_", "-")
			if !isStricter(all, said.Finding.Rule, strings.Split(t.Name(), "/")[1]) {
				got = append(got, said.Finding)
			}
		}
		order := func(a, b expectedFinding) int { return strings.Compare(a.Rule+a.Message, b.Rule+b.Message) }
		want := slices.Clone(f.Findings)
		slices.SortFunc(want, order)
		slices.SortFunc(got, order)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("findings (-want +got):\n%s", d)
		}
	})
}
