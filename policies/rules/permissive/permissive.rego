# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The profile allows everything
# description: |
#   The named profile is loaded and blocks nothing: no rule in effect blocks, kills or fails
#   any syscall. A profile that only logs is such a profile; it is excused while a recording
#   covers the pod.
# related_resources:
#   - ref: https://kubernetes.io/docs/tutorials/security/seccomp/
# custom:
#   level: restricted
#   since: v0.1
#   remediation: Name a profile whose defaultAction blocks, or start a recording for the pod.
package seccompgate.rules.permissive

deny contains finding if {
	some container in input.containers
	facts := input.profiles[container.profile.localhostProfile]
	facts.permissive == true
	facts.valid == true
	input.os != "windows"
	not input.recording.name
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf("container %q: profile %q blocks nothing (default action %s); name one that does, or start a recording", [container.name, container.profile.localhostProfile, facts.defaultAction]),
	}
}
