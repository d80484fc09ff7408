# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The profile is Unconfined
# description: |
#   The pod or a container asks for no seccomp filter at all: every syscall of the
#   kernel is within reach. A pod-level Unconfined counts even where every container
#   overrides it, because a container added later would inherit it. So does a type that does
#   not exist: no API server takes it, and a kubelet would set no filter. Agrees with the
#   baseline check of Pod Security Admission on every pod.
# related_resources:
#   - ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Set seccompProfile.type to RuntimeDefault, or to Localhost with a profile that the nodes have.
package seccompgate.rules.unconfined

deny contains finding if {
	some container in input.containers
	container.declared.type == "Unconfined"
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf("container %q: seccompProfile %s (set by the %s); use RuntimeDefault or Localhost", [container.name, _what(container.declared), container.declared.origin]),
	}
}

deny contains finding if {
	input.pod.profile.type == "Unconfined"
	not _inherited
	finding := {
		"container": "",
		"field": input.pod.profile.field,
		"message": sprintf("pod: seccompProfile %s; every container overrides it today, one added later would run without a filter; use RuntimeDefault or Localhost", [_what(input.pod.profile)]),
	}
}

_inherited if {
	some container in input.containers
	container.declared.type == "Unconfined"
	container.declared.origin == "pod"
}

_what(declared) := declared.typeFault

_what(declared) := "is Unconfined" if not declared.typeFault
