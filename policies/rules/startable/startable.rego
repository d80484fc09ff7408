# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The runtime cannot start a container under the profile
# description: |
#   The low-level runtime itself makes calls after it has loaded the profile; one that blocks them
#   starts no container, and the pod restarts for ever. Without allowPrivilegeEscalation false the
#   profile is loaded early, and more of them are needed. They were measured with runc and crun, some
#   in several versions. What counts for a node is the newest of these that is not newer than its own,
#   or else the oldest; without a known version, the one under which the profile lacks least. For other
#   runtimes, and on nodes whose runtimes are not known, what all that were measured need counts. Nothing
#   is said of gVisor and Kata Containers, which have kernels of their own.
# related_resources:
#   - ref: https://github.com/opencontainers/runc/blob/main/libcontainer/standard_init_linux.go
# custom:
#   level: strict
#   since: v0.1
#   remediation: Allow the calls in the profile, or set allowPrivilegeEscalation false if that is enough.
package seccompgate.rules.startable

import data.seccompgate.lib.lists

deny contains finding if {
	some path, facts in input.profiles
	facts.missingToStart != []
	facts.nodes.have > 0
	facts.valid == true
	input.os != "windows"
	some container in input.containers
	container.profile.localhostProfile == path
	some runtime in _runtimes
	calls := _blocked(facts, runtime, container.allowPrivilegeEscalation)
	count(calls) > 0
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: %s cannot start a container under profile %q, which blocks %s; allow them%s",
			[container.name, _name(runtime), container.profile.localhostProfile, lists.shorten(sort(calls), 5), _way_out(facts, runtime, container.allowPrivilegeEscalation)],
		),
	}
}

# Nodes with different contents report a set for each. The kubelet sets no_new_privs where
# privileges may not escalate.
_blocked(facts, runtime, escalation) := {call |
	some lacking in facts.missingToStart
	lacking.runtime == runtime
	lacking.noNewPrivileges != escalation
	some call in lacking.syscalls
}

_runtimes := input.nodes.runtimes if input.nodes.runtimes != []

_runtimes := ["any"] if input.nodes.runtimes == []

_name(runtime) := runtime if runtime != "any"

_name("any") := "even the least demanding runtime"

default _way_out(_, _, _) := ""

_way_out(facts, runtime, true) := ", or set allowPrivilegeEscalation false" if count(_blocked(facts, runtime, false)) == 0
