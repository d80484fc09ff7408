// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

const (
	nodesPath        = "/api/v1/nodes"
	seccompNodesPath = "/apis/seccompgate.io/v1alpha1/seccompnodes"
	profileSetsPath  = "/apis/seccompgate.io/v1alpha1/profilesets"

	// writeRate is how many objects all agents of a cluster write in a second, on average,
	// when every node changes at once. Chance has them write more in some seconds: a
	// hundred is not reached.
	writeRate = 60
	// countEvery is how often nodes are counted.
	countEvery = time.Hour
	// overdue is how long facts may wait, beyond what is due to writeRate, before the node
	// no longer counts as reported.
	overdue = time.Minute
)

// Publisher writes what a node reports, when it has changed: the ProfileSet that lists
// the files, unless another node has made it, and then the SeccompNode that refers to it.
// Nothing is written while nothing changes.
type Publisher struct {
	client *Client
	name   string
	log    logr.Logger
	// writes and failures count.
	writes, failures func()

	// wake has an element when there may be something to do.
	wake chan struct{}
	// current is the SeccompNode as the API server has it; nil when there is none, or when
	// that is not known. Only Run touches it.
	current *v1alpha1.SeccompNode
	// meddled says that current is not what the API server has any more.
	meddled bool
	// nodes is how many the cluster had when they were counted last.
	nodes   int
	counted time.Time

	mu sync.Mutex
	// owner is the Node; facts are what is to be published. check asks for a look at what
	// the API server has.
	owner *metav1.OwnerReference
	facts *v1alpha1.NodeFacts
	check bool
	// since is when facts came to differ from what is published; zero when they do not.
	since time.Time
	// spread is what the last wait was drawn from.
	spread    time.Duration
	published bool
}

// NewPublisher makes a publisher of the node's facts. written and failed are called after
// each write and after each failure.
func NewPublisher(client *Client, nodeName string, written, failed func(), log logr.Logger) *Publisher {
	return &Publisher{
		client: client, name: nodeName, log: log, writes: written, failures: failed,
		wake: make(chan struct{}, 1), check: true,
	}
}

// SetOwner says which Node the facts are about. Nothing is published before.
func (p *Publisher) SetOwner(name string, uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	owner := ownedBy(name, uid)
	if p.owner != nil && p.owner.UID == owner.UID {
		return
	}
	p.owner = owner
	p.changed()
}

// SetFacts says what the node reports, with the profiles listed inline. They must not be
// changed any more.
func (p *Publisher) SetFacts(facts *v1alpha1.NodeFacts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.facts != nil && equal(p.facts, facts) {
		return
	}
	p.facts = facts
	p.changed()
}

// Check has the publisher look whether the API server still has what was published.
func (p *Publisher) Check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.check = true
	p.signal()
}

func (p *Publisher) changed() {
	if p.since.IsZero() {
		p.since = time.Now()
	}
	p.signal()
}

func (p *Publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Current says nil when the API server has what the node reports, and otherwise why not:
// the readiness of an agent.
func (p *Publisher) Current() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.published {
		return errors.New("the node's facts have not been published yet; see the log")
	}
	if late := time.Since(p.since); !p.since.IsZero() && late > p.spread+overdue {
		return fmt.Errorf("what changed %s ago has not been published; see the log", late.Round(time.Second))
	}
	return nil
}

// Run publishes until the context ends.
func (p *Publisher) Run(ctx context.Context) {
	var wait backoff
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for ctx.Err() == nil {
			err := p.publish(ctx)
			if err == nil {
				wait.reset()
				break
			}
			if ctx.Err() != nil {
				return
			}
			p.failures()
			d := wait.next(err)
			p.log.Error(err, "Publishing the node's facts failed", "again", d.String())
			sleep(ctx, d)
		}
	}
}

// publish writes what is new, after a wait that depends on how many others write.
func (p *Publisher) publish(ctx context.Context) error {
	p.mu.Lock()
	owner, facts, check := p.owner, p.facts, p.check
	p.mu.Unlock()
	if owner == nil || facts == nil {
		return nil // it will be woken up again
	}
	if check {
		if err := p.look(ctx); err != nil {
			return err
		}
	}
	set := v1alpha1.ProfileSetName(facts.Profiles)
	if !p.differs(owner, facts, set) {
		if check && len(facts.Profiles) > 0 {
			if err := p.ensureSet(ctx, set, facts.Profiles); err != nil {
				return err
			}
		}
		p.done(facts, owner, check)
		return nil
	}
	spread, err := p.spreadOver(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.spread = spread
	p.mu.Unlock()
	if !sleep(ctx, chance(spread)) {
		return ctx.Err()
	}
	p.mu.Lock()
	owner, facts = p.owner, p.facts // the newest; more may have changed meanwhile
	p.mu.Unlock()
	set = v1alpha1.ProfileSetName(facts.Profiles)
	if len(facts.Profiles) > 0 {
		if err := p.ensureSet(ctx, set, facts.Profiles); err != nil {
			return err
		}
	}
	if err := p.write(ctx, owner, facts, set); err != nil {
		return err
	}
	p.done(facts, owner, check)
	return nil
}

// done notes what has been published.
func (p *Publisher) done(facts *v1alpha1.NodeFacts, owner *metav1.OwnerReference, checked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = true
	if checked {
		p.check = false
	}
	if p.facts == facts && p.owner == owner {
		p.since = time.Time{}
	} else {
		p.signal()
	}
}

// look reads what the API server has of this node, and how many nodes there are.
func (p *Publisher) look(ctx context.Context) error {
	if time.Since(p.counted) > countEvery {
		nodes, err := p.count(ctx, nodesPath)
		if err != nil {
			return fmt.Errorf("count nodes: %w", err)
		}
		p.nodes, p.counted = nodes, time.Now()
	}
	// What the API server holds in memory is good enough, unless it is known not to be.
	r := request{method: http.MethodGet, path: seccompNodesPath + "/" + p.name, query: url.Values{"resourceVersion": {"0"}}}
	if p.meddled {
		r.query = nil
	}
	current := new(v1alpha1.SeccompNode)
	err := p.client.do(ctx, r, current)
	switch {
	case apierrors.IsNotFound(err):
		p.current, p.meddled = nil, false
		return nil
	case err != nil:
		return fmt.Errorf("read SeccompNode: %w", err)
	}
	p.keep(current)
	return nil
}

// keep remembers the SeccompNode. Without managed fields an update leaves them as they are.
func (p *Publisher) keep(n *v1alpha1.SeccompNode) {
	n.ManagedFields = nil
	p.current, p.meddled = n, false
}

// differs says whether the facts are other than what the API server has.
func (p *Publisher) differs(owner *metav1.OwnerReference, facts *v1alpha1.NodeFacts, set string) bool {
	if p.current == nil {
		return true
	}
	owned := len(p.current.OwnerReferences) == 1 && p.current.OwnerReferences[0].UID == owner.UID
	return !owned || !equal(&p.current.Facts, referring(facts, set))
}

// referring is the facts with the name of the set in place of the files.
func referring(facts *v1alpha1.NodeFacts, set string) *v1alpha1.NodeFacts {
	f := *facts
	f.Profiles, f.ProfileSet = nil, ""
	if len(facts.Profiles) > 0 {
		f.ProfileSet = set
	}
	return &f
}

// equal compares facts as they are written.
func equal(a, b *v1alpha1.NodeFacts) bool {
	// The types hold nothing that the encoder can refuse.
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// spreadOver is the time over which the agents of the cluster write, so that all of them
// together keep to writeRate. A node that is new writes at once unless many are.
func (p *Publisher) spreadOver(ctx context.Context) (time.Duration, error) {
	writers := p.nodes
	if p.current == nil {
		reported, err := p.count(ctx, seccompNodesPath)
		if err != nil {
			return 0, fmt.Errorf("count SeccompNodes: %w", err)
		}
		writers = max(writers-reported, 0)
	}
	return time.Duration(writers) * time.Second / writeRate, nil
}

// count asks how many objects a collection has, reading one of them.
func (p *Publisher) count(ctx context.Context, path string) (int, error) {
	var list metav1.PartialObjectMetadataList
	query := url.Values{"limit": {"1"}}
	if err := p.client.do(ctx, request{method: http.MethodGet, path: path, query: query, accept: mediaMetadataList}, &list); err != nil {
		return 0, err
	}
	n := len(list.Items)
	if list.RemainingItemCount != nil {
		n += int(*list.RemainingItemCount)
	}
	return n, nil
}

// ensureSet makes the ProfileSet unless there is one.
func (p *Publisher) ensureSet(ctx context.Context, name string, profiles []v1alpha1.ProfileFile) error {
	var known metav1.PartialObjectMetadata
	err := p.client.do(ctx, request{method: http.MethodGet, path: profileSetsPath + "/" + name, query: url.Values{"resourceVersion": {"0"}}, accept: mediaMetadata}, &known)
	if err == nil {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("read ProfileSet: %w", err)
	}
	set := &v1alpha1.ProfileSet{TypeMeta: typeMeta("ProfileSet"), ObjectMeta: metav1.ObjectMeta{Name: name}, Profiles: profiles}
	err = p.client.do(ctx, request{method: http.MethodPost, path: profileSetsPath, body: set}, nil)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create ProfileSet: %w", err)
	}
	p.writes()
	return nil
}

// write creates or updates the SeccompNode.
func (p *Publisher) write(ctx context.Context, owner *metav1.OwnerReference, facts *v1alpha1.NodeFacts, set string) error {
	n := &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: p.name}}
	r := request{method: http.MethodPost, path: seccompNodesPath}
	if p.current != nil {
		n = p.current.DeepCopy()
		r = request{method: http.MethodPut, path: seccompNodesPath + "/" + p.name}
	}
	n.TypeMeta = typeMeta("SeccompNode")
	n.OwnerReferences = []metav1.OwnerReference{*owner}
	n.Facts = *referring(facts, set)
	r.body = n
	written := new(v1alpha1.SeccompNode)
	if err := p.client.do(ctx, r, written); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
			// Somebody else wrote: the next try begins with what is there now.
			p.meddled = true
			p.Check()
		}
		return fmt.Errorf("write SeccompNode: %w", err)
	}
	p.writes()
	p.keep(written)
	return nil
}
