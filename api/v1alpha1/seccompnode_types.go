// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SeccompNode is what the agent saw on the node of the same name. It has no
// timestamp: it changes only when the node does.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=scn,categories=seccompgate
type SeccompNode struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Facts NodeFacts `json:"facts"`
}

// SeccompNodeList is a list of SeccompNode.
//
// +kubebuilder:object:root=true
type SeccompNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SeccompNode `json:"items"`
}

// NodeFacts are the facts of one node. A field that is absent is unknown.
type NodeFacts struct {
	// SeccompRoot is the directory that the kubelet resolves Localhost profiles in.
	SeccompRoot string `json:"seccompRoot,omitempty"`
	// SeccompDefault is the kubelet's setting of that name: pods without a profile
	// run under the runtime's default.
	SeccompDefault *bool `json:"seccompDefault,omitempty"`
	// ActionsAvail are the kernel's actions, from actions_avail.
	// +listType=atomic
	ActionsAvail []string `json:"actionsAvail,omitempty"`
	// Architectures that the kernel runs, native first, in libseccomp's spelling.
	// +listType=atomic
	Architectures []Arch `json:"architectures,omitempty"`
	// Runtimes are the container runtimes, by RuntimeClass handler.
	// +listType=atomic
	Runtimes []Runtime `json:"runtimes,omitempty"`
	// ProfileSet names the ProfileSet that lists the node's files.
	ProfileSet string `json:"profileSet,omitempty"`
	// Profiles lists the files in place of ProfileSet.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Profiles []ProfileFile `json:"profiles,omitempty"`
	// Truncated means that the node has more files than are listed: a path that is
	// not listed is unknown, not missing.
	Truncated bool `json:"truncated,omitempty"`
}

// Runtime is one container runtime and the low-level runtime under it.
type Runtime struct {
	// Handler of the RuntimeClass; empty is the default one.
	Handler         string `json:"handler,omitempty"`
	Name            string `json:"name,omitempty"`
	Version         string `json:"version,omitempty"`
	LowLevel        string `json:"lowLevel,omitempty"`
	LowLevelVersion string `json:"lowLevelVersion,omitempty"`
}

// ProfileSet lists the profile files that one or more nodes have. Its name is the
// hash of its content and it never changes.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=pset,categories=seccompgate
type ProfileSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +listType=map
	// +listMapKey=path
	// +kubebuilder:validation:MaxItems=1000
	Profiles []ProfileFile `json:"profiles"`
}

// ProfileSetList is a list of ProfileSet.
//
// +kubebuilder:object:root=true
type ProfileSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ProfileSet `json:"items"`
}

// ProfileFile is one file under the seccomp root.
type ProfileFile struct {
	// Path relative to the seccomp root, with slashes.
	Path string `json:"path"`
	// Digest of the file's bytes, "sha256:" and 64 hex digits.
	Digest string `json:"digest,omitempty"`
	// Size in bytes.
	Size int64 `json:"size,omitempty"`
	// Valid says that the strict loader accepts the file; Reason says why not.
	Valid  bool   `json:"valid"`
	Reason string `json:"reason,omitempty"`
	// Managed says that seccompgate wrote the file.
	Managed bool `json:"managed,omitempty"`
	// Analysis of the content; absent when Valid is false.
	Analysis *ProfileAnalysis `json:"analysis,omitempty"`
}

// ProfileAnalysis is what a profile means, computed once per digest on the node.
type ProfileAnalysis struct {
	// DefaultAction of the profile.
	DefaultAction Action `json:"defaultAction,omitempty"`
	// Permissive: no rule in effect blocks, kills or fails anything.
	Permissive bool `json:"permissive,omitempty"`
	// Architectures that the profile lists.
	// +listType=atomic
	Architectures []Arch `json:"architectures,omitempty"`
	// Grade summarises the analysis; set by the deep analysis only.
	Grade string `json:"grade,omitempty"`
	// Dangerous syscalls that the profile lets through.
	// +listType=atomic
	Dangerous []string `json:"dangerous,omitempty"`
	// BeyondDefault are calls that the runtime's default blocks and this profile
	// lets through.
	// +listType=atomic
	BeyondDefault []BeyondDefault `json:"beyondDefault,omitempty"`
	// MissingToStart are the calls that a low-level runtime needs to start a
	// container and the profile blocks.
	// +listType=atomic
	MissingToStart []MissingToStart `json:"missingToStart,omitempty"`
}

// BeyondDefault is one call let through beyond the runtime's default.
type BeyondDefault struct {
	Syscall string `json:"syscall"`
	// UnlessCapability: the default lets it through too with any of these.
	// +listType=atomic
	UnlessCapability []string `json:"unlessCapability,omitempty"`
}

// MissingToStart is what one low-level runtime lacks.
type MissingToStart struct {
	Runtime         string `json:"runtime"`
	NoNewPrivileges bool   `json:"noNewPrivileges,omitempty"`
	// +listType=atomic
	Syscalls []string `json:"syscalls"`
}
