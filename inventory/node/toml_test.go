// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTOML(t *testing.T) {
	type table = map[string]any
	for _, tc := range []struct {
		name, text string
		want       map[string]any
	}{
		{"nothing", "", table{}},
		{"comments and white space", "# a\n\n  \t# b\r\n", table{}},
		{"values", "version = 2\nroot = \"/var\"\n'quoted key' = true # c\ndate = 2026-01-02T03:04:05Z\n", table{
			"version": bare("2"), "root": "/var", "quoted key": bare("true"), "date": bare("2026-01-02T03:04:05Z"),
		}},
		{"dotted keys", "a.b.\"c.d\" = 'x'\na . e = 1\n", table{"a": table{"b": table{"c.d": "x"}, "e": bare("1")}}},
		{"tables", "[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  default_runtime_name = \"runc\"\n[plugins]\nx = 1\n", table{
			"plugins": table{"io.containerd.grpc.v1.cri": table{"containerd": table{"default_runtime_name": "runc"}}, "x": bare("1")},
		}},
		{"an array of tables is its last", "[[stream]]\na = 1\nb = 1\n[[stream]]\na = 2\n[stream.c]\nd = 3\n", table{
			"stream": table{"a": bare("2"), "c": table{"d": bare("3")}},
		}},
		{"arrays", "a = []\nb = [ \"x\", # first\n  'y',\n]\nc = [[1, 2], [\"#]\"]]\n", table{
			"a": []any(nil), "b": []any{"x", "y"}, "c": []any{[]any{bare("1"), bare("2")}, []any{"#]"}},
		}},
		{"inline tables", "options = { BinaryName = \"/usr/bin/crun\", a.b = [1], }\n", table{
			"options": table{"BinaryName": "/usr/bin/crun", "a": table{"b": []any{bare("1")}}},
		}},
		{"text", "a = \"q\\\"\\\\ \\u00e9\\t\"\nb = 'C:\\x'\nc = \"\"\"\none\\\n   two \"quoted\"\n\"\"\"\nd = '''\nraw \\n'''\n", table{
			"a": "q\"\\ é\t", "b": `C:\x`, "c": "onetwo \"quoted\"\n", "d": `raw \n`,
		}},
		{"the last of two counts", "a = 1\na = 2\n", table{"a": bare("2")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseTOML([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("parseTOML (-want +got):\n%s", d)
			}
		})
	}
}

func TestParseTOMLErrors(t *testing.T) {
	deep := ""
	for range maxTOMLDepth + 2 {
		deep += "["
	}
	for _, tc := range []struct{ name, text, want string }{
		{"no value", "a = 1\nb =\n", "line 2: a value is missing"},
		{"no sign", "a 1\n", `line 1: "1" in place of "="`},
		{"no key", "= 1\n", `line 1: "= 1" in place of a key`},
		{"open table", "[a\nb = 1\n", `line 1: "" in place of "]"`},
		{"open array", "a = [1\nb = 2\n", `line 2: "b = 2" in place of "," or "]"`},
		{"open inline table", "a = {b = 1\nc = 2", `line 2: "c = 2" in place of "," or "}"`},
		{"open text", "a = \"x\nb = 1\n", "line 1: text without an end"},
		{"two values", "a = \"x\" \"y\"\n", `line 1: "\"y\"" in place of the end of the line`},
		{"a value and a table", "a = 1\n[a.b]\n", "line 2: a is a value and a table"},
		{"an escape", `a = "\q"`, `line 1: "\\q" is no escape`},
		{"not text", "a = \"\xff\"", "it is not UTF-8"},
		{"too deep", "a = " + deep, "line 1: values are nested too deep"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseTOML([]byte(tc.text))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, error %v, want error %q", got, err, tc.want)
			}
		})
	}
}

// FuzzParseTOML looks for a panic, and for a parser that does not come to an end.
func FuzzParseTOML(f *testing.F) {
	for _, seed := range []string{"[a.'b']\nc = {d = [1, \"x\"]}\n", "a = \"\"\"\\\n\"\"\"", "[[a]]\n[a.b]\n", "a=[[[["} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := parseTOML(data); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
