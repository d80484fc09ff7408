// SPDX-License-Identifier: Apache-2.0

package review

import (
	"github.com/seccompgate/seccompgate/policies"
)

// Decision is what becomes of one request.
type Decision struct {
	// Allowed is false when Denied holds something.
	Allowed bool
	// Denied, Warned and Audited are the findings by what is done about them. One finding
	// may stand in several.
	Denied, Warned, Audited []policies.Finding
	// WouldDeny are findings that are reported in place of denying: in a dry run, and for
	// a pod that its kubelet runs whatever is answered.
	WouldDeny []policies.Finding
	// Excused are findings that an exception takes out of all the others.
	Excused []Excused
	// Notes are warnings that come from no rule: labels without a meaning or an effect.
	Notes []string
	// Exempt is what exempts the request (namespace, user or runtimeClass); empty when
	// nothing does.
	Exempt string
	// Enforcing says that a finding of the enforce level denies the request.
	Enforcing bool
	// Judged is false when no rule was asked: the request is exempt, changes nothing that
	// matters, or every mode is privileged.
	Judged bool
	// Modes that applied.
	Modes Modes
}

// handling says how findings are treated, beside the modes.
type handling struct {
	// advisory objects are never denied: enforce counts as warn.
	advisory bool
	// observed objects are reported in place of denied.
	observed bool
	// denyUnknown makes findings that rest on nodes without facts deny like others.
	denyUnknown bool
}

// decide sorts findings by mode.
func (d *Decision) decide(findings []policies.Finding, h handling) {
	for i := range findings {
		f := &findings[i]
		warned := false
		warn := func() {
			if !warned {
				d.Warned = append(d.Warned, *f)
				warned = true
			}
		}
		if d.Modes.Enforce.covers(f) {
			switch {
			case d.Modes.Enforce.newer(f), h.advisory, f.Unknown && !h.denyUnknown:
				warn()
			case h.observed:
				d.WouldDeny = append(d.WouldDeny, *f)
			default:
				d.Denied = append(d.Denied, *f)
			}
		}
		if d.Modes.Warn.covers(f) {
			warn()
		}
		if d.Modes.Audit.covers(f) {
			if d.Modes.Audit.newer(f) {
				warn()
			} else {
				d.Audited = append(d.Audited, *f)
			}
		}
	}
	d.Allowed = len(d.Denied) == 0
}
