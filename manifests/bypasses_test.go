// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// ways are the rows of docs/bypasses.md, all of them, in order. They are written down twice,
// so that none can leave the page without being taken out here.
var ways = []string{
	// In the pod.
	"a container's field overrides the pod's",
	"init containers",
	"sidecars, which are restartable init containers",
	"ephemeral containers, through a subresource of their own",
	"old ephemeral containers must not lock debuggers out",
	"no profile anywhere",
	"seccompDefault on some nodes only",
	"privileged",
	"CRI-O's profile for privileged containers",
	"the profile is loaded early without no_new_privs",
	"procMount, hostPID, hostUsers, capabilities",
	"Windows pods",
	"a RuntimeClass with gVisor",
	"a RuntimeClass with Kata Containers, and its annotations",
	"crun's annotation with a filter of its own",
	"crun's receiver and plugins",
	"CRI-O's notifier",
	"CRI-O's profile from an image",
	"the alpha annotations beside a field",
	"AppArmor, SELinux",
	"a template that passes, pods that do not",
	"a pod so large that judging takes too long",
	"generated names",
	// Around the check.
	"another image in an old pod",
	"an old pod that cannot end",
	"labels added to a running pod",
	"annotations by way of a binding",
	"subresources that nobody knows",
	"annotations by way of pods/status",
	"exec",
	"the kubelet's own API",
	"static pods",
	"a pod that says it is a static one",
	"nodeName",
	"selectors, affinity, tolerations",
	"scheduling gates, selectors added later",
	"controllers make the pods",
	"operators make the pods",
	"dry-run",
	"other versions of the API",
	"requests with the old object only",
	"the configuration of the webhook is deleted",
	"etcd, flags of the API server",
	// Selectors, namespaces, configuration.
	"a tenant takes the label off the namespace",
	"the guard itself is selected by that label",
	"a namespace without a label",
	"the moment after a namespace was labelled",
	"a label that keeps a pod from the webhook",
	"a label that another mutator adds later",
	"errors in match conditions",
	"exemption by the beginning of a name",
	"pods in kube-system",
	"the webhook is down",
	"many webhooks that time out",
	"a later mutator adds a container",
	"two mutators that fight",
	"a policy that takes the profile out",
	"the configuration is deleted or weakened",
	"two audit annotations of one name",
	"somebody else answers for the webhook",
	"the webhook is called by others",
	"GitOps fights with the injection",
	// The path.
	"an empty path",
	"absolute paths, `..`",
	"two spellings of one path",
	"control characters, length, look-alikes",
	"a directory, FIFO or device as a profile",
	"a symbolic link as a profile",
	"another root directory of the kubelet",
	"files in the making",
	// The content.
	"`{}` and other files without a default",
	"allow and log",
	"a list of what is blocked",
	"Docker's dialect",
	"`name` in place of `names`",
	"keys that stand twice",
	"keys in another case",
	"the order of rules",
	"one argument compared twice",
	"misspelt syscalls",
	"notification",
	"errno 0",
	// The rules themselves.
	"an error makes a rule say nothing",
	"no result",
	"a rule that talks to the network",
	"a tenant's rules",
	"a label value that becomes a path",
	// Found here.
	"a hostPath by way of the root of a process, as `/proc/1/root`",
	"a hostPath that a symbolic link on the node leads elsewhere",
	"a hostPath to the socket of the container runtime",
	"a PersistentVolume that is a path of the node",
	"a debug container mounts for writing what the pod only reads",
}

// catalogued is the number of ways around that are known from elsewhere; those found here
// come after them.
const catalogued = 87

// TestBypassesArePresent keeps docs/bypasses.md true: every row is there once, and names
// tests that exist, one of them with the row's number, or says why there is none.
func TestBypassesArePresent(t *testing.T) {
	page, err := os.ReadFile("../docs/bypasses.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pageProblems(string(page), ways, testNames(t, os.DirFS(".."))) {
		t.Error(p)
	}
}

// TestBypassProblems: what makes the page untrue is seen.
func TestBypassProblems(t *testing.T) {
	const rows = "| 1 | one | `TestA/row1` |\n| 2 | two | out of reach: so |\n"
	const count = "1 rows of the catalogue have tests, 1 are out of reach."
	for _, tc := range []struct {
		name, page string
		want       []string
	}{
		{"nothing", rows + count, nil},
		{"the last row is gone", "| 1 | one | `TestA/row1` |\n1 rows of the catalogue have tests, 0 are out of reach.", []string{
			"row 2, two, is not on the page",
		}},
		{"a row that is not listed", rows + "| 3 | three | out of reach: so |\n" + count, []string{
			"row 3, three, is not in the list of this test",
			"the page does not say: 1 rows of the catalogue have tests, 2 are out of reach.",
		}},
		{"another row in its place", strings.ReplaceAll(rows, "two", "zwei") + count, []string{"row 2 is zwei, want two"}},
		{"a row that is no row of the table", strings.ReplaceAll(rows, "two", "a|b") + count, []string{
			"row 2, two, is not on the page",
			"the page does not say: 1 rows of the catalogue have tests, 0 are out of reach.",
		}},
		{"a row out of order", "| 2 | two | out of reach: so |\n| 1 | one | `TestA/row1` |\n" + count, []string{
			"row 2 stands where 1 ought to", "row 1 is two, want one", "row 1 stands where 2 ought to", "row 2 is one, want two",
			"row 2: no test has its number in its name",
		}},
		{"no such test", strings.ReplaceAll(rows, "TestA/row1", "TestB/row1") + count, []string{"row 1: there is no TestB/row1"}},
		{"no test of its number", strings.ReplaceAll(rows, "TestA/row1", "TestA") + count, []string{"row 1: no test has its number in its name"}},
		{"neither test nor reason", strings.ReplaceAll(rows, "out of reach: so", "nothing") + count, []string{
			"row 2 names no test and does not say that it is out of reach",
		}},
		{"another count", rows + "2 rows of the catalogue have tests, 0 are out of reach.", []string{"the page does not say: " + count}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := pageProblems(tc.page, []string{"one", "two"}, map[string]bool{"TestA": true, "TestA/row1": true})
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("pageProblems (-want +got):\n%s", d)
			}
		})
	}
	got := pageProblems(rows+count, []string{"one", "two"}, map[string]bool{"TestA": true, "TestA/row1": true, "TestRow3": true})
	if d := cmp.Diff([]string{"TestRow3: there is no row 3"}, got); d != "" {
		t.Errorf("pageProblems of a test without a row (-want +got):\n%s", d)
	}
}

var (
	tableRow = regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]+) \|$`)
	named    = regexp.MustCompile("`(Test\\w+(?:/row\\d+)?|[\\w-]+\\.(?:yaml|golden))`")
)

// pageProblems are what is wrong with the page, whose rows are to be ways, where tests exist.
func pageProblems(page string, ways []string, exists map[string]bool) []string {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var row, tested, outOfReach int
	for _, cells := range tableRow.FindAllStringSubmatch(page, -1) {
		if row++; cells[1] != strconv.Itoa(row) {
			problem("row %s stands where %d ought to", cells[1], row)
		}
		switch {
		case row > len(ways):
			problem("row %d, %s, is not in the list of this test", row, cells[2])
		case cells[2] != ways[row-1]:
			problem("row %d is %s, want %s", row, cells[2], ways[row-1])
		}
		numbered := false
		names := named.FindAllStringSubmatch(cells[3], -1)
		for _, n := range names {
			if !exists[n[1]] {
				problem("row %d: there is no %s", row, n[1])
			}
			numbered = numbered || hasRow(n[1], row)
		}
		switch {
		case len(names) == 0 && !strings.HasPrefix(cells[3], "out of reach"):
			problem("row %d names no test and does not say that it is out of reach", row)
		case len(names) > 0 && !numbered:
			problem("row %d: no test has its number in its name", row)
		}
		switch {
		case row > catalogued:
		case len(names) > 0:
			tested++
		default:
			outOfReach++
		}
	}
	for ; row < len(ways); row++ {
		problem("row %d, %s, is not on the page", row+1, ways[row])
	}
	if want := fmt.Sprintf("%d rows of the catalogue have tests, %d are out of reach.", tested, outOfReach); !strings.Contains(page, want) {
		problem("the page does not say: %s", want)
	}
	for _, name := range slices.Sorted(maps.Keys(exists)) {
		for _, m := range numbers.FindAllStringSubmatch(name, -1) {
			if n, err := strconv.Atoi(m[1]); err != nil || n < 1 || n > len(ways) {
				problem("%s: there is no row %s", name, m[1])
			}
		}
	}
	return problems
}

// numbers are those of the rows in a name: Row12 in that of a function, row12 in others.
var numbers = regexp.MustCompile(`[Rr]ow(\d+)`)

func hasRow(name string, row int) bool {
	for _, m := range numbers.FindAllStringSubmatch(name, -1) {
		if m[1] == strconv.Itoa(row) {
			return true
		}
	}
	return false
}

// TestNamesOfTests: a name counts where a test is called by it or reads the file of it, and
// nowhere else.
func TestNamesOfTests(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	got := testNames(t, fstest.MapFS{
		"a/a_test.go": file(`package a

var table = []struct{ name string }{{"row3 of a table"}, {name: "row4 by its field"}}

var unused = []struct{ name string }{{"row5 of a table that is not run"}}

// TestOne has "row6 in a comment".
func TestOne(t *testing.T) {
	t.Run("row1 of its own", func(t *testing.T) {})
}

func TestTwo(t *testing.T) {
	t.Run("row2 of its own", func(t *testing.T) {})
	for _, tc := range table {
		t.Run(tc.name, func(t *testing.T) {})
	}
}

func TestThree(t *testing.T) {
	for _, tc := range []struct{ name string }{{"row7 in the loop"}} {
		t.Run(tc.name, func(t *testing.T) {})
	}
	t.Log("row8 is no subtest")
	for _, tc := range unused {
		t.Log(tc.name)
	}
}

func TestFour(t *testing.T) {
	rows := map[string]string{"row9 is a key": "row10 is a value"}
	for name := range rows {
		t.Run(name, func(t *testing.T) {})
	}
}

func TestHelper(t *testing.T, file string) {}
func (x) TestMethod(t *testing.T) {}

func TestFiles(t *testing.T) {
	filepath.Glob(filepath.Join("testdata", "cases", "*"))
	os.ReadFile("testdata/one.yaml")
	t.Log("testdata/other.yaml")
	golden := filepath.Join("testdata", t.Name()+".golden")
	os.ReadFile(golden)
	os.ReadFile(filepath.Join("testdata", unknown))
}
`),
		"a/a.go":                    file("package a\n\nfunc TestNotInATest(t *testing.T) {}\n"),
		"a/testdata/cases/b.yaml":   file(""),
		"a/testdata/cases/d/c.yaml": file(""),
		"a/testdata/one.yaml":       file(""),
		"a/testdata/other.yaml":     file(""),
		"a/testdata/tree.golden":    file(""),
		"a/b_test.go":               file("package a\n\nfunc helper() { os.ReadFile(\"testdata/helped.yaml\") }\n"),
		"a/testdata/helped.yaml":    file(""),
		"b/testdata/one.yaml":       file(""),
		"b/testdata/far.yaml":       file(""),
		"c/c_test.go":               file("package c\n\nfunc TestFar(t *testing.T) { os.ReadFile(\"../b/testdata/far.yaml\") }\n"),
		".cache/x_test.go":          file("package x\n\nfunc TestCached(t *testing.T) {}\n"),
	})
	want := []string{
		"TestFar", "TestFiles", "TestFour", "TestFour/row9", "TestOne", "TestOne/row1", "TestThree", "TestThree/row7",
		"TestTwo", "TestTwo/row2", "TestTwo/row3", "TestTwo/row4", "b.yaml", "helped.yaml", "one.yaml", "tree.golden",
	}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(got))); d != "" {
		t.Errorf("testNames (-want +got):\n%s", d)
	}
}

// reading is a pattern of files that the tests of a directory read.
type reading struct{ dir, pattern string }

// testNames are the tests of a tree: functions, what they call the subtests of a row, and
// files of test data that a test of their directory, or of one above, reads by name.
func testNames(t *testing.T, tree fs.FS) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	var data []string
	var read []reading
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != ".":
			return fs.SkipDir
		case d.IsDir():
		case slices.Contains(strings.Split(name, "/"), "testdata"):
			data = append(data, name)
		case strings.HasSuffix(name, "_test.go"):
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			dir := path.Dir(name)
			for _, d := range f.Decls {
				function, ok := d.(*ast.FuncDecl)
				if !ok || function.Body == nil {
					continue
				}
				values := valuesOf(f, function)
				if isTest(function) {
					names[function.Name.Name] = true
					for _, row := range rowsOf(function, values) {
						names[function.Name.Name+"/"+row] = true
					}
				}
				for _, pattern := range readBy(function, values) {
					read = append(read, reading{dir, path.Join(dir, pattern)})
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range data {
		if slices.ContainsFunc(read, func(r reading) bool {
			matches, err := path.Match(r.pattern, file)
			return err == nil && matches && strings.HasPrefix(file, r.dir+"/")
		}) {
			names[path.Base(file)] = true
		}
	}
	return names
}

// isTest reports whether go test runs a function.
func isTest(f *ast.FuncDecl) bool {
	if f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Type.Params.NumFields() != 1 {
		return false
	}
	pointer, ok := f.Type.Params.List[0].Type.(*ast.StarExpr)
	return ok && isSelector(pointer.X, "testing", "T")
}

func isSelector(e ast.Expr, of string, names ...string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || !slices.Contains(names, s.Sel.Name) {
		return false
	}
	id, ok := s.X.(*ast.Ident)
	return of == "" || ok && id.Name == of
}

// valuesOf are the variables that a function of a file sees, by what they are declared with.
func valuesOf(f *ast.File, function *ast.FuncDecl) map[string]ast.Expr {
	values := make(map[string]ast.Expr)
	add := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, v := range n.Values {
				values[n.Names[i].Name] = v
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && len(n.Lhs) == len(n.Rhs) {
					values[id.Name] = n.Rhs[i]
				}
			}
		}
		return true
	}
	for _, d := range f.Decls {
		if d, ok := d.(*ast.GenDecl); ok {
			ast.Inspect(d, add)
		}
	}
	ast.Inspect(function.Body, add)
	return values
}

// subtestOfRow is the name of a subtest that tries a row.
var subtestOfRow = regexp.MustCompile(`^(row\d+) `)

// rowsOf are the rows that a test has subtests of: those that it names in a call of Run, and
// those that a table names which it goes through, calling Run with that name.
func rowsOf(test *ast.FuncDecl, values map[string]ast.Expr) []string {
	var rows []string
	add := func(e ast.Expr) {
		if name, ok := text(e); ok {
			if m := subtestOfRow.FindStringSubmatch(name); m != nil {
				rows = append(rows, m[1])
			}
		}
	}
	ast.Inspect(test.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if name := nameOfRun(n); name != nil {
				add(name)
			}
		case *ast.RangeStmt:
			table := n.X
			if id, ok := table.(*ast.Ident); ok {
				table = values[id.Name]
			}
			if table, ok := table.(*ast.CompositeLit); ok {
				ast.Inspect(n.Body, func(inner ast.Node) bool {
					if call, ok := inner.(*ast.CallExpr); ok {
						for _, name := range namesIn(table, n, nameOfRun(call)) {
							add(name)
						}
					}
					return true
				})
			}
		}
		return true
	})
	return rows
}

// nameOfRun is what a call of t.Run calls the subtest, or nil.
func nameOfRun(call *ast.CallExpr) ast.Expr {
	if len(call.Args) != 2 || !isSelector(call.Fun, "", "Run") {
		return nil
	}
	return call.Args[0]
}

// namesIn are the values that name has in a loop over a table: the key, the element or a
// field of it.
func namesIn(table *ast.CompositeLit, loop *ast.RangeStmt, name ast.Expr) []ast.Expr {
	is := func(e, variable ast.Expr) bool {
		a, ok := e.(*ast.Ident)
		b, ok2 := variable.(*ast.Ident)
		return ok && ok2 && a.Name == b.Name
	}
	var names []ast.Expr
	for _, element := range table.Elts {
		var key ast.Expr
		if kv, ok := element.(*ast.KeyValueExpr); ok {
			key, element = kv.Key, kv.Value
		}
		field, isField := name.(*ast.SelectorExpr)
		switch {
		case is(name, loop.Key):
			names = append(names, key)
		case is(name, loop.Value):
			names = append(names, element)
		case isField && is(field.X, loop.Value):
			names = append(names, fieldOf(element, field.Sel.Name))
		}
	}
	return names
}

// fieldOf is the field of a struct that is written out. Without names of fields it is the
// first, which is where tables have the name.
func fieldOf(element ast.Expr, field string) ast.Expr {
	s, ok := element.(*ast.CompositeLit)
	if !ok || len(s.Elts) == 0 {
		return nil
	}
	if _, ok := s.Elts[0].(*ast.KeyValueExpr); !ok {
		return s.Elts[0]
	}
	for _, e := range s.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && id.Name == field {
				return kv.Value
			}
		}
	}
	return nil
}

// text is that of a string that is written out.
func text(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(literal.Value)
	return s, err == nil
}

// unknown stands for what only running a test could tell.
const unknown = "\x00"

// readBy are the files of test data that a function reads, as patterns. Where it says no part
// of a file's own name, that file is not read by name.
func readBy(function *ast.FuncDecl, values map[string]ast.Expr) []string {
	var patterns []string
	ast.Inspect(function.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 || !isSelector(call.Fun, "os", "ReadFile") && !isSelector(call.Fun, "filepath", "Glob") {
			return true
		}
		p := pathOf(call.Args[0], values)
		if slices.Contains(strings.Split(p, "/"), "testdata") && path.Base(p) != unknown {
			patterns = append(patterns, strings.ReplaceAll(p, unknown, "*"))
		}
		return true
	})
	return patterns
}

func pathOf(e ast.Expr, values map[string]ast.Expr) string {
	if s, ok := text(e); ok {
		return s
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return pathOf(e.X, values) + pathOf(e.Y, values)
	case *ast.CallExpr:
		if isSelector(e.Fun, "filepath", "Join") {
			var elements []string
			for _, a := range e.Args {
				elements = append(elements, pathOf(a, values))
			}
			return path.Join(elements...)
		}
	case *ast.Ident:
		// No variable is followed to another: one may be made from itself.
		if v := values[e.Name]; v != nil {
			return pathOf(v, nil)
		}
	}
	return unknown
}
