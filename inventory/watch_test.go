// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	cachetesting "k8s.io/client-go/tools/cache/testing"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// source is one kind of objects of an API server.
type source struct {
	*cachetesting.FakeControllerSource
	// fails has both list and watch fail.
	fails atomic.Bool
}

func (s *source) List(options metav1.ListOptions) (runtime.Object, error) {
	if s.fails.Load() {
		return nil, errors.New("out of order")
	}
	return s.FakeControllerSource.List(options)
}

func (s *source) Watch(options metav1.ListOptions) (watch.Interface, error) {
	if s.fails.Load() {
		return nil, errors.New("out of order")
	}
	return s.FakeControllerSource.Watch(options)
}

// IsWatchListSemanticsUnSupported has client-go list and watch.
func (s *source) IsWatchListSemanticsUnSupported() bool { return true }

// server is an API server of which only lists and watches are left. It lives in a
// bubble of package synctest: its time passes only when everything waits.
type server struct {
	nodes, seccompNodes, profileSets, localhostProfiles, namespaces, agents *source

	store Store
	stop  context.CancelFunc
	done  chan error

	mu  sync.Mutex
	log []string
}

func newServer() *server {
	s := &server{done: make(chan error, 1)}
	for _, kind := range []**source{&s.nodes, &s.seccompNodes, &s.profileSets, &s.localhostProfiles, &s.namespaces, &s.agents} {
		*kind = &source{FakeControllerSource: cachetesting.NewFakeControllerSource()}
	}
	return s
}

func (s *server) kinds() []*source {
	return []*source{s.nodes, s.seccompNodes, s.profileSets, s.localhostProfiles, s.namespaces, s.agents}
}

// start watches until the test ends.
func (s *server) start(t *testing.T) {
	log := funcr.New(func(_, args string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log = append(s.log, args)
	}, funcr.Options{Verbosity: 1})
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	from := sources{s.nodes, s.seccompNodes, s.profileSets, s.localhostProfiles, s.namespaces, s.agents}
	go func() { s.done <- watchSources(ctx, from, &s.store, log) }()
}

// end stops watching. What runs on is a deadlock of the bubble.
func (s *server) end(t *testing.T) {
	s.stop()
	if err := <-s.done; err != nil {
		t.Errorf("watch: %v", err)
	}
	for _, kind := range s.kinds() {
		kind.Shutdown()
	}
}

// logged are the lines with the message.
func (s *server) logged(message string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, line := range s.log {
		if strings.Contains(line, message) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (s *server) builds() int { return len(s.logged(`"msg"="Inventory rebuilt"`)) }

// settle waits until nothing is left to be done, and some time.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func namespace(name string, labels map[string]string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// bubbles counts those of all tests.
var bubbles atomic.Int64

// bubble runs a test of a server, and looks for goroutines that stay behind.
func bubble(t *testing.T, test func(t *testing.T, s *server)) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	today := time.Now()
	synctest.Test(t, func(t *testing.T) {
		// The time of every bubble begins on the same day years ago. apimachinery remembers
		// when it last logged an error, from the start of the process on, and waits for that
		// time to come: no bubble may lie before another.
		time.Sleep(time.Until(today) + 24*time.Hour*time.Duration(bubbles.Add(1)))
		test(t, newServer())
	})
}

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		set := setOf(fileAt("x.json", "1"))
		s.nodes.Add(nodesNamed("a1")[0])
		s.seccompNodes.Add(refersTo("a1", set.Name))
		s.profileSets.Add(set)
		s.localhostProfiles.Add(localhost("app", "SCMP_ACT_ERRNO"))
		s.namespaces.Add(namespace("team", map[string]string{v1alpha1.EnforceLabel: "baseline"}))
		s.start(t)
		defer s.end(t)
		settle(time.Second)

		if !s.store.Synced() {
			t.Fatal("not synced")
		}
		x := s.store.Index()
		if got := lookup(x, Placement{}, "x.json").Nodes; got.Have != 1 || got.Eligible != 1 {
			t.Errorf("x.json: %+v", got)
		}
		if d := cmp.Diff([]string{"app"}, x.Names()); d != "" {
			t.Errorf("Names (-want +got):\n%s", d)
		}
		if labels, known := s.store.NamespaceLabels("team"); !known || labels[v1alpha1.EnforceLabel] != "baseline" {
			t.Errorf("labels of team: %v, %t", labels, known)
		}
		if _, known := s.store.NamespaceLabels("other"); known {
			t.Error("a namespace that does not exist is known")
		}
	})
}

func TestStoreBeforeTheFirstIndex(t *testing.T) {
	var s Store
	if s.Synced() || s.Index().Nodes() != 0 {
		t.Errorf("synced %t with %d nodes", s.Synced(), s.Index().Nodes())
	}
	if got := lookup(s.Index(), Placement{}, "x.json"); got.Nodes.Eligible != 0 || !got.Valid {
		t.Errorf("%+v", got)
	}
	if _, known := s.NamespaceLabels("team"); known {
		t.Error("a namespace is known")
	}
}

// TestWatchSyncsAfterAllKinds holds back one kind after the other.
func TestWatchSyncsAfterAllKinds(t *testing.T) {
	for i, name := range []string{"nodes", "seccompNodes", "profileSets", "localhostProfiles", "namespaces", "agents"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				kind := s.kinds()[i]
				kind.fails.Store(true)
				s.start(t)
				defer s.end(t)
				settle(5 * time.Minute)
				if s.store.Synced() {
					t.Errorf("synced without %s", name)
				}
				if len(s.logged("out of order")) < 3 {
					t.Errorf("%d failures are logged, want one for each of many tries", len(s.logged("out of order")))
				}
				kind.fails.Store(false)
				settle(2 * time.Minute) // client-go waits up to a minute between tries
				if !s.store.Synced() {
					t.Errorf("not synced although %s can be read", name)
				}
			})
		})
	}
}

func TestWatchEndsBeforeSync(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		s.nodes.fails.Store(true)
		s.start(t)
		settle(time.Second)
		s.end(t)
		if s.store.Synced() {
			t.Error("synced without nodes")
		}
	})
}

// TestWatchDebounces counts builds: one at once after a rest, then one for all changes
// of half a second.
func TestWatchDebounces(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		s.start(t)
		defer s.end(t)
		settle(10 * time.Second)
		if n := s.builds(); n != 1 {
			t.Fatalf("%d builds of an empty cluster, want 1", n)
		}

		s.nodes.Add(nodesNamed("a1")[0])
		synctest.Wait()
		if n, nodes := s.builds(), s.store.Index().Nodes(); n != 2 || nodes != 1 {
			t.Errorf("after a rest: %d builds, %d nodes; want 2 and 1, at once", n, nodes)
		}

		before := s.store.Index()
		for _, n := range nodesNamed("a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9") {
			settle(50 * time.Millisecond)
			s.nodes.Add(n)
			s.seccompNodes.Add(reports(n.Name))
		}
		settle(99 * time.Millisecond) // 499 ms after the build
		if s.store.Index() != before {
			t.Error("rebuilt before half a second was over")
		}
		settle(2 * time.Millisecond)
		if n, nodes := s.builds(), s.store.Index().Nodes(); n != 3 || nodes != 9 {
			t.Errorf("after half a second: %d builds, %d nodes; want 3 and 9", n, nodes)
		}
		settle(time.Minute)
		if n := s.builds(); n != 3 {
			t.Errorf("%d builds though nothing changed, want 3", n)
		}
	})
}

// TestWatchIgnoresWhatItDoesNotKeep changes a node's status as kubelets do.
func TestWatchIgnoresWhatItDoesNotKeep(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		n := nodesNamed("a1")[0]
		s.nodes.Add(n)
		s.start(t)
		defer s.end(t)
		settle(10 * time.Second)
		change := func(f func(*corev1.Node)) int {
			before := s.builds()
			n = n.DeepCopy()
			f(n)
			s.nodes.Modify(n)
			settle(10 * time.Second)
			return s.builds() - before
		}
		if got := change(func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, LastHeartbeatTime: metav1.Now()}}
			n.Annotations = map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
			n.Status.Images = []corev1.ContainerImage{{Names: []string{"x"}}}
		}); got != 0 {
			t.Errorf("%d builds for a heartbeat", got)
		}
		if got := change(func(n *corev1.Node) { n.Labels = map[string]string{"pool": "z"} }); got != 1 {
			t.Errorf("%d builds for a label, want 1", got)
		}
		if got := change(func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: "NoSchedule"}} }); got != 1 {
			t.Errorf("%d builds for a taint, want 1", got)
		}
		if set := s.store.Index().Eligible(&Placement{NodeSelector: map[string]string{"pool": "z"}}); set.Len() != 0 {
			t.Error("the taint does not count")
		}
		s.nodes.Delete(n)
		settle(time.Second)
		if got := s.store.Index().Nodes(); got != 0 {
			t.Errorf("%d nodes after the only one was deleted", got)
		}
	})
}

// TestWatchNamespacesAtOnce changes labels while an index is not due for long.
func TestWatchNamespacesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		s.nodes.fails.Store(true) // there is no index, and none in sight
		s.namespaces.Add(namespace("early", map[string]string{"a": "1"}))
		s.start(t)
		defer s.end(t)
		settle(time.Second)
		labels := func(name string) any {
			labels, known := s.store.NamespaceLabels(name)
			if !known {
				return nil
			}
			return labels
		}
		if d := cmp.Diff(any(map[string]string{"a": "1"}), labels("early")); d != "" {
			t.Errorf("before the first index (-want +got):\n%s", d)
		}
		s.nodes.fails.Store(false)
		settle(5 * time.Minute)
		builds := s.builds()

		team := namespace("team", map[string]string{"a": "1"})
		s.namespaces.Add(team)
		synctest.Wait()
		if d := cmp.Diff(any(map[string]string{"a": "1"}), labels("team")); d != "" {
			t.Errorf("a new namespace (-want +got):\n%s", d)
		}
		team = namespace("team", map[string]string{"a": "2"})
		s.namespaces.Modify(team)
		synctest.Wait()
		if d := cmp.Diff(any(map[string]string{"a": "2"}), labels("team")); d != "" {
			t.Errorf("a changed namespace (-want +got):\n%s", d)
		}
		s.namespaces.Delete(team)
		synctest.Wait()
		if got := labels("team"); got != nil {
			t.Errorf("a deleted namespace has labels: %v", got)
		}

		// One that disappears while nobody watches.
		s.namespaces.fails.Store(true)
		s.namespaces.ResetWatch()
		s.namespaces.Delete(namespace("early", nil))
		settle(time.Minute)
		if got := labels("early"); got == nil {
			t.Error("labels are forgotten while they cannot be read")
		}
		s.namespaces.fails.Store(false)
		settle(5 * time.Minute)
		if got := labels("early"); got != nil {
			t.Errorf("a namespace that was deleted unseen has labels: %v", got)
		}
		if got := s.builds(); got != builds {
			t.Errorf("%d builds for namespaces", got-builds)
		}
	})
}

// TestWatchRefusesInvalidObjects has what the API server would not have let pass.
func TestWatchRefusesInvalidObjects(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		climbing := []v1alpha1.ProfileFile{fileAt("../x.json", "1"), fileAt("x.json", "1")}
		named := strings.Repeat("0", 32)
		for _, n := range nodesNamed("a1", "a2", "a3", "a4", "a5") {
			s.nodes.Add(n)
		}
		s.seccompNodes.Add(reports("a1", climbing...))
		s.seccompNodes.Add(refersTo("a2", v1alpha1.ProfileSetName(climbing)))
		s.seccompNodes.Add(refersTo("a3", named))
		s.seccompNodes.Add(reports("a4", fileAt("x.json", "1")))
		s.seccompNodes.Add(refersTo("a5", v1alpha1.ProfileSetName(nil)))
		s.profileSets.Add(setOf(climbing...))
		s.profileSets.Add(&v1alpha1.ProfileSet{ObjectMeta: metav1.ObjectMeta{Name: named}, Profiles: []v1alpha1.ProfileFile{fileAt("x.json", "1")}})
		s.profileSets.Add(&v1alpha1.ProfileSet{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ProfileSetName(nil)}, Profiles: climbing})
		s.localhostProfiles.Add(localhost("app", "SCMP_ACT_NONE"))
		s.start(t)
		defer s.end(t)
		settle(time.Second)

		x := s.store.Index()
		want := NodeCounts{Eligible: 5, Have: 1, Unknown: NodeCount{Count: 4, Examples: []string{"a1", "a2", "a3"}}}
		if d := cmp.Diff(want, lookup(x, Placement{}, "x.json").Nodes); d != "" {
			t.Errorf("Nodes (-want +got):\n%s", d)
		}
		if path, known := x.PathOf("app"); !known || path != "seccompgate/app.json" {
			t.Errorf("PathOf a profile that is not valid: %q, %t; its name is known", path, known)
		}
		if got := lookup(x, Placement{}, "seccompgate/app.json").ExpectedDigest; got != "" {
			t.Errorf("a profile that is not valid promises %s", got)
		}
		const notClean = `\"../x.json\": is not in its cleaned form; write it without \".\", \"..\" and empty elements`
		wantLog := []string{
			`"msg"="Object is not valid and counts as unknown" "error"="facts.profiles[0].path: Invalid value: ` + notClean + `" "kind"="SeccompNode" "name"="a1"`,
			`"msg"="Object is not valid and counts as unknown" "error"="profiles[0].path: Invalid value: ` + notClean + `" "kind"="ProfileSet" "name"="` + v1alpha1.ProfileSetName(climbing) + `"`,
			`"msg"="Object is not valid and counts as unknown" "error"="metadata.name: Invalid value: \"` + named + `\": is not the hash of the content; write ` +
				v1alpha1.ProfileSetName([]v1alpha1.ProfileFile{fileAt("x.json", "1")}) + `, or list files of your own in a SeccompNode" "kind"="ProfileSet" "name"="` + named + `"`,
			`"msg"="Object is not valid and counts as unknown" "error"="[profiles[0].path: Invalid value: ` + notClean + `, metadata.name: Invalid value: \"` + v1alpha1.ProfileSetName(nil) +
				`\": is not the hash of the content; write ` + v1alpha1.ProfileSetName(climbing) + `, or list files of your own in a SeccompNode]" "kind"="ProfileSet" "name"="` + v1alpha1.ProfileSetName(nil) + `"`,
			`"msg"="Object is not valid and counts as unknown" "error"="spec.profile.defaultAction: Invalid value: \"SCMP_ACT_NONE\": use SCMP_ACT_ALLOW, SCMP_ACT_LOG, SCMP_ACT_NOTIFY, SCMP_ACT_TRACE, ` +
				`SCMP_ACT_ERRNO, SCMP_ACT_TRAP, SCMP_ACT_KILL, SCMP_ACT_KILL_THREAD or SCMP_ACT_KILL_PROCESS" "kind"="LocalhostProfile" "name"="app"`,
		}
		gotLog := s.logged("not valid")
		slices.Sort(wantLog)
		slices.Sort(gotLog)
		if d := cmp.Diff(wantLog, gotLog); d != "" {
			t.Errorf("log (-want +got):\n%s", d)
		}
		if got := s.logged("Inventory is contradictory"); len(got) != 3 {
			t.Errorf("three sets contradict their names, logged are: %q", got)
		}
		s.nodes.Add(nodesNamed("b1")[0])
		settle(time.Second)
		if got := s.logged("Inventory is contradictory"); len(got) != 3 || s.store.Index().Nodes() != 6 {
			t.Errorf("what is known is logged again: %q", got)
		}
	})
}

// TestWatchSurvivesAFailingKind takes one kind away while the others change.
func TestWatchSurvivesAFailingKind(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		set := setOf(fileAt("x.json", "1"))
		s.nodes.Add(nodesNamed("a1")[0])
		s.seccompNodes.Add(refersTo("a1", set.Name))
		s.profileSets.Add(set)
		s.start(t)
		defer s.end(t)
		settle(10 * time.Second)
		before := s.store.Index()

		s.profileSets.fails.Store(true)
		s.profileSets.ResetWatch()
		settle(5 * time.Minute)
		if s.store.Index() != before {
			t.Error("the index was replaced though nothing is known to have changed")
		}
		if len(s.logged("out of order")) == 0 {
			t.Error("the failure is not logged")
		}

		s.nodes.Add(nodesNamed("a2")[0])
		s.seccompNodes.Add(refersTo("a2", set.Name))
		settle(time.Second)
		if got := lookup(s.store.Index(), Placement{}, "x.json").Nodes; got.Have != 2 || got.Eligible != 2 {
			t.Errorf("other kinds do not count while one fails: %+v", got)
		}

		s.profileSets.fails.Store(false)
		s.profileSets.Delete(set)
		settle(5 * time.Minute)
		if got := lookup(s.store.Index(), Placement{}, "x.json").Nodes; got.Unknown.Count != 2 {
			t.Errorf("the set is gone, its nodes are not unknown: %+v", got)
		}
	})
}

// TestWatchNoticesANewMachine has a node come again under its name.
func TestWatchNoticesANewMachine(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		node := nodesNamed("a1")[0]
		node.UID = "first"
		facts := reports("a1", fileAt("x.json", "1"))
		facts.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "a1", UID: "first"}}
		s.nodes.Add(node)
		s.seccompNodes.Add(facts)
		s.start(t)
		defer s.end(t)
		settle(time.Second)
		if got := lookup(s.store.Index(), Placement{}, "x.json").Nodes; got.Have != 1 {
			t.Fatalf("before: %+v", got)
		}
		s.nodes.Delete(node)
		again := nodesNamed("a1")[0]
		again.UID = "second"
		s.nodes.Add(again)
		settle(time.Second)
		if got := lookup(s.store.Index(), Placement{}, "x.json").Nodes; got.Unknown.Count != 1 {
			t.Errorf("the facts of another machine count: %+v", got)
		}
	})
}

// TestStripped says what is kept of each kind: a large cluster is held in memory.
func TestStripped(t *testing.T) {
	full := metav1.ObjectMeta{
		Name: "x", UID: "u", ResourceVersion: "7", Generation: 2, Labels: map[string]string{"l": "v"}, Annotations: map[string]string{"a": "v"},
		ManagedFields: []metav1.ManagedFieldsEntry{{}}, OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "x", UID: "o"}},
	}
	stripped := metav1.ObjectMeta{Name: "x", UID: "u", ResourceVersion: "7", Generation: 2}
	labelled, owned := stripped, stripped
	labelled.Labels = full.Labels
	owned.OwnerReferences = []metav1.OwnerReference{{Kind: "Node", UID: "o"}}
	now := metav1.Now()
	info := corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64"}
	fullInfo := info
	fullInfo.KernelVersion = "6.8"
	facts := v1alpha1.NodeFacts{SeccompRoot: "/x"}
	name := v1alpha1.ProfileSetName(nil)
	setMeta := metav1.ObjectMeta{Name: name, Annotations: full.Annotations}
	w := &watcher{log: logr.Discard()}
	for _, tc := range []struct {
		name      string
		transform cache.TransformFunc
		object    any
		want      any
	}{
		{
			"Node", stripNode,
			&corev1.Node{
				ObjectMeta: full,
				Spec:       corev1.NodeSpec{PodCIDR: "10.0.0.0/24", Unschedulable: true, Taints: []corev1.Taint{{Key: "k", Effect: "NoExecute", TimeAdded: &now}}},
				Status:     corev1.NodeStatus{NodeInfo: fullInfo, Images: []corev1.ContainerImage{{}}},
			},
			&corev1.Node{
				ObjectMeta: labelled,
				Spec:       corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: "k", Effect: "NoExecute"}}},
				Status:     corev1.NodeStatus{NodeInfo: info},
			},
		},
		{"Namespace", stripNamespace, &metav1.PartialObjectMetadata{ObjectMeta: full}, &metav1.PartialObjectMetadata{ObjectMeta: labelled}},
		{"SeccompNode", w.seccompNode, &v1alpha1.SeccompNode{ObjectMeta: full, Facts: facts}, &v1alpha1.SeccompNode{ObjectMeta: owned, Facts: facts}},
		{"ProfileSet", w.profileSet, &v1alpha1.ProfileSet{ObjectMeta: setMeta}, &v1alpha1.ProfileSet{ObjectMeta: metav1.ObjectMeta{Name: name}}},
		{
			"LocalhostProfile", w.localhostProfile,
			&v1alpha1.LocalhostProfile{
				ObjectMeta: full, Spec: v1alpha1.LocalhostProfileSpec{Profile: v1alpha1.OCIProfile{DefaultAction: "SCMP_ACT_LOG"}},
				Status: v1alpha1.LocalhostProfileStatus{Digest: digest("1"), Served: "seccompgate/x.json"},
			},
			&v1alpha1.LocalhostProfile{
				ObjectMeta: stripped, Spec: v1alpha1.LocalhostProfileSpec{Profile: v1alpha1.OCIProfile{DefaultAction: "SCMP_ACT_LOG"}},
				Status: v1alpha1.LocalhostProfileStatus{Served: "seccompgate/x.json"},
			},
		},
		{"what is deleted unseen", stripNode, cache.DeletedFinalStateUnknown{Key: "x"}, cache.DeletedFinalStateUnknown{Key: "x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.transform(tc.object)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("kept (-want +got):\n%s", d)
			}
			again, err := tc.transform(got)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, again); d != "" {
				t.Errorf("kept of what was kept (-want +got):\n%s", d)
			}
		})
	}
}
