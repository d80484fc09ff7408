// SPDX-License-Identifier: Apache-2.0

// Package inventory answers, in memory and without an API call, which nodes a pod
// may run on and what those nodes know about a seccomp profile.
//
// An [Index] is an immutable snapshot: one set of nodes per label value, per
// distinct taint, per profile file. [NewIndex] builds it from objects; [Watch]
// builds a new one whenever the cluster changes and puts it into a [Store];
// [ReadObjects] and [FromProfilesDir] supply the objects without a cluster.
//
// What a node has not reported is unknown, which is neither present nor missing:
// the counts keep the three apart.
package inventory

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// Placement is the part of a pod that decides which nodes it may run on.
type Placement struct {
	// NodeName binds the pod to one node: the scheduler is not asked, the kubelet is.
	NodeName string
	// NodeSelector is the pod's spec.nodeSelector.
	NodeSelector map[string]string
	// Affinity is requiredDuringSchedulingIgnoredDuringExecution of the pod's node
	// affinity; nil means none.
	Affinity *corev1.NodeSelector
	// Tolerations are the pod's tolerations.
	Tolerations []corev1.Toleration
	// OS is spec.os.name. Empty means linux: a Localhost profile has a meaning there only.
	OS string
}

// Objects are what an index is built from. Only the name, labels, taints and
// status.nodeInfo of a Node are read. The objects are not changed, and not kept.
type Objects struct {
	Nodes             []*corev1.Node
	SeccompNodes      []*v1alpha1.SeccompNode
	ProfileSets       []*v1alpha1.ProfileSet
	LocalhostProfiles []*v1alpha1.LocalhostProfile
	// SeccompPolicies are read with the others, and are no part of an index.
	SeccompPolicies []*v1alpha1.SeccompPolicy
}

// ProfileFacts is what the eligible nodes of a pod know about one path. Its slices
// belong to the index: they must not be changed.
type ProfileFacts struct {
	// Path under the kubelet's seccomp root, as it was asked for.
	Path string
	// Valid says that no eligible node that has the file has an invalid one; it is
	// true when none has the file. Reason is the fault that the first node, by name,
	// with an invalid file reports.
	Valid  bool
	Reason string
	// Digests are the distinct digests on the eligible nodes, most common first.
	Digests []string
	// ExpectedDigest is the digest that the LocalhostProfile of this path promises;
	// empty when the path is not one that seccompgate provisions. With no eligible
	// node it is set only when every node that could appear and match the pod is to
	// get the profile.
	ExpectedDigest string

	// The analysis of the content. Where eligible nodes have different contents, the
	// worst of each: permissive if any is, the syscalls of all of them, the
	// architectures that all of them list.
	Grade          string
	DefaultAction  string
	Permissive     bool
	Dangerous      []string
	Architectures  []string
	BeyondDefault  []v1alpha1.BeyondDefault
	MissingToStart []v1alpha1.MissingToStart

	// Nodes counts the eligible nodes.
	Nodes NodeCounts
	// Nearest are existing paths that resemble a path that no node has.
	Nearest []string
}

// NodeCounts says on how many of the eligible nodes a file is. Eligible is the sum
// of the other three.
type NodeCounts struct {
	Eligible int
	Have     int
	Missing  NodeCount
	Unknown  NodeCount
}

// NodeCount is a number of nodes and the first of them by name.
type NodeCount struct {
	Count int
	// Examples are at most three names, sorted.
	Examples []string
}

// NodeSummary is what the eligible nodes are, apart from profiles. Lists are sorted.
type NodeSummary struct {
	// Eligible counts the nodes.
	Eligible int
	// SeccompDefault counts those whose kubelet gives a pod without a profile the
	// runtime's default.
	SeccompDefault int
	// Architectures are the nodes' native ones in libseccomp's spelling.
	Architectures []string
	// Runtimes are the low-level runtimes, such as runc, that the nodes report.
	Runtimes []string
	// SeccompRoots are the directories that kubelets resolve paths in.
	SeccompRoots []string
}
