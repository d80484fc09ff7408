// SPDX-License-Identifier: Apache-2.0

// Package agent keeps the profiles of one node and reports what the node has.
//
// One loop works on the node's files and never waits for the network: it writes the
// profiles that are wanted, repairs those that were changed, and reads what there is.
// Beside it, other goroutines follow the Node and the LocalhostProfiles, publish facts
// when they have changed, ask which profiles pods name, and send events. While the API
// server is away the loop goes on with what it knows.
package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/inventory/provision"
	"github.com/seccompgate/seccompgate/seccomp"
)

const (
	localhostProfilesPath = "/apis/seccompgate.io/v1alpha1/localhostprofiles"
	// settle is how long the loop waits for more when the cluster wants something else.
	settle = 200 * time.Millisecond
	// judging is how long files are read and judged before those of ours are looked at again.
	judging = time.Second
	// rest is how long nothing happens before the memory that work took is given back: an
	// agent is idle nearly always, and there is one on every node.
	rest = 15 * time.Second
	// maxFailure in bytes is what the API takes of a reason.
	maxFailure = 256
	// maxSaid is how many problems are remembered so as not to be logged twice.
	maxSaid = 100
)

// Options configure an Agent.
type Options struct {
	// Client of the API server.
	Client *Client
	// Root is the directory that is the node's "/".
	Root string
	// NodeName is the name of the Node object.
	NodeName string
	// GOARCH is the architecture of this process.
	GOARCH string
	// Rehash is how often everything is read anew, whatever the file system told.
	Rehash time.Duration
	// Sweep is how often pods are asked for the files that no profile wants any more.
	Sweep time.Duration
	// Metrics take what the agent counts.
	Metrics prometheus.Registerer
	Log     logr.Logger
}

// Agent is the agent of one node.
type Agent struct {
	options   Options
	host      *node.Host
	reader    *node.Reader
	publisher *Publisher
	recorder  *recorder
	metrics   *metrics
	pulse     pulse
	// stranded says that the directory which is mounted here is not the host's any more.
	stranded atomic.Bool
	log      logr.Logger

	// dirty has an element when there is something for the loop.
	dirty chan struct{}
	// keeping has an element when files stay only because pods may name them.
	keeping chan struct{}

	mu sync.Mutex
	// node is nil, and profiles too, until they have been read.
	node     *metav1.ObjectMeta
	profiles map[string]*wanted
	// kept are the paths of files that nobody wants, and that pods may name; removable are
	// those of them that none does, for one use.
	kept, removable map[string]bool

	// What follows belongs to the loop.

	seccompRoot string
	directory   *provision.Directory
	// changes tells of changes below seccompRoot; nil, which never tells any, where nothing
	// can be watched. unwatch ends it.
	changes <-chan error
	unwatch context.CancelFunc
	// blind says that not everything is watched.
	blind bool
	// before are the files of the last pass that are not ours, by path.
	before map[string]v1alpha1.ProfileFile
	// failed are what could not be written in the last pass, by path.
	failed map[string]string
	// said are the problems of the last pass.
	said []string
}

// wanted is what the agent keeps of a LocalhostProfile.
type wanted struct {
	provision.Profile
	uid      types.UID
	selector map[string]string
	// served is the path that injection writes into pods: an older content's, as long as
	// some node lacks the newest.
	served string
}

// New makes an agent; it does nothing before Run.
func New(o Options) (*Agent, error) {
	host, err := node.OpenHost(o.Root)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	a := &Agent{
		options:   o,
		host:      host,
		reader:    node.NewReader(host, node.Options{NodeName: o.NodeName, GOARCH: o.GOARCH}),
		unwatch:   func() {},
		publisher: NewPublisher(o.Client, o.NodeName, m.writes.Inc, m.failures.Inc, o.Log),
		recorder:  newRecorder(o.Client, o.NodeName, o.Log),
		metrics:   m,
		log:       o.Log,
		dirty:     make(chan struct{}, 1),
		keeping:   make(chan struct{}, 1),
	}
	a.pulse.beat()
	return a, nil
}

// Run works until the context ends.
func (a *Agent) Run(ctx context.Context) {
	var beside sync.WaitGroup
	beside.Go(func() { a.followNode(ctx) })
	beside.Go(func() { a.followProfiles(ctx) })
	beside.Go(func() { a.publisher.Run(ctx) })
	beside.Go(func() { a.recorder.run(ctx) })
	beside.Go(func() { a.sweep(ctx) })
	a.loop(ctx)
	beside.Wait()
	a.close()
}

func (a *Agent) close() {
	if a.directory != nil {
		_ = a.directory.Close()
	}
	_ = a.host.Close()
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// followNode keeps the labels of the agent's own Node.
func (a *Agent) followNode(ctx context.Context) {
	set := func(n *metav1.PartialObjectMetadata) {
		a.publisher.SetOwner(n.Name, string(n.UID))
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.node == nil || a.node.UID != n.UID || !maps.Equal(a.node.Labels, n.Labels) {
			signal(a.dirty)
		}
		a.node = &metav1.ObjectMeta{Name: n.Name, UID: n.UID, Labels: n.Labels}
	}
	f := follower[metav1.PartialObjectMetadata]{
		client: a.options.Client, path: nodesPath, log: a.log,
		query:  map[string][]string{"fieldSelector": {"metadata.name=" + a.options.NodeName}},
		accept: mediaMetadata, acceptList: mediaMetadataList,
		metadata: func(n *metav1.PartialObjectMetadata) *metav1.ObjectMeta { return &n.ObjectMeta },
		list: func(items []metav1.PartialObjectMetadata) {
			for i := range items {
				set(&items[i])
			}
			if len(items) == 0 {
				a.log.Info("There is no Node of this name; nothing is published before there is", "node", a.options.NodeName)
			}
		},
		set: set,
		// A node that registers anew has another UID; until then the old one's labels do.
		remove: func(*metav1.PartialObjectMetadata) {},
	}
	f.run(ctx)
}

// followProfiles keeps what is wanted of all LocalhostProfiles.
func (a *Agent) followProfiles(ctx context.Context) {
	f := follower[v1alpha1.LocalhostProfile]{
		client: a.options.Client, path: localhostProfilesPath, log: a.log,
		metadata: func(l *v1alpha1.LocalhostProfile) *metav1.ObjectMeta { return &l.ObjectMeta },
		list: func(items []v1alpha1.LocalhostProfile) {
			all := make(map[string]*wanted, len(items))
			for i := range items {
				all[items[i].Name] = a.want(&items[i])
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.profiles = all
			signal(a.dirty)
		},
		set: func(l *v1alpha1.LocalhostProfile) {
			w := a.want(l)
			a.mu.Lock()
			defer a.mu.Unlock()
			before := a.profiles[l.Name]
			a.profiles[l.Name] = w
			// Most changes are those of a status.
			if before == nil || before.Digest != w.Digest || !maps.Equal(before.selector, w.selector) {
				signal(a.dirty)
			}
		},
		remove: func(l *v1alpha1.LocalhostProfile) {
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.profiles, l.Name)
			signal(a.dirty)
		},
	}
	f.run(ctx)
}

// want is what is kept of a profile. One that is not valid has no content: the files of
// its name stay as they are.
func (a *Agent) want(l *v1alpha1.LocalhostProfile) *wanted {
	p, err := provision.Content(l)
	if err != nil {
		a.log.Error(err, "A profile cannot be written; its files stay as they are", "profile", l.Name)
	}
	return &wanted{Profile: p, uid: l.UID, selector: l.Spec.NodeSelector, served: l.Status.Served}
}

// sweep asks which paths the pods of the node name, some time after files have become
// unwanted, and again as long as some stay.
func (a *Agent) sweep(ctx context.Context) {
	// Pods that are on their way to the node may name a file of yesterday.
	first := a.options.Sweep / 12
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.keeping:
		}
		a.mu.Lock()
		candidates := maps.Clone(a.kept)
		a.mu.Unlock()
		if !sleep(ctx, first+chance(first)) {
			return
		}
		a.release(ctx, candidates)
		if !sleep(ctx, a.options.Sweep-2*first+chance(first)) {
			return
		}
	}
}

// release has the loop remove those of the candidates that no pod names.
func (a *Agent) release(ctx context.Context, candidates map[string]bool) {
	var wait backoff
	for ctx.Err() == nil {
		named, err := namedPaths(ctx, a.options.Client, a.options.NodeName)
		if err == nil {
			maps.DeleteFunc(candidates, func(path string, _ bool) bool { return named[path] })
			a.mu.Lock()
			a.removable = candidates
			a.mu.Unlock()
			signal(a.dirty)
			return
		}
		d := wait.next(err)
		a.log.Error(err, "Asking which profiles pods name failed; unwanted files stay", "again", d.String())
		sleep(ctx, d)
	}
}

// loop works on the node's files until the context ends.
func (a *Agent) loop(ctx context.Context) {
	defer func() { a.unwatch() }()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	var next time.Time // when all is read anew
	var busy time.Time // when there was something to do last; zero after a rest
	for due := true; ctx.Err() == nil; {
		a.pulse.beat()
		if time.Now().After(next) {
			// Agents that were started together do not ask the API server together for ever.
			next, due = time.Now().Add(a.options.Rehash-chance(a.options.Rehash/10)), true
			a.settings(ctx)
			a.publisher.Check()
		}
		if due {
			busy = time.Now()
			if !a.pass() {
				continue
			}
		}
		if !busy.IsZero() && time.Since(busy) > rest {
			busy = time.Time{}
			debug.FreeOSMemory()
		}
		select {
		case <-ctx.Done():
		case <-ticks.C:
			// What is not watched is noticed by looking, and what failed is tried again.
			due = a.blind || len(a.failed) > 0
		case <-a.dirty:
			due = true
			sleep(ctx, settle)
		case err, open := <-a.changes:
			a.watched(err, open)
			due = len(a.failed) == 0 // a try that fails is a change, too
		}
	}
}

// watched takes what the watch says: that it cannot see all, or no more.
func (a *Agent) watched(err error, open bool) {
	if !open {
		a.changes, a.blind = nil, true
		return
	}
	if err != nil && !a.blind {
		a.log.Info("Not all of the profiles can be watched; they are read every few seconds", "error", err.Error())
	}
	a.blind = err != nil
}

// settings reads everything but the profiles: first of all, where those are.
func (a *Agent) settings(ctx context.Context) {
	root, problems := a.reader.Settings()
	a.say(problems)
	if root != a.seccompRoot {
		a.open(ctx, root)
	}
}

// open begins to keep the kubelet's seccomp directory.
func (a *Agent) open(ctx context.Context, root string) {
	a.unwatch()
	if a.directory != nil {
		_ = a.directory.Close() // nothing was written
	}
	a.seccompRoot, a.directory, a.changes, a.blind = "", nil, nil, true
	directory, err := provision.Open(a.options.Root, root)
	if err != nil {
		a.log.Error(err, "Profiles cannot be written", "directory", root)
		return
	}
	a.seccompRoot, a.directory = root, directory
	ctx, a.unwatch = context.WithCancel(ctx)
	a.changes, err = node.Watch(ctx, a.options.Root, strings.TrimPrefix(root, "/"))
	a.watched(err, true)
	a.log.Info("Profiles are kept", "directory", root)
}

// pass makes the files what they should be, and reads what there is. Nothing is published
// before it is known what should be there: a node that waits for its first profiles does
// not lack them. It returns false if there is more to read than it had time for.
func (a *Agent) pass() (complete bool) {
	want, removable, known := a.wants()
	opened := true
	if known && a.directory != nil {
		opened = a.apply(want, removable)
	}
	facts, problems, complete := a.reader.Profiles(judging)
	if !complete {
		return false
	}
	a.say(problems)
	facts.Failures = a.failures()
	if !opened && len(facts.Profiles) == 0 {
		// Nothing is mounted there, most likely: what the kubelet sees is not known.
		facts.Truncated = true
	}
	a.compare(facts.Profiles)
	a.metrics.observe(facts)
	if known {
		a.publisher.SetFacts(facts)
	}
	return true
}

// wants are the profiles that the node is to have, in order, and the files that may go.
// known is false before the Node and the LocalhostProfiles have been read.
func (a *Agent) wants() (want []provision.Profile, removable map[string]bool, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.node == nil || a.profiles == nil {
		return nil, nil, false
	}
	for _, name := range slices.Sorted(maps.Keys(a.profiles)) {
		if w := a.profiles[name]; matches(w.selector, a.node.Labels) {
			want = append(want, w.Profile)
		}
	}
	removable, a.removable = a.removable, nil
	for _, w := range a.profiles {
		delete(removable, w.served) // the next pod may name it
	}
	return want, removable, true
}

// apply writes what is wanted. It says whether the directory could be opened.
func (a *Agent) apply(want []provision.Profile, removable map[string]bool) (opened bool) {
	opened = true
	failed, kept := make(map[string]string), make(map[string]bool)
	for _, c := range a.directory.Apply(want, func(path string) bool { return !removable[path] }) {
		if c.Outcome != provision.Kept {
			a.metrics.changes.WithLabelValues(strings.ToLower(string(c.Outcome))).Inc()
		}
		switch c.Outcome {
		case provision.Kept:
			kept[c.Path] = true
		case provision.Repaired:
			a.drifted(c)
		case provision.Failed:
			failed[c.Path] = c.Err.Error()
			opened = opened && c.Path != v1alpha1.ProfileDirectory
			a.notWritten(c)
		case provision.Written, provision.Removed:
			a.log.Info("A profile changed on the node", "outcome", c.Outcome, "path", c.Path, "digest", c.Digest)
		}
	}
	a.failed = failed
	a.stranded.Store(!opened && a.host.Deleted(strings.TrimPrefix(a.seccompRoot, "/")))
	a.mu.Lock()
	a.kept = kept
	a.mu.Unlock()
	if len(kept) > 0 {
		signal(a.keeping)
	}
	return opened
}

// matches says whether a node has all labels of the selector.
func matches(selector, labels map[string]string) bool {
	for key, value := range selector {
		if got, found := labels[key]; !found || got != value {
			return false
		}
	}
	return true
}

// drifted tells that a file of ours was not as it had been left.
func (a *Agent) drifted(c provision.Change) {
	a.metrics.drift.WithLabelValues("true").Inc()
	a.log.Info("A profile had been changed on the node, and was repaired", "path", c.Path, "found", c.Found, "digest", c.Digest)
	note := fmt.Sprintf("%s on node %s was not as it had been written: found %s; it has been repaired", c.Path, a.options.NodeName, c.Found)
	if c.Digest != "" {
		note = fmt.Sprintf("%s on node %s was not as it had been written: found %s in place of %s; it has been repaired", c.Path, a.options.NodeName, c.Found, c.Digest)
	}
	a.recorder.warn(a.about(c.Path), "ProfileDrifted", "Repair", note)
}

// notWritten tells what cannot be done, once for each way in which it fails.
func (a *Agent) notWritten(c provision.Change) {
	if a.failed[c.Path] == c.Err.Error() {
		return
	}
	a.log.Error(c.Err, "A profile cannot be written", "path", c.Path)
	a.recorder.warn(a.about(c.Path), "ProfileNotWritten", "Write",
		fmt.Sprintf("%s cannot be written on node %s: %v", c.Path, a.options.NodeName, c.Err))
}

// about is the LocalhostProfile that a file of ours belongs to; the Node, if there is none.
func (a *Agent) about(path string) subject {
	name, _ := seccomp.Generation(path)
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.profiles[name]; w != nil {
		return subject{APIVersion: v1alpha1.GroupVersion.String(), Kind: "LocalhostProfile", Name: name, UID: w.uid}
	}
	return a.aboutNode()
}

func (a *Agent) aboutNode() subject {
	ref := subject{APIVersion: "v1", Kind: "Node", Name: a.options.NodeName}
	if a.node != nil {
		ref.UID = a.node.UID
	}
	return ref
}

// failures are what is reported of what could not be written: the profiles that lack a
// file, by name. If the directory itself is out of order, all do.
func (a *Agent) failures() []v1alpha1.WriteFailure {
	if len(a.failed) == 0 {
		return nil
	}
	reasons := make(map[string]string)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(a.failed)) {
		if path == v1alpha1.ProfileDirectory {
			for name, w := range a.profiles {
				if matches(w.selector, a.node.Labels) {
					reasons[name] = a.failed[path]
				}
			}
			break
		}
		if name, _ := seccomp.Generation(path); name != "" {
			reasons[name] = a.failed[path]
		}
	}
	var failures []v1alpha1.WriteFailure
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		if len(failures) == v1alpha1.MaxFailures {
			break
		}
		reason := reasons[name]
		if len(reason) > maxFailure {
			reason = strings.ToValidUTF8(reason[:maxFailure-3], "") + "..."
		}
		failures = append(failures, v1alpha1.WriteFailure{Profile: name, Reason: reason})
	}
	return failures
}

// compare tells of files that somebody else keeps and that have changed since the last
// pass. Nobody knows which content is right.
func (a *Agent) compare(files []v1alpha1.ProfileFile) {
	now := make(map[string]v1alpha1.ProfileFile)
	for _, f := range files {
		if f.Managed {
			continue
		}
		now[f.Path] = v1alpha1.ProfileFile{Digest: f.Digest}
		was, known := a.before[f.Path]
		if !known || was.Digest == f.Digest {
			continue
		}
		a.metrics.drift.WithLabelValues("false").Inc()
		a.log.Info("A profile of somebody else has changed on the node", "path", f.Path, "before", was.Digest, "digest", f.Digest)
		a.mu.Lock()
		about := a.aboutNode()
		a.mu.Unlock()
		a.recorder.warn(about, "ProfileChanged", "Report",
			fmt.Sprintf("%s, which seccompgate does not keep, has changed from %s to %s", f.Path, orNothing(was.Digest), orNothing(f.Digest)))
	}
	a.before = now
}

// orNothing is what is said of a digest that is not known.
func orNothing(digest string) string {
	if digest == "" {
		return "a file too large to be a profile"
	}
	return digest
}

// say logs problems that were not there the last time.
func (a *Agent) say(problems []node.Problem) {
	var now []string
	for _, p := range problems {
		text := p.String()
		now = append(now, text)
		if !slices.Contains(a.said, text) {
			a.log.Info("A part of the node cannot be read, and is unknown", "problem", text)
		}
	}
	a.said = append(a.said, now...)
	if len(a.said) > maxSaid {
		a.said = now
	}
}
