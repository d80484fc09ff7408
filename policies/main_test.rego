# SPDX-License-Identifier: Apache-2.0

package seccompgate.main_test

import data.seccompgate.main

test_names_the_rule if {
	findings := main.findings with input as {
		"os": "linux",
		"containers": [{"name": "app", "field": "spec.containers[0]", "privileged": true}],
	}
	findings == {{
		"rule": "privileged",
		"finding": {
			"container": "app",
			"field": "spec.containers[0].securityContext.privileged",
			"message": "container \"app\": privileged, so the runtime sets no seccomp filter whatever seccompProfile says; drop privileged",
		},
	}}
}
