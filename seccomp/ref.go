// SPDX-License-Identifier: Apache-2.0

package seccomp

// Type of a ref, in the Kubernetes API's spelling.
type Type string

// The types of a ref.
const (
	// Unset is a container for which neither it nor its pod names a profile.
	Unset Type = ""
	// Unconfined runs without a filter.
	Unconfined Type = "Unconfined"
	// RuntimeDefault is the container runtime's own profile.
	RuntimeDefault Type = "RuntimeDefault"
	// Localhost is a file on the node.
	Localhost Type = "Localhost"
)

// Ref is how a pod or a container refers to a profile: the API's seccompProfile.
type Ref struct {
	Type Type
	// Path is localhostProfile exactly as it was written, relative to the kubelet's
	// seccomp directory. It has a meaning for Localhost only.
	Path string
}

// Origin is the place that decided on a container's profile.
type Origin string

// The origins of an effective profile.
const (
	// OriginContainer is the container's own securityContext.
	OriginContainer Origin = "container"
	// OriginPod is the pod's securityContext.
	OriginPod Origin = "pod"
	// OriginPrivileged is the privileged flag: runtimes give such a container no
	// filter, whatever its fields say.
	OriginPrivileged Origin = "privileged"
	// OriginLabel is a field that equals what a label of ours would have injected.
	OriginLabel Origin = "label"
	// OriginUnset is nowhere: the kubelet's default of the node decides.
	OriginUnset Origin = "unset"
)

// Effective is the profile that a container runs under, and who decided so.
type Effective struct {
	Ref    Ref
	Origin Origin
}

// Resolve returns the effective profile of a container from the pod's field, the
// container's own field (nil when there is none) and its privileged flag. It never
// answers OriginLabel: a field does not tell who wrote it.
func Resolve(pod, container *Ref, privileged bool) Effective {
	switch {
	case privileged:
		return Effective{Ref: Ref{Type: Unconfined}, Origin: OriginPrivileged}
	case container != nil:
		return Effective{Ref: *container, Origin: OriginContainer}
	case pod != nil:
		return Effective{Ref: *pod, Origin: OriginPod}
	default:
		return Effective{Origin: OriginUnset}
	}
}
