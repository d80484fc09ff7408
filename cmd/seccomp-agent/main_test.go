// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/inventory/node"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seccomp-agent": main})
}

// TestScripts runs the program itself: one file per case.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"badinput": refused},
	})
}

// refused runs a program that must end with exit code 2 and print nothing.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: badinput program args...")
	}
	err := ts.Exec(args[0], args[1:]...)
	coded, ok := err.(interface{ ExitCode() int })
	if !ok || coded.ExitCode() != 2 {
		ts.Fatalf("%s ends with %v, want exit code 2", args[0], err)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("%s prints %q, want nothing", args[0], out)
	}
}

// TestOutputIsAnInventory reads what is printed as the other programs do: nothing is lost
// or refused on the way, whatever lies below the root.
func TestOutputIsAnInventory(t *testing.T) {
	trees := filepath.Join("..", "..", "inventory", "node", "testdata")
	entries, err := os.ReadDir(trees)
	if err != nil {
		t.Fatal(err)
	}
	roots := map[string]string{"hostile": hostileRoot(t), "nothing": t.TempDir()}
	for _, e := range entries {
		if e.IsDir() {
			roots[e.Name()] = filepath.Join(trees, e.Name())
		}
	}
	for name, root := range roots {
		t.Run(name, func(t *testing.T) {
			host, err := node.OpenHost(root)
			if err != nil {
				t.Fatal(err)
			}
			defer host.Close()
			want, problems := node.Collect(host, node.Options{NodeName: "node-a", GOARCH: runtime.GOARCH})
			for _, format := range []string{"yaml", "json"} {
				var stdout, stderr bytes.Buffer
				if err := run(t.Context(), []string{"--once", "--root", root, "--node-name", "node-a", "-o", format}, &stdout, &stderr); err != nil {
					t.Fatal(err)
				}
				if got := strings.Count(stderr.String(), "\n"); got != len(problems) {
					t.Errorf("%d lines on stderr, want one for each of %d problems:\n%s", got, len(problems), &stderr)
				}
				objects, _, err := inventory.ReadObjects(&stdout, format)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(inventory.Objects{SeccompNodes: []*v1alpha1.SeccompNode{want}}, objects); d != "" {
					t.Errorf("objects read from the %s (-want +got):\n%s", format, d)
				}
			}
		})
	}
}

// hostileRoot has a profile directory with one of everything, and too many files.
func hostileRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	directory := filepath.Join(root, "var", "lib", "kubelet", "seccomp")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(directory, 0o700))
	must(syscall.Mkfifo(filepath.Join(directory, "pipe.json"), 0o600))
	must(os.Symlink("/etc/passwd", filepath.Join(directory, "link.json")))
	must(os.WriteFile(filepath.Join(directory, "huge.json"), nil, 0o600))
	must(os.Truncate(filepath.Join(directory, "huge.json"), 1<<40))
	for name, content := range map[string]string{
		"a\nb.json":   "{}",
		"\x1b[31m":    "{}",
		"empty.json":  "",
		"binary.json": "\x7fELF\x00\xff",
		"keys.json":   "{\"default\\nAction\\u001b[31m\": \"\x7f\"}",
		"text.json":   "- a: &x [*x]\n# \"quoted\": 'yes'",
		"long.json":   `{"` + strings.Repeat("k", 10_000) + `": 1}`,
		"dots...json": `{"defaultAction":"SCMP_ACT_LOG","architectures":["SCMP_ARCH_NEW"]}`,
		"yes":         `{"defaultAction":"SCMP_ACT_KILL"}`,
		"1e3":         `{"defaultAction":"SCMP_ACT_NOTIFY"}`,
		"a b: #c":     `{"defaultAction":"SCMP_ACT_LOG"}`,
	} {
		must(os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600))
	}
	for i := range 1100 {
		must(os.WriteFile(filepath.Join(directory, strings.Repeat("p", i%200+1)+"."+string(rune('a'+i/200))), []byte("{}"), 0o600))
	}
	must(os.WriteFile(filepath.Join(root, "var", "lib", "kubelet", "config.yaml"), []byte("kind: \"a\\nb\\e[31m\"\n"), 0o600))
	return root
}
