// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseName(t *testing.T) {
	const syntax = ` is not a DNS subdomain; use lower-case letters, digits, "-" and ".", with a letter or digit at both ends of each part`
	for _, tc := range []struct {
		name, want string
	}{
		{"app", ""},
		{"0", ""},
		{"team-a.web.v2", ""},
		{"runtime-default-2", ""},
		{strings.Repeat("a", 63), ""},
		{"app.0123456789a", ""},
		{"app.0123456789abc", ""},
		{"app.0123456789ag", ""},

		{"", "profile name is empty; use the name of a LocalhostProfile or runtime-default"},
		{strings.Repeat("a", 64), `profile name "` + strings.Repeat("a", 64) + `" has 64 characters; use at most 63, so that it fits a label value`},
		{"runtime-default", `profile name "runtime-default" is reserved; choose another`},
		{"unconfined", `profile name "unconfined" is reserved; choose another`},
		{"App", `profile name "App"` + syntax},
		{"a_b", `profile name "a_b"` + syntax},
		{"-a", `profile name "-a"` + syntax},
		{"a-", `profile name "a-"` + syntax},
		{"a..b", `profile name "a..b"` + syntax},
		{".", `profile name "."` + syntax},
		{"..", `profile name ".."` + syntax},
		{"a/b", `profile name "a/b"` + syntax},
		{"a\n", `profile name "a\n"` + syntax},
		{"ä", `profile name "\u00e4"` + syntax},
		{"app.0123456789ab", `profile name "app.0123456789ab" ends like the file of a generation (a dot and 12 hexadecimal digits); choose another`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := ParseName(tc.name); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("ParseName(%q):\n got %s\nwant %s", tc.name, got, tc.want)
			}
		})
	}
}

// TestNamesNeverMeetOnDisk draws two names and compares all paths of both.
func TestNamesNeverMeetOnDisk(t *testing.T) {
	name := rapid.StringMatching(`[a-f0-9.]{1,20}`).Filter(func(s string) bool { return ParseName(s) == nil })
	content := rapid.SliceOfN(rapid.Byte(), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		digest := Digest(content.Draw(t, "content"))
		for _, p := range []string{PlainPath(a), DigestPath(a, digest)} {
			if err := CheckPath(p); err != nil {
				t.Errorf("path of %q: %v", a, err)
			}
			if a != b && (p == PlainPath(b) || p == DigestPath(b, digest)) {
				t.Errorf("%q and %q share %s", a, b, p)
			}
		}
		if PlainPath(a) == DigestPath(b, digest) {
			t.Errorf("the plain path of %q is a generation of %q", a, b)
		}
	})
}

func TestNearest(t *testing.T) {
	names := []string{"web", "web-2", "worker", "payments", "payment", "runtime-default"}
	paths := []string{"audit.json", "profiles/audit.json", "profiles/violation.json", "seccompgate/web.json", "seccompgate/web.0123456789ab.json"}
	for _, tc := range []struct {
		name       string
		text       string
		candidates []string
		n          int
		want       []string
	}{
		{"typing error", "paymets", names, 3, []string{"payments", "payment"}},
		{"the most similar first", "web-1", names, 3, []string{"web-2", "web"}},
		{"at most n", "web-1", names, 1, []string{"web-2"}},
		{"none", "database", names, 3, []string{}},
		{"not the name itself", "web", names, 3, []string{"web-2"}},
		{"same file in another directory", "profile/violation.json", paths, 3, []string{"profiles/violation.json"}},
		{"same file without directory", "audit.json", paths, 3, []string{"profiles/audit.json"}},
		{"each once", "wep", []string{"web", "web"}, 3, []string{"web"}},
		{"equally similar in order", "ab", []string{"bb", "aa", "ac"}, 3, []string{"aa", "ac", "bb"}},
		{"nothing asked", "web-1", names, 0, []string{}},
		{"nothing there", "web", nil, 3, []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, Nearest(tc.text, tc.candidates, tc.n)); d != "" {
				t.Errorf("Nearest (-want +got):\n%s", d)
			}
		})
	}
}

func BenchmarkNearest(b *testing.B) {
	candidates := make([]string, 200)
	for i := range candidates {
		candidates[i] = fmt.Sprintf("seccompgate/service-%03d.json", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		Nearest("seccompgate/servce-017.json", candidates, 3)
	}
}
