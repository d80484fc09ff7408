# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The runtime cannot start a container under the profile
# description: |
#   The low-level runtime itself makes calls after it has loaded the profile; one that blocks them
#   starts no container, and the pod restarts for ever. Without allowPrivilegeEscalation false the
#   profile is loaded early, and more of them are needed. They were measured with runc and crun. On
#   nodes whose runtimes are not known, what all of those need counts.
# related_resources:
#   - ref: https://github.com/opencontainers/runc/blob/main/libcontainer/standard_init_linux.go
# custom:
#   level: strict
#   since: v0.1
#   remediation: Allow the calls in the profile, or set allowPrivilegeEscalation false if that is enough.
package seccompgate.rules.startable

deny contains finding if {
	some path, facts in input.profiles
	facts.missingToStart != []
	facts.nodes.have > 0
	facts.valid == true
	input.os != "windows"
	some container in input.containers
	container.profile.localhostProfile == path
	some lacking in facts.missingToStart
	lacking.noNewPrivileges != container.allowPrivilegeEscalation
	lacking.syscalls != []
	_used(lacking.runtime)
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf(
			"container %q: %s cannot start a container under profile %q, which blocks %s; allow them",
			[container.name, _name(lacking.runtime), container.profile.localhostProfile, _list(lacking.syscalls)],
		),
	}
}

_used(runtime) if runtime in input.nodes.runtimes

_used("any") if input.nodes.runtimes == []

_name(runtime) := runtime if runtime != "any"

_name("any") := "even the least demanding runtime"

_list(calls) := concat(", ", calls) if count(calls) <= 5

_list(calls) := sprintf("%s and %d more", [concat(", ", array.slice(calls, 0, 5)), count(calls) - 5]) if count(calls) > 5
