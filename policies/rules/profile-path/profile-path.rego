# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The path of the profile is not clean
# description: |
#   localhostProfile is empty, absolute, climbs with "..", or differs from its cleaned
#   form. The kubelet cleans the path, so two spellings name one file and lists of allowed
#   paths are fooled. Such a path is not looked up on the nodes.
# related_resources:
#   - ref: https://kubernetes.io/docs/tutorials/security/seccomp/
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Write the path relative to the kubelet's seccomp directory, in its cleaned form.
package seccompgate.rules.profile_path

deny contains finding if {
	some container in input.containers
	fault := container.profile.pathFault
	input.os != "windows"
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf("container %q: %s", [container.name, fault]),
	}
}

# An annotation with an unclean path is not injected; the container would answer for it
# without a hint.
deny contains finding if {
	some container in input.containers
	fault := container.requested.pathFault
	input.os != "windows"
	finding := {
		"container": container.name,
		"field": container.requested.field,
		"message": sprintf("container %q: annotation seccompgate.io/localhost-profile: %s", [container.name, fault]),
	}
}
