# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The container has no profile
# description: |
#   Neither the container nor the pod names a seccomp profile. Such a container runs
#   Unconfined on every node whose kubelet does not set seccompDefault; what the eligible
#   nodes set is shown in the message and does not silence the rule. Agrees with the
#   restricted check of Pod Security Admission on every pod.
# related_resources:
#   - ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/
#   - ref: https://kubernetes.io/docs/tutorials/security/seccomp/
# custom:
#   level: restricted
#   since: v0.1
#   remediation: Set seccompProfile.type on the pod to RuntimeDefault, or label the pod with seccompgate.io/profile.
package seccompgate.rules.unset

deny contains finding if {
	some container in input.containers
	container.declared.type == ""
	input.os != "windows"
	not container.requested.known == false
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf("container %q: no seccompProfile is set on the container or the pod, %s; set RuntimeDefault or Localhost, or the label seccompgate.io/profile", [container.name, _default]),
	}
}

_default := "and what the kubelet sets then is unknown" if input.nodes.eligible == 0

_default := "so it runs Unconfined (no node it may use is known to set seccompDefault)" if {
	input.nodes.eligible > 0
	input.nodes.seccompDefault.count == 0
}

_default := sprintf("so it runs Unconfined except on the %d of %d nodes known to set seccompDefault", [input.nodes.seccompDefault.count, input.nodes.eligible]) if {
	input.nodes.seccompDefault.count > 0
	input.nodes.seccompDefault.count < input.nodes.eligible
}

_default := sprintf("and only seccompDefault of the kubelets gives it a filter on the %d nodes it may use", [input.nodes.eligible]) if {
	input.nodes.eligible > 0
	input.nodes.seccompDefault.count == input.nodes.eligible
}
