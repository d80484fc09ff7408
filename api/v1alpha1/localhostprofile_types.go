// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LocalhostProfile is a seccomp profile of the OCI runtime specification that is
// to be kept on the nodes.
//
// The name must fit a label value, must not mean something else, and must not end
// like the file of a generation (a dot and twelve hexadecimal digits), which would be
// another profile's file.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=lhp,categories=seccompgate
// +kubebuilder:printcolumn:name="Default",type=string,JSONPath=`.spec.profile.defaultAction`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.nodes.desired`
// +kubebuilder:printcolumn:name="Installed",type=integer,JSONPath=`.status.nodes.installed`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Served",type=string,JSONPath=`.status.served`
// +kubebuilder:printcolumn:name="Digest",type=string,priority=1,JSONPath=`.status.digest`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="the name has more than 63 characters; it must fit a label value"
// +kubebuilder:validation:XValidation:rule="!(self.metadata.name in ['runtime-default', 'unconfined'])",message="the names runtime-default and unconfined are reserved; choose another"
// +kubebuilder:validation:XValidation:rule="!self.metadata.name.matches('[.][0-9a-f]{12}$')",message="the name ends like the file of a generation (a dot and 12 hexadecimal digits); choose another"
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
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, size(key) <= 317 && size(self[key]) <= 63)",message="a label's key has at most 317 characters and its value at most 63"
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Profile is what is written to the nodes.
	Profile OCIProfile `json:"profile"`
}

// Action of a rule or of a whole profile, in the OCI runtime specification's spelling.
//
// +kubebuilder:validation:Enum=SCMP_ACT_ALLOW;SCMP_ACT_LOG;SCMP_ACT_NOTIFY;SCMP_ACT_TRACE;SCMP_ACT_ERRNO;SCMP_ACT_TRAP;SCMP_ACT_KILL;SCMP_ACT_KILL_THREAD;SCMP_ACT_KILL_PROCESS
type Action string

// OCIProfile is the seccomp section of the OCI runtime specification, the part
// that containerd and runc give an effect. As JSON it is a profile file.
//
// +kubebuilder:validation:XValidation:rule="self.defaultAction != 'SCMP_ACT_NOTIFY'",message="SCMP_ACT_NOTIFY cannot be the default action: no container starts; use SCMP_ACT_ERRNO and give SCMP_ACT_NOTIFY to single syscalls",fieldPath=".defaultAction"
// +kubebuilder:validation:XValidation:rule="!has(self.defaultErrnoRet) || self.defaultAction in ['SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE']",message="has a meaning only with SCMP_ACT_ERRNO or SCMP_ACT_TRACE; remove it, or use SCMP_ACT_ERRNO",fieldPath=".defaultErrnoRet"
type OCIProfile struct {
	// DefaultAction is for every syscall that no rule matches.
	DefaultAction Action `json:"defaultAction"`
	// DefaultErrnoRet is what a syscall returns that the default action fails. Absent
	// means 1 (EPERM).
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4095
	DefaultErrnoRet *int32 `json:"defaultErrnoRet,omitempty"`
	// Architectures that the rules are for; empty means the node's own.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Architectures []Arch `json:"architectures,omitempty"`
	// Flags of the filter.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Flags []Flag `json:"flags,omitempty"`
	// ListenerPath is the socket that SCMP_ACT_NOTIFY sends to.
	// +kubebuilder:validation:MaxLength=4096
	ListenerPath string `json:"listenerPath,omitempty"`
	// ListenerMetadata is sent along.
	// +kubebuilder:validation:MaxLength=4096
	ListenerMetadata string `json:"listenerMetadata,omitempty"`
	// Syscalls are the rules.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	Syscalls []OCISyscall `json:"syscalls,omitempty"`
}

// Arch is an architecture in libseccomp's spelling, such as SCMP_ARCH_X86_64.
//
// +kubebuilder:validation:Enum=SCMP_ARCH_X86_64;SCMP_ARCH_X86;SCMP_ARCH_X32;SCMP_ARCH_AARCH64;SCMP_ARCH_ARM;SCMP_ARCH_RISCV64;SCMP_ARCH_LOONGARCH64;SCMP_ARCH_PPC64LE;SCMP_ARCH_PPC64;SCMP_ARCH_PPC;SCMP_ARCH_S390X;SCMP_ARCH_S390;SCMP_ARCH_MIPS;SCMP_ARCH_MIPS64;SCMP_ARCH_MIPS64N32;SCMP_ARCH_MIPSEL;SCMP_ARCH_MIPSEL64;SCMP_ARCH_MIPSEL64N32;SCMP_ARCH_PARISC;SCMP_ARCH_PARISC64;SCMP_ARCH_M68K;SCMP_ARCH_SH;SCMP_ARCH_SHEB
type Arch string

// Flag is a seccomp filter flag, such as SECCOMP_FILTER_FLAG_LOG.
//
// +kubebuilder:validation:Enum=SECCOMP_FILTER_FLAG_LOG;SECCOMP_FILTER_FLAG_SPEC_ALLOW;SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;SECCOMP_FILTER_FLAG_TSYNC
type Flag string

// Bounds of a LocalhostProfile. Rules times conditions is what the schema's CEL walks:
// twice as many would still pass the API server's cost limit. The kernel's own limit, 4096
// instructions in a filter, is lower.
const (
	maxRules      = 4096
	maxConditions = 64
	maxNames      = 1024
	maxSyscall    = 64 // bytes of a name
	maxLabels     = 32 // of a nodeSelector
)

// OCISyscall is one rule of a profile.
//
// +kubebuilder:validation:XValidation:rule="!has(self.errnoRet) || self.action in ['SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE']",message="has a meaning only with SCMP_ACT_ERRNO or SCMP_ACT_TRACE; remove it, or use SCMP_ACT_ERRNO",fieldPath=".errnoRet"
type OCISyscall struct {
	// Names of the syscalls that the rule is for. Kernels and architectures differ in
	// what they have, so that only the shape of a name is judged.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^[!-~]+$`
	Names []string `json:"names"`
	// Action when all conditions hold.
	Action Action `json:"action"`
	// ErrnoRet is what the syscall returns when the action fails it. Absent means
	// 1 (EPERM).
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4095
	ErrnoRet *int32 `json:"errnoRet,omitempty"`
	// Args are the conditions. Those on one argument are alternatives; more of them than
	// fit here make another rule.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Args []OCIArg `json:"args,omitempty"`
}

// OCIArg is a condition on one argument of a syscall.
type OCIArg struct {
	// Index of the argument, 0 to 5.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5
	Index uint32 `json:"index"`
	// Value to compare with; the mask of SCMP_CMP_MASKED_EQ. A number, or text in
	// hexadecimal such as "0xffffffffffffffff".
	Value ArgValue `json:"value"`
	// ValueTwo is what the masked argument must equal, with SCMP_CMP_MASKED_EQ.
	ValueTwo ArgValue `json:"valueTwo,omitempty"`
	// Op compares.
	// +kubebuilder:validation:Enum=SCMP_CMP_EQ;SCMP_CMP_NE;SCMP_CMP_MASKED_EQ;SCMP_CMP_LT;SCMP_CMP_LE;SCMP_CMP_GT;SCMP_CMP_GE
	Op string `json:"op"`
}

// LocalhostProfileStatus is what the cluster says about the profile.
type LocalhostProfileStatus struct {
	// ObservedGeneration is the metadata.generation that the rest is about.
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Digest of the content that the spec makes, "sha256:" and 64 hex digits.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest,omitempty"`
	// Served is the path under the seccomp root that injection writes: the newest
	// content present on all reporting desired nodes.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^seccompgate/[a-z0-9]([-a-z0-9.]*[a-z0-9])?\.json$`
	Served string `json:"served,omitempty"`
	// Nodes counts where the profile stands.
	Nodes ProfileNodes `json:"nodes,omitempty"`
	// Conditions: Ready says that every node that is to have the profile has it.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ReadyCondition is the type of a condition that is True when an object has taken effect.
const ReadyCondition = "Ready"

// MaxFailedNodes is how many nodes a status shows with a reason.
const MaxFailedNodes = 100

// ProfileNodes counts nodes.
type ProfileNodes struct {
	// Desired nodes are those that the selector chooses.
	// +kubebuilder:validation:Minimum=0
	Desired int32 `json:"desired,omitempty"`
	// Installed nodes have the content of the spec.
	// +kubebuilder:validation:Minimum=0
	Installed int32 `json:"installed,omitempty"`
	// Failed nodes that are shown with a reason; there may be more.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Failed []ProfileFailure `json:"failed,omitempty"`
}

// ProfileFailure is why a node lacks the profile.
type ProfileFailure struct {
	// Node by name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`
	// Reason in a sentence.
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason"`
}
