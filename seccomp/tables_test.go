// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTablesAreComplete reads the source of the runtime specification's Go types
// and compares its constants with what Parse accepts.
func TestTablesAreComplete(t *testing.T) {
	constants := specConstants(t)
	for _, tc := range []struct {
		typeName string
		known    []string
		extra    []string // known here, without a constant there
	}{
		{"LinuxSeccompAction", KnownActions(), nil},
		{"LinuxSeccompOperator", KnownOperators(), nil},
		{"Arch", KnownArchitectures(), nil},
		{"LinuxSeccompFlag", KnownFlags(), []string{string(flagTsync)}},
	} {
		t.Run(tc.typeName, func(t *testing.T) {
			want := slices.Concat(constants[tc.typeName], tc.extra)
			slices.Sort(want)
			if d := cmp.Diff(want, tc.known); d != "" {
				t.Errorf("constants of specs-go (-want +known):\n%s", d)
			}
		})
	}
}

// specConstants returns the string constants of specs-go's config.go by type.
func specConstants(t *testing.T) map[string][]string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec/specs-go").Output()
	if err != nil {
		t.Fatalf("find specs-go: %v", err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "config.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]string)
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok || value.Type == nil || len(value.Values) != 1 {
				continue
			}
			name, isName := value.Type.(*ast.Ident)
			literal, isLiteral := value.Values[0].(*ast.BasicLit)
			if !isName || !isLiteral {
				continue
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			out[name.Name] = append(out[name.Name], text)
		}
	}
	return out
}
