// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Labels and annotations that users write. A namespace opts in by carrying any
// of the namespace labels.
const (
	// EnforceLabel on a namespace names the level whose findings deny a pod.
	EnforceLabel = "seccompgate.io/enforce"
	// WarnLabel on a namespace names the level whose findings are API warnings.
	WarnLabel = "seccompgate.io/warn"
	// AuditLabel on a namespace names the level whose findings are audit annotations.
	AuditLabel = "seccompgate.io/audit"

	// EnforceVersionLabel, WarnVersionLabel and AuditVersionLabel pin the rules of
	// a mode to a version ("v0.1") or to "latest": newer rules only warn.
	EnforceVersionLabel = "seccompgate.io/enforce-version"
	WarnVersionLabel    = "seccompgate.io/warn-version"
	AuditVersionLabel   = "seccompgate.io/audit-version"

	// ProfileLabel on a namespace or a pod names the profile to inject.
	ProfileLabel = "seccompgate.io/profile"
	// ContainerProfilePrefix and a container's name make the pod label that names
	// the profile to inject into that one container.
	ContainerProfilePrefix = "profile.seccompgate.io/"
	// LocalhostProfileAnnotation on a pod names any file under the kubelet's
	// seccomp root by its relative path.
	LocalhostProfileAnnotation = "seccompgate.io/localhost-profile"
)

// Names that are no LocalhostProfile.
const (
	// RuntimeDefaultName is the profile name of the container runtime's own profile.
	RuntimeDefaultName = "runtime-default"
	// UnconfinedName is reserved, so that no profile can be called that.
	UnconfinedName = "unconfined"
	// MaxProfileName is the longest profile name in bytes: it must fit a label value.
	MaxProfileName = 63
	// ProfileDirectory is the one directory under the kubelet's seccomp root that
	// seccompgate writes to.
	ProfileDirectory = "seccompgate"
)

// NotReadyTaint is the key of a taint, with effect NoSchedule, that a node may register
// with: the controller removes it once the node has all profiles that it is to have.
const NotReadyTaint = "seccompgate.io/not-ready"
