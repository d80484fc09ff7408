# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.localhost_required_test

import data.seccompgate.rules.localhost_required

test_runtime_default if {
	deny := localhost_required.deny with input as _pod("RuntimeDefault")
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": the profile is the runtime's default; name a Localhost profile that is made for it",
	}}
}

test_other_types_have_rules_of_their_own if {
	every type in ["Localhost", "Unconfined", ""] {
		localhost_required.deny == set() with input as _pod(type)
	}
}

test_windows_is_exempt if {
	pod := object.union(_pod("RuntimeDefault"), {"os": "windows", "runtimeClass": "gvisor", "nodes": {"eligible": 1, "appliesSeccomp": false}})
	localhost_required.deny == set() with input as pod
}

test_a_handler_that_is_not_known if {
	pod := object.union(_pod("Localhost"), {"runtimeClass": "gvisor", "nodes": {"eligible": 1, "appliesSeccomp": false}})
	deny := localhost_required.deny with input as pod
	deny == {{
		"container": "",
		"field": "spec.runtimeClassName",
		"message": "the handler of RuntimeClass \"gvisor\" is not known to apply seccomp profiles on every node that the pod may use; use one whose handler is runc, crun or youki",
	}}
}

test_a_handler_that_is if {
	pod := object.union(_pod("Localhost"), {"runtimeClass": "crun", "nodes": {"eligible": 1, "appliesSeccomp": true}})
	localhost_required.deny == set() with input as pod
}

test_nothing_is_known_of_nodes if {
	pod := object.union(_pod("Localhost"), {"runtimeClass": "crun", "nodes": {"eligible": 0, "appliesSeccomp": false}})
	localhost_required.deny == set() with input as pod
}

_pod(type) := {
	"os": "linux",
	"runtimeClass": "",
	"nodes": {"eligible": 1, "appliesSeccomp": true},
	"containers": [{
		"name": "app",
		"declared": {"field": "field of app"},
		"profile": {"type": type},
	}],
}
