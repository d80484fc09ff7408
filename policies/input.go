// SPDX-License-Identifier: Apache-2.0

package policies

import "encoding/json"

// InputVersion is the version of the input document that rules see.
const InputVersion = "v1"

// Input is what rules judge: one pod, or one that a workload would make, with the
// facts of the nodes that it may run on. It is flat and normalised, so that a rule
// compares values and derives none. Its JSON schema is schema/input.json.
type Input struct {
	// Version of this document.
	Version string `json:"version"`
	// Kind of the object that was submitted: Pod, Binding, or a workload kind.
	Kind string `json:"kind"`
	// Operation is CREATE or UPDATE.
	Operation string `json:"operation"`
	// Mirror is true for the API object of a static pod, made by its node.
	Mirror    bool      `json:"mirror"`
	Namespace Namespace `json:"namespace"`
	User      User      `json:"user"`
	// Labels and Annotations of the pod or of the pod template; for a binding those
	// that it adds.
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	// OS is spec.os.name; empty when the pod does not say.
	OS string `json:"os"`
	// RuntimeClass is spec.runtimeClassName.
	RuntimeClass string `json:"runtimeClass"`
	// Recording that covers the pod; absent when there is none.
	Recording *Recording `json:"recording,omitempty"`
	// HostPaths are the host directories that containers mount.
	HostPaths []HostPath `json:"hostPaths"`
	// Pod is what the pod itself says, whatever its containers override. It is empty for a
	// binding.
	Pod Pod `json:"pod"`
	// Containers in the order init, regular, ephemeral, each as the spec lists them.
	Containers []Container `json:"containers"`
	// Profiles by path: the clean Localhost paths that containers run under, as the
	// eligible nodes have them. Empty when no node facts were given.
	Profiles map[string]*Profile `json:"profiles"`
	// Nodes that the pod may use.
	Nodes Nodes `json:"nodes"`
	// Parameters of the configuration (missingProfile) and of the user's policies. They
	// are those of the Set; what an Input holds here is not read.
	Parameters map[string]any `json:"parameters"`
	// Object as submitted. It is supplied only when a loaded rule reads it.
	Object json.RawMessage `json:"object,omitempty"`
}

// Namespace of the pod.
type Namespace struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
}

// User who asks.
type User struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

// Recording is a running SyscallRecording.
type Recording struct {
	Name string `json:"name"`
	// Until is when it ends, in RFC 3339.
	Until string `json:"until"`
}

// HostPath is one host directory mounted into one container.
type HostPath struct {
	// Path on the host, cleaned, with the mount's subPath.
	Path      string `json:"path"`
	Container string `json:"container"`
	ReadOnly  bool   `json:"readOnly"`
	// RecursiveReadOnly says that file systems mounted below are read-only, too.
	RecursiveReadOnly bool   `json:"recursiveReadOnly"`
	SubPath           string `json:"subPath"`
	Volume            string `json:"volume"`
	// Field is the path of the volume mount in the object.
	Field string `json:"field"`
}

// Pod is the pod's own part of the securityContext.
type Pod struct {
	Profile Declared `json:"profile"`
}

// Container of any kind.
type Container struct {
	Name string `json:"name"`
	// Index in Input.Containers.
	Index int `json:"index"`
	// Kind is init, sidecar (a restartable init container), container or ephemeral.
	Kind string `json:"kind"`
	// Field is the path of the container in the object.
	Field                    string       `json:"field"`
	Image                    string       `json:"image"`
	Privileged               bool         `json:"privileged"`
	AllowPrivilegeEscalation bool         `json:"allowPrivilegeEscalation"`
	Capabilities             Capabilities `json:"capabilities"`
	// Declared is what the fields say, before privileged is considered.
	Declared Declared `json:"declared"`
	// Profile is the effective one.
	Profile Effective `json:"profile"`
	// Requested is what a label or annotation asks for; absent when none does.
	Requested *Requested `json:"requested,omitempty"`
}

// Capabilities that a container adds and drops.
type Capabilities struct {
	Add  []string `json:"add"`
	Drop []string `json:"drop"`
}

// Declared is a seccompProfile as the fields of a container and its pod say it.
type Declared struct {
	// Type is Unconfined, RuntimeDefault, Localhost, or empty when nothing is set.
	Type string `json:"type"`
	// TypeFault says what is wrong with a type that does not exist; Type is then
	// Unconfined, which is what a kubelet makes of it. Absent for those that exist.
	TypeFault        string `json:"typeFault,omitempty"`
	LocalhostProfile string `json:"localhostProfile"`
	// Origin is container, pod, label (the field equals what a label asks for) or unset.
	Origin string `json:"origin"`
	// Field is the path of the seccompProfile that decides, or where it would stand.
	Field string `json:"field"`
}

// Effective is the profile that the container will run under.
type Effective struct {
	Type string `json:"type"`
	// LocalhostProfile is empty unless Type is Localhost: a privileged container has
	// none, whatever its fields name, and no rule about a profile's file or content
	// concerns it.
	LocalhostProfile string `json:"localhostProfile"`
	// Origin is that of Declared, or privileged.
	Origin string `json:"origin"`
	// PathFault says why LocalhostProfile is not a clean path; absent when it is.
	PathFault string `json:"pathFault,omitempty"`
}

// Requested is the profile that a label, an annotation or the configuration asks for.
type Requested struct {
	// Name of the profile, or the path that the annotation gives.
	Name string `json:"name"`
	// Source is "container label", "pod label", "pod annotation", "namespace label" or
	// "configured default".
	Source string `json:"source"`
	// Field is where the request stands.
	Field string `json:"field"`
	// Known is false when no profile has that name.
	Known bool `json:"known"`
	// Type and Path are what the mutation writes for it.
	Type string `json:"type"`
	Path string `json:"path"`
	// PathFault says why the annotation's path is not clean; absent when it is.
	PathFault string `json:"pathFault,omitempty"`
	// InEffect says that the container's fields say what is asked for.
	InEffect bool `json:"inEffect"`
	// Nearest existing names, when Known is false.
	Nearest []string `json:"nearest"`
}

// Profile is what the eligible nodes have at one path.
type Profile struct {
	// Valid is false when the strict loader refuses the file; Reason says why.
	Valid  bool   `json:"valid"`
	Reason string `json:"reason"`
	// Digests on the eligible nodes, most common first.
	Digests []string `json:"digests"`
	// ExpectedDigest is what the LocalhostProfile asks for; empty when the path is of none.
	ExpectedDigest string `json:"expectedDigest"`
	// Drift is nodes when there are several digests, profile when there is one and it is
	// not the expected, and empty otherwise.
	Drift         string   `json:"drift"`
	Grade         string   `json:"grade"`
	DefaultAction string   `json:"defaultAction"`
	Permissive    bool     `json:"permissive"`
	Dangerous     []string `json:"dangerous"`
	Architectures []string `json:"architectures"`
	// MissingArchitectures are those of eligible nodes that a profile with a list of
	// architectures leaves out.
	MissingArchitectures []string         `json:"missingArchitectures"`
	BeyondDefault        []BeyondDefault  `json:"beyondDefault"`
	MissingToStart       []MissingToStart `json:"missingToStart"`
	Nodes                ProfileNodes     `json:"nodes"`
	// Nearest existing paths, when nodes lack the file.
	Nearest []string `json:"nearest"`
}

// BeyondDefault is a call let through that the runtime's default blocks.
type BeyondDefault struct {
	Syscall          string   `json:"syscall"`
	UnlessCapability []string `json:"unlessCapability"`
}

// MissingToStart are the calls that one runtime needs to start a container and the
// profile blocks.
type MissingToStart struct {
	Runtime         string   `json:"runtime"`
	NoNewPrivileges bool     `json:"noNewPrivileges"`
	Syscalls        []string `json:"syscalls"`
}

// ProfileNodes counts the eligible nodes by what they have at the path.
type ProfileNodes struct {
	Eligible int   `json:"eligible"`
	Have     int   `json:"have"`
	Missing  Group `json:"missing"`
	Unknown  Group `json:"unknown"`
}

// Group of nodes, with a few of their names.
type Group struct {
	Count int `json:"count"`
	// Examples are never empty when Count is above 0.
	Examples []string `json:"examples"`
}

// Nodes are the facts of the nodes that the pod may use.
type Nodes struct {
	Eligible       int      `json:"eligible"`
	SeccompDefault Count    `json:"seccompDefault"`
	Architectures  []string `json:"architectures"`
	Runtimes       []string `json:"runtimes"`
	// AppliesSeccomp is true when the pod names no RuntimeClass, or when the low-level
	// runtime of its handler is known to apply profiles on every eligible node that
	// reports its runtimes.
	AppliesSeccomp bool     `json:"appliesSeccomp"`
	SeccompRoots   []string `json:"seccompRoots"`
}

// Count of nodes.
type Count struct {
	Count int `json:"count"`
}
