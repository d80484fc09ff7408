// SPDX-License-Identifier: Apache-2.0

// Package report shows decisions to people and programs.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seccompgate/seccompgate/policies"
)

// Results of a run, in the order of the input.
type Results struct {
	Results []Result `json:"results"`
}

// Result is what is said about one pod or workload.
type Result struct {
	// File that the object came from, as it was named.
	File      string `json:"file"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Allowed is false when there is a finding.
	Allowed  bool      `json:"allowed"`
	Findings []Finding `json:"findings"`
	Notes    []Note    `json:"notes"`
}

// Finding is one rule's verdict on one container; the container is empty for the pod.
type Finding struct {
	Rule        string `json:"rule"`
	Level       string `json:"level"`
	Container   string `json:"container"`
	Field       string `json:"field"`
	Message     string `json:"message"`
	Remediation string `json:"remediation"`
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

// Format of a report.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// ParseFormat reads the name of a format; the error lists the valid ones.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case Text, JSON:
		return f, nil
	default:
		return "", fmt.Errorf("output %q is not one of text, json", s)
	}
}

// Write writes the results.
func (r *Results) Write(w io.Writer, format Format) error {
	var err error
	if format == JSON {
		err = r.writeJSON(w)
	} else {
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
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
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
		for j, f := range result.Findings {
			fmt.Fprintf(&b, "  %s (%s)  %s\n    at %s\n", f.Rule, f.Level, f.Message, f.Field)
			again := slices.ContainsFunc(result.Findings[j+1:], func(later Finding) bool { return later.Rule == f.Rule })
			if !again && f.Remediation != "" {
				fmt.Fprintf(&b, "    %s\n", f.Remediation)
			}
		}
		for _, n := range result.Notes {
			if n.Rule != "" {
				fmt.Fprintf(&b, "  note (%s)  %s\n", n.Rule, n.Message)
			} else {
				fmt.Fprintf(&b, "  note  %s\n", n.Message)
			}
		}
	}
	denied := r.Denied()
	switch {
	case len(r.Results) == 0:
		b.WriteString("nothing to judge: no pod and no workload in the input\n")
	case denied == 0:
		fmt.Fprintf(&b, "%s, none denied\n", objects(len(r.Results)))
	default:
		fmt.Fprintf(&b, "%s, %d denied\n", objects(len(r.Results)), denied)
	}
	return b.String()
}

func objects(n int) string {
	if n == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}

func (r *Result) title() string {
	name := r.Name
	if name == "" {
		name = "(no name)"
	}
	if r.Namespace != "" {
		name = r.Namespace + "/" + name
	}
	return r.Kind + " " + name
}
