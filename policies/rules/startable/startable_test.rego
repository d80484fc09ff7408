# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.startable_test

import data.seccompgate.rules.startable

test_lacking if {
	deny := startable.deny with input as _pod(["runc"], false)
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": runc cannot start a container under profile \"app.json\", which blocks close, execve; allow them",
	}}
}

test_more_is_needed_without_no_new_privileges if {
	some finding in startable.deny with input as _pod(["runc"], true)
	finding.message == "container \"app\": runc cannot start a container under profile \"app.json\", which blocks a, b, c, d, e and 1 more; allow them"
}

test_no_new_privileges_is_enough if {
	entries := [{"runtime": "runc", "noNewPrivileges": false, "syscalls": ["capset"]}]
	pod := object.union(_pod(["runc"], true), {"profiles": {"app.json": {"missingToStart": entries}}})
	some finding in startable.deny with input as pod
	finding.message == "container \"app\": runc cannot start a container under profile \"app.json\", which blocks capset; allow them, or set allowPrivilegeEscalation false"
	startable.deny == set() with input as json.patch(pod, [{"op": "replace", "path": "/containers/0/allowPrivilegeEscalation", "value": false}])
}

test_nodes_with_two_contents if {
	entries := [
		{"runtime": "runc", "noNewPrivileges": true, "syscalls": ["execve"]},
		{"runtime": "runc", "noNewPrivileges": true, "syscalls": ["close", "execve"]},
	]
	pod := object.union(_pod(["runc"], false), {"profiles": {"app.json": {"missingToStart": entries}}})
	{finding.message | some finding in startable.deny} == {"container \"app\": runc cannot start a container under profile \"app.json\", which blocks close, execve; allow them"} with input as pod
}

test_each_runtime if {
	count(startable.deny) == 1 with input as _pod(["crun", "runc"], false)
	entries := [
		{"runtime": "crun", "noNewPrivileges": true, "syscalls": ["execve"]},
		{"runtime": "runc", "noNewPrivileges": true, "syscalls": ["close", "execve"]},
	]
	count(startable.deny) == 2 with input as object.union(_pod(["crun", "runc"], false), {"profiles": {"app.json": {"missingToStart": entries}}})
}

test_another_runtime if {
	startable.deny == set() with input as _pod(["crun"], false)
}

test_runtimes_that_are_not_known if {
	some finding in startable.deny with input as _pod([], false)
	finding.message == "container \"app\": even the least demanding runtime cannot start a container under profile \"app.json\", which blocks execve; allow them"
}

test_nothing_lacking if {
	pod := _pod(["runc"], false)
	startable.deny == set() with input as object.union(pod, {"profiles": {"app.json": {"missingToStart": []}}})
}

test_every_fault_has_one_rule if {
	pod := _pod(["runc"], false)
	startable.deny == set() with input as object.union(pod, {"profiles": {"app.json": {"valid": false}}})
	startable.deny == set() with input as object.union(pod, {"profiles": {"app.json": {"nodes": {"have": 0}}}})
	startable.deny == set() with input as object.union(pod, {"os": "windows"})
}

_pod(runtimes, escalation) := {
	"os": "linux",
	"containers": [{
		"name": "app",
		"allowPrivilegeEscalation": escalation,
		"declared": {"field": "field of app"},
		"profile": {"localhostProfile": "app.json"},
	}],
	"nodes": {"runtimes": runtimes},
	"profiles": {"app.json": {
		"valid": true,
		"nodes": {"have": 1},
		"missingToStart": [
			{"runtime": "runc", "noNewPrivileges": true, "syscalls": ["close", "execve"]},
			{"runtime": "runc", "noNewPrivileges": false, "syscalls": ["a", "b", "c", "d", "e", "f"]},
			{"runtime": "any", "noNewPrivileges": true, "syscalls": ["execve"]},
		],
	}},
}
