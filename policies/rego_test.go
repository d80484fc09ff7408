// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/tester"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a generated file with what is on disk.
func golden(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is not what is generated; run: make generate\n%s", file, cmp.Diff(string(got), string(want)))
	}
}

func TestSchemaIsCurrent(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema/input.json", want)
}

// regoFiles are all of them, tests too.
func regoFiles(t *testing.T) map[string]*ast.Module {
	t.Helper()
	modules := make(map[string]*ast.Module)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".rego" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		modules[path], err = ast.ParseModuleWithOpts(path, string(raw), ast.ParserOptions{ProcessAnnotation: true, Capabilities: capabilities()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

// TestRego runs the rules' own tests and wants every line of every rule to be reached.
func TestRego(t *testing.T) {
	modules := regoFiles(t)
	coverage := cover.New()
	results, err := tester.NewRunner().
		SetCompiler(ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true)).
		SetModules(modules).
		RaiseBuiltinErrors(true).
		SetCoverageQueryTracer(coverage).
		RunTests(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for r := range results {
		ran++
		t.Run(strings.TrimPrefix(r.Package, "data.seccompgate.")+"/"+r.Name, func(t *testing.T) {
			if !r.Pass() {
				t.Errorf("%s: %s (%v)", r.Location, r, r.Error)
			}
		})
	}
	if ran < 2*len(load(t, Options{}).Rules()) {
		t.Errorf("only %d tests ran", ran)
	}
	for file, report := range coverage.Report(modules).Files {
		for _, gap := range report.NotCovered {
			if !strings.HasSuffix(file, "_test.rego") {
				t.Errorf("%s:%d: no test reaches this", file, gap.Start.Row)
			}
		}
	}
}

func TestRegoFormat(t *testing.T) {
	for file := range regoFiles(t) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := format.Source(file, raw)
		if err != nil {
			t.Fatal(err)
		}
		if *update && !bytes.Equal(want, raw) {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			raw = want
		}
		if d := cmp.Diff(string(want), string(raw)); d != "" {
			t.Errorf("%s is not formatted as opa fmt does (-want +got):\n%s", file, d)
		}
		if !bytes.HasPrefix(raw, []byte("# SPDX-License-Identifier: Apache-2.0\n")) {
			t.Errorf("%s does not begin with its licence", file)
		}
	}
}

// TestRuleFolders wants of every folder a rule of its name, its tests, and fixtures that
// pass and that fail; anything else is left over.
func TestRuleFolders(t *testing.T) {
	folders, err := os.ReadDir("rules")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, folder := range folders {
		names = append(names, folder.Name())
		var files []string
		root := filepath.Join("rules", folder.Name())
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, strings.TrimPrefix(path, root+"/"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range folderProblems(folder.Name(), files) {
			t.Error(problem)
		}
	}
	var ids []string
	for _, r := range load(t, Options{}).Rules() {
		ids = append(ids, r.ID)
		if want := filepath.Join("policies", "rules", r.ID, r.ID+".rego"); r.file != want {
			t.Errorf("rule %s stands in %s, not in %s", r.ID, r.file, want)
		}
		if !r.BuiltIn || len(r.Related) == 0 {
			t.Errorf("rule %s: METADATA lacks related_resources", r.ID)
		}
		if !regexp.MustCompile(`^v[0-9]+\.[0-9]+$`).MatchString(r.Since) {
			t.Errorf("rule %s: METADATA custom.since %q is no version such as v0.1", r.ID, r.Since)
		}
		for what, text := range map[string]string{"description": r.Description, "custom.remediation": r.Remediation} {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("rule %s: METADATA %s is no sentence: %q", r.ID, what, text)
			}
		}
		if strings.HasSuffix(r.Title, ".") {
			t.Errorf("rule %s: METADATA title is a sentence: %q", r.ID, r.Title)
		}
	}
	if d := cmp.Diff(names, ids); d != "" {
		t.Errorf("folders and rules differ (-folders +rules):\n%s", d)
	}
}

func folderProblems(id string, files []string) []string {
	var problems []string
	want := func(found bool, what string) {
		if !found {
			problems = append(problems, fmt.Sprintf("rules/%s lacks %s", id, what))
		}
	}
	kind := func(prefix string) func(string) bool {
		return func(f string) bool { return strings.HasPrefix(f, prefix) && strings.HasSuffix(f, ".yaml") }
	}
	pass, fail := kind("testdata/pass-"), kind("testdata/fail-")
	rule, test := id+".rego", id+"_test.rego"
	want(slices.Contains(files, rule), rule)
	want(slices.Contains(files, test), test)
	want(slices.ContainsFunc(files, pass), "testdata/pass-*.yaml")
	want(slices.ContainsFunc(files, fail), "testdata/fail-*.yaml")
	for _, f := range files {
		if f != rule && f != test && !pass(f) && !fail(f) {
			problems = append(problems, fmt.Sprintf("rules/%s/%s is left over", id, f))
		}
	}
	return problems
}

func TestFolderProblems(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files []string
		want  []string
	}{
		{"complete", []string{"x.rego", "x_test.rego", "testdata/pass-a.yaml", "testdata/fail-a.yaml"}, nil},
		{"empty", nil, []string{
			"rules/x lacks x.rego", "rules/x lacks x_test.rego", "rules/x lacks testdata/pass-*.yaml", "rules/x lacks testdata/fail-*.yaml",
		}},
		{"left over", []string{"x.rego", "x_test.rego", "testdata/pass-a.yaml", "testdata/fail-a.yaml", "testdata/old.yaml", "y.rego"}, []string{
			"rules/x/testdata/old.yaml is left over", "rules/x/y.rego is left over",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, folderProblems("x", tc.files)); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}
