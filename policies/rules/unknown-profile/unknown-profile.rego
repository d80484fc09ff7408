# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: A label names a profile that does not exist
# description: |
#   A seccompgate label of the pod or of its namespace, or the configured default, names a
#   profile that no LocalhostProfile is called. Nothing was injected: the pod would run with
#   what its own fields say.
# related_resources:
#   - ref: https://kubernetes.io/docs/tutorials/security/seccomp/
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Correct the label, or create the LocalhostProfile that it names.
package seccompgate.rules.unknown_profile

deny contains finding if {
	some container in input.containers
	container.requested.known == false
	input.os != "windows"
	finding := {
		"container": container.name,
		"field": container.requested.field,
		"message": sprintf("container %q: the %s names profile %q, which does not exist%s", [container.name, container.requested.source, container.requested.name, _hint(container.requested)]),
	}
}

_hint(requested) := "" if count(requested.nearest) == 0

_hint(requested) := sprintf("; nearest: %s", [concat(", ", requested.nearest)]) if count(requested.nearest) > 0
