// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Grade is how far a profile restrains a container, in one word.
type Grade string

// The grades, the best first.
const (
	// GradeTight blocks what the runtime's default lets through, and lets nothing
	// through beyond it.
	GradeTight Grade = "tight"
	// GradeDefault is as the runtime's default.
	GradeDefault Grade = "default"
	// GradeWeaker lets through something that the runtime's default blocks.
	GradeWeaker Grade = "weaker"
	// GradeBlockList lets through whatever it does not name, and so whatever the next
	// kernel brings.
	GradeBlockList Grade = "block-list"
	// GradeNone blocks nothing.
	GradeNone Grade = "none"
)

// Worse returns the worse of two grades. One that is not known here, of a newer agent,
// counts as the worst.
func Worse(a, b Grade) Grade {
	grades := []Grade{GradeTight, GradeDefault, GradeWeaker, GradeBlockList, GradeNone}
	rank := func(g Grade) int {
		if i := slices.Index(grades, g); i >= 0 {
			return i
		}
		return len(grades)
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// Analysis is what a profile means on nodes of one architecture.
type Analysis struct {
	DefaultAction specs.LinuxSeccompAction
	Architectures []specs.Arch
	Permissive    bool
	Grade         Grade
	// Dangerous syscalls that are let through, the heaviest first.
	Dangerous []Danger
	// Beyond are calls let through that the runtime's default blocks. A permissive
	// profile has none: it is at fault as a whole.
	Beyond []Beyond
	// Missing are the needs of low-level runtimes that the profile does not meet, once
	// for each name.
	Missing []Missing
}

// Beyond is a syscall let through beyond the runtime's default.
type Beyond struct {
	Difference
	// Capabilities with any of which the default lets it through, too, sorted.
	Capabilities []string
}

// Analyze returns what a profile means on nodes of the native architecture, whatever
// their low-level runtimes: see [Startups].
func (p *Profile) Analyze(native specs.Arch) (*Analysis, error) {
	return p.AnalyzeFor(native, Startups())
}

// AnalyzeFor returns what a profile means on nodes of the native architecture whose
// low-level runtimes need this to start a container.
func (p *Profile) AnalyzeFor(native specs.Arch, startups []Startup) (*Analysis, error) {
	def, err := runtimeDefaults(native)
	if err != nil {
		return nil, err
	}
	f := p.Filter(native)
	a := &Analysis{
		DefaultAction: p.oci.DefaultAction, Architectures: slices.Clone(p.oci.Architectures),
		Permissive: p.Permissive(), Missing: missing(f, native, startups),
	}
	for _, d := range Dangers() {
		if d.allowedBy(f) {
			a.Dangerous = append(a.Dangerous, d)
		}
	}
	if !a.Permissive {
		a.Beyond = beyond(f, def)
	}
	switch {
	case a.Permissive:
		a.Grade = GradeNone
	case f.def.LetsThrough():
		a.Grade = GradeBlockList
	case len(a.Beyond) > 0:
		a.Grade = GradeWeaker
	case len(def.bare.beyond(f)) > 0:
		a.Grade = GradeTight
	default:
		a.Grade = GradeDefault
	}
	return a, nil
}

// beyond lists syscalls once, however many architectures have them.
func beyond(f *Filter, def *defaults) []Beyond {
	byName := make(map[string]int)
	var out []Beyond
	for _, d := range f.beyond(def.bare) {
		if _, seen := byName[d.Syscall]; !seen {
			byName[d.Syscall] = len(out)
			out = append(out, Beyond{Difference: d})
		}
	}
	if len(out) == 0 {
		return nil
	}
	for _, c := range def.capabilities() {
		still := make(map[string]bool)
		for _, arch := range f.Architectures() {
			for name := range byName {
				_, found := compareCall(def.with[c], f, arch, name, func(x, y Outcome) bool { return !x.LetsThrough() && y.LetsThrough() })
				still[name] = still[name] || found
			}
		}
		for name, i := range byName {
			if !still[name] {
				out[i].Capabilities = append(out[i].Capabilities, c)
			}
		}
	}
	slices.SortFunc(out, func(a, b Beyond) int { return strings.Compare(a.Syscall, b.Syscall) })
	return out
}
