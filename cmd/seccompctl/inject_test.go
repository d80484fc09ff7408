// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// invoke runs the program in this process.
func invoke(stdin []byte, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run("seccompctl", args, streams{in: bytes.NewReader(stdin), out: &out, err: &errs})
	return code, out.String(), errs.String()
}

// TestInjectProperty injects into pods of every layout: what comes out says what went in
// and the profiles, differs in inserted text only, and has nothing left to inject.
func TestInjectProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, labels := drawPod(t)
		code, out, stderr := invoke([]byte(text), "inject", "-f", "-")
		if code != 0 {
			t.Fatalf("exit %d: %s\n%s", code, stderr, text)
		}
		got, want := decodeYAML(t, out), decodeYAML(t, text)
		spec, _ := want["spec"].(map[string]any)
		if labels["seccompgate.io/profile"] != "" && profileOf(spec) == nil {
			setProfile(spec, labels["seccompgate.io/profile"])
		}
		for _, c := range spec["containers"].([]any) {
			container, _ := c.(map[string]any)
			name := labels["profile.seccompgate.io/"+container["name"].(string)]
			if name != "" && profileOf(container) == nil {
				setProfile(container, name)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("inject (-want +got):\n%s\nof\n%s\nis\n%s", d, text, out)
		}
		if !subsequence(text, out) {
			t.Fatalf("more than insertions:\n%s\n%s", text, out)
		}
		if _, again, _ := invoke([]byte(out), "inject", "-f", "-"); again != out {
			t.Fatalf("a second run changes\n%s\nto\n%s", out, again)
		}
	})
}

// drawPod draws a pod's text: block or flow, with and without contexts, comments, CRLF.
func drawPod(t *rapid.T) (string, map[string]string) {
	labels := map[string]string{}
	for _, key := range []string{"seccompgate.io/profile", "profile.seccompgate.io/a", "profile.seccompgate.io/b"} {
		if rapid.Bool().Draw(t, key) {
			labels[key] = rapid.SampledFrom([]string{"app", "runtime-default"}).Draw(t, "name")
		}
	}
	encoded, err := json.Marshal(labels)
	if err != nil {
		t.Fatal(err)
	}
	context := func(indent string) string {
		return indent + rapid.SampledFrom([]string{
			"securityContext:\n" + indent + "  runAsNonRoot: true # c",
			"securityContext:\n" + indent + "    # first\n" + indent + "    seccompProfile: {type: RuntimeDefault}",
			"securityContext: {}",
			"securityContext: {runAsNonRoot: true}",
			"securityContext: { seccompProfile: {type: Unconfined} }",
		}).Draw(t, "context")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Pod\nmetadata: {name: \"ä\", labels: %s}\nspec:\n", encoded)
	if rapid.Bool().Draw(t, "comment") {
		b.WriteString("  # für alle\n")
	}
	if rapid.Bool().Draw(t, "node") {
		b.WriteString("  nodeName: node1   # pinned\n")
	}
	if rapid.Bool().Draw(t, "pod context") {
		b.WriteString(context("  ") + "\n")
	}
	indent := rapid.SampledFrom([]string{"", "  ", "      "}).Draw(t, "indent")
	b.WriteString("  containers:\n")
	for _, name := range []string{"a", "b"} {
		if rapid.Bool().Draw(t, "flow") {
			fmt.Fprintf(&b, "  %s- {\"name\": %s, command: [x, \"y: z\"]}\n", indent, name)
			continue
		}
		inner := "  " + indent + "  "
		if rapid.Bool().Draw(t, "command first") {
			fmt.Fprintf(&b, "  %s- command:\n%s- x\n%sname: %s\n", indent, inner, inner, name)
		} else {
			fmt.Fprintf(&b, "  %s-   name: %s  # n\n", indent, name)
			inner += "  "
		}
		if rapid.Bool().Draw(t, "container context") {
			b.WriteString(context(inner) + "\n")
		}
		if rapid.Bool().Draw(t, "literal") {
			fmt.Fprintf(&b, "%simage: |\n%s  x\n", inner, inner)
		}
	}
	text := b.String()
	if rapid.Bool().Draw(t, "no end of line") {
		text = strings.TrimSuffix(text, "\n")
	}
	if rapid.Bool().Draw(t, "CRLF") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if rapid.Bool().Draw(t, "separator") {
		text = "--- # first\n" + text
	}
	return text, labels
}

func decodeYAML(t *rapid.T, text string) map[string]any {
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func profileOf(parent map[string]any) any {
	context, _ := parent["securityContext"].(map[string]any)
	return context["seccompProfile"]
}

func setProfile(parent map[string]any, name string) {
	profile := map[string]any{"type": "RuntimeDefault"}
	if name != "runtime-default" {
		profile = map[string]any{"type": "Localhost", "localhostProfile": "seccompgate/" + name + ".json"}
	}
	context, ok := parent["securityContext"].(map[string]any)
	if !ok {
		context = map[string]any{}
		parent["securityContext"] = context
	}
	context["seccompProfile"] = profile
}

// subsequence says whether text is left when something is taken out of longer.
func subsequence(text, longer string) bool {
	for i := 0; i < len(longer) && text != ""; i++ {
		if longer[i] == text[0] {
			text = text[1:]
		}
	}
	return text == ""
}

// TestInjectLargeList injects into every item of one large document, as kubectl prints a
// cluster: work that grows with the square of the items would take half an hour.
func TestInjectLargeList(t *testing.T) {
	const n = 2000
	item := "- apiVersion: v1\n  kind: Pod\n  metadata: {labels: {seccompgate.io/profile: runtime-default, profile.seccompgate.io/none: app}}\n  spec: {}\n"
	text := "apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat(item, n)
	done := make(chan string, 1)
	go func() {
		_, out, _ := invoke([]byte(text), "inject", "-f", "-")
		done <- out
	}()
	select {
	case out := <-done:
		want := strings.ReplaceAll(text, "spec: {}", "spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}}")
		if out != want {
			t.Errorf("inject (-want +got):\n%s", cmp.Diff(want, out))
		}
	case <-time.After(time.Minute):
		t.Fatalf("%d items take more than a minute", n)
	}
}

// TestPipeInDirectory: a directory may hold a pipe that nobody writes to, by any name.
func TestPipeInDirectory(t *testing.T) {
	directory := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(directory, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := invoke(nil, "check", "-f", directory)
	want := "seccompctl: " + directory + ": no .yaml, .yml or .json file below it; name a directory of manifests\n"
	if code != exitBadInput || stderr != want {
		t.Errorf("exit %d, %q; want %q", code, stderr, want)
	}
}

// FuzzInput feeds any text to the verbs that read manifests: they end, with one of the
// three exit codes, and say why when they fail.
func FuzzInput(f *testing.F) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		f.Fatalf("no scripts: %v", err)
	}
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(text), "\n-- ") {
			_, body, _ := strings.Cut(part, "\n")
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, args := range [][]string{{"check", "-f", "-", "-o", "json"}, {"inject", "-f", "-"}} {
			code, out, stderr := invoke(text, args...)
			switch {
			case code < 0 || code > 2:
				t.Errorf("%v: exit %d", args, code)
			case code == 2 && stderr == "":
				t.Errorf("%v: exit 2 without a message", args)
			case args[0] == "check" && out != "" && !json.Valid([]byte(out)):
				t.Errorf("%v: not JSON: %s", args, out)
			}
		}
	})
}
