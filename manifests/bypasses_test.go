// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

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
	exists := testNames(t)
	named := regexp.MustCompile("`(Test\\w+(?:/row\\d+)?|[\\w-]+\\.(?:yaml|golden))`")
	var row, tested, outOfReach int
	for _, cells := range regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \| ([^|]+) \|$`).FindAllStringSubmatch(string(page), -1) {
		if row++; cells[1] != strconv.Itoa(row) {
			t.Fatalf("row %s stands where %d ought to", cells[1], row)
		}
		numbered := false
		names := named.FindAllStringSubmatch(cells[2], -1)
		for _, n := range names {
			if !exists[n[1]] {
				t.Errorf("row %d: there is no %s", row, n[1])
			}
			numbered = numbered || hasRow(n[1], row)
		}
		switch {
		case len(names) == 0 && !strings.HasPrefix(cells[2], "out of reach"):
			t.Errorf("row %d names no test and does not say that it is out of reach", row)
		case len(names) > 0 && !numbered:
			t.Errorf("row %d: no test has its number in its name", row)
		case row > catalogued:
		case len(names) > 0:
			tested++
		default:
			outOfReach++
		}
	}
	if row < catalogued {
		t.Errorf("%d rows, want the %d of the catalogue", row, catalogued)
	}
	if want := fmt.Sprintf("%d rows of the catalogue have tests, %d are out of reach.", tested, outOfReach); !strings.Contains(string(page), want) {
		t.Errorf("the page does not say: %s", want)
	}
	for name := range exists {
		for _, m := range numbers.FindAllStringSubmatch(name, -1) {
			if n, err := strconv.Atoi(m[1]); err != nil || n < 1 || n > row {
				t.Errorf("%s: there is no row %s", name, m[1])
			}
		}
	}
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

// testNames are the tests of the tree: functions, what they call the subtests of a row, and
// files of test data.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	function, subtest := regexp.MustCompile(`(?m)^func (Test\w+)\(`), regexp.MustCompile(`"(row\d+) `)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rows := subtest.FindAllStringSubmatch(string(text), -1)
			for _, f := range function.FindAllStringSubmatch(string(text), -1) {
				names[f[1]] = true
				for _, r := range rows {
					names[f[1]+"/"+r[1]] = true
				}
			}
		case strings.Contains(path, "testdata"):
			names[d.Name()] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
