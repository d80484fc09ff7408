# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.permissive_test

import data.seccompgate.rules.permissive

test_permissive if {
	deny := permissive.deny with input as _pod({"valid": true, "permissive": true, "defaultAction": "SCMP_ACT_LOG"})
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": profile \"audit.json\" blocks nothing (default action SCMP_ACT_LOG); name one that does, or start a recording",
	}}
}

test_excused_by_a_recording if {
	pod := object.union(_pod({"valid": true, "permissive": true, "defaultAction": "SCMP_ACT_LOG"}), {"recording": {"name": "week"}})
	permissive.deny == set() with input as pod
}

test_an_invalid_profile_has_its_own_rule if {
	permissive.deny == set() with input as _pod({"valid": false, "permissive": true, "defaultAction": ""})
}

test_blocking if {
	permissive.deny == set() with input as _pod({"valid": true, "permissive": false, "defaultAction": "SCMP_ACT_ERRNO"})
}

test_windows_is_exempt if {
	pod := object.union(_pod({"valid": true, "permissive": true, "defaultAction": "SCMP_ACT_LOG"}), {"os": "windows"})
	permissive.deny == set() with input as pod
}

test_another_profile if {
	pod := object.union(_pod({}), {"profiles": {"other.json": {"valid": true, "permissive": true}}})
	permissive.deny == set() with input as pod
}

_pod(facts) := {
	"os": "linux",
	"containers": [{
		"name": "app",
		"declared": {"field": "field of app"},
		"profile": {"localhostProfile": "audit.json"},
	}],
	"profiles": {"audit.json": facts},
}
