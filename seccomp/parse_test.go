// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

// TestParseInvalid compares everything that is said about each file of
// testdata/invalid with the text beside it. The numbers that some names begin
// with are those of the ways in which a profile can be unconfined in disguise.
func TestParseInvalid(t *testing.T) {
	eachFile(t, "testdata/invalid", ".txt", func(t *testing.T, data []byte) []byte {
		p, err := Parse(data)
		var parseErr *ParseError
		if !errors.As(err, &parseErr) {
			t.Fatalf("Parse = %v, %v; want a *ParseError", p, err)
		}
		if p != nil {
			t.Errorf("Parse returns a profile beside the error: %v", p)
		}
		var b bytes.Buffer
		fmt.Fprintf(&b, "error:  %s\nreason: %s\n", parseErr, parseErr.Reason())
		for _, problem := range parseErr.Problems {
			fmt.Fprintf(&b, "- %s\n", problem)
		}
		return b.Bytes()
	})
}

// TestParseValid compares the canonical text of each file of testdata/valid with
// the one beside it.
func TestParseValid(t *testing.T) {
	eachFile(t, "testdata/valid", ".canonical", func(t *testing.T, data []byte) []byte {
		p, err := Parse(data)
		if err != nil {
			t.Fatalf("Parse: %v", err)
		}
		checkMeaning(t, data, p)
		return p.Marshal()
	})
}

// eachFile runs a test for each JSON file of the directory and compares what it
// returns with the golden file of the same name; a golden file without a JSON
// file is an error too.
func eachFile(t *testing.T, dir, suffix string, run func(*testing.T, []byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("list %s: %d files, %v", dir, len(files), err)
	}
	expected := make(map[string]bool)
	for _, file := range files {
		golden := strings.TrimSuffix(file, ".json") + suffix
		expected[golden] = true
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			got := run(t, readFile(t, file))
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(string(readFile(t, golden)), string(got)); d != "" {
				t.Errorf("%s (-want +got):\n%s", golden, d)
			}
		})
	}
	goldens, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, golden := range goldens {
		if !expected[golden] {
			t.Errorf("%s belongs to no file", golden)
		}
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkMeaning compares an accepted profile with what a runtime reads from the
// same bytes, and with itself after a round trip.
func checkMeaning(t testing.TB, data []byte, p *Profile) {
	t.Helper()
	var want specs.LinuxSeccomp
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatalf("encoding/json refuses what Parse accepts: %v", err)
	}
	if d := cmp.Diff(&want, p.OCI(), emptyIsNil()); d != "" {
		t.Errorf("meaning for a runtime (-encoding/json +Parse):\n%s", d)
	}
	text := p.Marshal()
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse refuses the canonical text: %v\n%s", err, text)
	}
	if d := cmp.Diff(p.OCI(), again.OCI()); d != "" {
		t.Errorf("round trip (-want +got):\n%s", d)
	}
	if second := again.Marshal(); !bytes.Equal(text, second) {
		t.Errorf("canonical text changes: %s, then %s", text, second)
	}
}

// emptyIsNil makes an empty list equal an absent one, which Parse makes of it.
func emptyIsNil() cmp.Option {
	return cmp.Options{
		emptySlice[specs.Arch](), emptySlice[specs.LinuxSeccompFlag](),
		emptySlice[specs.LinuxSyscall](), emptySlice[specs.LinuxSeccompArg](),
	}
}

func emptySlice[T any]() cmp.Option {
	return cmp.FilterValues(func(a, b []T) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())
}

// manyConditions returns a profile with n different conditions.
func manyConditions(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[`)
	// Conditions on one argument are alternatives, so that they can share a rule.
	const each = 50
	for i := 0; i < n; i += each {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`{"names":["ioctl"],"action":"SCMP_ACT_ALLOW","args":[`)
		for j := i; j < min(i+each, n); j++ {
			if j > i {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, `{"index":1,"value":%d,"op":"SCMP_CMP_EQ"}`, j)
		}
		b.WriteString("]}")
	}
	b.WriteString("]}")
	return []byte(b.String())
}

func TestParseBounds(t *testing.T) {
	padded := func(size int) []byte {
		text := `{"defaultAction":"SCMP_ACT_ERRNO"}`
		return []byte(text + strings.Repeat(" ", size-len(text)))
	}
	for _, tc := range []struct {
		name string
		data []byte
		want string // of the error, "" for none
	}{
		{"size at the limit", padded(MaxProfileSize), ""},
		{
			"size above the limit", padded(MaxProfileSize + 1),
			"file has 262145 bytes; a profile has at most 262144 (256 KiB)",
		},
		{"conditions at the limit", manyConditions(4050), ""},
		{
			"conditions above the limit", manyConditions(4051),
			"line 1, column 46: syscalls: has more than 4050 conditions, which outgrow the kernel's limit of 4096 instructions; " +
				"decide about the syscalls by fewer values of their arguments",
		},
		{
			"names times conditions",
			[]byte(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["` + strings.Join(numbered("call", 4051), `","`) +
				`"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}`),
			"line 1, column 46: syscalls: has more than 4050 conditions, which outgrow the kernel's limit of 4096 instructions; " +
				"decide about the syscalls by fewer values of their arguments",
		},
		{
			"the same condition again and again",
			[]byte(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_ALLOW","args":[` +
				strings.Repeat(`{"index":0,"value":1,"op":"SCMP_CMP_EQ"},`, 5000) + `{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}`),
			"",
		},
		{
			"names without conditions",
			[]byte(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["` + strings.Join(numbered("call", 10000), `","`) +
				`"],"action":"SCMP_ACT_ALLOW"}]}`),
			"",
		},
		{
			"nesting",
			[]byte(strings.Repeat(`{"a":`, 20000)),
			"line 1, column 2: a: unknown key; remove it, or use defaultAction, defaultErrnoRet, architectures, flags, " +
				"listenerPath, listenerMetadata or syscalls (and 1 more problem)",
		},
		{
			"more problems than are shown",
			[]byte(`{"syscalls":[` + strings.Repeat("1,", 4999) + `1]}`),
			"line 1, column 1: defaultAction: missing, so that runc starts the container without any filter (Unconfined); " +
				`put "defaultAction": "SCMP_ACT_ERRNO" (or another action) at the top of one object (and 5000 more problems)`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(tc.data)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("Parse:\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, i)
	}
	return out
}

// TestMarshalFitsParse takes a profile that fits its limit only as long as it is
// written without spaces.
func TestMarshalFitsParse(t *testing.T) {
	data := []byte(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["` + strings.Join(numbered("c", 30000), `","`) +
		`"],"action":"SCMP_ACT_ALLOW"}]}`)
	p, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Marshal(); !bytes.Equal(bytes.TrimSpace(got), data) {
		t.Errorf("Marshal returns %d bytes, want the %d of the input and a newline", len(got), len(data))
	}
}

// TestParseAgreesWithRuntimes draws valid profiles and compares what Parse and
// encoding/json, which containerd uses, make of them.
func TestParseAgreesWithRuntimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawProfile(t)
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(data)
		if err != nil {
			t.Fatalf("Parse: %v\n%s", err, data)
		}
		if d := cmp.Diff(want, p.OCI(), emptyIsNil()); d != "" {
			t.Errorf("Parse (-want +got):\n%s", d)
		}
	})
}

func drawProfile(t *rapid.T) *specs.LinuxSeccomp {
	action := rapid.SampledFrom(actions())
	errno := func(a specs.LinuxSeccompAction) *uint {
		if !takesErrno(a) || rapid.Bool().Draw(t, "default errno") {
			return nil
		}
		n := rapid.UintRange(1, maxErrno).Draw(t, "errno")
		return &n
	}
	arg := rapid.Custom(func(t *rapid.T) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{
			Index:    rapid.UintRange(0, maxArgIndex).Draw(t, "index"),
			Value:    rapid.Uint64().Draw(t, "value"),
			ValueTwo: rapid.Uint64().Draw(t, "valueTwo"),
			Op:       rapid.SampledFrom(operators()).Draw(t, "op"),
		}
	})
	p := &specs.LinuxSeccomp{
		DefaultAction:    action.Filter(func(a specs.LinuxSeccompAction) bool { return a != specs.ActNotify }).Draw(t, "defaultAction"),
		Architectures:    rapid.SliceOfN(rapid.SampledFrom(architectures()), 0, 3).Draw(t, "architectures"),
		Flags:            rapid.SliceOfN(rapid.SampledFrom(flags()), 0, 3).Draw(t, "flags"),
		ListenerPath:     rapid.String().Draw(t, "listenerPath"),
		ListenerMetadata: rapid.String().Draw(t, "listenerMetadata"),
	}
	p.DefaultErrnoRet = errno(p.DefaultAction)
	for range rapid.IntRange(0, 5).Draw(t, "rules") {
		call := specs.LinuxSyscall{
			Names:  rapid.SliceOfN(rapid.StringMatching(`[a-z_0-9]{1,6}`), 1, 3).Draw(t, "names"),
			Action: action.Draw(t, "action"),
			Args:   rapid.SliceOfN(arg, 0, 3).Draw(t, "args"),
		}
		call.ErrnoRet = errno(call.Action)
		p.Syscalls = append(p.Syscalls, call)
	}
	return p
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"testdata/invalid", "testdata/valid"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			f.Add(readFile(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			var parseErr *ParseError
			if !errors.As(err, &parseErr) || len(parseErr.Problems) == 0 || parseErr.Reason() == "" {
				t.Fatalf("Parse: %#v", err)
			}
			for _, problem := range parseErr.Problems {
				if strings.ContainsFunc(problem.String(), func(c rune) bool { return c < ' ' || c == '\u007f' }) {
					t.Errorf("a message holds a control character: %q", problem)
				}
			}
			return
		}
		checkMeaning(t, data, p)
		_ = p.Permissive()
	})
}

// FuzzParseDialect looks for a panic, and for a flattened profile that is none.
func FuzzParseDialect(f *testing.F) {
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],"syscalls":[{"names":["ptrace"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_PTRACE"],"minKernel":"4.8"}}]}`), true)
	f.Fuzz(func(t *testing.T, data []byte, capable bool) {
		var capabilities []string
		if capable {
			capabilities = []string{"CAP_SYS_PTRACE", "CAP_SYS_ADMIN"}
		}
		p, err := ParseDialect(data, specs.ArchX86_64, capabilities)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a message")
			}
			return
		}
		if _, err := Parse(p.Marshal()); err != nil {
			t.Errorf("what was accepted is no profile: %v\n%s", err, p.Marshal())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, file := range []string{"log-only", "fine-grained", "every-key"} {
		data := readFile(b, filepath.Join("testdata/valid", file+".json"))
		b.Run(file, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	data := manyConditions(4050)
	b.Run("4050 conditions", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			p, err := Parse(data)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Discard.Write(p.Marshal()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
