// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
)

// readsOf finds what the rules read. For the top level that is OPA's own answer: it
// misses nothing and counts a rule that uses a whole section as reading all of it. Below
// containers, profiles and nodes a field counts as read when its name stands anywhere in
// a built-in rule (a test compares pruned with whole documents). A user's rule may reach a
// field without naming it, so with one loaded nothing is left out there.
func readsOf(c *ast.Compiler, rules []*Rule) (reads, error) {
	refs, err := dependencies.Base(c, ast.MustParseBody(entryQuery))
	if err != nil {
		return reads{}, fmt.Errorf("find what rules read: %w", err)
	}
	top := make(map[string]bool)
	for _, ref := range refs {
		if !ref.HasPrefix(ast.InputRootRef) {
			continue
		}
		if len(ref) > 1 {
			if name, ok := ref[1].Value.(ast.String); ok {
				top[string(name)] = true
				continue
			}
		}
		for _, name := range fieldNames(reflect.TypeFor[Input]()) {
			top[name] = true
		}
	}

	nested := make(map[string]bool)
	for _, m := range c.Modules {
		if isElse(m, rules) {
			continue
		}
		ast.WalkTerms(m, func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok {
				nested[string(s)] = true
			}
			return false
		})
	}
	if slices.ContainsFunc(rules, func(r *Rule) bool { return !r.BuiltIn }) {
		for _, t := range []reflect.Type{reflect.TypeFor[Container](), reflect.TypeFor[Profile](), reflect.TypeFor[Nodes]()} {
			for _, name := range fieldNames(t) {
				nested[name] = true
			}
		}
	}
	return reads{top: top, nested: nested}, nil
}

// isElse says that a module is a rule and not one of those, or the entry, which names them.
func isElse(m *ast.Module, rules []*Rule) bool {
	path := strings.TrimPrefix(m.Package.Path.String(), "data.")
	pkg, isRule := strings.CutPrefix(path, rulesPackage+".")
	return path == entryPackage || isRule && !slices.ContainsFunc(rules, func(r *Rule) bool { return r.pkg == pkg })
}

// fieldNames are the JSON names of a struct's fields.
func fieldNames(t reflect.Type) []string {
	names := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
