// SPDX-License-Identifier: Apache-2.0

package review

import (
	"fmt"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

// NamespaceVerdict is what is said about the labels of a namespace.
type NamespaceVerdict struct {
	// Invalid are labels of ours with a value that means nothing, each with the valid
	// ones. They deny the request when it is the one that sets them.
	Invalid []string
	// Warnings for the user.
	Warnings []string
	// Stricter is the enforce level when the request raises it, else empty: pods that
	// run already are then worth a look.
	Stricter v1alpha1.Level
}

// ReviewNamespace judges the labels of a namespace; old is nil when it is created. A
// value that was there before is not denied, so that everything else about the namespace
// can still be changed.
func (r *Reviewer) ReviewNamespace(labels, old map[string]string) NamespaceVerdict {
	var v NamespaceVerdict
	for _, key := range []string{
		v1alpha1.EnforceLabel, v1alpha1.WarnLabel, v1alpha1.AuditLabel,
		v1alpha1.EnforceVersionLabel, v1alpha1.WarnVersionLabel, v1alpha1.AuditVersionLabel, v1alpha1.ProfileLabel,
	} {
		value, set := labels[key]
		if before, had := old[key]; !set || had && before == value {
			continue
		}
		if err := r.checkLabel(key, value); err != nil {
			v.Invalid = append(v.Invalid, fmt.Sprintf("label %s: %v", key, err))
		}
	}
	if len(v.Invalid) > 0 {
		return v
	}
	modes := ModesOf(labels, r.settings.Defaults)
	if name, ok := labels[v1alpha1.ProfileLabel]; ok {
		if modes.strictest() == v1alpha1.LevelPrivileged {
			v.Warnings = append(v.Warnings, fmt.Sprintf("label %s is the only one of seccompgate here: profile %q is injected where that is possible, and nothing guarantees it; add %s",
				v1alpha1.ProfileLabel, name, v1alpha1.EnforceLabel))
		}
		if index := r.facts(); index != nil && r.synced() && name != v1alpha1.RuntimeDefaultName {
			if _, known := index.PathOf(name); !known {
				v.Warnings = append(v.Warnings, fmt.Sprintf("label %s names profile %q, which does not exist%s", v1alpha1.ProfileLabel, name, nearest(index.NearestNames(name))))
			}
		}
	}
	before := v1alpha1.LevelPrivileged
	if old != nil {
		before = ModesOf(old, r.settings.Defaults).Enforce.Level
	}
	if old != nil && modes.Enforce.Level.Rank() > before.Rank() {
		v.Stricter = modes.Enforce.Level
	}
	return v
}

func (r *Reviewer) checkLabel(key, value string) error {
	switch key {
	case v1alpha1.EnforceLabel, v1alpha1.WarnLabel, v1alpha1.AuditLabel:
		_, err := v1alpha1.ParseLevel(value)
		return err
	case v1alpha1.ProfileLabel:
		if value == v1alpha1.RuntimeDefaultName {
			return nil
		}
		return seccomp.ParseName(value)
	default:
		_, err := ParseVersion(value)
		return err
	}
}
