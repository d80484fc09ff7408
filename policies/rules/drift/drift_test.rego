# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.drift_test

import data.seccompgate.rules.drift

test_several_contents if {
	deny := drift.deny with input as _pod({"drift": "nodes", "digests": ["sha256:0123456789abcdef", "sha256:2"], "expectedDigest": ""})
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": profile \"app.json\" has 2 contents on the nodes that the pod may use (sha256:0123456789ab on the most of them); make them one, or name them apart",
	}}
}

test_another_content if {
	deny := drift.deny with input as _pod({"drift": "profile", "digests": ["sha256:0123456789abcdef"], "expectedDigest": "sha256:fedcba9876543210"})
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": profile \"app.json\" is on the nodes with another content (sha256:0123456789ab) than its LocalhostProfile has (sha256:fedcba987654); wait until the nodes have it, or look at its status",
	}}
}

test_no_drift if {
	drift.deny == set() with input as _pod({"drift": "", "digests": ["sha256:1"], "expectedDigest": "sha256:1"})
}

test_windows_is_exempt if {
	every kind in ["nodes", "profile"] {
		pod := object.union(_pod({"drift": kind, "digests": ["sha256:1"], "expectedDigest": "sha256:3"}), {"os": "windows"})
		drift.deny == set() with input as pod
	}
}

_pod(facts) := {
	"os": "linux",
	"containers": [{
		"name": "app",
		"declared": {"field": "field of app"},
		"profile": {"localhostProfile": "app.json"},
	}],
	"profiles": {"app.json": facts},
}
