# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.profile_invalid_test

import data.seccompgate.rules.profile_invalid

test_invalid if {
	deny := profile_invalid.deny with input as _pod(false, 2)
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": profile \"app.json\" on the nodes is not valid: line 1: defaultAction is missing",
	}}
}

test_a_missing_profile_has_its_own_rule if {
	profile_invalid.deny == set() with input as _pod(false, 0)
}

test_valid if {
	profile_invalid.deny == set() with input as _pod(true, 2)
}

test_windows_is_exempt if {
	profile_invalid.deny == set() with input as object.union(_pod(false, 2), {"os": "windows"})
}

_pod(valid, have) := {
	"os": "linux",
	"containers": [{
		"name": "app",
		"declared": {"field": "field of app"},
		"profile": {"localhostProfile": "app.json"},
	}],
	"profiles": {"app.json": {"valid": valid, "reason": "line 1: defaultAction is missing", "nodes": {"have": have}}},
}
