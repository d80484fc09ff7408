// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// cluster answers as an API server with some nodes does.
type cluster struct {
	nodes, reported int
	node            *v1alpha1.SeccompNode
	sets            map[string]bool
	version         int
	// before is called before each answer; if it answers itself it returns true.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func (c *cluster) answer(_ int, w http.ResponseWriter, r *http.Request) {
	if c.before != nil && c.before(w, r) {
		return
	}
	count := func(n int) {
		rest := int64(n - 1)
		write(w, http.StatusOK, metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{RemainingItemCount: &rest}, Items: make([]item, 1)})
	}
	name := path.Base(r.URL.Path)
	notFound := apierrors.NewNotFound(schema.GroupResource{}, name)
	switch {
	case r.URL.Path == nodesPath:
		count(c.nodes)
	case r.URL.Path == seccompNodesPath && r.Method == http.MethodGet:
		count(c.reported)
	case strings.HasPrefix(r.URL.Path, seccompNodesPath):
		c.seccompNode(w, r, notFound)
	case r.Method == http.MethodPost:
		var set v1alpha1.ProfileSet
		_ = json.NewDecoder(r.Body).Decode(&set)
		c.sets[set.Name] = true
		write(w, http.StatusCreated, set)
	case c.sets[name]:
		write(w, http.StatusOK, item{})
	default:
		refuse(w, notFound)
	}
}

func (c *cluster) seccompNode(w http.ResponseWriter, r *http.Request, notFound *apierrors.StatusError) {
	var sent v1alpha1.SeccompNode
	_ = json.NewDecoder(r.Body).Decode(&sent)
	switch {
	case r.Method == http.MethodGet && c.node == nil, r.Method == http.MethodPut && c.node == nil:
		refuse(w, notFound)
		return
	case r.Method == http.MethodPost && c.node != nil:
		refuse(w, apierrors.NewAlreadyExists(schema.GroupResource{}, sent.Name))
		return
	case r.Method == http.MethodPut && sent.ResourceVersion != c.node.ResourceVersion:
		refuse(w, apierrors.NewConflict(schema.GroupResource{}, sent.Name, nil))
		return
	case r.Method != http.MethodGet:
		c.version++
		sent.ResourceVersion = strconv.Itoa(c.version)
		sent.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "test"}}
		c.node = &sent
	}
	write(w, http.StatusOK, c.node)
}

func twoFiles() *v1alpha1.NodeFacts {
	return &v1alpha1.NodeFacts{SeccompRoot: "/x", Profiles: []v1alpha1.ProfileFile{{Path: "a.json"}, {Path: "b.json"}}}
}

// publisher makes one that knows whose facts to publish.
func publisher(client *Client, writes *atomic.Int64) *Publisher {
	p := NewPublisher(client, "a", func() { writes.Add(1) }, func() {}, logr.Discard())
	p.SetOwner("a", "uid-a")
	p.SetFacts(twoFiles())
	return p
}

func TestPublish(t *testing.T) {
	set := v1alpha1.ProfileSetName(twoFiles().Profiles)
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "a", UID: "uid-a"}
	meta := func(version string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: "a", ResourceVersion: version, OwnerReferences: []metav1.OwnerReference{owner}}
	}
	reporting := v1alpha1.NodeFacts{SeccompRoot: "/x", ProfileSet: set}
	labelled := meta("7")
	labelled.Labels = map[string]string{"somebody": "cares"}
	old := meta("7")
	old.OwnerReferences[0].UID = "uid-of-the-node-before"
	for _, tc := range []struct {
		name   string
		before *v1alpha1.SeccompNode
		set    bool
		// writes are what is written, the SeccompNode among it if node is true.
		writes int64
		labels map[string]string
	}{
		{name: "a new node", writes: 2},
		{name: "a new node like others", set: true, writes: 1},
		{name: "a restart", before: &v1alpha1.SeccompNode{ObjectMeta: meta("7"), Facts: reporting}, set: true},
		{name: "a restart after the set was collected", before: &v1alpha1.SeccompNode{ObjectMeta: meta("7"), Facts: reporting}, writes: 1},
		{name: "a change keeps what others added", before: &v1alpha1.SeccompNode{ObjectMeta: labelled, Facts: v1alpha1.NodeFacts{SeccompRoot: "/y"}}, set: true, writes: 1, labels: labelled.Labels},
		{name: "a machine under the name of another", before: &v1alpha1.SeccompNode{ObjectMeta: old, Facts: reporting}, set: true, writes: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &cluster{nodes: 1, reported: 1, node: tc.before, version: 10, sets: map[string]bool{set: tc.set}}
			_, client := newAPI(t, c.answer)
			var writes atomic.Int64
			p := publisher(client, &writes)
			if err := p.Current(); err == nil {
				t.Error("ready before anything is published")
			}
			if err := p.publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.Current(); err != nil {
				t.Errorf("not ready: %v", err)
			}
			if got := writes.Load(); got != tc.writes {
				t.Errorf("%d writes, want %d", got, tc.writes)
			}
			if !c.sets[set] {
				t.Error("the set is not there")
			}
			if d := cmp.Diff(reporting, c.node.Facts); d != "" {
				t.Errorf("facts (-want +got):\n%s", d)
			}
			if d := cmp.Diff([]metav1.OwnerReference{owner}, c.node.OwnerReferences); d != "" {
				t.Errorf("owners (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tc.labels, c.node.Labels); d != "" {
				t.Errorf("labels (-want +got):\n%s", d)
			}
			// Nothing new, nothing written.
			p.SetFacts(twoFiles())
			p.Check()
			if err := p.publish(t.Context()); err != nil || writes.Load() != tc.writes {
				t.Errorf("again: %d writes, error %v", writes.Load()-tc.writes, err)
			}
		})
	}
}

// TestPublishMeetsOthers: somebody else writes the object between two writes of the agent.
func TestPublishMeetsOthers(t *testing.T) {
	for name, meddle := range map[string]func(c *cluster){
		"it is changed": func(c *cluster) { c.node.ResourceVersion, c.node.Facts = "99", v1alpha1.NodeFacts{} },
		"it is deleted": func(c *cluster) { c.node = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{nodes: 1, reported: 1, sets: map[string]bool{}}
			_, client := newAPI(t, c.answer)
			var writes atomic.Int64
			p := publisher(client, &writes)
			if err := p.publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			meddle(c)
			facts := twoFiles()
			facts.SeccompRoot = "/z"
			p.SetFacts(facts)
			if err := p.publish(t.Context()); err == nil {
				t.Fatal("it did not notice")
			}
			if err := p.publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.node == nil || c.node.Facts.SeccompRoot != "/z" {
				t.Errorf("the API server has %+v", c.node)
			}
		})
	}
}

// TestSpread: a new node writes at once where all others have reported; where none has, or
// where all change, each takes its part of the rate.
func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		name            string
		nodes, reported int
		known           bool
		want            time.Duration
	}{
		{"a node joins", 5000, 4999, false, time.Second / writeRate},
		{"all nodes are new", 5000, 1, false, 4999 * time.Second / writeRate},
		{"all change", 6000, 6000, true, 100 * time.Second},
		{"more reports than nodes", 10, 20, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &cluster{nodes: tc.nodes, reported: tc.reported, sets: map[string]bool{}}
			if tc.known {
				c.node = &v1alpha1.SeccompNode{}
			}
			_, client := newAPI(t, c.answer)
			var writes atomic.Int64
			p := publisher(client, &writes)
			if err := p.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := p.spreadOver(t.Context()); err != nil || got != tc.want {
				t.Errorf("%s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

// TestCurrent: facts may wait for their turn, and not much longer.
func TestCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPublisher(nil, "a", nil, nil, logr.Discard())
		owner := ownedBy("a", "uid-a")
		p.SetOwner("a", "uid-a")
		p.SetFacts(twoFiles())
		p.done(p.facts, owner, true)
		p.owner, p.since = owner, time.Time{}
		p.spread = 30 * time.Second
		time.Sleep(24 * time.Hour)
		if err := p.Current(); err != nil {
			t.Errorf("after a quiet day: %v", err)
		}
		p.SetFacts(&v1alpha1.NodeFacts{SeccompRoot: "/z"})
		time.Sleep(90 * time.Second)
		if err := p.Current(); err != nil {
			t.Errorf("while it waits for its turn: %v", err)
		}
		time.Sleep(time.Second)
		if err := p.Current(); err == nil || err.Error() != "what changed 1m31s ago has not been published; see the log" {
			t.Errorf("when it is overdue: %v", err)
		}
	})
}

// TestPublisherRun tries again, and does not ask more often than it should.
func TestPublisherRun(t *testing.T) {
	c := &cluster{nodes: 1, reported: 1, sets: map[string]bool{}}
	down := 2
	c.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if down > 0 {
			down--
			http.Error(w, "", http.StatusBadGateway)
			return true
		}
		return false
	}
	_, client := newAPI(t, c.answer)
	var writes, failures atomic.Int64
	wrote := make(chan struct{}, 10)
	p := NewPublisher(client, "a", func() { writes.Add(1); wrote <- struct{}{} }, func() { failures.Add(1) }, logr.Discard())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	p.SetOwner("a", "uid-a")
	p.SetFacts(twoFiles())
	for range 2 {
		select {
		case <-wrote:
		case <-time.After(20 * time.Second):
			t.Fatal("nothing is written")
		}
	}
	stop()
	<-done
	if writes.Load() != 2 || failures.Load() != 2 {
		t.Errorf("%d writes and %d failures, want 2 and 2", writes.Load(), failures.Load())
	}
}
