# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The profile on the nodes is not valid
# description: |
#   The strict loader refuses the file that a node has: it is not JSON, its default action
#   is missing or unknown, it has unknown, duplicate or wrongly cased keys (Docker's dialect
#   among them), or an errnoRet of 0 or above 4095. Runtimes take some of these as "no
#   filter at all", and fail on others when the container starts.
# related_resources:
#   - ref: https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Correct the file on the nodes; "seccompctl check --profiles DIR" shows the same verdict offline.
package seccompgate.rules.profile_invalid

deny contains finding if {
	some container in input.containers
	facts := input.profiles[container.profile.localhostProfile]
	facts.valid == false
	facts.nodes.have > 0
	input.os != "windows"
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf("container %q: profile %q on the nodes is not valid: %s", [container.name, container.profile.localhostProfile, facts.reason]),
	}
}
