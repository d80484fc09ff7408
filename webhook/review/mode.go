// SPDX-License-Identifier: Apache-2.0

package review

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
)

// Modes are what a namespace asks for.
type Modes struct {
	Enforce, Warn, Audit Setting
	// Problems are labels with a value that means nothing, each with the valid ones. Such
	// a level counts as the strictest, such a version as the latest.
	Problems []string
}

// Setting is the level of one mode and the version that its rules are pinned to.
type Setting struct {
	Level   v1alpha1.Level
	Version Version
}

// ModesOf reads the labels of a namespace; a mode without a label has its default.
func ModesOf(labels map[string]string, defaults v1alpha1.ModeDefaults) Modes {
	var m Modes
	m.Enforce = m.setting(labels, v1alpha1.EnforceLabel, v1alpha1.EnforceVersionLabel, defaults.Enforce)
	m.Warn = m.setting(labels, v1alpha1.WarnLabel, v1alpha1.WarnVersionLabel, defaults.Warn)
	m.Audit = m.setting(labels, v1alpha1.AuditLabel, v1alpha1.AuditVersionLabel, defaults.Audit)
	return m
}

func (m *Modes) setting(labels map[string]string, levelLabel, versionLabel string, fallback v1alpha1.Level) Setting {
	s := Setting{Level: cmp.Or(fallback, v1alpha1.LevelPrivileged)}
	if value, ok := labels[levelLabel]; ok {
		level, err := v1alpha1.ParseLevel(value)
		if err != nil {
			m.Problems = append(m.Problems, fmt.Sprintf("label %s: %v; it counts as %s", levelLabel, err, v1alpha1.LevelStrict))
			level = v1alpha1.LevelStrict
		}
		s.Level = level
	}
	if value, ok := labels[versionLabel]; ok {
		version, err := ParseVersion(value)
		if err != nil {
			m.Problems = append(m.Problems, fmt.Sprintf("label %s: %v; it counts as latest", versionLabel, err))
		}
		s.Version = version
	}
	return s
}

// strictest is the highest level of any mode: what lies above it needs no judgement.
func (m *Modes) strictest() v1alpha1.Level {
	top := m.Enforce.Level
	for _, l := range []v1alpha1.Level{m.Warn.Level, m.Audit.Level} {
		if l.Rank() > top.Rank() {
			top = l
		}
	}
	return top
}

// covers says that a finding of the rule's level concerns the mode.
func (s Setting) covers(f *policies.Finding) bool {
	return v1alpha1.Level(f.Level).Rank() <= s.Level.Rank()
}

// newer says that the finding's rule came after the version that the mode is pinned to.
func (s Setting) newer(f *policies.Finding) bool {
	if s.Version == (Version{}) {
		return false
	}
	since, err := ParseVersion(f.Since)
	return err == nil && s.Version.before(since)
}

// Version of the rules. The zero Version is the latest.
type Version struct{ Major, Minor int }

// ParseVersion reads "vX.Y" or "latest"; anything else is the latest, and an error.
func ParseVersion(s string) (Version, error) {
	if s == "latest" {
		return Version{}, nil
	}
	digits, tagged := strings.CutPrefix(s, "v")
	major, minor, dotted := strings.Cut(digits, ".")
	v := Version{Major: number(major), Minor: number(minor)}
	if !tagged || !dotted || v.Major < 0 || v.Minor < 0 || v == (Version{}) {
		return Version{}, fmt.Errorf("version %q is neither vX.Y, such as v0.1, nor latest", s)
	}
	return v, nil
}

// number reads digits without a leading zero; -1 is anything else.
func number(s string) int {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return -1
	}
	return int(n)
}

func (v Version) before(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}
