// SPDX-License-Identifier: Apache-2.0

package review

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
)

func TestParseVersion(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Version
		bad  bool
	}{
		{"latest", Version{}, false},
		{"v0.1", Version{0, 1}, false},
		{"v12.30", Version{12, 30}, false},
		{"v0.0", Version{}, true},
		{"0.1", Version{}, true},
		{"v1", Version{}, true},
		{"v1.2.3", Version{}, true},
		{"v1.-2", Version{}, true},
		{"v01.2", Version{}, true},
		{"v1.99999999999999999999", Version{}, true},
		{"", Version{}, true},
		{"Latest", Version{}, true},
	} {
		got, err := ParseVersion(tc.text)
		if got != tc.want || (err != nil) != tc.bad {
			t.Errorf("ParseVersion(%q) = %v, %v", tc.text, got, err)
		}
	}
}

func TestDecide(t *testing.T) {
	finding := func(rule string, level policies.Level, since string) policies.Finding {
		return policies.Finding{Rule: rule, Level: level, Since: since, Message: rule}
	}
	unknown := finding("unknown", policies.Baseline, "v0.1")
	unknown.Unknown = true
	findings := []policies.Finding{
		finding("old", policies.Baseline, "v0.1"),
		finding("new", policies.Baseline, "v0.10"),
		finding("higher", policies.Restricted, "v0.1"),
		unknown,
	}
	pinned := func(l v1alpha1.Level) Setting { return Setting{Level: l, Version: Version{0, 2}} }
	for _, tc := range []struct {
		name  string
		modes Modes
		how   handling
		want  verdict
	}{
		{"enforce", Modes{Enforce: Setting{Level: "baseline"}}, handling{}, verdict{Denied: []string{"new", "old"}, Warned: []string{"unknown"}}},
		{"enforce with unknown", Modes{Enforce: Setting{Level: "baseline"}}, handling{denyUnknown: true}, verdict{Denied: []string{"new", "old", "unknown"}}},
		{"pinned", Modes{Enforce: pinned("baseline")}, handling{}, verdict{Denied: []string{"old"}, Warned: []string{"new", "unknown"}}},
		{"a pinned warning is a warning", Modes{Warn: pinned("restricted")}, handling{}, verdict{Allowed: true, Warned: []string{"higher", "new", "old", "unknown"}}},
		{"pinned audit", Modes{Audit: pinned("baseline")}, handling{}, verdict{Allowed: true, Warned: []string{"new"}, Audited: []string{"old", "unknown"}}},
		{"advisory", Modes{Enforce: Setting{Level: "restricted"}}, handling{advisory: true}, verdict{Allowed: true, Warned: []string{"higher", "new", "old", "unknown"}}},
		{"observed", Modes{Enforce: Setting{Level: "baseline"}}, handling{observed: true}, verdict{Allowed: true, WouldDeny: []string{"new", "old"}, Warned: []string{"unknown"}}},
		{
			"every mode at its own level",
			Modes{Enforce: Setting{Level: "baseline"}, Warn: Setting{Level: "restricted"}, Audit: Setting{Level: "strict"}},
			handling{},
			verdict{Denied: []string{"new", "old"}, Warned: []string{"higher", "new", "old", "unknown"}, Audited: []string{"higher", "new", "old", "unknown"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, s := range []*Setting{&tc.modes.Enforce, &tc.modes.Warn, &tc.modes.Audit} {
				if s.Level == "" {
					s.Level = v1alpha1.LevelPrivileged
				}
			}
			d := Decision{Modes: tc.modes}
			d.decide(slices.Clone(findings), tc.how)
			if diff := cmp.Diff(tc.want, verdictOf(d)); diff != "" {
				t.Errorf("decide (-want +got):\n%s", diff)
			}
			if len(d.Warned) != len(ruleIDs(d.Warned)) {
				t.Errorf("a finding is warned about twice: %+v", d.Warned)
			}
		})
	}
}

func TestReviewNamespace(t *testing.T) {
	for _, tc := range []struct {
		name        string
		labels, old map[string]string
		want        NamespaceVerdict
	}{
		{name: "no label of ours", labels: labels("team", "web")},
		{name: "good", labels: labels(v1alpha1.EnforceLabel, "baseline", v1alpha1.EnforceVersionLabel, "v0.1", v1alpha1.ProfileLabel, "app")},
		{
			name:   "every bad value at once",
			labels: labels(v1alpha1.EnforceLabel, "high", v1alpha1.WarnLabel, "", v1alpha1.AuditVersionLabel, "1.0", v1alpha1.ProfileLabel, "unconfined"),
			want: NamespaceVerdict{Invalid: []string{
				`label seccompgate.io/enforce: level "high" is not one of privileged, baseline, restricted, strict`,
				`label seccompgate.io/warn: level "" is not one of privileged, baseline, restricted, strict`,
				`label seccompgate.io/audit-version: version "1.0" is neither vX.Y, such as v0.1, nor latest`,
				`label seccompgate.io/profile: profile name "unconfined" is reserved; choose another`,
			}},
		},
		{
			name:   "a bad value that was there before denies nothing else",
			labels: labels(v1alpha1.EnforceLabel, "high", "team", "web"),
			old:    labels(v1alpha1.EnforceLabel, "high"),
		},
		{
			name:   "only a profile guarantees nothing",
			labels: labels(v1alpha1.ProfileLabel, "app"),
			want: NamespaceVerdict{Warnings: []string{
				`label seccompgate.io/profile is the only one of seccompgate here: profile "app" is injected where that is possible, and nothing guarantees it; add seccompgate.io/enforce`,
			}},
		},
		{
			name:   "a profile that does not exist",
			labels: labels(v1alpha1.EnforceLabel, "baseline", v1alpha1.ProfileLabel, "ap"),
			want:   NamespaceVerdict{Warnings: []string{`label seccompgate.io/profile names profile "ap", which does not exist; nearest: app`}},
		},
		{
			name:   "a stricter level",
			labels: labels(v1alpha1.EnforceLabel, "restricted"),
			old:    labels(v1alpha1.EnforceLabel, "baseline"),
			want:   NamespaceVerdict{Stricter: v1alpha1.LevelRestricted},
		},
		{
			name:   "a first level",
			labels: labels(v1alpha1.EnforceLabel, "baseline"),
			old:    labels(),
			want:   NamespaceVerdict{Stricter: v1alpha1.LevelBaseline},
		},
		{
			name:   "a milder level",
			labels: labels(v1alpha1.EnforceLabel, "baseline"),
			old:    labels(v1alpha1.EnforceLabel, "strict"),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := reviewer(t, v1alpha1.WebhookConfig{}).ReviewNamespace(tc.labels, tc.old)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("ReviewNamespace (-want +got):\n%s", d)
			}
		})
	}
}
