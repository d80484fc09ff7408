// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"slices"
	"strings"
)

// Level says how strict: each level includes the rules of those before it.
//
// +kubebuilder:validation:Enum=privileged;baseline;restricted;strict
type Level string

// The levels, weakest first.
const (
	LevelPrivileged Level = "privileged"
	LevelBaseline   Level = "baseline"
	LevelRestricted Level = "restricted"
	LevelStrict     Level = "strict"
)

// Levels lists all levels, weakest first.
func Levels() []Level {
	return []Level{LevelPrivileged, LevelBaseline, LevelRestricted, LevelStrict}
}

// ParseLevel returns the level called s; the error lists the valid ones.
func ParseLevel(s string) (Level, error) {
	if l := Level(s); l.Rank() >= 0 {
		return l, nil
	}
	names := make([]string, 0, len(Levels()))
	for _, l := range Levels() {
		names = append(names, string(l))
	}
	return "", fmt.Errorf("level %q is not one of %s", s, strings.Join(names, ", "))
}

// Rank orders levels: 0 is the weakest. It is -1 for a value that is no level.
func (l Level) Rank() int {
	return slices.Index(Levels(), l)
}

// Mode says what becomes of a finding.
type Mode string

// The modes.
const (
	ModeEnforce Mode = "enforce"
	ModeWarn    Mode = "warn"
	ModeAudit   Mode = "audit"
)
