# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.unconfined_test

import data.seccompgate.rules.unconfined

test_set_by_the_container if {
	deny := unconfined.deny with input as _pod("RuntimeDefault", [_container("app", "Unconfined", "container")])
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": seccompProfile is Unconfined (set by the container); use RuntimeDefault or Localhost",
	}}
}

test_set_by_the_pod_and_inherited if {
	deny := unconfined.deny with input as _pod("Unconfined", [
		_container("app", "Unconfined", "pod"),
		_container("other", "RuntimeDefault", "container"),
	])
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost",
	}}
}

test_set_by_the_pod_and_overridden if {
	deny := unconfined.deny with input as _pod("Unconfined", [_container("app", "RuntimeDefault", "container")])
	deny == {{
		"container": "",
		"field": "field of the pod",
		"message": "pod: seccompProfile is Unconfined; every container overrides it today, one added later would run without a filter; use RuntimeDefault or Localhost",
	}}
}

test_a_type_that_does_not_exist if {
	deny := unconfined.deny with input as _pod("RuntimeDefault", [object.union(_container("app", "Unconfined", "container"), {"declared": {"typeFault": "type \"none\" does not exist"}})])
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": seccompProfile type \"none\" does not exist (set by the container); use RuntimeDefault or Localhost",
	}}
}

test_windows_is_not_exempt if {
	pod := object.union(_pod("", [_container("app", "Unconfined", "container")]), {"os": "windows"})
	count(unconfined.deny) == 1 with input as pod
}

test_confined if {
	deny := unconfined.deny with input as _pod("RuntimeDefault", [
		_container("app", "RuntimeDefault", "pod"),
		_container("other", "Localhost", "container"),
		_container("third", "", "unset"),
	])
	deny == set()
}

_pod(type, containers) := {
	"os": "linux",
	"pod": {"profile": {"type": type, "field": "field of the pod"}},
	"containers": containers,
}

_container(name, type, origin) := {
	"name": name,
	"declared": {"type": type, "origin": origin, "field": sprintf("field of %s", [name])},
}
