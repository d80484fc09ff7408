#!/usr/bin/env bash
# Writes the files of a new rule, ready to be filled in: policies/new-rule.sh ID
set -euo pipefail
id=${1:?name the rule: make new-rule ID=my-rule} pkg=${1//-/_} dir=policies/rules/$1
[[ $id =~ ^[a-z][a-z0-9]*(-[a-z0-9]+)*$ ]] || { echo "a rule's id has lower-case letters, digits and dashes: $id"; exit 2; }
[[ ! -e $dir ]] || { echo "$dir exists"; exit 2; }
mkdir -p "$dir/testdata"
cat > "$dir/$id.rego" <<EOF
# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: What is wrong, in a few words
# description: |
#   What happens then, and to whom.
# related_resources:
#   - ref: https://kubernetes.io/docs/reference/node/seccomp/
# custom:
#   level: strict
#   since: v0.1
#   remediation: What to do instead.
package seccompgate.rules.$pkg

deny contains finding if {
	some container in input.containers
	container.name == "replace-me"
	input.os != "windows"
	finding := {
		"container": container.name,
		"field": container.field,
		"message": sprintf("container %q: what is wrong; what to do", [container.name]),
	}
}
EOF
cat > "$dir/${id}_test.rego" <<EOF
# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.${pkg}_test

import data.seccompgate.rules.$pkg

test_found if {
	deny := $pkg.deny with input as _pod("linux", "replace-me")
	deny == {{
		"container": "replace-me",
		"field": "spec.containers[0]",
		"message": "container \\"replace-me\\": what is wrong; what to do",
	}}
}

test_fine if {
	$pkg.deny == set() with input as _pod("linux", "app")
}

test_windows_is_exempt if {
	$pkg.deny == set() with input as _pod("windows", "replace-me")
}

_pod(os, name) := {"os": os, "containers": [{"name": name, "field": "spec.containers[0]"}]}
EOF
cat > "$dir/testdata/fail-example.yaml" <<EOF
# What this document shows. What is left out is filled in (policies/fixture_test.go).
input:
  containers:
    - name: replace-me
      declared: {type: RuntimeDefault, origin: container, field: "spec.containers[0].securityContext.seccompProfile"}
findings:
  - rule: $id
    container: replace-me
    field: spec.containers[0]
    message: 'container "replace-me": what is wrong; what to do'
EOF
cat > "$dir/testdata/pass-example.yaml" <<EOF
input:
  containers:
    - name: app
      declared: {type: RuntimeDefault, origin: container, field: "spec.containers[0].securityContext.seccompProfile"}
EOF
