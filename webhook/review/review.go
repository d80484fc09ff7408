// SPDX-License-Identifier: Apache-2.0

// Package review is the decision core: an object and what is known about its namespace
// and its nodes go in, a decision comes out. It knows no HTTP and no client, so that the
// webhook, the command line and every report decide alike.
//
// The way of a request is
//
//	Extract -> choose -> podInput (seccomp.Resolve) -> nodeInput (inventory.Index)
//	-> policies.Set.Evaluate -> Decision.excuse -> Decision.decide
package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/seccomp"
)

// Operations of a request, in the API's spelling.
const (
	Create = "CREATE"
	Update = "UPDATE"
)

// Subresources of a pod that are judged in a way of their own. Any other that carries a
// pod is judged like the pod: one that we have never heard of may change it.
const (
	subresourceBinding   = "binding"
	subresourceEphemeral = "ephemeralcontainers"
)

// mirrorAnnotation marks the API object of a static pod.
const mirrorAnnotation = "kubernetes.io/config.mirror"

// Request is one object to decide on.
type Request struct {
	// Kind of Object.
	Kind string
	// Operation is Create or Update.
	Operation string
	// Subresource is empty for the object itself.
	Subresource string
	Namespace   string
	// NamespaceLabels of the namespace. NamespaceUnknown says that they are not known:
	// every mode then counts as strictest.
	NamespaceLabels  map[string]string
	NamespaceUnknown bool
	// NotOptedIn says that labels on the pod have no effect in its namespace. A webhook
	// is called only where they have.
	NotOptedIn bool
	User       policies.User
	// Object is decided on; Old is what an Update replaces. Review may change Object.
	Object, Old *Object
	// Raw is Object as it was submitted; it is needed only if a rule reads it.
	Raw []byte
	// Manifest says that the object has not met the mutation: it is judged as what the
	// mutation would make of it.
	Manifest bool
	// Preview judges a pod that runs already as if it were made anew, on any node that it
	// may use.
	Preview bool
}

// Config configures a Reviewer.
type Config struct {
	// Policies returns the current rules.
	Policies func() *policies.Set
	// Facts returns what is known about the nodes, nil for nothing at all: then whatever
	// depends on nodes is neither judged nor known.
	Facts func() *inventory.Index
	// AnyName makes every well-formed profile name a known one, as where there are no
	// facts: nothing is known about the cluster's LocalhostProfiles.
	AnyName bool
	// Synced says whether Facts are complete. Until then a pod that names a Localhost
	// profile is denied, where denying is possible.
	Synced func() bool
	// Exceptions returns the current ones; nil for none at all.
	Exceptions func() *Exceptions
	// Now is the clock that exceptions end by. Defaults to time.Now.
	Now func() time.Time
	// Settings of the product. Exempt namespaces and the like are in here.
	Settings v1alpha1.WebhookConfig
}

// Reviewer decides on requests. It is safe for concurrent use.
type Reviewer struct {
	policies    func() *policies.Set
	facts       func() *inventory.Index
	anyName     bool
	synced      func() bool
	exceptions  func() *Exceptions
	now         func() time.Time
	settings    v1alpha1.WebhookConfig
	namespaces  map[string]bool
	users       map[string]bool
	runtimes    map[string]bool
	denyUnknown bool
}

// New makes a Reviewer.
func New(c Config) (*Reviewer, error) {
	if c.Policies == nil || c.Facts == nil {
		return nil, errors.New("review config: policies and facts are needed")
	}
	if c.Synced == nil {
		c.Synced = func() bool { return true }
	}
	if c.Exceptions == nil {
		c.Exceptions = func() *Exceptions { return nil }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	set := func(names []string) map[string]bool {
		m := make(map[string]bool, len(names))
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	return &Reviewer{
		policies: c.Policies, facts: c.Facts, anyName: c.AnyName, synced: c.Synced,
		exceptions: c.Exceptions, now: c.Now, settings: c.Settings,
		namespaces: set(c.Settings.Exemptions.Namespaces), users: set(c.Settings.Exemptions.Usernames),
		runtimes:    set(c.Settings.Exemptions.RuntimeClasses),
		denyUnknown: c.Settings.UnknownNodes == v1alpha1.UnknownDeny,
	}, nil
}

// NotSynced is the id of the finding that stands for facts that are still being read.
const NotSynced = "not-synced"

// Review decides. An error means that nothing was judged; what the decision says beside
// its findings is right all the same.
func (r *Reviewer) Review(ctx context.Context, req *Request) (Decision, error) {
	d := Decision{Allowed: true}
	w, isWorkload := Extract(req.Kind, req.Object)
	if d.Exempt = r.exempt(req, w); d.Exempt != "" {
		return d, nil
	}
	d.Modes = r.modes(req)
	d.Notes = append(d.Notes, d.Modes.Problems...)
	if d.Modes.strictest() == v1alpha1.LevelPrivileged {
		return d, nil
	}

	h := handling{observed: r.settings.DryRun, denyUnknown: r.denyUnknown}
	d.Enforcing = d.Modes.Enforce.Level != v1alpha1.LevelPrivileged
	rules := r.policies()
	in := &policies.Input{
		Version: policies.InputVersion, Kind: req.Kind, Operation: req.Operation,
		Namespace: policies.Namespace{Name: req.Namespace, Labels: req.NamespaceLabels},
		User:      req.User,
	}
	if rules.ReadsObject() {
		in.Object = req.Raw
	}
	switch {
	case req.Kind == kindBinding:
		in.Labels, in.Annotations = req.Object.Metadata.Labels, req.Object.Metadata.Annotations
	case !isWorkload:
		return d, nil
	default:
		if req.Preview {
			w.Spec.NodeName = ""
		}
		fresh, matters := judgedPart(req, w, rules)
		if !matters {
			return d, nil
		}
		h.advisory = w.Kind != kindPod && !req.Manifest
		in.Mirror = isMirror(req, w)
		h.observed = h.observed || in.Mirror
		r.fill(ctx, in, req, w, fresh, &d)
	}
	d.Enforcing = d.Enforcing && !h.advisory && !h.observed
	d.Judged = true
	if d.Enforcing && r.notSynced(in, &d) {
		return d, nil
	}
	findings, err := evaluate(ctx, rules, in, d.Modes.strictest())
	if err != nil {
		d.Allowed = !d.Enforcing
		return d, fmt.Errorf("review %s %s/%s: %w", req.Kind, req.Namespace, w.name(), err)
	}
	if x := r.exceptions(); x != nil && len(findings) > 0 {
		findings = d.excuse(findings, x, subject{namespace: req.Namespace, labels: in.Labels, labelled: isWorkload}, r.now())
	}
	d.decide(findings, h)
	return d, nil
}

// evaluate asks the rules, unless it is too late already: a short evaluation would not
// notice.
func evaluate(ctx context.Context, rules *policies.Set, in *policies.Input, level v1alpha1.Level) ([]policies.Finding, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("evaluate rules: %w", err)
	}
	return rules.EvaluateUpTo(ctx, in, policies.Level(level))
}

// fill describes the pod and its nodes.
func (r *Reviewer) fill(ctx context.Context, in *policies.Input, req *Request, w Workload, fresh func(*Container) bool, d *Decision) {
	c := r.choice(req, w)
	d.Notes = append(d.Notes, contradictions(w, &c)...)
	if w.Kind != kindPod || req.Manifest || r.settings.DryRun {
		written := injections(w, &c, fresh)
		if fresh == nil {
			w.Spec.steer(r.requirements(req, w, &c, written))
		}
		for i := range written {
			written[i].apply()
		}
	}
	podInput(in, w, &c, fresh)
	if index := r.facts(); index != nil {
		nodeInput(ctx, in, w.Spec, index)
	}
}

// choice is what labels and annotations ask of the pod, with what is known of names.
func (r *Reviewer) choice(req *Request, w Workload) choice {
	if req.NotOptedIn {
		return choice{}
	}
	var known names = wellFormed{}
	if index := r.facts(); index != nil && !r.anyName {
		known = index
	}
	return choose(w, req.NamespaceLabels, r.settings.DefaultProfile, known)
}

// notSynced denies a pod that names a Localhost profile while the nodes are not known
// yet. It says whether it has decided.
func (r *Reviewer) notSynced(in *policies.Input, d *Decision) bool {
	if r.synced() {
		return false
	}
	for i := range in.Containers {
		c := &in.Containers[i]
		if c.Profile.Type != string(seccomp.Localhost) && !(c.Requested != nil && c.Requested.Type != string(seccomp.RuntimeDefault)) {
			continue
		}
		d.Denied = append(d.Denied, policies.Finding{
			Rule: NotSynced, Level: policies.Baseline, Container: c.Name, Index: c.Index, Field: c.Declared.Field,
			Message:     fmt.Sprintf("container %q: its profile cannot be looked up, because this replica of the webhook has not read the nodes yet; retry in a few seconds", c.Name),
			Remediation: "Retry; if it stays so, look at the log of the webhook.",
		})
	}
	d.Allowed = len(d.Denied) == 0
	return !d.Allowed
}

// Inject returns what the mutation writes into the object, and warnings for the user. An
// exempt object is left alone, and so is every object in a dry run.
func (r *Reviewer) Inject(req *Request) (Mutation, []string) {
	w, ok := Extract(req.Kind, req.Object)
	if !ok || r.exempt(req, w) != "" || r.settings.DryRun {
		return Mutation{}, nil
	}
	var fresh func(*Container) bool
	switch {
	case w.Kind != kindPod && !req.Manifest: // templates are their owners' business
		return Mutation{}, nil
	case req.Subresource == subresourceEphemeral:
		fresh = newContainer(req.Old)
	case req.Operation != Create: // the fields of a pod cannot be changed
		return Mutation{}, nil
	case isMirror(req, w): // the kubelet runs the file, not the object
		return Mutation{}, nil
	}
	c := r.choice(req, w)
	if conflict := staleAnnotation(w, &c); conflict != "" {
		return Mutation{}, []string{conflict}
	}
	m := Mutation{Injections: injections(w, &c, fresh)}
	if fresh == nil {
		m.Steering = steering(w, r.requirements(req, w, &c, m.Injections))
	}
	return m, nil
}

// exempt names what exempts the request.
func (r *Reviewer) exempt(req *Request, w Workload) string {
	switch {
	case r.namespaces[req.Namespace]:
		return "namespace"
	case r.users[req.User.Name]:
		return "user"
	case w.Spec != nil && w.Spec.RuntimeClassName != "" && r.runtimes[w.Spec.RuntimeClassName]:
		return "runtimeClass"
	default:
		return ""
	}
}

func (r *Reviewer) modes(req *Request) Modes {
	if !req.NamespaceUnknown {
		return ModesOf(req.NamespaceLabels, r.settings.Defaults)
	}
	strict := Setting{Level: v1alpha1.LevelStrict}
	return Modes{Enforce: strict, Warn: strict, Audit: strict, Problems: []string{
		fmt.Sprintf("namespace %s: its labels are not known to this replica of the webhook yet, so every level counts as %s; retry in a few seconds", req.Namespace, v1alpha1.LevelStrict),
	}}
}

// isMirror says that the pod is the API object of a static pod, made by the kubelet that
// runs it. Anybody else can write the annotation.
func isMirror(req *Request, w Workload) bool {
	_, marked := w.Meta.Annotations[mirrorAnnotation]
	return marked && w.Kind == kindPod && w.Spec.NodeName != "" && req.User.Name == "system:node:"+w.Spec.NodeName
}

// judgedPart says whether the request changes anything that a rule could see, and for
// the ephemeralcontainers subresource which containers it is about. All else is judged
// whole: a pod that is older than the rules must go on living and be able to end.
func judgedPart(req *Request, w Workload, rules *policies.Set) (fresh func(*Container) bool, matters bool) {
	if req.Operation != Update {
		return nil, true
	}
	if req.Subresource == subresourceEphemeral {
		fresh := newContainer(req.Old)
		return fresh, slices.ContainsFunc(ephemeral(w.Spec), func(c Container) bool { return fresh(&c) })
	}
	before, ok := Extract(req.Kind, req.Old)
	return nil, !ok || changed(before, w, rules)
}

func ephemeral(s *PodSpec) []Container { return s.EphemeralContainers }

// newContainer tells containers that old does not have, or has otherwise.
func newContainer(old *Object) func(*Container) bool {
	return func(c *Container) bool {
		if old == nil {
			return true
		}
		i := slices.IndexFunc(old.Spec.EphemeralContainers, func(o Container) bool { return o.Name == c.Name })
		return i < 0 || !sameContainer(&old.Spec.EphemeralContainers[i], c)
	}
}
