# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The profile is missing from nodes that the pod may use
# description: |
#   A Localhost profile is read from the node's disk when the container is created. On a
#   node without the file the container never starts (CreateContainerError). The nodes that
#   the pod may use are those that its nodeName, nodeSelector, required node affinity and
#   tolerations leave. With the setting missingProfile "any", one node without the file is
#   enough; with "all", every one of them must lack it. A node whose files are unknown may
#   lack it: where the verdict rests on such nodes, the setting unknownNodes says what
#   follows from it.
# related_resources:
#   - ref: https://kubernetes.io/docs/tutorials/security/seccomp/
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Create a LocalhostProfile, so that the nodes get the file, or restrict the pod to nodes that have it.
package seccompgate.rules.profile_missing

# A group with nodes has examples. Asking for the first costs nothing, a comparison does.
deny contains finding if {
	some container in input.containers
	facts := input.profiles[container.profile.localhostProfile]
	facts.nodes.missing.examples[0]
	input.os != "windows"
	_counts(facts.nodes)
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: profile %q is missing on %d of the %d nodes that the pod may use (%s)%s",
			[container.name, container.profile.localhostProfile, facts.nodes.missing.count, facts.nodes.eligible, _lacking(facts.nodes), _hint(facts)],
		),
		"unknown": _undecided(facts.nodes),
	}
}

# No node is known to lack the file, but not every node is known to have it.
deny contains finding if {
	some container in input.containers
	facts := input.profiles[container.profile.localhostProfile]
	facts.nodes.unknown.examples[0]
	facts.nodes.missing.count == 0
	input.os != "windows"
	_counts(facts.nodes)
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: whether profile %q exists is unknown on %d of the %d nodes that the pod may use (%s)%s",
			[container.name, container.profile.localhostProfile, facts.nodes.unknown.count, facts.nodes.eligible, _examples(facts.nodes.unknown), _hint(facts)],
		),
		"unknown": true,
	}
}

deny contains finding if {
	some container in input.containers
	facts := input.profiles[container.profile.localhostProfile]
	facts.nodes.eligible == 0
	facts.expectedDigest == ""
	input.os != "windows"
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: no known node fits the pod, so whether profile %q exists there is unknown%s",
			[container.name, container.profile.localhostProfile, _hint(facts)],
		),
		"unknown": true,
	}
}

# Without the parameter one node is enough, as the configuration has it by default.
_counts(_) if not _all

_counts(nodes) if {
	_all
	nodes.have == 0
}

_all if input.parameters.missingProfile == "all"

# Where every node must lack the file, one of which nothing is known may decide.
default _undecided(_) := false

_undecided(nodes) if {
	_all
	nodes.unknown.count > 0
}

_lacking(nodes) := _examples(nodes.missing) if nodes.unknown.count == 0

_lacking(nodes) := sprintf("%s; unknown on %d more: %s", [_examples(nodes.missing), nodes.unknown.count, _examples(nodes.unknown)]) if nodes.unknown.count > 0

_examples(group) := concat(", ", group.examples) if group.count <= count(group.examples)

_examples(group) := sprintf("%s and %d more", [concat(", ", group.examples), group.count - count(group.examples)]) if group.count > count(group.examples)

_hint(facts) := "" if count(facts.nearest) == 0

_hint(facts) := sprintf("; nearest existing: %s", [concat(", ", facts.nearest)]) if count(facts.nearest) > 0
