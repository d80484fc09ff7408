// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
)

var (
	notReady = corev1.Taint{Key: "seccompgate.io/not-ready", Effect: corev1.TaintEffectNoSchedule}
	foreign  = corev1.Taint{Key: "dedicated", Value: "batch", Effect: corev1.TaintEffectNoSchedule}
)

// startupRig is the loop over one node.
type startupRig struct {
	*StartupTaint
	client *fake.Clientset
	events *events.FakeRecorder
	now    time.Time
	facts  inventory.Objects
}

func newStartupRig(t *testing.T, taints ...corev1.Taint) *startupRig {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u"}, Spec: corev1.NodeSpec{Taints: taints}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}}
	r := &startupRig{
		client: fake.NewClientset(node), events: events.NewFakeRecorder(10),
		now: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC),
	}
	r.facts.Nodes = []*corev1.Node{node.DeepCopy()}
	r.facts.LocalhostProfiles = newFleet(t, 0, 7).profiles(t)
	r.StartupTaint = &StartupTaint{Client: r.client, Events: r.events, Now: func() time.Time { return r.now }, Log: logr.Discard()}
	return r
}

// after lets time pass and looks.
func (r *startupRig) after(t *testing.T, d time.Duration) (done bool) {
	t.Helper()
	r.now = r.now.Add(d)
	done, err := r.sync(t.Context(), inventory.NewIndex(r.facts))
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// reports has the node report the first profiles.
func (r *startupRig) reports(t *testing.T, profiles int) {
	t.Helper()
	f := newFleet(t, 1, profiles)
	f.install(t, 1)
	r.facts.SeccompNodes = []*v1alpha1.SeccompNode{{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Facts: f.facts[0].Facts}}
}

func (r *startupRig) node(t *testing.T) *corev1.Node {
	t.Helper()
	node, err := r.client.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// said are the events since the last call.
func (r *startupRig) said() (all []string) {
	for {
		select {
		case e := <-r.events.Events:
			all = append(all, e)
		default:
			return all
		}
	}
}

// conditions are those of the node by type.
func (r *startupRig) conditions(t *testing.T) map[corev1.NodeConditionType]corev1.NodeCondition {
	t.Helper()
	all := make(map[corev1.NodeConditionType]corev1.NodeCondition)
	for _, c := range r.node(t).Status.Conditions {
		all[c.Type] = c
	}
	return all
}

// condition is ours, as text.
func (r *startupRig) condition(t *testing.T) string {
	t.Helper()
	if c, found := r.conditions(t)[profilesCondition]; found {
		return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
	}
	return ""
}

const silence = "the node has not reported its profiles; see whether seccomp-agent runs on it"

// TestStartupTaint: a node that does not get its profiles says so, and one that gets them
// loses the taint and nothing else.
func TestStartupTaint(t *testing.T) {
	r := newStartupRig(t, foreign, notReady)
	held := func(why string) {
		t.Helper()
		if d := cmp.Diff([]string{"Warning ProfilesNotVerified the taint seccompgate.io/not-ready stays: " + why}, r.said()); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
		if want := "False ProfilesNotVerified: " + why; r.condition(t) != want {
			t.Errorf("condition:\n got %q\nwant %q", r.condition(t), want)
		}
	}
	quiet := func() {
		t.Helper()
		if e := r.said(); len(e) > 0 {
			t.Errorf("events %q, want none", e)
		}
	}
	if r.after(t, 0) {
		t.Error("done while a node is held back")
	}
	r.after(t, 29*time.Second)
	quiet()
	r.after(t, time.Second)
	held(silence)
	r.after(t, 9*time.Minute)
	quiet()
	r.after(t, time.Minute)
	held(silence)

	// Something else is lacking now.
	r.reports(t, 1)
	r.after(t, 29*time.Second)
	quiet()
	r.after(t, time.Second)
	var parts []string
	for i := 1; i <= 5; i++ {
		parts = append(parts, fmt.Sprintf("LocalhostProfile p00%d is missing: seccompgate/p00%d.json does not exist", i, i))
	}
	held(strings.Join(parts, "; ") + "; and 1 more")
	if c := r.conditions(t)[profilesCondition]; !c.LastTransitionTime.Time.Before(r.now) || !c.LastHeartbeatTime.Time.Equal(r.now) {
		t.Errorf("times of the condition: %+v", c)
	}

	r.reports(t, 7)
	if !r.after(t, time.Second) {
		t.Error("not done, though no node is held back")
	}
	if d := cmp.Diff([]string{"Normal ProfilesVerified the node has the profiles that it is to have; the taint seccompgate.io/not-ready was removed"}, r.said()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	node := r.node(t)
	if d := cmp.Diff([]corev1.Taint{foreign}, node.Spec.Taints); d != "" {
		t.Errorf("taints (-want +got):\n%s", d)
	}
	if want := "True ProfilesVerified: the node has the profiles that it is to have"; r.condition(t) != want || r.conditions(t)[corev1.NodeReady].Reason != "KubeletReady" {
		t.Errorf("conditions %+v", node.Status.Conditions)
	}
}

// TestStartupTaintAtOnce: a node that has everything in time gets no condition.
func TestStartupTaintAtOnce(t *testing.T) {
	evicting := notReady
	evicting.Effect = corev1.TaintEffectNoExecute
	r := newStartupRig(t, notReady, foreign, evicting)
	r.reports(t, 7)
	r.after(t, 0)
	if node := r.node(t); !cmp.Equal([]corev1.Taint{foreign}, node.Spec.Taints) || r.condition(t) != "" {
		t.Errorf("taints %v, condition %q", node.Spec.Taints, r.condition(t))
	}
	// The inventory has not heard of it yet.
	r.said()
	r.after(t, time.Second)
	if e := r.said(); len(e) > 0 {
		t.Errorf("released twice: %q", e)
	}
}

// TestStartupTaintPatch is what keeps a taint that comes meanwhile: its place is tested.
func TestStartupTaintPatch(t *testing.T) {
	r := newStartupRig(t, foreign, notReady)
	r.reports(t, 7)
	var patches []string
	r.client.PrependReactor("patch", "nodes", func(a clienttesting.Action) (bool, runtime.Object, error) {
		patches = append(patches, string(a.(clienttesting.PatchAction).GetPatch()))
		return true, nil, errors.New("the server rejected our request")
	})
	done, err := r.sync(t.Context(), inventory.NewIndex(r.facts))
	if want := "release node n: the server rejected our request"; done && err == nil || err.Error() != want {
		t.Errorf("done %v, error %v; want %s", done, err, want)
	}
	want := `[{"op":"test","path":"/metadata/uid","value":"u"},{"op":"test","path":"/spec/taints/1","value":{"effect":"NoSchedule","key":"seccompgate.io/not-ready"}},{"op":"remove","path":"/spec/taints/1"}]`
	if len(patches) != 1 || normalised(t, patches[0]) != normalised(t, want) {
		t.Errorf("patches:\n got %s\nwant %s", patches, want)
	}
}

func normalised(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
