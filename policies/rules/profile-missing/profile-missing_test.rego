# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.profile_missing_test

import data.seccompgate.rules.profile_missing

test_missing_on_some if {
	deny := profile_missing.deny with input as _pod({"missingProfile": "any"}, 3, 2, ["n3"], [])
	deny == _says("profile \"app.json\" is missing on 1 of the 3 nodes that the pod may use (n3)", false)
}

test_without_the_parameter_one_is_enough if {
	deny := profile_missing.deny with input as _pod({}, 3, 2, ["n3"], [])
	deny == _says("profile \"app.json\" is missing on 1 of the 3 nodes that the pod may use (n3)", false)
}

test_more_than_the_examples if {
	pod := json.patch(_pod({"missingProfile": "any"}, 9, 0, ["n1", "n2", "n3"], []), [{"op": "replace", "path": "/profiles/app.json/nodes/missing/count", "value": 9}])
	deny := profile_missing.deny with input as pod
	deny == _says("profile \"app.json\" is missing on 9 of the 9 nodes that the pod may use (n1, n2, n3 and 6 more)", false)
}

test_missing_and_unknown if {
	deny := profile_missing.deny with input as _pod({"missingProfile": "any"}, 3, 1, ["n2"], ["n3"])
	deny == _says("profile \"app.json\" is missing on 1 of the 3 nodes that the pod may use (n2; unknown on 1 more: n3)", false)
}

test_unknown_only if {
	deny := profile_missing.deny with input as _pod({"missingProfile": "any"}, 3, 1, [], ["n2", "n3"])
	deny == _says("whether profile \"app.json\" exists is unknown on 2 of the 3 nodes that the pod may use (n2, n3)", true)
}

test_nearest if {
	pod := json.patch(_pod({"missingProfile": "any"}, 1, 0, ["n1"], []), [{"op": "replace", "path": "/profiles/app.json/nearest", "value": ["apps.json", "ap.json"]}])
	deny := profile_missing.deny with input as pod
	deny == _says("profile \"app.json\" is missing on 1 of the 1 nodes that the pod may use (n1); nearest existing: apps.json, ap.json", false)
}

test_all_must_lack_it if {
	profile_missing.deny == set() with input as _pod({"missingProfile": "all"}, 3, 1, ["n2", "n3"], [])
	profile_missing.deny == set() with input as _pod({"missingProfile": "all"}, 3, 1, [], ["n2", "n3"])
}

test_all_lack_it if {
	deny := profile_missing.deny with input as _pod({"missingProfile": "all"}, 2, 0, ["n1", "n2"], [])
	deny == _says("profile \"app.json\" is missing on 2 of the 2 nodes that the pod may use (n1, n2)", false)
}

test_all_may_lack_it if {
	deny := profile_missing.deny with input as _pod({"missingProfile": "all"}, 2, 0, ["n1"], ["n2"])
	deny == _says("profile \"app.json\" is missing on 1 of the 2 nodes that the pod may use (n1; unknown on 1 more: n2)", true)
}

test_all_unknown if {
	deny := profile_missing.deny with input as _pod({"missingProfile": "all"}, 2, 0, [], ["n1", "n2"])
	deny == _says("whether profile \"app.json\" exists is unknown on 2 of the 2 nodes that the pod may use (n1, n2)", true)
}

test_no_node_fits if {
	deny := profile_missing.deny with input as _pod({"missingProfile": "any"}, 0, 0, [], [])
	deny == _says("no known node fits the pod, so whether profile \"app.json\" exists there is unknown", true)
}

test_no_node_fits_but_each_would_get_it if {
	pod := json.patch(_pod({"missingProfile": "any"}, 0, 0, [], []), [{"op": "replace", "path": "/profiles/app.json/expectedDigest", "value": "sha256:1"}])
	profile_missing.deny == set() with input as pod
}

test_everywhere if {
	profile_missing.deny == set() with input as _pod({"missingProfile": "any"}, 3, 3, [], [])
}

test_nothing_known_of_nodes if {
	profile_missing.deny == set() with input as object.remove(_pod({"missingProfile": "any"}, 0, 0, [], []), ["profiles"])
}

test_windows_is_exempt if {
	every pod in [
		_pod({"missingProfile": "any"}, 1, 0, ["n1"], []),
		_pod({"missingProfile": "any"}, 1, 0, [], ["n1"]),
		_pod({"missingProfile": "any"}, 0, 0, [], []),
	] {
		profile_missing.deny == set() with input as object.union(pod, {"os": "windows"})
	}
}

_says(what, unknown) := {{
	"container": "app",
	"field": "field of app",
	"message": sprintf("container \"app\": %s", [what]),
	"unknown": unknown,
}}

_pod(parameters, eligible, have, missing, unknown) := {
	"os": "linux",
	"parameters": parameters,
	"containers": [{
		"name": "app",
		"declared": {"field": "field of app"},
		"profile": {"localhostProfile": "app.json"},
	}],
	"profiles": {"app.json": {
		"expectedDigest": "",
		"nearest": [],
		"nodes": {
			"eligible": eligible,
			"have": have,
			"missing": {"count": count(missing), "examples": missing},
			"unknown": {"count": count(unknown), "examples": unknown},
		},
	}},
}
