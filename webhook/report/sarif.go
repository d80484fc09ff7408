// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/seccompgate/seccompgate/policies"
)

const (
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	homepage    = "https://github.com/seccompgate/seccompgate"
)

// The part of SARIF 2.1.0 that we write. What the specification says of a property is not
// repeated here. Lists are never null: in SARIF that means that nobody looked.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string             `json:"id"`
		ShortDescription sarifMessage       `json:"shortDescription"`
		FullDescription  sarifMessage       `json:"fullDescription"`
		Help             sarifMessage       `json:"help"`
		Configuration    sarifConfiguration `json:"defaultConfiguration"`
		Properties       sarifProperties    `json:"properties"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	// sarifProperties are our own, but for the tags, which GitHub filters by.
	sarifProperties struct {
		Level string   `json:"level"`
		Since string   `json:"since,omitempty"`
		Tags  []string `json:"tags"`
	}
	sarifMessage struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level          string          `json:"level"`
		AssociatedRule *sarifRuleRef   `json:"associatedRule,omitempty"`
		Message        sarifMessage    `json:"message"`
		Locations      []sarifLocation `json:"locations"`
	}
	sarifRuleRef struct {
		ID    string `json:"id"`
		Index int    `json:"index"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifMessage      `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		// Suppressions are left out of a run without any: all results have the list, or none.
		Suppressions *[]sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
	sarifLocation struct {
		Physical sarifPhysicalLocation  `json:"physicalLocation"`
		Logical  []sarifLogicalLocation `json:"logicalLocations,omitempty"`
	}
	sarifPhysicalLocation struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogicalLocation struct {
		Name          string `json:"name"`
		QualifiedName string `json:"fullyQualifiedName"`
		Kind          string `json:"kind"`
	}
)

// The levels of SARIF that we use.
const (
	sarifError = "error"
	sarifNote  = "note"
)

func (r *Results) writeSARIF(w io.Writer) error { return encodeJSON(w, r.sarif()) }

// sarif makes a result of each finding. Notes and errors are notifications about the run:
// a result is an alert that stays open until the file is changed, and no change of the
// file tells what the nodes have.
func (r *Results) sarif() sarifLog {
	rules := newSARIFRules(r.Rules)
	run := sarifRun{
		Invocations: []sarifInvocation{{Successful: len(r.Errors) == 0, Notifications: []sarifNotification{}}},
		Results:     []sarifResult{},
	}
	notifications := &run.Invocations[0].Notifications
	seen := make(map[string]int)
	for i := range r.Results {
		result := &r.Results[i]
		for j := range result.Findings {
			f := &result.Findings[j]
			run.Results = append(run.Results, result.sarif(f, sarifError, &rules, seen))
		}
		for j := range result.Excused {
			e := &result.Excused[j]
			// Readers that know no suppressions must not take it for an error.
			excused := result.sarif(&e.Finding, sarifNote, &rules, seen)
			excused.Suppressions = &[]sarifSuppression{{Kind: "external", Status: "accepted", Justification: e.why()}}
			run.Results = append(run.Results, excused)
		}
		for _, n := range result.Notes {
			notification := sarifNotification{
				Level: sarifNote, Message: sarifMessage{Text: sarifText(n.Message)},
				Locations: []sarifLocation{result.location(nil)},
			}
			if at, ok := rules.at[n.Rule]; ok {
				notification.AssociatedRule = &sarifRuleRef{ID: n.Rule, Index: at}
			}
			*notifications = append(*notifications, notification)
		}
	}
	if slices.ContainsFunc(run.Results, func(r sarifResult) bool { return r.Suppressions != nil }) {
		for i := range run.Results {
			if run.Results[i].Suppressions == nil {
				run.Results[i].Suppressions = &[]sarifSuppression{}
			}
		}
	}
	for _, e := range r.Errors {
		*notifications = append(*notifications, sarifNotification{
			Level: sarifError, Message: sarifMessage{Text: sarifText(e.Message)},
			Locations: []sarifLocation{{Physical: physicalLocation(e.File, 0)}},
		})
	}
	run.Tool.Driver = sarifDriver{Name: "seccompgate", Version: r.Version, InformationURI: homepage, Rules: rules.list}
	return sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}}
}

// sarif is what is said of one finding.
func (r *Result) sarif(f *Finding, level string, rules *sarifRules, seen map[string]int) sarifResult {
	return sarifResult{
		RuleID: f.Rule, RuleIndex: rules.index(f.Rule, f), Level: level,
		Message:      sarifMessage{Text: sarifText(f.Message)},
		Locations:    []sarifLocation{r.location(f)},
		Fingerprints: map[string]string{"findingHash/v1": r.fingerprint(f, seen)},
	}
}

// sarifRules are the rules of a run, and where in the list each stands.
type sarifRules struct {
	list []sarifRule
	at   map[string]int
}

func newSARIFRules(rules []policies.Rule) sarifRules {
	s := sarifRules{list: []sarifRule{}, at: make(map[string]int)}
	for i := range rules {
		s.add(&rules[i])
	}
	return s
}

func (s *sarifRules) add(r *policies.Rule) {
	s.at[r.ID] = len(s.list)
	markdown := r.Description + "\n\n**Remedy:** " + r.Remediation + "\n"
	for _, link := range r.Related {
		markdown += "\n- <" + link + ">"
	}
	s.list = append(s.list, sarifRule{
		ID:               r.ID,
		ShortDescription: sarifMessage{Text: sarifText(r.Title)},
		FullDescription:  sarifMessage{Text: sarifText(r.Description)},
		Help:             sarifMessage{Text: sarifText(r.Remediation), Markdown: sarifText(markdown)},
		Configuration:    sarifConfiguration{Level: sarifError},
		Properties:       sarifProperties{Level: string(r.Level), Since: r.Since, Tags: []string{"security"}},
	})
}

// index of a finding's rule. Only what stands for a rule, such as rule-error, is in no
// set; it describes itself.
func (s *sarifRules) index(id string, f *Finding) int {
	if _, known := s.at[id]; !known {
		title := id
		if id == policies.RuleError {
			title = "A rule could not be evaluated"
		}
		s.add(&policies.Rule{ID: id, Title: title, Description: title + ".", Level: policies.Level(f.Level), Remediation: cmp.Or(f.Remediation, f.Message)})
	}
	return s.at[id]
}

// location of a finding, or of the object itself.
func (r *Result) location(f *Finding) sarifLocation {
	object := strings.TrimPrefix(r.Namespace+"/"+r.Kind+"/"+r.name(), "/")
	l := sarifLocation{
		Physical: physicalLocation(r.File, r.Line),
		Logical:  []sarifLogicalLocation{{Name: r.name(), QualifiedName: object, Kind: "object"}},
	}
	if f != nil && f.Line > 0 {
		l.Physical = physicalLocation(r.File, f.Line)
	}
	if f != nil && f.Field != "" {
		l.Logical = append(l.Logical, sarifLogicalLocation{Name: f.Field, QualifiedName: object + "/" + f.Field, Kind: "property"})
	}
	return l
}

func physicalLocation(file string, line int) sarifPhysicalLocation {
	l := sarifPhysicalLocation{Artifact: sarifArtifact{URI: fileURI(file)}}
	if line > 0 {
		l.Region = &sarifRegion{StartLine: line}
	}
	return l
}

// fileURI is relative where the name is: readers take it from the root of the repository.
// Standard input has no address; a file that does not exist stands for it.
func fileURI(file string) string {
	if file == Stdin {
		return "stdin"
	}
	path := filepath.ToSlash(filepath.Clean(file))
	u := url.URL{Path: path}
	if filepath.IsAbs(file) {
		u = url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(path, "/")}
	}
	return u.String()
}

var element = regexp.MustCompile(`\[[0-9]+\]`)

// fingerprint tells a finding from others by what it is about, so that it stays the same
// when lines, containers or the message change. What is alike in a file is counted. Its
// name is ours: GitHub's action computes the one that GitHub uses from the file's lines,
// and would complain of another.
func (r *Result) fingerprint(f *Finding, seen map[string]int) string {
	what := strings.Join([]string{r.Namespace, r.Kind, r.Name, f.Rule, f.Container, element.ReplaceAllString(f.Field, "[]")}, "\x00")
	seen[r.File+"\x00"+what]++
	hash := sha256.Sum256([]byte(what))
	return fmt.Sprintf("%s:%d", hex.EncodeToString(hash[:16]), seen[r.File+"\x00"+what])
}

var braces = strings.NewReplacer("{", "{{", "}", "}}")

// sarifText is text that holds no placeholder: braces would begin one.
func sarifText(s string) string { return braces.Replace(s) }
