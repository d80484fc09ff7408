// SPDX-License-Identifier: Apache-2.0

// Package report shows decisions to people and programs.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// Stdin is the File of what came from standard input.
const Stdin = "standard input"

// Results of a run, in the order of the input. What JSON leaves out is for the formats that
// other tools read.
type Results struct {
	Results []Result `json:"results"`
	// Errors are the inputs of which not everything was judged.
	Errors []Error `json:"-"`
	// Rules that were asked.
	Rules []policies.Rule `json:"-"`
	// Version of the program.
	Version string `json:"-"`
}

// Error is why a file, or the rest of it, was not judged.
type Error struct {
	// File as it was named.
	File string
	// Message names the file, too.
	Message string
}

// Result is what is said about one pod or workload.
type Result struct {
	// File that the object came from, as it was named.
	File      string `json:"file"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Line of the file that the object begins on, from 1; 0 when nobody asked.
	Line int `json:"-"`
	// Allowed is false when there is a finding.
	Allowed  bool      `json:"allowed"`
	Findings []Finding `json:"findings"`
	Notes    []Note    `json:"notes"`
	// Excused are findings that an exception excuses: they count for nothing, and are shown.
	Excused []Excused `json:"excused,omitempty"`
}

// Finding is one rule's verdict on one container; the container is empty for the pod.
type Finding struct {
	Rule        string `json:"rule"`
	Level       string `json:"level"`
	Container   string `json:"container"`
	Field       string `json:"field"`
	Message     string `json:"message"`
	Remediation string `json:"remediation"`
	// Line of the file that the field stands on, or the nearest around it that there is,
	// from 1; 0 when nobody asked.
	Line int `json:"-"`
}

// Excused is a finding and the exception that excuses it.
type Excused struct {
	Finding
	// Policy is the SeccompPolicy that has the exception.
	Policy string `json:"policy"`
	Reason string `json:"reason"`
	// Until is when the exception ends.
	Until time.Time `json:"until"`
}

// Note is something to know that is no finding. Rule is the rule that it concerns, empty
// for what labels say.
type Note struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// FindingOf takes a finding over.
func FindingOf(f policies.Finding) Finding {
	return Finding{
		Rule: f.Rule, Level: string(f.Level), Container: f.Container, Field: f.Field,
		Message: f.Message, Remediation: f.Remediation,
	}
}

// ExcusedOf takes an excused finding over.
func ExcusedOf(e review.Excused) Excused {
	return Excused{Finding: FindingOf(e.Finding), Policy: e.Policy, Reason: e.Reason, Until: e.Until.UTC()}
}

// Denied counts the results with findings.
func (r *Results) Denied() int {
	n := 0
	for i := range r.Results {
		if !r.Results[i].Allowed {
			n++
		}
	}
	return n
}

// excused counts the findings that are excused.
func (r *Results) excused() int {
	n := 0
	for i := range r.Results {
		n += len(r.Results[i].Excused)
	}
	return n
}

// Format of a report.
type Format string

// The formats.
const (
	Text  Format = "text"
	JSON  Format = "json"
	SARIF Format = "sarif"
	JUnit Format = "junit"
)

// HasLines says whether the format shows the lines of objects and findings.
func (f Format) HasLines() bool { return f == SARIF || f == JUnit }

// ParseFormat reads the name of a format: every command has text and JSON, and some have
// more. The error lists them.
func ParseFormat(s string, more ...Format) (Format, error) {
	formats := append([]Format{Text, JSON}, more...)
	if slices.Contains(formats, Format(s)) {
		return Format(s), nil
	}
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	return "", fmt.Errorf("output %q is not one of %s", s, strings.Join(names, ", "))
}

// Write writes the results.
func (r *Results) Write(w io.Writer, format Format) error {
	var err error
	switch format {
	case JSON:
		err = r.writeJSON(w)
	case SARIF:
		err = r.writeSARIF(w)
	case JUnit:
		err = r.writeJUnit(w)
	default:
		_, err = io.WriteString(w, r.text())
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *Results) writeJSON(w io.Writer) error {
	if r.Results == nil {
		r.Results = []Result{}
	}
	for i := range r.Results {
		if r.Results[i].Findings == nil {
			r.Results[i].Findings = []Finding{}
		}
		if r.Results[i].Notes == nil {
			r.Results[i].Notes = []Note{}
		}
	}
	return encodeJSON(w, r)
}

func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// text is for people: a line for each object, what is wrong with it below, and the remedy
// once for each rule.
func (r *Results) text() string {
	var b strings.Builder
	for i := range r.Results {
		result := &r.Results[i]
		verdict := "ok"
		if !result.Allowed {
			verdict = "denied"
		}
		fmt.Fprintf(&b, "%s: %s: %s\n", result.File, result.title(), verdict)
		result.writeFindings(&b, "  ")
		result.writeExcused(&b, "  ")
		result.writeNotes(&b, "  ")
	}
	denied, excused := r.Denied(), ""
	if n := r.excused(); n > 0 {
		excused = fmt.Sprintf(", findings excused: %d", n)
	}
	switch {
	case len(r.Results) == 0:
		b.WriteString("nothing to judge: no pod and no workload in the input\n")
	case denied == 0:
		fmt.Fprintf(&b, "%s, none denied%s\n", objects(len(r.Results)), excused)
	default:
		fmt.Fprintf(&b, "%s, %d denied%s\n", objects(len(r.Results)), denied, excused)
	}
	return b.String()
}

// writeFindings writes the findings, and the remedy of a rule once.
func (r *Result) writeFindings(b *strings.Builder, indent string) {
	for i, f := range r.Findings {
		fmt.Fprintf(b, "%s%s (%s)  %s\n", indent, f.Rule, f.Level, f.Message)
		switch {
		case f.Field == "":
		case f.Line > 0:
			fmt.Fprintf(b, "%s  at %s, line %d\n", indent, f.Field, f.Line)
		default:
			fmt.Fprintf(b, "%s  at %s\n", indent, f.Field)
		}
		again := slices.ContainsFunc(r.Findings[i+1:], func(later Finding) bool { return later.Rule == f.Rule })
		if !again && f.Remediation != "" {
			fmt.Fprintf(b, "%s  %s\n", indent, f.Remediation)
		}
	}
}

// writeExcused writes what is excused, why, and until when.
func (r *Result) writeExcused(b *strings.Builder, indent string) {
	for i := range r.Excused {
		e := &r.Excused[i]
		fmt.Fprintf(b, "%sexcused: %s (%s)  %s\n", indent, e.Rule, e.Level, e.Message)
		fmt.Fprintf(b, "%s  %s\n", indent, e.why())
	}
}

// why is the exception in one line.
func (e *Excused) why() string {
	return fmt.Sprintf("until %s by SeccompPolicy %s: %s", e.Until.Format(time.RFC3339), e.Policy, e.Reason)
}

func (r *Result) writeNotes(b *strings.Builder, indent string) {
	for _, n := range r.Notes {
		if n.Rule != "" {
			fmt.Fprintf(b, "%snote (%s)  %s\n", indent, n.Rule, n.Message)
		} else {
			fmt.Fprintf(b, "%snote  %s\n", indent, n.Message)
		}
	}
}

func objects(n int) string {
	if n == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}

func (r *Result) title() string {
	name := r.name()
	if r.Namespace != "" {
		name = r.Namespace + "/" + name
	}
	return r.Kind + " " + name
}

func (r *Result) name() string { return cmp.Or(r.Name, "(no name)") }
