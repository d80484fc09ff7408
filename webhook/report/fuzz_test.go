// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/policies"
)

// FuzzWrite puts any text everywhere: every format stays whole, and says when it is read
// again what went in.
func FuzzWrite(f *testing.F) {
	f.Add("a.yaml", "shop", "web", "unset", "spec.containers[0]", "message", "remedy", 3)
	f.Add("standard input", "", "", "", "", "", "", 0)
	f.Add("dir/a b:%\xff\x00?#.yaml", "{0}", "\x1b[31m", "<rule a='&'>", "]]>\r\n", "\ufffe\U0001f600 {1} }{ \xed\xa0\x80", "\u2028", -1)
	f.Fuzz(func(t *testing.T, file, namespace, name, rule, field, message, remedy string, line int) {
		finding := Finding{Rule: rule, Level: name, Container: name, Field: field, Message: message, Remediation: remedy, Line: line}
		object := Result{File: file, Kind: rule, Namespace: namespace, Name: name, Line: line, Findings: []Finding{finding, finding}, Notes: []Note{{Rule: rule, Message: message}}}
		allowed := Result{File: file, Kind: rule, Namespace: namespace, Name: name + " #2", Line: line, Allowed: true}
		r := &Results{
			Version: name, Rules: []policies.Rule{{ID: name, Title: message, Description: remedy, Remediation: message, Related: []string{field}}},
			Results: []Result{object, object, allowed}, Errors: []Error{{File: file, Message: message}},
		}
		written := func(format Format) []byte {
			var b bytes.Buffer
			if err := r.Write(&b, format); err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			return b.Bytes()
		}

		var stable Results
		if err := json.Unmarshal(written(JSON), &stable); err != nil {
			t.Errorf("json: %v", err)
		} else if got, want := stable.Results[0].Findings[1].Message, asJSON(message); got != want {
			t.Errorf("json: got message %q, want %q", got, want)
		}

		var log sarifLog
		if err := json.Unmarshal(written(SARIF), &log); err != nil {
			t.Fatalf("sarif: %v", err)
		}
		run := log.Runs[0]
		var hashes []string
		for _, result := range run.Results {
			if got, want := unescape(t, result.Message.Text), asJSON(message); got != want {
				t.Errorf("sarif: got message %q, want %q", got, want)
			}
			if got := run.Tool.Driver.Rules[result.RuleIndex].ID; got != result.RuleID || got != asJSON(rule) {
				t.Errorf("sarif: rule %q at the index of %q", got, result.RuleID)
			}
			hashes = append(hashes, result.Fingerprints["findingHash/v1"])
			physical := result.Locations[0].Physical
			if physical.Region != nil && physical.Region.StartLine < 1 {
				t.Errorf("sarif: line %d", physical.Region.StartLine)
			}
			uri, err := url.Parse(physical.Artifact.URI)
			if err != nil {
				t.Errorf("sarif: %v", err)
			} else if got, want := filepath.Clean(uri.Path), filepath.Clean(file); got != want && file != Stdin {
				t.Errorf("sarif: URI %s is %q, want %q", uri, got, want)
			}
		}
		slices.Sort(hashes)
		if got := len(slices.Compact(hashes)); got != 4 {
			t.Errorf("sarif: %d fingerprints of 4 results", got)
		}
		if got, want := unescape(t, run.Invocations[0].Notifications[2].Message.Text), asJSON(message); got != want {
			t.Errorf("sarif: got error %q, want %q", got, want)
		}

		var suites struct {
			Tests int `xml:"tests,attr"`
			Suite struct {
				Name  string `xml:"name,attr"`
				Cases []struct {
					Name    string `xml:"name,attr"`
					Failure string `xml:"failure"`
					Error   string `xml:"error"`
					Output  string `xml:"system-out"`
				} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal(written(JUnit), &suites); err != nil {
			t.Fatalf("junit: %v", err)
		}
		cases := suites.Suite.Cases
		if suites.Tests != 4 || len(cases) != 4 || suites.Suite.Name != asXML(file) {
			t.Fatalf("junit: %d tests, %d cases in suite %q", suites.Tests, len(cases), suites.Suite.Name)
		}
		var findings, notes strings.Builder
		object.writeFindings(&findings, "")
		object.writeNotes(&notes, "")
		for _, c := range cases[:2] {
			if d := cmp.Diff(asXML(findings.String()), c.Failure); d != "" {
				t.Errorf("junit: failure (-want +got):\n%s", d)
			}
			if d := cmp.Diff(asXML(notes.String()), c.Output); d != "" {
				t.Errorf("junit: output (-want +got):\n%s", d)
			}
		}
		if got, want := cases[3].Error, asXML(message+"\n"); got != want {
			t.Errorf("junit: got error %q, want %q", got, want)
		}
		for i := range cases {
			for j := range i {
				if cases[i].Name == cases[j].Name {
					t.Errorf("junit: two cases are called %q", cases[i].Name)
				}
			}
		}
	})
}

// asJSON is what JSON can say of a text.
func asJSON(s string) string { return string([]rune(s)) }

// asXML is what XML can say of a text.
func asXML(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r != 0xfffe && r != 0xffff {
			return r
		}
		return '\ufffd'
	}, asJSON(s))
}

// unescape reads a message as a reader of SARIF does, to whom a single brace begins a
// placeholder.
func unescape(t *testing.T, s string) string {
	t.Helper()
	single := strings.NewReplacer("{{", "", "}}", "").Replace(s)
	if strings.ContainsAny(single, "{}") {
		t.Errorf("sarif: placeholder in %q", s)
	}
	return strings.NewReplacer("{{", "{", "}}", "}").Replace(s)
}
