# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: A writable hostPath reaches the profile directory
# description: |
#   A container mounts, for writing, the directory that the kubelet reads profiles from, a
#   parent of it, or a part of it, also by way of the root that a process of the host has in
#   /proc. It could rewrite the profile of every other pod on the node.
# related_resources:
#   - ref: https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Mount it read-only, or mount a narrower directory.
package seccompgate.rules.profile_store

deny contains finding if {
	some mount in input.hostPaths
	mount.readOnly == false
	input.os != "windows"
	reached := [root | some root in _roots; _reaches(mount.path, root)]
	count(reached) > 0
	finding := {
		"container": mount.container,
		"field": mount.field,
		"message": sprintf("container %q: volume %q mounts host path %q for writing, which reaches the seccomp profiles of the node (%s); mount it read-only", [mount.container, mount.volume, mount.path, concat(", ", reached)]),
	}
}

_roots contains "/var/lib/kubelet/seccomp"

_roots contains root if some root in input.nodes.seccompRoots

_reaches(path, root) if _overlap(_slash(path), _slash(root))

# These links lead to anywhere on the host.
_reaches(path, _) if regex.match(`^/proc/(self|thread-self|[0-9]+)/(task/[0-9]+/)?(root|cwd|fd)(/|$)`, path)

_overlap(a, b) if startswith(a, b)

_overlap(a, b) if startswith(b, a)

_slash(path) := concat("", [trim_suffix(path, "/"), "/"])
