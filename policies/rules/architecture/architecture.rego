# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The profile is not for the architecture of a node
# description: |
#   The profile lists architectures, and not that of a node that the pod may use. Runtimes add the
#   node's own, but syscalls differ between architectures: what was made for one blocks what programs
#   need on another, or leaves out what it ought to block. A profile that lists none covers the node's
#   own.
# related_resources:
#   - ref: https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
# custom:
#   level: strict
#   since: v0.1
#   remediation: Make a profile for each architecture, or restrict the pod to nodes of those that the profile lists.
package seccompgate.rules.architecture

import data.seccompgate.lib.lists

deny contains finding if {
	some path, facts in input.profiles
	facts.missingArchitectures != []
	facts.nodes.have > 0
	facts.valid == true
	input.os != "windows"
	some container in input.containers
	container.profile.localhostProfile == path
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: profile %q lists %s and not %s, which nodes that the pod may use have; make one for each, or restrict the pod",
			[container.name, container.profile.localhostProfile, lists.shorten(facts.architectures, 3), lists.shorten(facts.missingArchitectures, 3)],
		),
	}
}
