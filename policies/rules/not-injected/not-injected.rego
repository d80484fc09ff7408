# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: The profile that a label names is not in effect
# description: |
#   A label names a known profile, no explicit field contradicts it, and still the container
#   does not have it: the mutating webhook was skipped or failed, or a later one took the
#   profile out. Judged when a pod is created; not for the object of a static pod, which is
#   never changed, because its kubelet runs the file on the node.
# related_resources:
#   - ref: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Create the pod again; if it stays, look at the mutating webhook (seccompgate_injections_total, the MutatingWebhookConfiguration).
package seccompgate.rules.not_injected

deny contains finding if {
	some container in input.containers
	container.requested.inEffect == false
	container.requested.known == true
	input.kind == "Pod"
	input.operation == "CREATE"
	input.os != "windows"
	input.mirror == false
	not container.requested.pathFault
	not _outranked(container)
	finding := {
		"container": container.name,
		"field": container.declared.field,
		"message": sprintf("container %q: the %s asks for profile %q, which was not injected; create the pod again, and look at the mutating webhook if it stays so", [container.name, container.requested.source, container.requested.name]),
	}
}

# An explicit field outranks every request of its own rank and below.
_outranked(container) if container.declared.origin == "container"

_outranked(container) if {
	container.declared.origin == "pod"
	not startswith(container.requested.source, "container ")
}
