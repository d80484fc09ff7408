# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The profile differs between nodes
# description: |
#   The file has another content on some of the nodes that the pod may use than on others, or than the
#   LocalhostProfile of its path has: which profile the container gets depends on where it lands.
# related_resources:
#   - ref: https://kubernetes.io/docs/tutorials/security/seccomp/
# custom:
#   level: strict
#   since: v0.1
#   remediation: Let a LocalhostProfile provide the file, or give the contents different names.
package seccompgate.rules.drift

deny contains finding if {
	some path, facts in input.profiles
	facts.drift == "nodes"
	input.os != "windows"
	some container in input.containers
	container.profile.localhostProfile == path
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: profile %q has %d contents on the nodes that the pod may use (%s on the most of them); make them one, or name them apart",
			[container.name, container.profile.localhostProfile, count(facts.digests), _short(facts.digests[0])],
		),
	}
}

deny contains finding if {
	some path, facts in input.profiles
	facts.drift == "profile"
	input.os != "windows"
	some container in input.containers
	container.profile.localhostProfile == path
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: profile %q is on the nodes with another content (%s) than its LocalhostProfile has (%s); wait until the nodes have it, or look at its status",
			[container.name, container.profile.localhostProfile, _short(facts.digests[0]), _short(facts.expectedDigest)],
		),
	}
}

_short(digest) := substring(digest, 0, 19)
