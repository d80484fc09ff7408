# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.architecture_test

import data.seccompgate.rules.architecture

test_not_listed if {
	deny := architecture.deny with input as _pod(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], ["SCMP_ARCH_AARCH64"])
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": profile \"app.json\" lists SCMP_ARCH_X86_64, SCMP_ARCH_X86 and not SCMP_ARCH_AARCH64, which nodes that the pod may use have; make one for each, or restrict the pod",
	}}
}

test_long_lists if {
	pod := _pod(["a", "b", "c", "d", "e"], ["v", "w", "x", "y"])
	some finding in architecture.deny with input as pod
	finding.message == "container \"app\": profile \"app.json\" lists a, b, c and 2 more and not v, w, x and 1 more, which nodes that the pod may use have; make one for each, or restrict the pod"
}

test_listed if {
	architecture.deny == set() with input as _pod(["SCMP_ARCH_AARCH64", "SCMP_ARCH_X86_64"], [])
}

test_every_fault_has_one_rule if {
	pod := _pod(["SCMP_ARCH_X86_64"], ["SCMP_ARCH_AARCH64"])
	architecture.deny == set() with input as object.union(pod, {"profiles": {"app.json": {"valid": false}}})
	architecture.deny == set() with input as object.union(pod, {"profiles": {"app.json": {"nodes": {"have": 0}}}})
	architecture.deny == set() with input as object.union(pod, {"os": "windows"})
}

_pod(architectures, missing) := {
	"os": "linux",
	"containers": [{
		"name": "app",
		"declared": {"field": "field of app"},
		"profile": {"localhostProfile": "app.json"},
	}],
	"profiles": {"app.json": {"valid": true, "architectures": architectures, "missingArchitectures": missing, "nodes": {"have": 2}}},
}
