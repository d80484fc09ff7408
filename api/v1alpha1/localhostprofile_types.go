// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LocalhostProfile is a seccomp profile of the OCI runtime specification that is
// to be kept on the nodes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=lhp,categories=seccompgate
type LocalhostProfile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   LocalhostProfileSpec   `json:"spec"`
	Status LocalhostProfileStatus `json:"status,omitempty"`
}

// LocalhostProfileList is a list of LocalhostProfile.
//
// +kubebuilder:object:root=true
type LocalhostProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LocalhostProfile `json:"items"`
}

// LocalhostProfileSpec is the profile and the nodes that are to have it.
type LocalhostProfileSpec struct {
	// NodeSelector chooses the nodes; empty means every Linux node.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Profile is what is written to the nodes.
	Profile OCIProfile `json:"profile"`
}

// Action of a rule or of a whole profile, in the OCI runtime specification's spelling.
//
// +kubebuilder:validation:Enum=SCMP_ACT_KILL;SCMP_ACT_KILL_PROCESS;SCMP_ACT_KILL_THREAD;SCMP_ACT_TRAP;SCMP_ACT_ERRNO;SCMP_ACT_TRACE;SCMP_ACT_ALLOW;SCMP_ACT_LOG;SCMP_ACT_NOTIFY
type Action string

// OCIProfile is the seccomp section of the OCI runtime specification, the part
// that containerd and runc give an effect.
type OCIProfile struct {
	DefaultAction    Action       `json:"defaultAction"`
	DefaultErrnoRet  *int32       `json:"defaultErrnoRet,omitempty"`
	Architectures    []Arch       `json:"architectures,omitempty"`
	Flags            []Flag       `json:"flags,omitempty"`
	ListenerPath     string       `json:"listenerPath,omitempty"`
	ListenerMetadata string       `json:"listenerMetadata,omitempty"`
	Syscalls         []OCISyscall `json:"syscalls,omitempty"`
}

// Arch is an architecture in libseccomp's spelling, such as SCMP_ARCH_X86_64.
type Arch string

// Flag is a seccomp filter flag, such as SECCOMP_FILTER_FLAG_LOG.
type Flag string

// OCISyscall is one rule of a profile.
type OCISyscall struct {
	Names    []string `json:"names"`
	Action   Action   `json:"action"`
	ErrnoRet *int32   `json:"errnoRet,omitempty"`
	Args     []OCIArg `json:"args,omitempty"`
}

// OCIArg is a condition on one argument of a syscall.
type OCIArg struct {
	// Index of the argument, 0 to 5.
	Index uint32 `json:"index"`
	// Value and ValueTwo are unsigned 64-bit numbers in the specification; the API
	// server keeps int64, which covers every value that a published profile uses.
	Value    int64  `json:"value"`
	ValueTwo int64  `json:"valueTwo,omitempty"`
	Op       string `json:"op"`
}

// LocalhostProfileStatus is what the cluster says about the profile.
type LocalhostProfileStatus struct {
	// Digest of the content that the spec makes, "sha256:" and 64 hex digits.
	Digest string `json:"digest,omitempty"`
	// Served is the path under the seccomp root that injection writes: the newest
	// content present on all reporting desired nodes.
	Served string `json:"served,omitempty"`
	// Nodes counts where the profile stands.
	Nodes ProfileNodes `json:"nodes,omitempty"`
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ProfileNodes counts nodes.
type ProfileNodes struct {
	Desired   int32            `json:"desired,omitempty"`
	Installed int32            `json:"installed,omitempty"`
	Failed    []ProfileFailure `json:"failed,omitempty"`
}

// ProfileFailure is why a node lacks the profile.
type ProfileFailure struct {
	Node   string `json:"node"`
	Reason string `json:"reason"`
}
