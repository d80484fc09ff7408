# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.profile_path_test

import data.seccompgate.rules.profile_path

test_field if {
	deny := profile_path.deny with input as _pod("linux", {"pathFault": "path \"/a\" is absolute"}, {})
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": path \"/a\" is absolute",
	}}
}

test_annotation if {
	deny := profile_path.deny with input as _pod("linux", {}, {"pathFault": "path \"/a\" is absolute"})
	deny == {{
		"container": "app",
		"field": "field of the request",
		"message": "container \"app\": annotation seccompgate.io/localhost-profile: path \"/a\" is absolute",
	}}
}

test_clean if {
	profile_path.deny == set() with input as _pod("linux", {}, {})
}

test_windows_is_exempt if {
	fault := {"pathFault": "path \"/a\" is absolute"}
	profile_path.deny == set() with input as _pod("windows", fault, fault)
}

_pod(os, profile, requested) := {
	"os": os,
	"containers": [{
		"name": "app",
		"declared": {"field": "field of app"},
		"profile": profile,
		"requested": object.union(requested, {"field": "field of the request"}),
	}],
}
