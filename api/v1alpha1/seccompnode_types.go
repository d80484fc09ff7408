// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SeccompNode is what the agent saw on the node of the same name. It has no
// timestamp: it changes only when the node does.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=scn,categories=seccompgate
// +kubebuilder:printcolumn:name="Default",type=boolean,JSONPath=`.facts.seccompDefault`
// +kubebuilder:printcolumn:name="Profile-Set",type=string,JSONPath=`.facts.profileSet`
// +kubebuilder:printcolumn:name="Truncated",type=boolean,JSONPath=`.facts.truncated`
// +kubebuilder:printcolumn:name="Root",type=string,priority=1,JSONPath=`.facts.seccompRoot`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
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

// MaxProfiles is how many files a node or a ProfileSet lists. Nodes with more are
// truncated.
const MaxProfiles = 1000

// NodeFacts are the facts of one node. A field that is absent is unknown, but for the
// files: a node with neither profileSet nor profiles has none.
//
// +kubebuilder:validation:XValidation:rule="!has(self.profileSet) || !has(self.profiles)",message="both profileSet and profiles are set; name a ProfileSet or list the files"
type NodeFacts struct {
	// SeccompRoot is the directory that the kubelet resolves Localhost profiles in.
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^/`
	SeccompRoot string `json:"seccompRoot,omitempty"`
	// SeccompDefault is the kubelet's setting of that name: pods without a profile
	// run under the runtime's default.
	SeccompDefault *bool `json:"seccompDefault,omitempty"`
	// ActionsAvail are the kernel's actions, from actions_avail.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	ActionsAvail []string `json:"actionsAvail,omitempty"`
	// Architectures that the kernel runs, native first, in libseccomp's spelling.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Architectures []Arch `json:"architectures,omitempty"`
	// Runtimes are the container runtimes, by RuntimeClass handler.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Runtimes []Runtime `json:"runtimes,omitempty"`
	// ProfileSet names the ProfileSet that lists the node's files.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{32}$`
	ProfileSet string `json:"profileSet,omitempty"`
	// Profiles lists the files in place of ProfileSet.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Profiles []ProfileFile `json:"profiles,omitempty"`
	// Truncated means that the node has more files than are listed: a path that is
	// not listed is unknown, not missing.
	Truncated bool `json:"truncated,omitempty"`
	// Failures are LocalhostProfiles that could not be written to the node, the first ones
	// by name.
	// +listType=map
	// +listMapKey=profile
	// +kubebuilder:validation:MaxItems=100
	Failures []WriteFailure `json:"failures,omitempty"`
}

// MaxFailures is how many failures a node lists.
const MaxFailures = 100

// WriteFailure is why a LocalhostProfile could not be written to a node. The agent tries
// again until it can be.
type WriteFailure struct {
	// Profile is the name of the LocalhostProfile.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Profile string `json:"profile"`
	// Reason in a sentence.
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason"`
}

// Runtime is one container runtime and the low-level runtime under it.
type Runtime struct {
	// Handler of the RuntimeClass; empty is the default one.
	// +kubebuilder:validation:MaxLength=253
	Handler string `json:"handler,omitempty"`
	// Name of the container runtime, such as containerd.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// Version of the container runtime.
	// +kubebuilder:validation:MaxLength=253
	Version string `json:"version,omitempty"`
	// LowLevel runtime that starts containers for it, such as runc.
	// +kubebuilder:validation:MaxLength=253
	LowLevel string `json:"lowLevel,omitempty"`
	// LowLevelVersion is the version of that.
	// +kubebuilder:validation:MaxLength=253
	LowLevelVersion string `json:"lowLevelVersion,omitempty"`
}

// ProfileSet lists the profile files that one or more nodes have. Its name is the
// hash of its content and it never changes.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=pset,categories=seccompgate
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[0-9a-f]{32}$')",message="the name is not the hash of the content (32 hexadecimal digits); agents make these objects, and a node of your own lists its files in facts.profiles"
type ProfileSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Profiles lists the files.
	// +listType=map
	// +listMapKey=path
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a ProfileSet never changes; create another under the name that is the hash of its content"
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
	// Path relative to the seccomp root, with slashes: in printable ASCII and in its
	// cleaned form.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+)(/([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+))*$`
	Path string `json:"path"`
	// Digest of the file's bytes, "sha256:" and 64 hex digits. Absent when the file was
	// too large to be read.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest,omitempty"`
	// Size in bytes.
	// +kubebuilder:validation:Minimum=0
	Size int64 `json:"size,omitempty"`
	// Valid says that the strict loader accepts the file; Reason says why not.
	Valid bool `json:"valid"`
	// +kubebuilder:validation:MaxLength=256
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
	// +kubebuilder:validation:MaxItems=256
	Architectures []Arch `json:"architectures,omitempty"`
	// Grade summarises the analysis; set by the deep analysis only.
	// +kubebuilder:validation:MaxLength=32
	Grade string `json:"grade,omitempty"`
	// Dangerous syscalls that the profile lets through.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=64
	Dangerous []string `json:"dangerous,omitempty"`
	// BeyondDefault are calls that the runtime's default blocks and this profile
	// lets through.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	BeyondDefault []BeyondDefault `json:"beyondDefault,omitempty"`
	// MissingToStart are the calls that a low-level runtime of the node, in its
	// version, needs to start a container and the profile blocks.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	MissingToStart []MissingToStart `json:"missingToStart,omitempty"`
}

// BeyondDefault is one call let through beyond the runtime's default.
type BeyondDefault struct {
	// +kubebuilder:validation:MaxLength=64
	Syscall string `json:"syscall"`
	// UnlessCapability: the default lets it through too with any of these.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	UnlessCapability []string `json:"unlessCapability,omitempty"`
}

// MissingToStart is what one low-level runtime lacks.
type MissingToStart struct {
	// Runtime by name, such as runc. Where the node's are not known, there is an
	// entry for every one that was measured, and one for "any".
	// +kubebuilder:validation:MaxLength=253
	Runtime string `json:"runtime"`
	// NoNewPrivileges: the calls are lacking only where that is set, or only where it
	// is not.
	NoNewPrivileges bool `json:"noNewPrivileges,omitempty"`
	// Syscalls that are lacking.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=64
	Syscalls []string `json:"syscalls"`
}
