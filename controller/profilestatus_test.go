// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/seccomp"
)

// How a status follows the nodes of a real API server is tested in e2e. Here are the clock
// and what fails.

// fleet is a cluster whose nodes get their profiles one after the other.
type fleet struct {
	client.Client
	nodes []*corev1.Node
	facts []*v1alpha1.SeccompNode
	// digest of the one content that all profiles have.
	digest string

	// writes of a status are counted, and fail with failure when that is not nil.
	writes  int
	failure error
}

func newFleet(t *testing.T, nodes, profiles int) *fleet {
	t.Helper()
	content, err := seccomp.Parse([]byte(`{"defaultAction":"SCMP_ACT_ERRNO"}`))
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{digest: seccomp.Digest(content.Marshal())}
	for i := range nodes {
		meta := metav1.ObjectMeta{Name: fmt.Sprintf("n%05d", i)}
		f.nodes = append(f.nodes, &corev1.Node{ObjectMeta: meta})
		f.facts = append(f.facts, &v1alpha1.SeccompNode{ObjectMeta: meta})
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.LocalhostProfile{}).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, subresource string, o client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			if f.writes++; f.failure != nil {
				return f.failure
			}
			return c.SubResource(subresource).Patch(ctx, o, patch, opts...)
		},
	})
	for i := range profiles {
		name := fmt.Sprintf("p%03d", i)
		b.WithObjects(&v1alpha1.LocalhostProfile{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: 1},
			Spec:       v1alpha1.LocalhostProfileSpec{Profile: v1alpha1.OCIProfile{DefaultAction: "SCMP_ACT_ERRNO"}},
		})
	}
	f.Client = b.Build()
	return f
}

func (f *fleet) profiles(t *testing.T) []*v1alpha1.LocalhostProfile {
	t.Helper()
	var list v1alpha1.LocalhostProfileList
	if err := f.List(context.Background(), &list); err != nil {
		t.Fatal(err)
	}
	var profiles []*v1alpha1.LocalhostProfile
	for i := range list.Items {
		profiles = append(profiles, &list.Items[i])
	}
	return profiles
}

// install has the first nodes report every profile.
func (f *fleet) install(t *testing.T, nodes int) {
	t.Helper()
	var files []v1alpha1.ProfileFile
	for _, p := range f.profiles(t) {
		for _, path := range []string{seccomp.PlainPath(p.Name), seccomp.DigestPath(p.Name, f.digest)} {
			files = append(files, v1alpha1.ProfileFile{Path: path, Digest: f.digest, Valid: true})
		}
	}
	for _, facts := range f.facts[:nodes] {
		facts.Facts.Profiles = files
	}
}

// index is what the inventory makes of the fleet now.
func (f *fleet) index(t *testing.T) *inventory.Index {
	t.Helper()
	return inventory.NewIndex(inventory.Objects{Nodes: f.nodes, SeccompNodes: f.facts, LocalhostProfiles: f.profiles(t)})
}

// watched runs the loop in a bubble of its own time. Between the calls of step, which are a
// second apart, the inventory hears of what has changed.
func (f *fleet) watched(t *testing.T, seconds int, step func(second int)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := &inventory.Store{}
		loop := &ProfileStatus{Client: f, Facts: store, Log: logr.Discard()}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- loop.Start(ctx) }()
		for second := range seconds {
			step(second)
			store.Set(f.index(t))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestStatusWritesAreFew: 3,000 nodes that get a profile within a minute, 50 a second, are
// no 3,000 writes.
func TestStatusWritesAreFew(t *testing.T) {
	f := newFleet(t, 3000, 1)
	f.watched(t, 80, func(second int) { f.install(t, min(50*second, 3000)) })
	got := f.profiles(t)[0].Status
	if want := (v1alpha1.ProfileNodes{Desired: 3000, Installed: 3000}); !cmp.Equal(want, got.Nodes) || got.Served != seccomp.DigestPath("p000", f.digest) {
		t.Errorf("in the end %+v is served as %q", got.Nodes, got.Served)
	}
	// The first, one every ten seconds, the last.
	if f.writes > 9 {
		t.Errorf("%d writes, want at most 9", f.writes)
	}
}

// TestStatusOfManyProfiles: who starts with 200 profiles does not write them all at once,
// and then writes nothing.
func TestStatusOfManyProfiles(t *testing.T) {
	f := newFleet(t, 1, 200)
	f.install(t, 1)
	var at []int
	f.watched(t, 40, func(int) { at = append(at, f.writes) })
	if at[1] > statusBurst || at[10] > statusBurst+10*statusRate || f.writes != 200 {
		t.Errorf("%d writes after a second, %d after ten, %d in the end", at[1], at[10], f.writes)
	}
	for _, p := range f.profiles(t) {
		if p.Status.Nodes.Installed != 1 {
			t.Errorf("%s: %+v", p.Name, p.Status)
		}
	}
}

// TestStatusIsRestored: nobody else writes a status for long.
func TestStatusIsRestored(t *testing.T) {
	f := newFleet(t, 1, 1)
	f.install(t, 1)
	f.watched(t, 6, func(second int) {
		if second != 3 {
			return
		}
		p := f.profiles(t)[0]
		p.Status.Served, p.Status.Conditions = "seccompgate/p000.000000000000.json", nil
		if err := f.Status().Update(context.Background(), p); err != nil {
			t.Fatal(err)
		}
	})
	if p := f.profiles(t)[0]; p.Status.Served != seccomp.DigestPath("p000", f.digest) || len(p.Status.Conditions) != 1 {
		t.Errorf("%+v", p.Status)
	}
}

// TestStatusIsTriedAgain: more and more rarely.
func TestStatusIsTriedAgain(t *testing.T) {
	f := newFleet(t, 1, 3)
	f.failure = errors.New("connection refused")
	f.watched(t, 100, func(second int) {
		if second == 90 {
			f.failure = nil
		}
	})
	// After 1, 3, 7, 15, 31, 63 seconds; the next is a minute later.
	if f.writes != 6 {
		t.Errorf("%d tries in 100 seconds, want 6", f.writes)
	}
	f.watched(t, 2, func(int) {})
	for _, p := range f.profiles(t) {
		if p.Status.Digest != f.digest {
			t.Errorf("%s was given up: %+v", p.Name, p.Status)
		}
	}
}

// TestStatusWaitsForIndex: a spec that the inventory has not seen gets no status of the one
// before it.
func TestStatusWaitsForIndex(t *testing.T) {
	f := newFleet(t, 1, 1)
	index := f.index(t)
	p := f.profiles(t)[0]
	p.Generation = 2
	if err := f.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	loop := &ProfileStatus{Client: f, Log: logr.Discard()}
	if done, err := loop.sync(t.Context(), index); done || err != nil || f.writes > 0 {
		t.Errorf("with an old index: done %v, %v, %d writes", done, err, f.writes)
	}
	if done, err := loop.sync(t.Context(), f.index(t)); !done || err != nil || f.writes != 1 {
		t.Errorf("with a new one: done %v, %v, %d writes", done, err, f.writes)
	}
}

func TestReadiness(t *testing.T) {
	late := inventory.Standing{Node: "b", State: inventory.Missing, Reason: "x.json does not exist"}
	wrong := inventory.Standing{Node: "c", State: inventory.Drifted, Reason: "x.json has another content"}
	unknown := inventory.NodeCount{Count: 5, Examples: []string{"u", "v", "w"}}
	for _, tc := range []struct {
		rollout inventory.Rollout
		want    string
	}{
		{inventory.Rollout{}, "True NoNodes: no node is to have it; see spec.nodeSelector"},
		{inventory.Rollout{Desired: 1, Installed: 1}, "True Installed: installed on 1 of 1 node"},
		{inventory.Rollout{Desired: 7, Installed: 2, Unknown: unknown}, "Unknown NodesUnknown: installed on 2 of 7 nodes; 5 unknown: u, v, w and 2 more"},
		{
			inventory.Rollout{Desired: 9, Installed: 2, Lacking: 2, Unknown: unknown, Shown: []inventory.Standing{late}},
			"False RollingOut: installed on 2 of 9 nodes; 5 unknown: u, v, w and 2 more; lacking on 2, node b: x.json does not exist",
		},
		{
			inventory.Rollout{Desired: 2, Lacking: 2, Shown: []inventory.Standing{wrong, late}},
			"False NodesFailed: installed on 0 of 2 nodes; lacking on 2, node c: x.json has another content",
		},
		{
			inventory.Rollout{Desired: 2, Installed: 1, Lacking: 1, Shown: []inventory.Standing{{Node: "b", State: inventory.Missing, Reason: "cannot be written: no space left on device", Failed: true}}},
			"False NodesFailed: installed on 1 of 2 nodes; lacking on 1, node b: cannot be written: no space left on device",
		},
		{inventory.Rollout{Desired: 2, Lacking: 2, Problem: "it cannot be written"}, "False InvalidProfile: it cannot be written"},
	} {
		c := readiness(&tc.rollout)
		if got := fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message); got != tc.want {
			t.Errorf("readiness:\n got %q\nwant %q", got, tc.want)
		}
	}
}

// TestStatusOf keeps what is not its own, and stays within the bounds of the schema.
func TestStatusOf(t *testing.T) {
	then := metav1.NewTime(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC))
	theirs := metav1.Condition{Type: "Reviewed", Status: metav1.ConditionTrue, Reason: "ByAPerson", LastTransitionTime: then}
	ours := metav1.Condition{Type: "Ready", Status: metav1.ConditionFalse, Reason: "RollingOut", LastTransitionTime: then, ObservedGeneration: 1}
	long := strings.Repeat("ä", 200)
	before := &v1alpha1.LocalhostProfileStatus{Conditions: []metav1.Condition{theirs, ours}}
	got := statusOf(before, &inventory.Rollout{
		Generation: 2, Digest: "d", Desired: 1, Lacking: 1, Shown: []inventory.Standing{{Node: "a", State: inventory.Invalid, Reason: long}},
	}, then.Add(time.Hour))
	ours.Reason, ours.ObservedGeneration = "NodesFailed", 2
	ours.Message = "installed on 0 of 1 node; lacking on 1, node a: " + long
	want := v1alpha1.LocalhostProfileStatus{
		ObservedGeneration: 2, Digest: "d",
		Nodes:      v1alpha1.ProfileNodes{Desired: 1, Failed: []v1alpha1.ProfileFailure{{Node: "a", Reason: strings.Repeat("ä", 126) + "..."}}},
		Conditions: []metav1.Condition{theirs, ours},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	if before.Conditions[1].Reason != "RollingOut" {
		t.Error("the status before was changed")
	}
}
