# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.privileged_test

import data.seccompgate.rules.privileged

test_privileged if {
	deny := privileged.deny with input as _pod("linux", [true, false])
	deny == {{
		"container": "container 0",
		"field": "spec.containers[0].securityContext.privileged",
		"message": "container \"container 0\": privileged, so the runtime sets no seccomp filter whatever seccompProfile says; drop privileged",
	}}
}

test_not_privileged if {
	privileged.deny == set() with input as _pod("linux", [false])
}

test_windows_is_exempt if {
	privileged.deny == set() with input as _pod("windows", [true])
}

_pod(os, privileged_ones) := {"os": os, "containers": [container |
	some i, value in privileged_ones
	container := {"name": sprintf("container %d", [i]), "field": sprintf("spec.containers[%d]", [i]), "privileged": value}
]}
