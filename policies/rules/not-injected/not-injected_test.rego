# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.not_injected_test

import data.seccompgate.rules.not_injected

test_skipped if {
	deny := not_injected.deny with input as _pod({}, "unset", {})
	deny == _says("pod label")
}

test_container_label_outranks_the_pods_field if {
	deny := not_injected.deny with input as _pod({}, "pod", {"source": "container label"})
	deny == _says("container label")
}

test_outranked if {
	not_injected.deny == set() with input as _pod({}, "pod", {})
	not_injected.deny == set() with input as _pod({}, "container", {})
	not_injected.deny == set() with input as _pod({}, "container", {"source": "container label"})
}

test_in_effect if {
	not_injected.deny == set() with input as _pod({}, "label", {"inEffect": true})
}

test_unknown_names_have_their_own_rule if {
	not_injected.deny == set() with input as _pod({}, "unset", {"known": false})
}

test_unclean_paths_have_their_own_rule if {
	not_injected.deny == set() with input as _pod({}, "unset", {"pathFault": "path is empty"})
}

test_only_when_a_pod_is_created if {
	not_injected.deny == set() with input as _pod({"operation": "UPDATE"}, "unset", {})
	not_injected.deny == set() with input as _pod({"kind": "Deployment"}, "unset", {})
}

test_static_pods_are_never_changed if {
	not_injected.deny == set() with input as _pod({"mirror": true}, "unset", {})
}

test_windows_is_exempt if {
	not_injected.deny == set() with input as _pod({"os": "windows"}, "unset", {})
}

_says(source) := {{
	"container": "app",
	"field": "field of app",
	"message": sprintf("container \"app\": the %s asks for profile \"web\", which was not injected; create the pod again, and look at the mutating webhook if it stays so", [source]),
}}

_pod(pod, origin, requested) := object.union(
	{
		"kind": "Pod",
		"operation": "CREATE",
		"mirror": false,
		"os": "linux",
		"containers": [{
			"name": "app",
			"declared": {"field": "field of app", "origin": origin},
			"requested": object.union({"name": "web", "source": "pod label", "known": true, "inEffect": false}, requested),
		}],
	},
	pod,
)
