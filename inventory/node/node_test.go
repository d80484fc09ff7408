// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
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
	const binary = "\x7fELF\x00\xff\xfe"
	logging := newContents("amd64").of("", []byte(content))
	must(t, logging.err)
	file := func(path string) v1alpha1.ProfileFile {
		return v1alpha1.ProfileFile{
			Path: path, Digest: seccomp.Digest([]byte(content)), Size: int64(len(content)), Valid: true,
			Managed: strings.HasPrefix(path, "seccompgate/"), Analysis: logging.analysis,
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
			name: "what is no file is neither listed nor opened",
			make: func(t *testing.T, directory string) {
				listener, err := net.Listen("unix", filepath.Join(directory, "socket.json"))
				must(t, err)
				t.Cleanup(func() { must(t, listener.Close()) })
				must(t, os.Mkdir(filepath.Join(directory, "directory.json"), 0o700))
				write(t, filepath.Join(directory, "directory.json", "a.json"), content)
			},
			want:         []v1alpha1.ProfileFile{file("directory.json/a.json")},
			wantProblems: []string{"socket.json is left out: it is no regular file"},
		},
		{
			name: "links that dangle or lead out of the root",
			make: func(t *testing.T, directory string) {
				must(t, os.Symlink("nothing.json", filepath.Join(directory, "dangling.json")))
				must(t, os.Symlink("/etc", filepath.Join(directory, "etc")))
				must(t, os.Symlink("../../../../../../etc/passwd", filepath.Join(directory, "passwd.json")))
				must(t, os.Symlink("/etc", filepath.Join(directory, "seccompgate")))
			},
			wantProblems: []string{
				"dangling.json is left out: it is a symbolic link; put a copy of the file in its place",
				"etc is left out: it is a symbolic link; put a copy of the file in its place",
				"passwd.json is left out: it is a symbolic link; put a copy of the file in its place",
				"seccompgate is left out: it is a symbolic link; put a copy of the file in its place",
			},
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
			name: "a file without an end is not read to its end",
			make: func(t *testing.T, directory string) {
				write(t, filepath.Join(directory, "sparse.json"), "")
				must(t, os.Truncate(filepath.Join(directory, "sparse.json"), 1<<40))
			},
			want: []v1alpha1.ProfileFile{{
				Path: "sparse.json", Size: 1 << 40,
				Reason: "file has 1099511627776 bytes, more than 262144",
			}},
		},
		{
			name: "a binary file is invalid",
			make: func(t *testing.T, directory string) {
				write(t, filepath.Join(directory, "elf.json"), binary)
			},
			want: []v1alpha1.ProfileFile{{
				Path: "elf.json", Size: int64(len(binary)), Digest: seccomp.Digest([]byte(binary)), Reason: "file is not UTF-8 (line 1)",
			}},
		},
		{
			name: "a torn file is invalid",
			make: func(t *testing.T, directory string) {
				write(t, filepath.Join(directory, "torn.json"), content[:20])
			},
			want: []v1alpha1.ProfileFile{{
				Path: "torn.json", Size: 20, Digest: seccomp.Digest([]byte(content[:20])), Reason: "defaultAction: file ends in the middle of the profile (line 1)",
			}},
		},
		{
			name: "a file that may not be read makes the list incomplete",
			make: func(t *testing.T, directory string) {
				write(t, filepath.Join(directory, "a.json"), content)
				write(t, filepath.Join(directory, "secret.json"), content)
				must(t, os.Chmod(filepath.Join(directory, "secret.json"), 0))
				must(t, os.Mkdir(filepath.Join(directory, "secrets"), 0))
			},
			want:          []v1alpha1.ProfileFile{file("a.json")},
			wantTruncated: true,
			wantProblems: []string{
				`read directory "secrets": openat seccomp/secrets: permission denied`,
				"read secret.json: openat seccomp/secret.json: permission denied",
			},
		},
		{
			name: "a name that no pod can write is left out",
			make: func(t *testing.T, directory string) {
				write(t, filepath.Join(directory, "a\nb.json"), content)
				must(t, os.Mkdir(filepath.Join(directory, "tab\t"), 0o700))
				write(t, filepath.Join(directory, "tab\t", "a.json"), content)
				write(t, filepath.Join(directory, "\xff.json"), content)
				write(t, filepath.Join(directory, "ä.json"), content)
			},
			wantProblems: []string{
				`"a\nb.json" is left out: no pod can name such a path; rename it with letters, digits, ".", "_" and "-"`,
				`"tab\t" is left out: no pod can name such a path; rename it with letters, digits, ".", "_" and "-"`,
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
			var (
				got       []v1alpha1.ProfileFile
				truncated bool
				err       error
			)
			host := open(t, root)
			withoutPrivileges(t, root, func() { got, truncated, err = ReadProfiles(host, "seccomp", "amd64") })
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

	got, truncated, err := ReadProfiles(open(t, root), "seccomp", "amd64")
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

// TestReadProfilesKeepsOurOwnWhateverElseThereIs: the walk ends before it has seen
// everything, and the order of a directory is the file system's.
func TestReadProfilesKeepsOurOwnWhateverElseThereIs(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "p.json"), "")
	for i := range maxEntries + 10 {
		must(t, os.Link(filepath.Join(root, "p.json"), filepath.Join(root, fmt.Sprintf("p%05d.json", i))))
	}
	must(t, os.Mkdir(filepath.Join(root, "seccompgate"), 0o700))
	write(t, filepath.Join(root, "seccompgate", "app.json"), "{}")
	got, truncated, err := ReadProfiles(open(t, root), ".", "amd64")
	if !truncated || len(got) != MaxProfiles || got[len(got)-1].Path != "seccompgate/app.json" {
		t.Errorf("%d profiles, truncated %v, without our own; want %d with it", len(got), truncated, MaxProfiles)
	}
	if problems := flatten(err); len(problems) != 2 || problems[0].Error() != `read directory "": more than 20000 directory entries in all` {
		t.Errorf("problems are %q, want that there are more than 20000 entries, and how many files are not listed", problems)
	}
}

// TestReadRegularOfWhatChangedSinceItWasListed opens what a walk would not: a FIFO that
// nobody writes to, a link, a directory.
func TestReadRegularOfWhatChangedSinceItWasListed(t *testing.T) {
	root := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600))
	write(t, filepath.Join(root, "file"), "x")
	must(t, os.Symlink("file", filepath.Join(root, "link")))
	must(t, os.Mkdir(filepath.Join(root, "directory"), 0o700))
	host := open(t, root)
	for name, want := range map[string]error{"pipe": errNotRegular, "link": syscall.ELOOP, "directory": errNotRegular} {
		if _, _, err := host.readRegular(name, 100); !errors.Is(err, want) {
			t.Errorf("reading a %s fails with %v, want %v", name, err, want)
		}
	}
}

func TestProblemIsOneLine(t *testing.T) {
	p := Problem{Source: "kubelet", Err: errors.New("read a\nb\x1b[31m.conf: \u0085 ä")}
	if got, want := p.String(), `kubelet: read a\nb\x1b[31m.conf: \u0085 ä`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseFlags(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want kubeletFlags
	}{
		{"none", nil, kubeletFlags{}},
		{"with equals sign", []string{"--root-dir=/data", "--config=/a=b"}, kubeletFlags{"root-dir": "/data", "config": "/a=b"}},
		{"apart", []string{"--root-dir", "/data", "--v", "2"}, kubeletFlags{"root-dir": "/data", "v": "2"}},
		{"one dash", []string{"-root-dir=/data"}, kubeletFlags{"root-dir": "/data"}},
		{"underscores", []string{"--root_dir=/a_b", "--seccomp_default"}, kubeletFlags{"root-dir": "/a_b", "seccomp-default": "true"}},
		{"boolean before another", []string{"--seccomp-default", "--root-dir", "/data"}, kubeletFlags{"seccomp-default": "true", "root-dir": "/data"}},
		{"boolean does not take the next", []string{"--seccomp-default", "stray", "--v=1"}, kubeletFlags{"seccomp-default": "true", "v": "1"}},
		{"off", []string{"--seccomp-default=false"}, kubeletFlags{"seccomp-default": "false"}},
		{"the last counts", []string{"--root-dir=/a", "--root-dir=/b"}, kubeletFlags{"root-dir": "/b"}},
		{"last without value", []string{"--root-dir"}, kubeletFlags{"root-dir": ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, parseFlags(tc.args)); d != "" {
				t.Errorf("flags (-want +got):\n%s", d)
			}
		})
	}
}

func TestReadProfilesStopsCountingProblems(t *testing.T) {
	root := t.TempDir()
	for i := range maxProblems + 7 {
		must(t, os.Symlink("x", filepath.Join(root, fmt.Sprintf("l%02d", i))))
	}
	_, _, err := ReadProfiles(open(t, root), ".", "amd64")
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

// withoutPrivileges runs a function as a user for whom the permissions of files count,
// even if these tests are run by root: root then belongs to that user. The thread ends
// with the function.
func withoutPrivileges(t *testing.T, root string, do func()) {
	t.Helper()
	const nobody = 65534
	if os.Getuid() == 0 {
		must(t, filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(name, nobody, nobody))
		}))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		syscall.Setfsuid(nobody)
		do()
	}()
	<-done
	if os.Getuid() != 0 {
		return
	}
	must(t, filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(name, 0, 0))
	}))
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
