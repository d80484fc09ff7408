// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

const appPlain = "seccompgate/app.json"

// generationOf is the path that a content of the profile app has by its digest.
func generationOf(digest string) string { return seccomp.DigestPath("app", digest) }

// holds are valid files by path and digest, one after the other.
func holds(pathsAndDigests ...string) []v1alpha1.ProfileFile {
	var files []v1alpha1.ProfileFile
	for i := 0; i < len(pathsAndDigests); i += 2 {
		files = append(files, v1alpha1.ProfileFile{Path: pathsAndDigests[i], Digest: pathsAndDigests[i+1], Valid: true})
	}
	return files
}

// failing is the report of an agent that could not write the profile app.
func failing(sn *v1alpha1.SeccompNode, reason string) *v1alpha1.SeccompNode {
	sn.Facts.Failures = []v1alpha1.WriteFailure{{Profile: "app", Reason: reason}}
	return sn
}

func TestRollout(t *testing.T) {
	current := written(t, `{"defaultAction":"SCMP_ACT_ERRNO"}`)
	earlier := digest("abcdef012345")
	newest, before := generationOf(current), generationOf(earlier)
	done := holds(appPlain, current, newest, current, before, earlier)
	fresh := holds(appPlain, current, newest, current)
	behind := holds(appPlain, earlier, before, earlier)
	still := appPlain + " still has an earlier content, " + earlier

	windowsNode := nodesNamed("w")[0]
	windowsNode.Status.NodeInfo.OperatingSystem = windows
	tainted := nodesNamed("t")[0]
	tainted.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}}

	invalid := holds(newest, current)
	invalid = append(invalid, invalidFile(appPlain, "1", "not JSON"))
	for _, tc := range []struct {
		name    string
		nodes   []*corev1.Node
		profile *v1alpha1.LocalhostProfile
		reports []*v1alpha1.SeccompNode
		want    Rollout
	}{
		{
			name: "nobody has reported", nodes: nodesNamed("a", "b"),
			want: Rollout{Desired: 2, Unknown: NodeCount{2, []string{"a", "b"}}},
		}, {
			name: "all have it, Windows and taints aside", nodes: append(nodesNamed("a"), windowsNode, tainted),
			reports: []*v1alpha1.SeccompNode{reports("a", done...), reports("t", fresh...), reports("w")},
			want:    Rollout{Desired: 2, Installed: 2, Served: newest},
		}, {
			name: "the first one, half done", nodes: nodesNamed("a", "b"),
			reports: []*v1alpha1.SeccompNode{reports("a", fresh...), reports("b")},
			want: Rollout{
				Desired: 2, Installed: 1, Lacking: 1,
				Shown: []Standing{{Node: "b", State: Missing, Reason: appPlain + " does not exist"}},
			},
		}, {
			name: "who has not reported does not hold it up", nodes: nodesNamed("a", "b"),
			reports: []*v1alpha1.SeccompNode{reports("a", fresh...)},
			want:    Rollout{Desired: 2, Installed: 1, Unknown: NodeCount{1, []string{"b"}}, Served: newest},
		}, {
			name: "an update, half done, keeps what is served", nodes: nodesNamed("a", "b"),
			profile: served(localhost("app", "SCMP_ACT_ERRNO"), before),
			reports: []*v1alpha1.SeccompNode{reports("a", done...), reports("b", behind...)},
			want: Rollout{
				Desired: 2, Installed: 1, Lacking: 1, Served: before,
				Shown: []Standing{{Node: "b", State: Missing, Digest: earlier, Reason: still}},
			},
		}, {
			name: "a new node without any file keeps it, too", nodes: nodesNamed("a", "b", "c"),
			profile: served(localhost("app", "SCMP_ACT_ERRNO"), before),
			reports: []*v1alpha1.SeccompNode{reports("a", done...), reports("b", behind...), reports("c")},
			want: Rollout{
				Desired: 3, Installed: 1, Lacking: 2, Served: before,
				Shown: []Standing{
					{Node: "b", State: Missing, Digest: earlier, Reason: still},
					{Node: "c", State: Missing, Reason: appPlain + " does not exist"},
				},
			},
		}, {
			name: "no content in common: the path that all have", nodes: nodesNamed("a", "b"),
			profile: served(localhost("app", "SCMP_ACT_ERRNO"), before),
			reports: []*v1alpha1.SeccompNode{reports("a", fresh...), reports("b", behind...)},
			want: Rollout{
				Desired: 2, Installed: 1, Lacking: 1, Served: appPlain,
				Shown: []Standing{{Node: "b", State: Missing, Digest: earlier, Reason: still}},
			},
		}, {
			name: "a file that belies its name is not served", nodes: nodesNamed("a"),
			reports: []*v1alpha1.SeccompNode{reports("a", holds(appPlain, current, newest, earlier)...)},
			want: Rollout{
				Desired: 1, Lacking: 1, Served: appPlain,
				Shown: []Standing{{Node: "a", State: Drifted, Digest: current, Reason: newest + " has the content " + earlier + ", which its name denies"}},
			},
		}, {
			name: "what is wrong comes before what is late", nodes: nodesNamed("a", "b", "c"),
			reports: []*v1alpha1.SeccompNode{reports("a"), reports("b", holds(appPlain, digest("1"), newest, current)...), reports("c", invalid...)},
			want: Rollout{
				Desired: 3, Lacking: 3,
				Shown: []Standing{
					{Node: "b", State: Drifted, Digest: digest("1"), Reason: appPlain + " has the content " + digest("1") + ", which is not that of the LocalhostProfile, " + current},
					{Node: "c", State: Invalid, Digest: digest("1"), Reason: appPlain + ": not JSON"},
				},
			},
		}, {
			name: "files that somebody else wrote have no generation", nodes: nodesNamed("a", "b"),
			reports: []*v1alpha1.SeccompNode{reports("a", holds(appPlain, current)...), reports("b", holds(appPlain, current)...)},
			want:    Rollout{Desired: 2, Installed: 2, Served: appPlain},
		}, {
			name: "where one has a generation, all are to have it", nodes: nodesNamed("a", "b"),
			reports: []*v1alpha1.SeccompNode{reports("a", fresh...), reports("b", holds(appPlain, current)...)},
			want: Rollout{
				Desired: 2, Installed: 1, Lacking: 1, Served: appPlain,
				Shown: []Standing{{Node: "b", State: Missing, Digest: current, Reason: newest + " does not exist"}},
			},
		}, {
			name: "what an agent cannot write is no matter of waiting", nodes: nodesNamed("a", "b", "c"),
			reports: []*v1alpha1.SeccompNode{reports("a"), failing(reports("b", behind...), "no space left on device"), failing(reports("c", fresh...), "which it could in the end")},
			want: Rollout{
				Desired: 3, Installed: 1, Lacking: 2,
				Shown: []Standing{
					{Node: "b", State: Missing, Digest: earlier, Reason: "cannot be written: no space left on device", Failed: true},
					{Node: "a", State: Missing, Reason: appPlain + " does not exist"},
				},
			},
		}, {
			name: "more files than are listed", nodes: nodesNamed("a"),
			reports: []*v1alpha1.SeccompNode{truncated(reports("a"))},
			want:    Rollout{Desired: 1, Unknown: NodeCount{1, []string{"a"}}},
		}, {
			name: "the nodes of a selector", nodes: nodesNamed("a1", "a2", "b"),
			profile: onNodes(localhost("app", "SCMP_ACT_ERRNO"), map[string]string{"pool": "a"}),
			reports: []*v1alpha1.SeccompNode{reports("a1", fresh...), reports("a2", fresh...)},
			want:    Rollout{Desired: 2, Installed: 2, Served: newest},
		}, {
			name:    "nodes that come back have what they had",
			nodes:   nodesNamed("a"),
			profile: served(localhost("app", "SCMP_ACT_ERRNO"), before),
			want:    Rollout{Desired: 1, Unknown: NodeCount{1, []string{"a"}}, Served: before},
		}, {
			name:    "nodes that are still to come get the newest",
			profile: served(localhost("app", "SCMP_ACT_ERRNO"), before),
		}, {
			name: "a content that cannot be written keeps what is served", nodes: nodesNamed("a"),
			profile: served(localhost("app", "SCMP_ACT_NOTIFY"), before),
			reports: []*v1alpha1.SeccompNode{reports("a", behind...)},
			want:    Rollout{Desired: 1, Lacking: 1, Served: before, Problem: notifyProblem},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.profile == nil {
				tc.profile = localhost("app", "SCMP_ACT_ERRNO")
			}
			tc.profile.UID, tc.profile.Generation = "u", 7
			tc.want.UID, tc.want.Generation = "u", 7
			if tc.want.Problem == "" {
				tc.want.Digest = current
			}
			x := NewIndex(Objects{Nodes: tc.nodes, SeccompNodes: tc.reports, LocalhostProfiles: []*v1alpha1.LocalhostProfile{tc.profile}})
			got, known := x.Rollout("app", 2)
			if d := cmp.Diff(tc.want, got); d != "" || !known {
				t.Errorf("known %v, Rollout (-want +got):\n%s", known, d)
			}
		})
	}
}

const notifyProblem = `LocalhostProfile app cannot be written to nodes: spec.profile: defaultAction: SCMP_ACT_NOTIFY cannot be the default action: no container starts; use SCMP_ACT_ERRNO and give SCMP_ACT_NOTIFY to single syscalls`

// TestRolloutShows bounds what is shown, not what is counted.
func TestRolloutShows(t *testing.T) {
	var names []string
	var facts []*v1alpha1.SeccompNode
	for i := range 300 {
		names = append(names, fmt.Sprintf("n%03d", i))
		files := holds()
		if i >= 298 {
			files = holds(appPlain, digest("1"))
		}
		facts = append(facts, reports(names[i], files...))
	}
	x := NewIndex(Objects{Nodes: nodesNamed(names...), SeccompNodes: facts, LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")}})
	r, _ := x.Rollout("app", 4)
	var shown []string
	for _, s := range r.Shown {
		shown = append(shown, s.Node+" "+string(s.State))
	}
	if want := []string{"n298 drifted", "n299 drifted", "n000 missing", "n001 missing"}; !cmp.Equal(want, shown) || r.Lacking != 300 {
		t.Errorf("%d lack it, shown %v; want 300 and %v", r.Lacking, shown, want)
	}
	if _, known := x.Rollout("ap", 4); known {
		t.Error("a profile that does not exist is rolled out")
	}
}

// TestHeldBack is what decides whether a node may take pods.
func TestHeldBack(t *testing.T) {
	current := written(t, `{"defaultAction":"SCMP_ACT_ERRNO"}`)
	nodes := nodesNamed("a", "b", "c")
	for _, n := range nodes[:2] {
		n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoExecute}, {Key: "x", Value: "y", Effect: corev1.TaintEffectNoSchedule}}
	}
	x := NewIndex(Objects{
		Nodes:        nodes,
		SeccompNodes: []*v1alpha1.SeccompNode{reports("a", holds(appPlain, digest("1"))...)},
		LocalhostProfiles: []*v1alpha1.LocalhostProfile{
			localhost("app", "SCMP_ACT_ERRNO"), localhost("notify", "SCMP_ACT_NOTIFY"),
			onNodes(localhost("elsewhere", "SCMP_ACT_ERRNO"), map[string]string{"pool": "b"}),
		},
	})
	want := map[string]map[string]Standing{
		"a": {"app": {Node: "a", State: Drifted, Digest: digest("1"), Reason: appPlain + " has the content " + digest("1") + ", which is not that of the LocalhostProfile, " + current}},
		"b": {
			"app":       {Node: "b", State: Unknown, Reason: "the node has not reported"},
			"elsewhere": {Node: "b", State: Unknown, Reason: "the node has not reported"},
		},
	}
	got := make(map[string]map[string]Standing)
	for _, node := range x.Tainted("x") {
		got[node] = x.Lacking(node)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("nodes with the taint and what they lack (-want +got):\n%s", d)
	}
	if !x.Reported("a") || x.Reported("b") || x.Reported("z") {
		t.Error("only a has reported")
	}
	if names := x.Tainted("z"); len(names) > 0 {
		t.Errorf("taint z is on %s", strings.Join(names, ", "))
	}
}

// TestStandingAfterFailure: what a node has counts, whatever was said about it before.
func TestStandingAfterFailure(t *testing.T) {
	current := written(t, `{"defaultAction":"SCMP_ACT_ERRNO"}`)
	x := NewIndex(Objects{
		Nodes:             nodesNamed("a"),
		SeccompNodes:      []*v1alpha1.SeccompNode{failing(reports("a", holds(appPlain, current)...), "no space left on device")},
		LocalhostProfiles: []*v1alpha1.LocalhostProfile{localhost("app", "SCMP_ACT_ERRNO")},
	})
	got, known := x.Standing("app", "a")
	if d := cmp.Diff(Standing{Node: "a", State: Present, Digest: current}, got); d != "" || !known {
		t.Errorf("known %v, Standing (-want +got):\n%s", known, d)
	}
}

// TestSeccompDefault tells off from unknown.
func TestSeccompDefault(t *testing.T) {
	on, off := reports("on"), reports("off")
	on.Facts.SeccompDefault, off.Facts.SeccompDefault = new(true), new(false)
	x := NewIndex(Objects{Nodes: nodesNamed("on", "off", "silent"), SeccompNodes: []*v1alpha1.SeccompNode{on, off}})
	got := make(map[string][2]bool)
	for _, name := range []string{"on", "off", "silent", "absent"} {
		value, known := x.SeccompDefault(name)
		got[name] = [2]bool{value, known}
	}
	want := map[string][2]bool{"on": {true, true}, "off": {false, true}, "silent": {}, "absent": {}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("SeccompDefault (-want +got):\n%s", d)
	}
}
