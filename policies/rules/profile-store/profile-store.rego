# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: A writable hostPath reaches the profile directory
# description: |
#   A container mounts, for writing, the directory that the kubelet reads profiles from, a
#   parent of it, or a part of it, also by way of the root that a process of the host has in
#   /proc. It could rewrite the profile of every other pod on the node. A read-only mount of a
#   parent is read-only itself and not what is mounted below it; whether the profiles lie on a file
#   system of their own is not known, so that this is a warning, unless unknownNodes is deny.
# related_resources:
#   - ref: https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Mount it read-only with recursiveReadOnly Enabled, or mount a narrower directory.
package seccompgate.rules.profile_store

deny contains finding if {
	some mount in input.hostPaths
	mount.recursiveReadOnly == false
	input.os != "windows"
	reached := [root | some root in _roots; _reaches(mount, root)]
	count(reached) > 0
	finding := {
		"container": mount.container,
		"field": mount.field,
		"unknown": mount.readOnly,
		"message": sprintf(_message(mount), [mount.container, mount.volume, mount.path, concat(", ", reached)]),
	}
}

_message(mount) := "container %q: volume %q mounts host path %q for writing, which reaches the seccomp profiles of the node (%s); mount it read-only" if not mount.readOnly

_message(mount) := "container %q: volume %q mounts host path %q read-only, and not what is mounted below it: seccomp profiles of the node (%s) may be writable; set recursiveReadOnly: Enabled" if mount.readOnly

_roots contains "/var/lib/kubelet/seccomp"

_roots contains root if some root in input.nodes.seccompRoots

_reaches(mount, root) if {
	startswith(root, _slash(mount.path))
}

_reaches(mount, root) if {
	not mount.readOnly
	startswith(_slash(mount.path), _slash(root))
}

_reaches(mount, _) if _link(mount.path)

# These links lead to anywhere on the host.
_link(path) if regex.match(`^/proc/(self|thread-self|[0-9]+)/(task/[0-9]+/)?(root|cwd|fd)(/|$)`, path)

_slash(path) := concat("", [trim_suffix(path, "/"), "/"])
