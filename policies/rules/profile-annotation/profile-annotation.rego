# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: An annotation swaps or disables the filter
# description: |
#   An annotation asks a container runtime for no seccomp filter, or replaces, swaps or
#   disables the one that the fields set: the alpha annotations with the value "unconfined",
#   and those of CRI-O, crun, Kata Containers and gVisor. Whether the runtime honours it
#   depends on the node's configuration, which a pod cannot know. Also judged when a binding
#   adds annotations to the pod.
# related_resources:
#   - ref: https://github.com/containers/crun/blob/main/crun.1.md
#   - ref: https://kubernetes.io/docs/tutorials/security/seccomp/
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Remove the annotation; set seccompProfile in the securityContext.
package seccompgate.rules.profile_annotation

import data.seccompgate.lib.annotations

deny contains finding if {
	some key, value in input.annotations
	_listed(key, value)
	input.os != "windows"
	finding := {
		"container": "",
		"field": sprintf("%smetadata.annotations[%s]", [_template, key]),
		"message": sprintf("annotation %q can replace or disable the seccomp filter on the node; remove it and set seccompProfile", [key]),
	}
}

_listed(key, _) if strings.any_prefix_match(key, annotations.prefixes)

_listed(key, "unconfined") if strings.any_prefix_match(key, annotations.alpha)

# Where the pod template stands in a workload: its annotations are beside its spec.
_template := trim_suffix(input.pod.profile.field, "spec.securityContext.seccompProfile")
