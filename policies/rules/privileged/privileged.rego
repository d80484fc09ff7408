# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: A privileged container runs Unconfined
# description: |
#   Container runtimes set no seccomp filter for a privileged container, whatever its
#   seccompProfile says. The field is void there.
# related_resources:
#   - ref: https://kubernetes.io/docs/reference/node/seccomp/
# custom:
#   level: restricted
#   since: v0.1
#   remediation: Drop privileged and add the capabilities that the container really needs.
package seccompgate.rules.privileged

deny contains finding if {
	some container in input.containers
	container.privileged == true
	input.os != "windows"
	finding := {
		"container": container.name,
		"field": sprintf("%s.securityContext.privileged", [container.field]),
		"message": sprintf("container %q: privileged, so the runtime sets no seccomp filter whatever seccompProfile says; drop privileged", [container.name]),
	}
}
