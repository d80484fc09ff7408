// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	long := strings.Repeat("a", 256)
	for _, tc := range []struct {
		name, path, want string
	}{
		{"file", "audit.json", ""},
		{"directories", "profiles/fine-grained.json", ""},
		{"ours", "seccompgate/app.0123456789ab.json", ""},
		{"no extension", "profile", ""},
		{"dotfile", ".hidden/a.json", ""},
		{"dots in a name", "..a/b..json", ""},
		{"unusual but printable", "team a/app+v1@2:x~.json", ""},
		{"longest element", long[:255], ""},
		{"longest path", strings.Repeat(long[:255]+"/", 4)[:1024-1], ""},

		{"empty", "", `path is empty; name a file below the kubelet's seccomp directory, such as "profiles/app.json"`},
		{"absolute", "/etc/x.json", `path "/etc/x.json" is absolute; write it relative to the kubelet's seccomp directory`},
		{
			"absolute below the default root", "/var/lib/kubelet/seccomp/profiles//x.json",
			`path "/var/lib/kubelet/seccomp/profiles//x.json" is absolute; write it relative to the kubelet's seccomp directory: "profiles/x.json"`,
		},
		{"root", "/", `path "/" is absolute; write it relative to the kubelet's seccomp directory`},
		{"climbs out", "../x.json", `path "../x.json" climbs with ".."; name the file by the directories that it lies in`},
		{"climbs out later", "a/../../x", `path "a/../../x" climbs with ".."; name the file by the directories that it lies in`},
		{"climbs and comes back", "a/../x.json", `path "a/../x.json" climbs with ".."; name the file by the directories that it lies in: "x.json"`},
		{"climbs to the root", "a/..", `path "a/.." climbs with ".."; name the file by the directories that it lies in`},
		{"only dots", "..", `path ".." climbs with ".."; name the file by the directories that it lies in`},
		{"the root itself", ".", `path "." is the kubelet's seccomp directory itself; name a file below it`},
		{"the root itself, longer", "./", `path "./" is the kubelet's seccomp directory itself; name a file below it`},
		{"dot first", "./a.json", `path "./a.json" is not in its cleaned form; write "a.json"`},
		{"dot inside", "a/./b", `path "a/./b" is not in its cleaned form; write "a/b"`},
		{"dot last", "a/.", `path "a/." is not in its cleaned form; write "a"`},
		{"two slashes", "a//b.json", `path "a//b.json" is not in its cleaned form; write "a/b.json"`},
		{"slash last", "a/", `path "a/" is not in its cleaned form; write "a"`},
		{"everything", ".//./a.json//", `path ".//./a.json//" is not in its cleaned form; write "a.json"`},
		{
			"NUL", "a.json\x00.txt",
			`path "a.json\x00.txt" has a character outside printable ASCII at byte 7; rename the file with letters, digits, ".", "_" and "-"`,
		},
		{
			"line break", "a.json\n",
			`path "a.json\n" has a character outside printable ASCII at byte 7; rename the file with letters, digits, ".", "_" and "-"`,
		},
		{
			"look-alike", "аudit.json",
			`path "\u0430udit.json" has a character outside printable ASCII at byte 1; rename the file with letters, digits, ".", "_" and "-"`,
		},
		{
			"not UTF-8", "a\xff",
			`path "a\xff" has a character outside printable ASCII at byte 2; rename the file with letters, digits, ".", "_" and "-"`,
		},
		{"long element", long, `path "` + long[:80] + `..." has an element of 256 bytes; use at most 255`},
		{"long path", strings.Repeat("a/", 2048), `path "` + strings.Repeat("a/", 40) + `..." has 4096 bytes; use at most 1024`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := CheckPath(tc.path); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("CheckPath(%q):\n got %s\nwant %s", tc.path, got, tc.want)
			}
		})
	}
}

// TestOneSpelling counts the spellings of one file that are clean: one.
func TestOneSpelling(t *testing.T) {
	spellings := []string{
		"d/a.json", "./d/a.json", "d//a.json", "d/./a.json", "d/a.json/", "d/a.json/.", "d/../d/a.json",
		"x/../d/a.json", ".//d/a.json", "d///a.json", "d/x/../a.json", "././d/a.json",
	}
	var clean []string
	for _, s := range spellings {
		if got := filepath.Join("/var/lib/kubelet/seccomp", s); got != "/var/lib/kubelet/seccomp/d/a.json" {
			t.Fatalf("%s is another file: %s", s, got)
		}
		if CheckPath(s) == nil {
			clean = append(clean, s)
		}
	}
	if len(clean) != 1 || clean[0] != "d/a.json" {
		t.Errorf("clean spellings: %q", clean)
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"a.json", "", "/", "..", "a/../b", "./a", "a//b", "a\x00", "ä", "a/./..", "/var/lib/kubelet/seccomp/a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		err := CheckPath(p)
		if err == nil {
			const root = "/var/lib/kubelet/seccomp"
			if joined := path.Join(root, p); joined != root+"/"+p {
				t.Errorf("%q is clean, yet the kubelet opens %q", p, joined)
			}
			return
		}
		text := err.Error()
		if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("message is not printable ASCII: %q", text)
		}
		if _, proposal, ok := strings.Cut(text, "; write \""); ok {
			proposal = strings.TrimSuffix(proposal, "\"")
			if !strings.HasSuffix(proposal, "...") && !strings.Contains(proposal, `\`) && len(proposal) <= 255 {
				if err := CheckPath(proposal); err != nil {
					t.Errorf("%q proposes %q, which is not clean either: %v", p, proposal, err)
				}
			}
		}
	})
}

func TestPaths(t *testing.T) {
	digest := Digest([]byte("{}\n"))
	if want := "sha256:ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"; digest != want {
		t.Errorf("Digest = %s, want %s", digest, want)
	}
	if got, want := DigestPath("app", digest), "seccompgate/app.ca3d163bab05.json"; got != want {
		t.Errorf("DigestPath = %s, want %s", got, want)
	}
	if got, want := DigestPath("app", "sha256:ca3d"), "seccompgate/app.ca3d.json"; got != want {
		t.Errorf("DigestPath of a short digest = %s, want %s", got, want)
	}
	if got, want := PlainPath("app"), "seccompgate/app.json"; got != want {
		t.Errorf("PlainPath = %s, want %s", got, want)
	}
}

func TestGeneration(t *testing.T) {
	for _, tc := range []struct{ path, name, digits string }{
		{"seccompgate/app.json", "app", ""},
		{"seccompgate/app.ca3d163bab05.json", "app", "ca3d163bab05"},
		{"seccompgate/team.app.ca3d163bab05.json", "team.app", "ca3d163bab05"},
		{"seccompgate/ca3d163bab05.json", "ca3d163bab05", ""},
		{"seccompgate/.ca3d163bab05.json", ".ca3d163bab05", ""},
		{"seccompgate/app.ca3d163bab0.json", "app.ca3d163bab0", ""},
		{"seccompgate/app.CA3D163BAB05.json", "app.CA3D163BAB05", ""},
		{"seccompgate/a/b.json", "a/b", ""},
		{"seccompgate/.json", "", ""},
		{"seccompgate/app", "", ""},
		{"app.json", "", ""},
		{"", "", ""},
	} {
		if name, digits := Generation(tc.path); name != tc.name || digits != tc.digits {
			t.Errorf("Generation(%q) = %q, %q, want %q, %q", tc.path, name, digits, tc.name, tc.digits)
		}
	}
}
