// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Level orders rules by strictness; see the level constants.
type Level string

// The levels that a rule can have, weakest first. Each includes those before it.
const (
	Baseline   Level = "baseline"
	Restricted Level = "restricted"
	Strict     Level = "strict"
)

// Rank orders levels: 0 is the weakest. It is -1 for a value that no rule can have.
func (l Level) Rank() int {
	return slices.Index([]Level{Baseline, Restricted, Strict}, l)
}

// RuleError is the id of the finding that stands for a rule that could not be evaluated.
const RuleError = "rule-error"

// Rule is one Rego package that judges, described by its METADATA.
type Rule struct {
	// ID is the folder's name and, with underscores for dashes, the package's.
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Level       Level    `json:"level"`
	Since       string   `json:"since"`
	Remediation string   `json:"remediation"`
	Related     []string `json:"related"`
	// BuiltIn is false for a user's rule.
	BuiltIn bool `json:"builtIn"`

	pkg  string // last element of the package path
	file string
}

// Finding is one rule's verdict on one container.
type Finding struct {
	Rule  string
	Level Level
	// Since is the version that the rule came with.
	Since string
	// Container is empty when the finding is about the pod.
	Container string
	// Index of the container in Input.Containers, -1 when the finding is about the pod.
	Index       int
	Field       string
	Message     string
	Remediation string
	// Unknown: the finding rests only on nodes about which nothing is known.
	Unknown bool
	// Failed is the rule that a rule-error stands for; empty for any other finding.
	Failed string
}

const rulesPackage = "seccompgate.rules"

// ruleOf reads the rule that a module declares. It returns nil for a module that is a
// library.
func ruleOf(file string, m *ast.Module, notes []*ast.Annotations) (*Rule, error) {
	pkg := strings.TrimPrefix(m.Package.Path.String(), "data.")
	last, ok := strings.CutPrefix(pkg, rulesPackage+".")
	if !ok {
		return nil, nil
	}
	at := m.Package.Location
	if strings.ContainsAny(last, `.["`) {
		return nil, fmt.Errorf("%s:%d: package %s: a rule is a package %s.<id> with letters, digits and underscores", file, at.Row, pkg, rulesPackage)
	}
	r := &Rule{ID: strings.ReplaceAll(last, "_", "-"), pkg: last, file: file}
	i := slices.IndexFunc(notes, func(a *ast.Annotations) bool { return a.Scope == "package" })
	if i < 0 {
		return nil, fmt.Errorf("%s:%d: package %s: no METADATA block above the package; add one with title, description, custom.level, custom.since, custom.remediation and related_resources", file, at.Row, pkg)
	}
	a := notes[i]
	text := func(name string) string {
		s, _ := a.Custom[name].(string)
		return s
	}
	for _, want := range []struct{ name, text string }{
		{"level", "one of baseline, restricted, strict"},
		{"since", "a version, such as v1.0"},
		{"remediation", "a sentence, in quotes"},
	} {
		if value := a.Custom[want.name]; value != nil {
			if _, isText := value.(string); !isText {
				return nil, fmt.Errorf("%s:%d: package %s: METADATA custom.%s is no text but %v; write %s", file, at.Row, pkg, want.name, value, want.text)
			}
		}
	}
	r.Title, r.Description = a.Title, strings.TrimSpace(a.Description)
	r.Level, r.Since, r.Remediation = Level(text("level")), text("since"), text("remediation")
	for _, res := range a.RelatedResources {
		r.Related = append(r.Related, res.Ref.String())
	}
	for _, want := range []struct{ name, value string }{
		{"title", r.Title},
		{"description", r.Description},
		{"custom.level", string(r.Level)},
		{"custom.since", r.Since},
		{"custom.remediation", r.Remediation},
	} {
		if want.value == "" {
			return nil, fmt.Errorf("%s:%d: package %s: METADATA lacks %s", file, at.Row, pkg, want.name)
		}
	}
	if r.Level.Rank() < 0 {
		return nil, fmt.Errorf("%s:%d: package %s: METADATA custom.level %q is not one of baseline, restricted, strict", file, at.Row, pkg, r.Level)
	}
	judges := false
	for _, rule := range m.Rules {
		ref := rule.Head.Ref()
		if !ref[0].Equal(ast.VarTerm("deny")) {
			continue
		}
		// Anything but a set would be taken for no finding at all.
		if len(ref) > 1 || rule.Head.RuleKind() != ast.MultiValue {
			return nil, fmt.Errorf("%s:%d: package %s: deny is not a set of findings; write \"deny contains finding if { ... }\"", file, rule.Location.Row, pkg)
		}
		judges = true
	}
	if !judges {
		return nil, fmt.Errorf("%s:%d: package %s: no rule called deny; a rule package says \"deny contains finding if { ... }\"", file, at.Row, pkg)
	}
	return r, nil
}

// compareFindings is the order of everything that a user sees.
func compareFindings(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(a.Index, b.Index),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Field, b.Field),
		cmp.Compare(a.Message, b.Message),
	)
}
