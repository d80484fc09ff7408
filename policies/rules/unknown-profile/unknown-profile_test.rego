# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.unknown_profile_test

import data.seccompgate.rules.unknown_profile

test_unknown if {
	deny := unknown_profile.deny with input as _pod("linux", false, [])
	deny == _says("")
}

test_nearest if {
	deny := unknown_profile.deny with input as _pod("linux", false, ["web", "webs"])
	deny == _says("; nearest: web, webs")
}

test_known if {
	unknown_profile.deny == set() with input as _pod("linux", true, [])
}

test_nothing_asked_for if {
	unknown_profile.deny == set() with input as {"os": "linux", "containers": [{"name": "app"}]}
}

test_windows_is_exempt if {
	unknown_profile.deny == set() with input as _pod("windows", false, [])
}

_says(hint) := {{
	"container": "app",
	"field": "metadata.labels[seccompgate.io/profile]",
	"message": sprintf("container \"app\": the pod label names profile \"wbe\", which does not exist%s", [hint]),
}}

_pod(os, known, nearest) := {
	"os": os,
	"containers": [{
		"name": "app",
		"requested": {
			"name": "wbe",
			"source": "pod label",
			"field": "metadata.labels[seccompgate.io/profile]",
			"known": known,
			"nearest": nearest,
		},
	}],
}
