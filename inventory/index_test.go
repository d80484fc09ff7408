// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

// Builders.

// nodesNamed are Linux nodes whose label pool is the first letter of their name.
func nodesNamed(names ...string) []*corev1.Node {
	nodes := make([]*corev1.Node, len(names))
	for i, name := range names {
		nodes[i] = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": name[:1]}}}
		nodes[i].Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}
	}
	return nodes
}

// reports are the facts of a node that lists files.
func reports(name string, files ...v1alpha1.ProfileFile) *v1alpha1.SeccompNode {
	return &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Facts: v1alpha1.NodeFacts{Profiles: files}}
}

// refersTo are the facts of a node that names a set.
func refersTo(name, set string) *v1alpha1.SeccompNode {
	return &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Facts: v1alpha1.NodeFacts{ProfileSet: set}}
}

func truncated(sn *v1alpha1.SeccompNode) *v1alpha1.SeccompNode {
	sn.Facts.Truncated = true
	return sn
}

// digest is one that begins with the hexadecimal digits.
func digest(digits string) string {
	return "sha256:" + digits + strings.Repeat("0", 64-len(digits))
}

// fileAt is a valid file whose content is told from others by the digits.
func fileAt(path, digits string) v1alpha1.ProfileFile {
	return v1alpha1.ProfileFile{Path: path, Digest: digest(digits), Valid: true, Analysis: &v1alpha1.ProfileAnalysis{DefaultAction: "SCMP_ACT_ERRNO"}}
}

// analysed is a valid file with that analysis.
func analysed(path, digits string, a v1alpha1.ProfileAnalysis) v1alpha1.ProfileFile {
	f := fileAt(path, digits)
	f.Analysis = &a
	return f
}

func invalidFile(path, digits, reason string) v1alpha1.ProfileFile {
	return v1alpha1.ProfileFile{Path: path, Digest: digest(digits), Reason: reason}
}

// setOf is the ProfileSet of the files.
func setOf(files ...v1alpha1.ProfileFile) *v1alpha1.ProfileSet {
	return &v1alpha1.ProfileSet{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ProfileSetName(files)}, Profiles: files}
}

// localhost is a LocalhostProfile with that default action.
func localhost(name string, action v1alpha1.Action) *v1alpha1.LocalhostProfile {
	return &v1alpha1.LocalhostProfile{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.LocalhostProfileSpec{Profile: v1alpha1.OCIProfile{DefaultAction: action}},
	}
}

func served(l *v1alpha1.LocalhostProfile, path string) *v1alpha1.LocalhostProfile {
	l.Status.Served = path
	return l
}

func onNodes(l *v1alpha1.LocalhostProfile, selector map[string]string) *v1alpha1.LocalhostProfile {
	l.Spec.NodeSelector = selector
	return l
}

// written is the digest of what is written to nodes for a profile of that JSON.
func written(t testing.TB, text string) string {
	t.Helper()
	p, err := seccomp.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return seccomp.Digest(p.Marshal())
}

func lookup(x *Index, p Placement, path string) ProfileFacts {
	set := x.Eligible(&p)
	defer set.Release()
	return x.Profile(set, path, &p)
}

func TestProfile(t *testing.T) {
	errno := written(t, `{"defaultAction":"SCMP_ACT_ERRNO"}`)
	digits := strings.TrimPrefix(errno, "sha256:")[:12]
	current := "seccompgate/app." + digits + ".json"
	poolA := map[string]string{"pool": "a"}
	inPool := func(values ...string) *corev1.NodeSelector {
		return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: corev1.NodeSelectorOpIn, Values: values}},
		}}}
	}
	lacking := func(missing ...v1alpha1.MissingToStart) *v1alpha1.ProfileSet {
		return setOf(analysed("x.json", "1", v1alpha1.ProfileAnalysis{DefaultAction: "SCMP_ACT_ERRNO", MissingToStart: missing}))
	}
	runc11 := lacking(v1alpha1.MissingToStart{Runtime: "runc", Syscalls: []string{"fstat"}})
	runc15 := lacking(
		v1alpha1.MissingToStart{Runtime: "runc", NoNewPrivileges: true, Syscalls: []string{"fstat", "statx"}},
		v1alpha1.MissingToStart{Runtime: "runc", Syscalls: []string{"fstat", "statx"}},
	)
	youki := lacking(v1alpha1.MissingToStart{Runtime: "youki", NoNewPrivileges: true, Syscalls: []string{"execve"}})
	for _, tc := range []struct {
		name    string
		objects Objects
		pod     Placement
		path    string
		want    ProfileFacts
	}{
		{
			name: "all have it",
			objects: Objects{
				Nodes:        nodesNamed("a1", "a2"),
				SeccompNodes: []*v1alpha1.SeccompNode{reports("a1", fileAt("x.json", "1")), reports("a2", fileAt("x.json", "1"))},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 2, Have: 2},
			},
		},
		{
			name: "one has it, three examples of those that lack it, and one without facts",
			objects: Objects{
				Nodes: nodesNamed("a5", "a4", "a3", "a2", "a1", "a0"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					reports("a1"), reports("a2", fileAt("x.json", "1")), reports("a3"), reports("a4"), reports("a5"),
				},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{
					Eligible: 6, Have: 1,
					Missing: NodeCount{Count: 4, Examples: []string{"a1", "a3", "a4"}},
					Unknown: NodeCount{Count: 1, Examples: []string{"a0"}},
				},
			},
		},
		{
			name: "nodes that are not eligible count for nothing",
			objects: Objects{
				Nodes:        nodesNamed("a1", "b1"),
				SeccompNodes: []*v1alpha1.SeccompNode{reports("a1"), reports("b1", invalidFile("x.json", "1", "bad"))},
			},
			pod:  Placement{NodeSelector: poolA},
			path: "x.json",
			want: ProfileFacts{Valid: true, Nodes: NodeCounts{Eligible: 1, Missing: NodeCount{Count: 1, Examples: []string{"a1"}}}},
		},
		{
			name: "facts of a node that does not exist count for nothing",
			objects: Objects{
				Nodes:        nodesNamed("b1"),
				SeccompNodes: []*v1alpha1.SeccompNode{reports("a1", fileAt("x.json", "1")), reports("b1"), reports("c1", fileAt("x.json", "1"))},
			},
			path: "x.json",
			want: ProfileFacts{Valid: true, Nodes: NodeCounts{Eligible: 1, Missing: NodeCount{Count: 1, Examples: []string{"b1"}}}},
		},
		{
			name: "a truncated list is unknown for what it does not have, known for what it has",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2", "a3"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					truncated(reports("a1", fileAt("x.json", "1"))), truncated(reports("a2", fileAt("y.json", "1"))), reports("a3"),
				},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{
					Eligible: 3, Have: 1,
					Missing: NodeCount{Count: 1, Examples: []string{"a3"}},
					Unknown: NodeCount{Count: 1, Examples: []string{"a2"}},
				},
			},
		},
		{
			name: "a set is shared, one that is absent or has another content is unknown",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2", "a3", "a4"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					refersTo("a1", v1alpha1.ProfileSetName([]v1alpha1.ProfileFile{fileAt("x.json", "1")})),
					refersTo("a2", v1alpha1.ProfileSetName([]v1alpha1.ProfileFile{fileAt("x.json", "1")})),
					refersTo("a3", strings.Repeat("0", 32)), refersTo("a4", strings.Repeat("1", 32)),
				},
				ProfileSets: []*v1alpha1.ProfileSet{
					setOf(fileAt("x.json", "1")),
					{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("0", 32)}, Profiles: []v1alpha1.ProfileFile{fileAt("x.json", "1")}},
				},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 4, Have: 2, Unknown: NodeCount{Count: 2, Examples: []string{"a3", "a4"}}},
			},
		},
		{
			name: "facts about an earlier node of that name are none",
			objects: Objects{
				Nodes: []*corev1.Node{
					{ObjectMeta: metav1.ObjectMeta{Name: "a1", UID: "new"}},
					{ObjectMeta: metav1.ObjectMeta{Name: "a2", UID: "same"}},
				},
				SeccompNodes: []*v1alpha1.SeccompNode{
					{
						ObjectMeta: metav1.ObjectMeta{Name: "a1", OwnerReferences: []metav1.OwnerReference{{Kind: "Node", UID: "old"}}},
						Facts:      v1alpha1.NodeFacts{Profiles: []v1alpha1.ProfileFile{fileAt("x.json", "1")}},
					},
					{
						ObjectMeta: metav1.ObjectMeta{Name: "a2", OwnerReferences: []metav1.OwnerReference{{Kind: "Other", UID: "old"}, {Kind: "Node", UID: "same"}}},
						Facts:      v1alpha1.NodeFacts{Profiles: []v1alpha1.ProfileFile{fileAt("x.json", "1")}},
					},
				},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 2, Have: 1, Unknown: NodeCount{Count: 1, Examples: []string{"a1"}}},
			},
		},
		{
			name: "of two objects of one name the first counts",
			objects: Objects{
				Nodes: append(nodesNamed("a1"), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a1", Labels: map[string]string{"pool": "z"}}}, nil, &corev1.Node{}),
				SeccompNodes: []*v1alpha1.SeccompNode{
					reports("a1", fileAt("x.json", "1")), reports("a1"), nil, reports(""),
				},
			},
			pod:  Placement{NodeSelector: poolA},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 1, Have: 1},
			},
		},
		{
			name: "digests, the most common first, then in order",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2", "a3", "a4"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					reports("a1", fileAt("x.json", "1")), reports("a2", fileAt("x.json", "3")), reports("a3", fileAt("x.json", "3")), reports("a4", fileAt("x.json", "2")),
				},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("3"), digest("1"), digest("2")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 4, Have: 4},
			},
		},
		{
			name: "no drift among the eligible",
			objects: Objects{
				Nodes:        nodesNamed("a1", "b1"),
				SeccompNodes: []*v1alpha1.SeccompNode{reports("a1", fileAt("x.json", "1")), reports("b1", fileAt("x.json", "2"))},
			},
			pod:  Placement{NodeSelector: poolA},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 1, Have: 1},
			},
		},
		{
			name: "an invalid file has no analysis; the reason is that of the first node",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2", "a3"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					reports("a1", fileAt("x.json", "3")),
					reports("a2", invalidFile("x.json", "2", "not JSON")),
					reports("a3", v1alpha1.ProfileFile{Path: "x.json", Reason: "file has 1000000 bytes, more than 262144"}),
				},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: false, Reason: "not JSON", Digests: []string{digest("2"), digest("3")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 3, Have: 3},
			},
		},
		{
			name: "invalid everywhere",
			objects: Objects{
				Nodes: nodesNamed("a1"),
				SeccompNodes: []*v1alpha1.SeccompNode{reports("a1", v1alpha1.ProfileFile{
					Path: "x.json", Digest: digest("2"), Reason: "not JSON", Analysis: &v1alpha1.ProfileAnalysis{DefaultAction: "SCMP_ACT_ALLOW", Permissive: true},
				})},
			},
			path: "x.json",
			want: ProfileFacts{Reason: "not JSON", Digests: []string{digest("2")}, Nodes: NodeCounts{Eligible: 1, Have: 1}},
		},
		{
			name: "the worst of two contents",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					reports("a1", analysed("x.json", "1", v1alpha1.ProfileAnalysis{
						DefaultAction: "SCMP_ACT_ERRNO", Grade: "tight", Dangerous: []string{"bpf"}, Architectures: []v1alpha1.Arch{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"},
						BeyondDefault:  []v1alpha1.BeyondDefault{{Syscall: "mount", UnlessCapability: []string{"CAP_SYS_ADMIN"}}},
						MissingToStart: []v1alpha1.MissingToStart{{Runtime: "runc", Syscalls: []string{"execve"}}},
					})),
					reports("a2", analysed("x.json", "2", v1alpha1.ProfileAnalysis{
						DefaultAction: "SCMP_ACT_ALLOW", Grade: "weaker", Permissive: true, Dangerous: []string{"acct", "bpf"}, Architectures: []v1alpha1.Arch{"SCMP_ARCH_X86_64"},
						BeyondDefault:  []v1alpha1.BeyondDefault{{Syscall: "bpf"}, {Syscall: "mount", UnlessCapability: []string{"CAP_SYS_ADMIN"}}},
						MissingToStart: []v1alpha1.MissingToStart{{Runtime: "runc", NoNewPrivileges: true, Syscalls: []string{"prctl"}}},
					})),
				},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1"), digest("2")},
				DefaultAction: "SCMP_ACT_ALLOW", Grade: "weaker", Permissive: true, Dangerous: []string{"acct", "bpf"}, Architectures: []string{"SCMP_ARCH_X86_64"},
				BeyondDefault: []v1alpha1.BeyondDefault{{Syscall: "bpf"}, {Syscall: "mount", UnlessCapability: []string{"CAP_SYS_ADMIN"}}},
				MissingToStart: []v1alpha1.MissingToStart{
					{Runtime: "runc", Syscalls: []string{"execve"}}, {Runtime: "runc", NoNewPrivileges: true, Syscalls: []string{"prctl"}},
				},
				Nodes: NodeCounts{Eligible: 2, Have: 2},
			},
		},
		{
			name: "nodes with two versions of runc about one content: what either lacks",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2", "a3"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					refersTo("a1", runc11.Name), refersTo("a2", runc15.Name), refersTo("a3", youki.Name),
				},
				ProfileSets: []*v1alpha1.ProfileSet{runc11, runc15, youki},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				MissingToStart: []v1alpha1.MissingToStart{
					{Runtime: "runc", Syscalls: []string{"fstat"}},
					{Runtime: "runc", Syscalls: []string{"fstat", "statx"}},
					{Runtime: "runc", NoNewPrivileges: true, Syscalls: []string{"fstat", "statx"}},
					{Runtime: "youki", NoNewPrivileges: true, Syscalls: []string{"execve"}},
				},
				Nodes: NodeCounts{Eligible: 3, Have: 3},
			},
		},
		{
			name: "nodes with two versions of runc, of which the pod may use one",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					refersTo("a1", runc11.Name), refersTo("a2", runc15.Name),
				},
				ProfileSets: []*v1alpha1.ProfileSet{runc11, runc15},
			},
			pod:  Placement{NodeName: "a1"},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
				MissingToStart: []v1alpha1.MissingToStart{{Runtime: "runc", Syscalls: []string{"fstat"}}},
				Nodes:          NodeCounts{Eligible: 1, Have: 1},
			},
		},
		{
			name: "agents of two versions about one content: one digest, the worst of both",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					reports("a1", analysed("x.json", "1", v1alpha1.ProfileAnalysis{DefaultAction: "SCMP_ACT_ERRNO", Dangerous: []string{"bpf"}})),
					reports("a2", fileAt("x.json", "1")),
				},
			},
			path: "x.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO", Dangerous: []string{"bpf"},
				Nodes: NodeCounts{Eligible: 2, Have: 2},
			},
		},
		{
			name: "a path that no node has: the nearest, not the files of generations",
			objects: Objects{
				Nodes: nodesNamed("a1"),
				SeccompNodes: []*v1alpha1.SeccompNode{reports(
					"a1", fileAt("profiles/app.json", "1"), fileAt("profiles/ap.json", "1"), fileAt("other/name.json", "1"), fileAt("seccompgate/apq.0123456789ab.json", "0123456789ab"),
				)},
			},
			path: "profiles/apq.json",
			want: ProfileFacts{
				Valid: true, Nearest: []string{"profiles/ap.json", "profiles/app.json"},
				Nodes: NodeCounts{Eligible: 1, Missing: NodeCount{Count: 1, Examples: []string{"a1"}}},
			},
		},
		{
			name: "a path that no node has: a generation is no neighbour of its plain path",
			objects: Objects{
				Nodes:        nodesNamed("a1"),
				SeccompNodes: []*v1alpha1.SeccompNode{reports("a1", fileAt("seccompgate/a-name-that-is-three-times-as-long-as-digits.0123456789ab.json", "1"))},
			},
			path: "seccompgate/a-name-that-is-three-times-as-long-as-digits.json",
			want: ProfileFacts{Valid: true, Nodes: NodeCounts{Eligible: 1, Missing: NodeCount{Count: 1, Examples: []string{"a1"}}}},
		},
		{
			name:    "no node at all: everything is unknown, nothing is promised",
			objects: Objects{},
			path:    "x.json",
			want:    ProfileFacts{Valid: true},
		},
		{
			name: "expected: the plain path of a profile, and its content",
			objects: Objects{
				Nodes:             nodesNamed("a1"),
				SeccompNodes:      []*v1alpha1.SeccompNode{reports("a1", fileAt("seccompgate/app.json", "1"))},
				LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")},
			},
			path: "seccompgate/app.json",
			want: ProfileFacts{
				Valid: true, Digests: []string{digest("1")}, ExpectedDigest: errno, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 1, Have: 1},
			},
		},
		{
			name: "expected and not there: no other path is proposed",
			objects: Objects{
				Nodes:             nodesNamed("a1"),
				SeccompNodes:      []*v1alpha1.SeccompNode{reports("a1", fileAt("seccompgate/ap.json", "1"))},
				LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")},
			},
			path: "seccompgate/app.json",
			want: ProfileFacts{
				Valid: true, ExpectedDigest: errno,
				Nodes: NodeCounts{Eligible: 1, Missing: NodeCount{Count: 1, Examples: []string{"a1"}}},
			},
		},
		{
			name: "expected: the path of the current generation",
			objects: Objects{
				Nodes:             nodesNamed("a1"),
				SeccompNodes:      []*v1alpha1.SeccompNode{reports("a1")},
				LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")},
			},
			path: current,
			want: ProfileFacts{
				Valid: true, ExpectedDigest: errno,
				Nodes: NodeCounts{Eligible: 1, Missing: NodeCount{Count: 1, Examples: []string{"a1"}}},
			},
		},
		{
			name: "expected: an earlier generation, what has its digits",
			objects: Objects{
				Nodes: nodesNamed("a1", "a2"),
				SeccompNodes: []*v1alpha1.SeccompNode{
					reports("a1", fileAt("seccompgate/app.0123456789ab.json", "ff")), reports("a2", fileAt("seccompgate/app.0123456789ab.json", "0123456789abcd")),
				},
				LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")},
			},
			path: "seccompgate/app.0123456789ab.json",
			want: ProfileFacts{
				Valid: true, ExpectedDigest: digest("0123456789abcd"), DefaultAction: "SCMP_ACT_ERRNO",
				Digests: []string{digest("0123456789abcd"), digest("ff")},
				Nodes:   NodeCounts{Eligible: 2, Have: 2},
			},
		},
		{
			name: "expected: an earlier generation with a content of other digits equals none",
			objects: Objects{
				Nodes:             nodesNamed("a1"),
				SeccompNodes:      []*v1alpha1.SeccompNode{reports("a1", fileAt("seccompgate/app.0123456789ab.json", "ff"))},
				LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")},
			},
			path: "seccompgate/app.0123456789ab.json",
			want: ProfileFacts{
				Valid: true, ExpectedDigest: "sha256:0123456789ab", Digests: []string{digest("ff")}, DefaultAction: "SCMP_ACT_ERRNO",
				Nodes: NodeCounts{Eligible: 1, Have: 1},
			},
		},
		{
			name:    "no eligible node: a profile for all nodes is promised",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")}},
			path:    "seccompgate/app.json",
			want:    ProfileFacts{Valid: true, ExpectedDigest: errno},
		},
		{
			name:    "no eligible node: not to pods on Windows",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")}},
			pod:     Placement{OS: "windows"},
			path:    "seccompgate/app.json",
			want:    ProfileFacts{Valid: true},
		},
		{
			name:    "no eligible node: a profile of a pool is promised to who asks for the pool",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{onNodes(localhost("app", "SCMP_ACT_ERRNO"), poolA)}},
			pod:     Placement{NodeSelector: map[string]string{"pool": "a", "zone": "z"}},
			path:    current,
			want:    ProfileFacts{Valid: true, ExpectedDigest: errno},
		},
		{
			name:    "no eligible node: in the affinity, too",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{onNodes(localhost("app", "SCMP_ACT_ERRNO"), poolA)}},
			pod:     Placement{Affinity: inPool("a")},
			path:    "seccompgate/app.json",
			want:    ProfileFacts{Valid: true, ExpectedDigest: errno},
		},
		{
			name:    "no eligible node: not to who would take another pool as well",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{onNodes(localhost("app", "SCMP_ACT_ERRNO"), poolA)}},
			pod:     Placement{Affinity: inPool("a", "b")},
			path:    "seccompgate/app.json",
			want:    ProfileFacts{Valid: true},
		},
		{
			name:    "no eligible node: not in one term of two",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{onNodes(localhost("app", "SCMP_ACT_ERRNO"), poolA)}},
			pod:     Placement{Affinity: &corev1.NodeSelector{NodeSelectorTerms: append(inPool("a").NodeSelectorTerms, inPool("b").NodeSelectorTerms...)}},
			path:    "seccompgate/app.json",
			want:    ProfileFacts{Valid: true},
		},
		{
			name:    "no eligible node: not to a pod without a selector",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{onNodes(localhost("app", "SCMP_ACT_ERRNO"), poolA)}},
			path:    "seccompgate/app.json",
			want:    ProfileFacts{Valid: true},
		},
		{
			name:    "no eligible node: the served generation is promised",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{served(localhost("app", "SCMP_ACT_ERRNO"), "seccompgate/app.0123456789ab.json")}},
			path:    "seccompgate/app.0123456789ab.json",
			want:    ProfileFacts{Valid: true, ExpectedDigest: "sha256:0123456789ab"},
		},
		{
			name:    "no eligible node: any other generation is not",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{served(localhost("app", "SCMP_ACT_ERRNO"), "seccompgate/app.0123456789ab.json")}},
			path:    "seccompgate/app.ba9876543210.json",
			want:    ProfileFacts{Valid: true},
		},
		{
			name:    "no eligible node: a profile that cannot be written is not promised",
			objects: Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_NONE")}},
			path:    "seccompgate/app.json",
			want:    ProfileFacts{Valid: true},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.want.Path = tc.path
			if d := cmp.Diff(tc.want, lookup(NewIndex(tc.objects), tc.pod, tc.path)); d != "" {
				t.Errorf("Profile (-want +got):\n%s", d)
			}
		})
	}
}

// TestProfileOfManyNodes has sets in both forms: some nodes of a thousand, and most.
func TestProfileOfManyNodes(t *testing.T) {
	var o Objects
	const size = 1000
	for i := range size {
		name := fmt.Sprintf("a%04d", i)
		o.Nodes = append(o.Nodes, nodesNamed(name)...)
		var files []v1alpha1.ProfileFile
		if i%100 == 7 {
			files = append(files, fileAt("rare.json", "1"))
		}
		if i%100 != 7 {
			files = append(files, fileAt("common.json", strconv.Itoa(i%2)))
		}
		if i != 500 {
			o.SeccompNodes = append(o.SeccompNodes, reports(name, files...))
		}
	}
	x := NewIndex(o)
	rare := ProfileFacts{
		Path: "rare.json", Valid: true, Digests: []string{digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
		Nodes: NodeCounts{
			Eligible: size, Have: 10, Missing: NodeCount{Count: 989, Examples: []string{"a0000", "a0001", "a0002"}},
			Unknown: NodeCount{Count: 1, Examples: []string{"a0500"}},
		},
	}
	common := ProfileFacts{
		Path: "common.json", Valid: true, Digests: []string{digest("0"), digest("1")}, DefaultAction: "SCMP_ACT_ERRNO",
		Nodes: NodeCounts{
			Eligible: size, Have: 989, Missing: NodeCount{Count: 10, Examples: []string{"a0007", "a0107", "a0207"}},
			Unknown: NodeCount{Count: 1, Examples: []string{"a0500"}},
		},
	}
	for _, want := range []ProfileFacts{rare, common} {
		if d := cmp.Diff(want, lookup(x, Placement{}, want.Path)); d != "" {
			t.Errorf("Profile (-want +got):\n%s", d)
		}
	}
}

// TestCommonArchitectures has two contents of one path on two nodes.
func TestCommonArchitectures(t *testing.T) {
	for _, tc := range []struct {
		name       string
		a, b, want []string
	}{
		{"what both list", []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"}, []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_ARM"}, []string{"SCMP_ARCH_X86_64"}},
		{"an empty list takes nothing away", []string{"SCMP_ARCH_X86"}, nil, []string{"SCMP_ARCH_X86"}},
		{"in either order", nil, []string{"SCMP_ARCH_X86"}, []string{"SCMP_ARCH_X86"}},
		{"nothing in common does not become everything", []string{"SCMP_ARCH_X86"}, []string{"SCMP_ARCH_ARM"}, []string{"SCMP_ARCH_X86"}},
		{"both empty", nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			listing := func(digits string, names []string) v1alpha1.ProfileFile {
				var a v1alpha1.ProfileAnalysis
				for _, name := range names {
					a.Architectures = append(a.Architectures, v1alpha1.Arch(name))
				}
				return analysed("x.json", digits, a)
			}
			x := NewIndex(Objects{
				Nodes:        nodesNamed("a1", "a2"),
				SeccompNodes: []*v1alpha1.SeccompNode{reports("a1", listing("1", tc.a)), reports("a2", listing("2", tc.b))},
			})
			if d := cmp.Diff(tc.want, lookup(x, Placement{}, "x.json").Architectures); d != "" {
				t.Errorf("Architectures (-want +got):\n%s", d)
			}
		})
	}
}

// TestFirstOfManyNames has every node twice.
func TestFirstOfManyNames(t *testing.T) {
	var o Objects
	for i := range 100 {
		o.Nodes = append(o.Nodes, nodesNamed(fmt.Sprintf("a%02d", i))...)
	}
	for _, n := range slices.Clone(o.Nodes) {
		second := n.DeepCopy()
		second.Labels["pool"] = "second"
		o.Nodes = append(o.Nodes, second)
	}
	x := NewIndex(o)
	if set := x.Eligible(&Placement{NodeSelector: map[string]string{"pool": "a"}}); set.Len() != 100 || x.Nodes() != 100 {
		t.Errorf("the first counts for %d of %d nodes", set.Len(), x.Nodes())
	}
}

func TestSummary(t *testing.T) {
	yes, no := true, false
	nodes := nodesNamed("a1", "a2", "a3", "a4", "b1")
	nodes[1].Status.NodeInfo.Architecture = "arm64"
	nodes[2].Status.NodeInfo.Architecture = ""
	nodes[2].Labels[corev1.LabelArchStable] = "s390x"
	nodes[3].Status.NodeInfo.Architecture = "unheard-of"
	facts := func(name string, f v1alpha1.NodeFacts) *v1alpha1.SeccompNode {
		return &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Facts: f}
	}
	x := NewIndex(Objects{Nodes: nodes, SeccompNodes: []*v1alpha1.SeccompNode{
		facts("a1", v1alpha1.NodeFacts{
			SeccompDefault: &yes, SeccompRoot: "/var/lib/kubelet/seccomp",
			Runtimes: []v1alpha1.Runtime{{LowLevel: "runc"}, {Handler: "fast", LowLevel: "crun"}, {Handler: "odd"}},
		}),
		facts("a2", v1alpha1.NodeFacts{SeccompDefault: &no, SeccompRoot: "/data/kubelet/seccomp", Runtimes: []v1alpha1.Runtime{{LowLevel: "runc"}}}),
		facts("a3", v1alpha1.NodeFacts{ProfileSet: strings.Repeat("0", 32), SeccompDefault: &yes}),
		facts("a4", v1alpha1.NodeFacts{Architectures: []v1alpha1.Arch{"SCMP_ARCH_RISCV64"}}),
		facts("b1", v1alpha1.NodeFacts{SeccompRoot: "/b", Runtimes: []v1alpha1.Runtime{{LowLevel: "youki"}}}),
	}})
	for _, tc := range []struct {
		name string
		pod  Placement
		want NodeSummary
	}{
		{
			"all nodes",
			Placement{},
			NodeSummary{
				Eligible: 5, SeccompDefault: 2,
				Architectures: []string{"SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_S390X", "SCMP_ARCH_X86_64"},
				Runtimes:      []string{"crun", "runc", "youki"}, SeccompRoots: []string{"/b", "/data/kubelet/seccomp", "/var/lib/kubelet/seccomp"},
			},
		},
		{
			"some",
			Placement{NodeSelector: map[string]string{"pool": "a"}},
			NodeSummary{
				Eligible: 4, SeccompDefault: 2,
				Architectures: []string{"SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_S390X", "SCMP_ARCH_X86_64"},
				Runtimes:      []string{"crun", "runc"}, SeccompRoots: []string{"/data/kubelet/seccomp", "/var/lib/kubelet/seccomp"},
			},
		},
		{"one", Placement{NodeName: "b1"}, NodeSummary{Eligible: 1, Architectures: []string{"SCMP_ARCH_X86_64"}, Runtimes: []string{"youki"}, SeccompRoots: []string{"/b"}}},
		{"none", Placement{NodeName: "x"}, NodeSummary{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := x.Eligible(&tc.pod)
			defer set.Release()
			if d := cmp.Diff(tc.want, x.Summary(set)); d != "" {
				t.Errorf("Summary (-want +got):\n%s", d)
			}
		})
	}
	if x.Nodes() != 5 || x.Unknown() != 1 {
		t.Errorf("%d nodes, %d unknown; want 5 and 1", x.Nodes(), x.Unknown())
	}
}

func TestPathOf(t *testing.T) {
	for _, tc := range []struct {
		name, served, want string
	}{
		{"no status", "", "seccompgate/app.json"},
		{"a generation", "seccompgate/app.0123456789ab.json", "seccompgate/app.0123456789ab.json"},
		{"the plain path", "seccompgate/app.json", "seccompgate/app.json"},
		{"a generation of another profile", "seccompgate/other.0123456789ab.json", "seccompgate/app.json"},
		{"a generation of one whose name begins alike", "seccompgate/app.x.0123456789ab.json", "seccompgate/app.json"},
		{"another directory", "profiles/app.0123456789ab.json", "seccompgate/app.json"},
		{"a directory below", "seccompgate/app/app.0123456789ab.json", "seccompgate/app.json"},
		{"too few digits", "seccompgate/app.0123456789a.json", "seccompgate/app.json"},
		{"no digits", "seccompgate/app.0123456789AB.json", "seccompgate/app.json"},
		{"another suffix", "seccompgate/app.0123456789ab.yaml", "seccompgate/app.json"},
		{"climbing", "seccompgate/../seccompgate/app.0123456789ab.json", "seccompgate/app.json"},
		{"outside", "/etc/shadow", "seccompgate/app.json"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := NewIndex(Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{served(localhost("app", "SCMP_ACT_ERRNO"), tc.served)}})
			if path, known := x.PathOf("app"); path != tc.want || !known {
				t.Errorf("PathOf: %q, %t; want %q", path, known, tc.want)
			}
		})
	}
	x := NewIndex(Objects{LocalhostProfiles: []*v1alpha1.LocalhostProfile{
		localhost("web-server", "SCMP_ACT_ERRNO"), localhost("app", "SCMP_ACT_ERRNO"), localhost("app", "SCMP_ACT_LOG"), localhost("web", "SCMP_ACT_NONE"),
	}})
	if path, known := x.PathOf("ap"); path != "" || known {
		t.Errorf("PathOf an unknown name: %q, %t", path, known)
	}
	if path, known := x.PathOf("web"); path != "seccompgate/web.json" || !known {
		t.Errorf("PathOf a profile that cannot be written: %q, %t; its name is known", path, known)
	}
	if d := cmp.Diff([]string{"app", "web", "web-server"}, x.Names()); d != "" {
		t.Errorf("Names (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"web-server"}, x.NearestNames("web-sever")); d != "" {
		t.Errorf("NearestNames (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"runtime-default"}, x.NearestNames("runtime_default")); d != "" {
		t.Errorf("NearestNames (-want +got):\n%s", d)
	}
	if got := x.NearestNames("nothing-like-it"); got != nil {
		t.Errorf("NearestNames of a name without neighbours: %q", got)
	}
}

func TestProblems(t *testing.T) {
	wrong := []v1alpha1.ProfileFile{fileAt("x.json", "1")}
	owned := reports("a3")
	owned.OwnerReferences = []metav1.OwnerReference{{Kind: "Node", UID: "old"}}
	nodes := nodesNamed("a1", "a2", "a3", "a4")
	nodes[2].UID = "new"
	o := Objects{
		Nodes: nodes,
		SeccompNodes: []*v1alpha1.SeccompNode{
			refersTo("a1", strings.Repeat("0", 32)), refersTo("a2", strings.Repeat("f", 32)), owned, refersTo("a4", strings.Repeat("f", 32)),
		},
		ProfileSets:       []*v1alpha1.ProfileSet{{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("0", 32), UID: "u", ResourceVersion: "1"}, Profiles: wrong}},
		LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERNO"), localhost("fine", "SCMP_ACT_ERRNO")},
	}
	want := []string{
		`LocalhostProfile app cannot be written to nodes: spec.profile: defaultAction: unknown action "SCMP_ACT_ERNO"; did you mean "SCMP_ACT_ERRNO"?`,
		"ProfileSet 00000000000000000000000000000000 has the content of " + v1alpha1.ProfileSetName(wrong) +
			"; the nodes that refer to it are unknown; delete it, and the agents write it anew",
		"ProfileSet ffffffffffffffffffffffffffffffff does not exist; the nodes that refer to it are unknown",
		"SeccompNode a3 is about an earlier node of that name; the node is unknown until its agent reports",
	}
	x := NewIndex(o)
	for _, x := range []*Index{x, x.Next(o)} {
		if d := cmp.Diff(want, x.Problems()); d != "" {
			t.Errorf("Problems (-want +got):\n%s", d)
		}
		if x.Unknown() != 4 {
			t.Errorf("%d nodes are unknown, want 4", x.Unknown())
		}
	}
	if got := NewIndex(Objects{Nodes: nodes}).Problems(); len(got) > 0 {
		t.Errorf("nodes without facts are no contradiction: %q", got)
	}
}

// TestNextTakesOver shows that what has not changed is not computed again, and that
// what has changed is.
func TestNextTakesOver(t *testing.T) {
	set := setOf(fileAt("x.json", "1"))
	set.UID, set.ResourceVersion = "s", "1"
	profile := localhost("app", "SCMP_ACT_ERRNO")
	profile.UID, profile.ResourceVersion = "p", "1"
	o := Objects{
		Nodes: nodesNamed("a1"), SeccompNodes: []*v1alpha1.SeccompNode{refersTo("a1", set.Name)},
		ProfileSets: []*v1alpha1.ProfileSet{set}, LocalhostProfiles: []*v1alpha1.LocalhostProfile{profile},
	}
	first := NewIndex(o)

	// The API server never does this: the content changes, the version does not.
	changed := *set
	changed.Profiles = []v1alpha1.ProfileFile{fileAt("x.json", "2")}
	changedProfile := *profile
	changedProfile.Spec.Profile.DefaultAction = "SCMP_ACT_LOG"
	o.ProfileSets, o.LocalhostProfiles = []*v1alpha1.ProfileSet{&changed}, []*v1alpha1.LocalhostProfile{&changedProfile}
	second := first.Next(o)
	if d := cmp.Diff(lookup(first, Placement{}, "x.json"), lookup(second, Placement{}, "x.json")); d != "" {
		t.Errorf("a set of the same version was read again (-first +second):\n%s", d)
	}
	if got, want := lookup(second, Placement{}, "seccompgate/app.json").ExpectedDigest, written(t, `{"defaultAction":"SCMP_ACT_ERRNO"}`); got != want {
		t.Errorf("a profile of the same version was read again: %s", got)
	}

	changed.ResourceVersion, changedProfile.ResourceVersion = "2", "2"
	third := second.Next(o)
	if third.Unknown() != 1 || len(third.Problems()) != 1 {
		t.Errorf("a set with another content is not noticed: %d unknown, problems %q", third.Unknown(), third.Problems())
	}
	if got, want := lookup(third, Placement{}, "seccompgate/app.json").ExpectedDigest, written(t, `{"defaultAction":"SCMP_ACT_LOG"}`); got != want {
		t.Errorf("a changed profile promises %s, want %s", got, want)
	}

	// Objects that never met an API server have no version.
	for _, meta := range []*metav1.ObjectMeta{&changed.ObjectMeta, &changedProfile.ObjectMeta} {
		meta.UID, meta.ResourceVersion = "", ""
	}
	set.UID, profile.UID, set.ResourceVersion, profile.ResourceVersion = "", "", "", ""
	plain := NewIndex(Objects{Nodes: o.Nodes, SeccompNodes: o.SeccompNodes, ProfileSets: []*v1alpha1.ProfileSet{set}, LocalhostProfiles: []*v1alpha1.LocalhostProfile{profile}})
	if next := plain.Next(o); next.Unknown() != 1 {
		t.Error("a set without a version was not read again")
	}
}

// TestNextEqualsNewIndex changes a cluster at random and compares all answers.
func TestNextEqualsNewIndex(t *testing.T) {
	seed := seed()
	for run := range uint64(10) {
		r := random{rand.New(rand.NewPCG(seed, run))}
		c := newChanging(r)
		x := &Index{}
		for step := range 25 {
			for range 1 + r.IntN(4) {
				c.change()
			}
			o := c.objects()
			x = x.Next(o)
			var pods []Placement
			for range 10 {
				pods = append(pods, r.placement(c.nodes))
			}
			if d := cmp.Diff(answers(NewIndex(o), pods), answers(x, pods)); d != "" {
				t.Fatalf("-seed=%d: run %d, step %d (-NewIndex +Next):\n%s", seed, run, step, d)
			}
		}
	}
}

// answers are everything that can be asked.
func answers(x *Index, pods []Placement) map[string]any {
	a := map[string]any{
		"nodes": x.Nodes(), "unknown": x.Unknown(), "problems": x.Problems(), "names": x.Names(), "nearest names": x.NearestNames("p-x"),
	}
	paths := []string{"absent.json", "seccompgate/p-0.0123456789ab.json"}
	for i := range changingPaths {
		paths = append(paths, changingPath(i))
	}
	for _, name := range append([]string{"absent"}, x.Names()...) {
		path, known := x.PathOf(name)
		a["path of "+name] = fmt.Sprint(path, known)
		if known {
			paths = append(paths, path)
		}
	}
	for i, p := range append(pods, Placement{}) {
		set := x.Eligible(&p)
		a[fmt.Sprintf("pod %d", i)] = namesIn(x, set)
		a[fmt.Sprintf("pod %d summary", i)] = x.Summary(set)
		for _, path := range paths {
			a[fmt.Sprintf("pod %d %s", i, path)] = x.Profile(set, path, &p)
		}
		set.Release()
	}
	return a
}

const changingPaths = 6

func changingPath(i int) string { return fmt.Sprintf("profiles/%d.json", i) }

// changing is a cluster whose objects change as an API server changes them: an object
// is replaced by one of another version.
type changing struct {
	random
	version      int
	nodes        []*corev1.Node
	facts        map[string]*v1alpha1.SeccompNode
	sets         map[string]*v1alpha1.ProfileSet
	profiles     map[string]*v1alpha1.LocalhostProfile
	withVersions bool
}

func newChanging(r random) *changing {
	c := &changing{
		random: r, nodes: r.cluster(), facts: make(map[string]*v1alpha1.SeccompNode), sets: make(map[string]*v1alpha1.ProfileSet),
		profiles: make(map[string]*v1alpha1.LocalhostProfile), withVersions: r.chance(80),
	}
	for range 60 {
		c.change()
	}
	return c
}

// meta is that of a new version of an object.
func (c *changing) meta(name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name}
	if c.withVersions {
		c.version++
		m.UID, m.ResourceVersion = types.UID(name), strconv.Itoa(c.version)
	}
	return m
}

func (c *changing) files() []v1alpha1.ProfileFile {
	var files []v1alpha1.ProfileFile
	for i := range changingPaths {
		if !c.chance(60) {
			continue
		}
		f := fileAt(changingPath(i), strconv.Itoa(c.IntN(3)))
		switch {
		case c.chance(20):
			f = invalidFile(f.Path, "bad", pick(c.random, "bad", "worse"))
		case c.chance(30):
			f.Analysis = &v1alpha1.ProfileAnalysis{Permissive: c.chance(50), Dangerous: []string{pick(c.random, "a", "b")}, Grade: pick(c.random, "A", "B")}
		}
		files = append(files, f)
	}
	return files
}

func (c *changing) change() {
	nodeName := fmt.Sprintf("node-%d", c.IntN(20))
	switch c.IntN(8) {
	case 0:
		if len(c.nodes) > 0 {
			i := c.IntN(len(c.nodes))
			c.nodes = slices.Delete(slices.Clone(c.nodes), i, i+1)
		}
	case 1:
		n := c.cluster()
		c.nodes = append(slices.Clone(c.nodes), n[:min(len(n), 3)]...)
	case 2:
		files := c.files()
		set := &v1alpha1.ProfileSet{ObjectMeta: c.meta(v1alpha1.ProfileSetName(files)), Profiles: files}
		if c.chance(20) { // forged
			set.Profiles = c.files()
		}
		c.sets[set.Name] = set
	case 3:
		for name := range c.sets {
			delete(c.sets, name)
			break
		}
	case 4, 5:
		sn := &v1alpha1.SeccompNode{ObjectMeta: c.meta(nodeName)}
		sn.Facts.Truncated = c.chance(10)
		sn.Facts.Runtimes = []v1alpha1.Runtime{{LowLevel: pick(c.random, "runc", "crun")}}
		if sn.Facts.Profiles = c.files(); c.chance(80) {
			sn.Facts.Profiles = nil
			for name := range c.sets {
				sn.Facts.ProfileSet = name
				break
			}
		}
		c.facts[sn.Name] = sn
	case 6:
		l := localhost(fmt.Sprintf("p-%d", c.IntN(4)), pick(c.random, v1alpha1.Action("SCMP_ACT_ERRNO"), "SCMP_ACT_LOG", "SCMP_ACT_NONE"))
		l.ObjectMeta = c.meta(l.Name)
		l.Status.Served = pick(c.random, "", seccomp.DigestPath(l.Name, digest("0123456789ab")))
		c.profiles[l.Name] = l
	case 7:
		if c.chance(50) {
			delete(c.facts, nodeName)
		} else {
			delete(c.profiles, fmt.Sprintf("p-%d", c.IntN(4)))
		}
	}
}

func (c *changing) objects() Objects {
	o := Objects{Nodes: slices.Clone(c.nodes)}
	for _, sn := range c.facts {
		o.SeccompNodes = append(o.SeccompNodes, sn)
	}
	for _, set := range c.sets {
		o.ProfileSets = append(o.ProfileSets, set)
	}
	for _, l := range c.profiles {
		o.LocalhostProfiles = append(o.LocalhostProfiles, l)
	}
	return o
}

// TestRelease uses memory again and looks whether earlier answers change.
func TestRelease(t *testing.T) {
	x := NewIndex(Objects{
		Nodes:        nodesNamed("a1", "a2", "b1"),
		SeccompNodes: []*v1alpha1.SeccompNode{reports("a1"), reports("b1", fileAt("x.json", "1"))},
	})
	poolA := Placement{NodeSelector: map[string]string{"pool": "a"}}
	poolB := Placement{NodeSelector: map[string]string{"pool": "b"}}
	before := x.Eligible(&poolA)
	facts, summary := x.Profile(before, "x.json", &poolA), x.Summary(before)
	before.Release()
	plain := x.Eligible(&Placement{})
	plain.Release() // it belongs to the index: others must not write to it
	var held []NodeSet
	for range 4 {
		held = append(held, x.Eligible(&poolB), x.Eligible(&poolA))
	}
	for i, set := range held {
		want := []string{"b1"}
		if i%2 == 1 {
			want = []string{"a1", "a2"}
		}
		if d := cmp.Diff(want, namesIn(x, set)); d != "" {
			t.Errorf("set %d shares its memory (-want +got):\n%s", i, d)
		}
	}
	wantFacts := ProfileFacts{
		Path: "x.json", Valid: true,
		Nodes: NodeCounts{Eligible: 2, Missing: NodeCount{Count: 1, Examples: []string{"a1"}}, Unknown: NodeCount{Count: 1, Examples: []string{"a2"}}},
	}
	if d := cmp.Diff(wantFacts, facts); d != "" {
		t.Errorf("facts of a released set (-want +got):\n%s", d)
	}
	if d := cmp.Diff(NodeSummary{Eligible: 2, Architectures: []string{"SCMP_ARCH_X86_64"}}, summary); d != "" {
		t.Errorf("summary of a released set (-want +got):\n%s", d)
	}
	again := x.Eligible(&Placement{})
	if d := cmp.Diff([]string{"a1", "a2", "b1"}, namesIn(x, again)); d != "" {
		t.Errorf("the answer for plain pods changed (-want +got):\n%s", d)
	}
}

// TestConcurrentUse asks one index from many goroutines while its successors are built.
func TestConcurrentUse(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 1))}
	c := newChanging(r)
	for len(c.nodes) < 100 {
		c.nodes = append(c.nodes, r.cluster()...)
	}
	o := c.objects()
	x := NewIndex(o)
	pods := make([]Placement, 50)
	for i := range pods {
		pods[i] = r.placement(c.nodes)
	}
	want := answers(x, pods)
	var store Store
	store.Set(x)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 3 {
				if d := cmp.Diff(want, answers(store.Index(), pods)); d != "" {
					t.Errorf("an answer changed (-want +got):\n%s", d)
					return
				}
			}
		})
	}
	group.Go(func() {
		for range 20 {
			store.Set(store.Index().Next(o))
		}
	})
	group.Wait()
}
