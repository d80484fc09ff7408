// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The part of JUnit's XML that Jenkins, GitLab and the actions for GitHub agree on. The
// times are none, but some show a missing one as no number.
type (
	junitReport struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []*junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Cases []junitCase `xml:"testcase"`
		// names that cases have, and how many each stands for.
		names map[string]int
	}
	junitCounts struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Time     int `xml:"time,attr"`
	}
	junitCase struct {
		ClassName string        `xml:"classname,attr"`
		Name      string        `xml:"name,attr"`
		File      string        `xml:"file,attr"`
		Line      int           `xml:"line,attr,omitempty"`
		Time      int           `xml:"time,attr"`
		Failure   *junitProblem `xml:"failure"`
		Error     *junitProblem `xml:"error"`
		Output    *junitOutput  `xml:"system-out"`
	}
	// junitProblem is a failure or an error. GitLab shows the text only, others the message
	// before it.
	junitProblem struct{ kind, message, text string }
	// junitOutput is what is shown without being a problem.
	junitOutput string
)

// MarshalXML writes the text as character data: the usual way escapes its ends of lines,
// too, so that nobody could read it.
func (p *junitProblem) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	start.Attr = []xml.Attr{{Name: xml.Name{Local: "type"}, Value: p.kind}, {Name: xml.Name{Local: "message"}, Value: p.message}}
	return encodeText(e, start, p.text)
}

// MarshalXML writes character data, as that of a problem.
func (o junitOutput) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return encodeText(e, start, string(o))
}

func encodeText(e *xml.Encoder, start xml.StartElement, text string) error {
	for _, token := range []xml.Token{start, xml.CharData(text), start.End()} {
		if err := e.EncodeToken(token); err != nil {
			return err
		}
	}
	return nil
}

func (r *Results) writeJUnit(w io.Writer) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(r.junit()); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junit makes a suite of each file and a case of each object, which fails once whatever
// is found. An error is a case of its own, behind those of its file.
func (r *Results) junit() *junitReport {
	report := &junitReport{Name: "seccompctl check"}
	suites := make(map[string]*junitSuite)
	add := func(file string, c junitCase) {
		s := suites[file]
		if s == nil {
			s = &junitSuite{Name: file, names: make(map[string]int)}
			suites[file] = s
			report.Suites = append(report.Suites, s)
		}
		c.ClassName, c.File = file, file
		s.add(c)
		report.count(&c)
	}
	for i := range r.Results {
		result := &r.Results[i]
		c := junitCase{Name: result.title(), Line: result.Line}
		var text strings.Builder
		if len(result.Findings) > 0 {
			result.writeFindings(&text, "")
			c.Line = cmp.Or(result.Findings[0].Line, c.Line)
			c.Failure = &junitProblem{kind: "finding", message: result.summary(), text: text.String()}
		}
		// What is excused fails nothing, and is no test that was left out either.
		if len(result.Notes)+len(result.Excused) > 0 {
			text.Reset()
			result.writeExcused(&text, "")
			result.writeNotes(&text, "")
			output := junitOutput(text.String())
			c.Output = &output
		}
		add(result.File, c)
	}
	for _, e := range r.Errors {
		add(e.File, junitCase{Name: "input", Error: &junitProblem{kind: "input", message: e.Message, text: e.Message + "\n"}})
	}
	return report
}

// add adds a case. Objects may have the same name, but of such cases GitLab shows only
// the first.
func (s *junitSuite) add(c junitCase) {
	for name := c.Name; s.names[c.Name] > 0; {
		s.names[name]++
		c.Name = fmt.Sprintf("%s #%d", name, s.names[name])
	}
	s.names[c.Name] = 1
	s.Cases = append(s.Cases, c)
	s.count(&c)
}

func (n *junitCounts) count(c *junitCase) {
	n.Tests++
	if c.Failure != nil {
		n.Failures++
	}
	if c.Error != nil {
		n.Errors++
	}
}

// summary counts the findings and names their rules.
func (r *Result) summary() string {
	var rules []string
	for _, f := range r.Findings {
		if !slices.Contains(rules, f.Rule) {
			rules = append(rules, f.Rule)
		}
	}
	found := "1 finding"
	if n := len(r.Findings); n > 1 {
		found = fmt.Sprintf("%d findings", n)
	}
	return found + ": " + strings.Join(rules, ", ")
}
