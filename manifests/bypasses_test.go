// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestBypassesArePresent keeps docs/bypasses.md true: every row is there once, and names a
// test that exists or says why there is none.
func TestBypassesArePresent(t *testing.T) {
	page, err := os.ReadFile("../docs/bypasses.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, files := make(map[string]bool), make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
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
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
		case strings.Contains(path, "testdata"):
			files[d.Name()] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+|[a-z-]+\\.yaml)`")
	tested, outOfReach := 0, 0
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \| ([^|]+) \|$`).FindAllStringSubmatch(string(page), -1) {
		if want := strconv.Itoa(tested + outOfReach + 1); row[1] != want {
			t.Fatalf("row %s stands where %s ought to", row[1], want)
		}
		names := named.FindAllStringSubmatch(row[2], -1)
		for _, n := range names {
			if !tests[n[1]] && !files[n[1]] {
				t.Errorf("row %s: there is no %s", row[1], n[1])
			}
		}
		switch {
		case len(names) > 0:
			tested++
		case strings.HasPrefix(row[2], "out of reach"):
			outOfReach++
		default:
			t.Errorf("row %s names no test and does not say that it is out of reach", row[1])
		}
	}
	if tested+outOfReach != 87 {
		t.Errorf("%d rows, want 87", tested+outOfReach)
	}
	t.Logf("%d tested, %d out of reach", tested, outOfReach)
}
