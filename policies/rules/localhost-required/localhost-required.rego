# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The container has no profile of its own
# description: |
#   The runtime's default is made for any program and lets through some 300 syscalls; a Localhost
#   profile is made for one. And no profile helps where the runtime of the pod's RuntimeClass
#   ignores it, as gVisor and Kata Containers do unless they are told otherwise: the handler is to be
#   runc, crun or youki on every node that the pod may use and that reports its runtimes. The name of
#   the RuntimeClass is taken for that of its handler. Where none of these nodes reports its runtimes,
#   the setting unknownNodes says what follows; without facts of nodes the RuntimeClass is not judged.
# related_resources:
#   - ref: https://kubernetes.io/docs/concepts/containers/runtime-class/
#   - ref: https://kubernetes.io/docs/tutorials/security/seccomp/
# custom:
#   level: strict
#   since: v0.1
#   remediation: Name a Localhost profile, made for the program, and a RuntimeClass that applies it.
package seccompgate.rules.localhost_required

deny contains finding if {
	some container in input.containers
	container.profile.type == "RuntimeDefault"
	input.os != "windows"
	not _explained(container)
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf("container %q: the profile is the runtime's default; name a Localhost profile that is made for it", [container.name]),
	}
}

deny contains finding if {
	input.runtimeClass != ""
	input.nodes.appliesSeccomp == false
	input.os != "windows"
	finding := {
		"container": "",
		"field": concat("", [trim_suffix(input.pod.profile.field, "securityContext.seccompProfile"), "runtimeClassName"]),
		"message": _doubt,
		"unknown": input.nodes.runtimes == [],
	}
}

# The container's label names a profile that does not exist, so that the pod's field is in
# effect: the label is at fault.
_explained(container) if {
	container.requested.known == false
	container.requested.source == "container label"
	container.declared.origin == "pod"
}

_doubt := sprintf("the handler of RuntimeClass %q is not known to apply seccomp profiles on every node that the pod may use; use one whose handler is runc, crun or youki", [input.runtimeClass]) if {
	input.nodes.runtimes != []
}

_doubt := sprintf("whether the handler of RuntimeClass %q applies seccomp profiles is unknown: no node that the pod may use reports its runtimes", [input.runtimeClass]) if {
	input.nodes.eligible > 0
	input.nodes.runtimes == []
}

# Where facts were given: a profile was looked up.
_doubt := sprintf("whether the handler of RuntimeClass %q applies seccomp profiles is unknown: no known node fits the pod", [input.runtimeClass]) if {
	input.nodes.eligible == 0
	input.profiles != {}
}
