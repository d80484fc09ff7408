# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The profile lets through what the runtime's default blocks
# description: |
#   By effect and arguments, not by text, the profile lets a container do what RuntimeDefault would
#   block for its capabilities: then the default would protect better than the profile. The default is
#   that of containerd, CRI-O and Docker, which give some syscalls to containers with a capability.
#   Nodes report a few of the calls for each set of capabilities that excuses them, not all.
# related_resources:
#   - ref: https://kubernetes.io/docs/reference/node/seccomp/
# custom:
#   level: strict
#   since: v0.1
#   remediation: Take the calls out of the profile; "seccompctl profile explain" shows all of them, and the capabilities with which the default allows them, too.
package seccompgate.rules.weaker_than_default

import data.seccompgate.lib.lists

deny contains finding if {
	some path, facts in input.profiles
	facts.beyondDefault != []
	facts.permissive == false
	facts.valid == true
	input.os != "windows"
	some container in input.containers
	container.profile.localhostProfile == path
	calls := {beyond.syscall |
		some beyond in facts.beyondDefault
		not _excused(beyond, container.capabilities)
	}
	count(calls) > 0
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: profile %q lets through what the runtime's default blocks for it: %s; take them out",
			[container.name, container.profile.localhostProfile, lists.shorten(sort(calls), 5)],
		),
	}
}

# What a container has unless it drops it: containerd's set and Docker's. CRI-O's is smaller;
# with the larger one no profile is at fault for what a container may be given.
_default := {
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

_excused(beyond, capabilities) if {
	some name in beyond.unlessCapability
	_has(name, capabilities)
}

# In the order of runtimes: ALL is added, ALL is dropped, one by one is added, one by one is
# dropped.
_has(name, capabilities) if {
	not _names(capabilities.drop)[name]
	_names(capabilities.add)[name]
}

_has(name, capabilities) if {
	dropped := _names(capabilities.drop)
	not dropped[name]
	not dropped.CAP_ALL
	_given(name, capabilities)
}

_given(name, _) if _default[name]

_given(_, capabilities) if _names(capabilities.add).CAP_ALL

# Kubernetes writes capabilities without their prefix, and runtimes take them with it, too.
_names(list) := {concat("", ["CAP_", trim_prefix(upper(name), "CAP_")]) | some name in list}
