// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestCollect runs every source over every tree of testdata and compares what would
// be published, and the problems, with the golden file of the tree.
func TestCollect(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	trees := make(map[string]bool)
	for _, e := range entries {
		if e.IsDir() {
			trees[e.Name()] = true
		}
	}
	for _, e := range entries {
		tree, golden := strings.CutSuffix(e.Name(), ".golden")
		if golden && !trees[tree] {
			t.Errorf("testdata/%s is the golden file of no tree; delete it", e.Name())
		}
	}
	for tree := range trees {
		t.Run(tree, func(t *testing.T) {
			host := open(t, filepath.Join("testdata", tree))
			node, problems := Collect(host, Options{NodeName: "node-a", GOARCH: "amd64"})
			text, err := yaml.Marshal(node)
			if err != nil {
				t.Fatal(err)
			}
			got := string(text)
			for _, p := range problems {
				got += "# " + p.String() + "\n"
			}
			golden := filepath.Join("testdata", tree+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("Collect (-want +got):\n%s", d)
			}
		})
	}
}

func TestSourcesHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Sources(Options{}) {
		if s.Name() == "" || seen[s.Name()] {
			t.Errorf("source %T has no name of its own: %q", s, s.Name())
		}
		seen[s.Name()] = true
	}
}

func TestReadProfiles(t *testing.T) {
	const content = `{"defaultAction":"SCMP_ACT_LOG"}`
	file := func(path string) v1alpha1.ProfileFile {
		return v1alpha1.ProfileFile{
			Path: path, Digest: seccomp.Digest([]byte(content)), Size: int64(len(content)), Valid: true,
			Managed:  strings.HasPrefix(path, "seccompgate/"),
			Analysis: &v1alpha1.ProfileAnalysis{DefaultAction: "SCMP_ACT_LOG", Permissive: true},
		}
	}
	for _, tc := range []struct {
		name          string
		make          func(t *testing.T, directory string)
		want          []v1alpha1.ProfileFile
		wantTruncated bool
		wantProblems  []string
	}{
		{
			name: "no such directory holds nothing",
			make: func(t *testing.T, directory string) { must(t, os.Remove(directory)) },
		},
		{
			name:          "a file in the directory's place is unknown",
			make:          func(t *testing.T, directory string) { must(t, os.Remove(directory)); write(t, directory, "") },
			wantTruncated: true,
			wantProblems:  []string{`read directory "": openat seccomp: not a directory`},
		},
		{
			name: "a FIFO is neither listed nor waited for",
			make: func(t *testing.T, directory string) {
				must(t, syscall.Mkfifo(filepath.Join(directory, "pipe.json"), 0o600))
				write(t, filepath.Join(directory, "a.json"), content)
			},
			want:         []v1alpha1.ProfileFile{file("a.json")},
			wantProblems: []string{"pipe.json is left out: it is no regular file"},
		},
		{
			name: "links are not followed, not even within the directory",
			make: func(t *testing.T, directory string) {
				write(t, filepath.Join(directory, "a.json"), content)
				must(t, os.Symlink("a.json", filepath.Join(directory, "b.json")))
				must(t, os.Symlink(".", filepath.Join(directory, "loop")))
			},
			want: []v1alpha1.ProfileFile{file("a.json")},
			wantProblems: []string{
				"b.json is left out: it is a symbolic link; put a copy of the file in its place",
				"loop is left out: it is a symbolic link; put a copy of the file in its place",
			},
		},
		{
			name: "a file over the limit is invalid and not read to its end",
			make: func(t *testing.T, directory string) {
				write(t, filepath.Join(directory, "big.json"), strings.Repeat(" ", seccomp.MaxProfileSize+4096))
			},
			want: []v1alpha1.ProfileFile{{
				Path: "big.json", Size: seccomp.MaxProfileSize + 4096,
				Reason: "file has 266240 bytes, more than 262144",
			}},
		},
		{
			name: "a name that no pod can write is left out",
			make: func(t *testing.T, directory string) {
				write(t, filepath.Join(directory, "\xff.json"), content)
				write(t, filepath.Join(directory, "ä.json"), content)
			},
			wantProblems: []string{
				`"ä.json" is left out: no pod can name such a path; rename it with letters, digits, ".", "_" and "-"`,
				`"\xff.json" is left out: no pod can name such a path; rename it with letters, digits, ".", "_" and "-"`,
			},
		},
		{
			name: "directories too deep",
			make: func(t *testing.T, directory string) {
				deep := filepath.Join(directory, strings.Repeat("d/", maxDepth+1))
				must(t, os.MkdirAll(deep, 0o700))
				write(t, filepath.Join(deep, "a.json"), content)
				write(t, filepath.Join(directory, strings.Repeat("d/", maxDepth), "b.json"), content)
			},
			want:          []v1alpha1.ProfileFile{file(strings.Repeat("d/", maxDepth) + "b.json")},
			wantTruncated: true,
			wantProblems:  []string{strings.Repeat("d/", maxDepth) + "d lies more than 16 directories deep; what it holds is not listed"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			directory := filepath.Join(root, "seccomp")
			must(t, os.Mkdir(directory, 0o700))
			tc.make(t, directory)
			got, truncated, err := ReadProfiles(open(t, root), "seccomp")
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("profiles (-want +got):\n%s", d)
			}
			if truncated != tc.wantTruncated {
				t.Errorf("truncated = %v, want %v", truncated, tc.wantTruncated)
			}
			var problems []string
			for _, p := range flatten(err) {
				problems = append(problems, p.Error())
			}
			if d := cmp.Diff(tc.wantProblems, problems); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

func TestReadProfilesKeepsOurOwnWhenThereAreTooMany(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "seccomp", "seccompgate"), 0o700))
	for i := range MaxProfiles + 5 {
		write(t, filepath.Join(root, "seccomp", fmt.Sprintf("p%04d.json", i)), "{}")
	}
	write(t, filepath.Join(root, "seccomp", "seccompgate", "app.json"), "{}")

	got, truncated, err := ReadProfiles(open(t, root), "seccomp")
	if !truncated || len(got) != MaxProfiles {
		t.Errorf("%d profiles, truncated %v; want %d, true", len(got), truncated, MaxProfiles)
	}
	if last := got[len(got)-1].Path; last != "seccompgate/app.json" {
		t.Errorf("the last path is %s, want seccompgate/app.json", last)
	}
	const want = "seccomp holds 1006 files; only 1000 are listed, and pods that name another are judged as on a node without facts; remove what no pod uses"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestReadProfilesStopsCountingProblems(t *testing.T) {
	root := t.TempDir()
	for i := range maxProblems + 7 {
		must(t, os.Symlink("x", filepath.Join(root, fmt.Sprintf("l%02d", i))))
	}
	_, _, err := ReadProfiles(open(t, root), ".")
	problems := flatten(err)
	if got := len(problems); got != maxProblems+1 {
		t.Fatalf("%d problems, want %d", got, maxProblems+1)
	}
	if got, want := problems[maxProblems].Error(), "and 7 more problems"; got != want {
		t.Errorf("the last problem is %q, want %q", got, want)
	}
}

func TestHostLinksStayInside(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "target"), "inside")
	for link, target := range map[string]string{
		"absolute": "/target",
		"climbing": "../../../../target",
		"chain":    "absolute",
		"loop":     "loop",
	} {
		must(t, os.Symlink(target, filepath.Join(root, link)))
	}
	host := open(t, root)
	for _, name := range []string{"absolute", "climbing", "chain", "./target", "../target"} {
		got, err := host.ReadFile(name, 100)
		if err != nil || string(got) != "inside" {
			t.Errorf("ReadFile(%s) = %q, %v; want the file inside", name, got, err)
		}
	}
	if _, err := host.ReadFile("loop", 100); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("ReadFile(loop) fails with %v, want ELOOP", err)
	}
	if _, err := host.ReadFile("target", 3); err == nil || err.Error() != "target has 6 bytes; at most 3 are read" {
		t.Errorf("ReadFile over its limit fails with %v", err)
	}
}

func TestNativeArchIsKnownToTheLoader(t *testing.T) {
	known := make(map[string]bool)
	for _, a := range seccomp.KnownArchitectures() {
		known[a] = true
	}
	for _, goarch := range []string{"386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x"} {
		arch, ok := NativeArch(goarch)
		if !ok || !known[string(arch)] {
			t.Errorf("NativeArch(%s) = %s, %v: not an architecture of the runtime specification", goarch, arch, ok)
		}
		for _, c := range compat(goarch) {
			if !known[string(c.arch)] {
				t.Errorf("compatible architecture %s of %s is not one of the runtime specification", c.arch, goarch)
			}
		}
	}
	if arch, ok := NativeArch("wasm"); ok {
		t.Errorf("NativeArch(wasm) = %s, want none", arch)
	}
}

func open(t *testing.T, directory string) *Host {
	t.Helper()
	host, err := OpenHost(directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, host.Close()) })
	return host
}

func write(t *testing.T, name, content string) {
	t.Helper()
	must(t, os.WriteFile(name, []byte(content), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
