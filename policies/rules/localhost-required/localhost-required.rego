# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The container has no profile of its own
# description: |
#   The runtime's default is made for any program and lets through some 300 syscalls; a Localhost
#   profile is made for one. And no profile helps where the runtime of the pod's RuntimeClass
#   ignores it, as gVisor and Kata Containers do unless they are told otherwise: the handler is to be
#   runc, crun or youki on every node that the pod may use. The name of the RuntimeClass is taken for
#   that of its handler.
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
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf("container %q: the profile is the runtime's default; name a Localhost profile that is made for it", [container.name]),
	}
}

deny contains finding if {
	input.runtimeClass != ""
	input.nodes.eligible > 0
	input.nodes.appliesSeccomp == false
	input.os != "windows"
	finding := {
		"container": "",
		"field": "spec.runtimeClassName",
		"message": sprintf("the handler of RuntimeClass %q is not known to apply seccomp profiles on every node that the pod may use; use one whose handler is runc, crun or youki", [input.runtimeClass]),
	}
}
