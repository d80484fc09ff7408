// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
)

// Writes of status: a roll-out to 15,000 nodes changes the counts with every node.
const (
	// countInterval is the least time between two writes to one profile when only counts
	// have changed.
	countInterval = 10 * time.Second
	// statusRate and statusBurst bound the writes to all profiles, per second.
	statusRate  = 10
	statusBurst = 20
)

// maxReason is how much of a reason a status holds, in bytes.
const maxReason = 256

// Reasons of the condition Ready of a LocalhostProfile.
const (
	reasonInstalled    = "Installed"
	reasonNoNodes      = "NoNodes"
	reasonRollingOut   = "RollingOut"
	reasonNodesFailed  = "NodesFailed"
	reasonNodesUnknown = "NodesUnknown"
	reasonInvalid      = "InvalidProfile"
)

// ProfileStatus keeps the status of every LocalhostProfile: where it stands on the nodes,
// and the path that injection writes. What changes the meaning of a status is written at
// once, mere counts every ten seconds.
type ProfileStatus struct {
	// Client reads LocalhostProfiles, from a cache, and writes their status.
	Client client.Client
	// Facts are what is known of the nodes.
	Facts *inventory.Store
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	Log logr.Logger

	limit flowcontrol.PassiveRateLimiter
	// written is when the status of each profile was written last.
	written map[types.UID]time.Time
}

// Start works until the context ends.
func (p *ProfileStatus) Start(ctx context.Context) error {
	return follow(ctx, p.Facts, p.Log, p.sync)
}

// change is a status that is not what it has to be.
type change struct {
	profile *v1alpha1.LocalhostProfile
	status  v1alpha1.LocalhostProfileStatus
	// urgent is what more than counts have changed of.
	urgent bool
	last   time.Time
}

// sync writes what has to be written now, and says whether that is all.
func (p *ProfileStatus) sync(ctx context.Context, index *inventory.Index) (done bool, err error) {
	if p.limit == nil {
		p.limit = flowcontrol.NewTokenBucketPassiveRateLimiter(statusRate, statusBurst)
	}
	var list v1alpha1.LocalhostProfileList
	if err := p.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list localhostprofiles: %w", err)
	}
	changes, done := p.changes(list.Items, index)
	for _, c := range changes {
		if !c.urgent && p.now().Sub(c.last) < countInterval || !p.limit.TryAccept() {
			done = false
			continue
		}
		if err := p.write(ctx, c); err != nil {
			return false, err
		}
		p.written[c.profile.UID] = p.now()
	}
	return done, nil
}

// changes are the statuses that are not what they have to be, the most urgent first. It is
// not complete where the index and the list are not about the same objects yet.
func (p *ProfileStatus) changes(profiles []v1alpha1.LocalhostProfile, index *inventory.Index) (changes []change, complete bool) {
	written := make(map[types.UID]time.Time, len(profiles))
	complete = true
	for i := range profiles {
		l := &profiles[i]
		last, wrote := p.written[l.UID]
		if wrote {
			written[l.UID] = last
		}
		rollout, known := index.Rollout(l.Name, v1alpha1.MaxFailedNodes)
		if !known || rollout.UID != l.UID || rollout.Generation != l.Generation {
			complete = false
			continue
		}
		status := statusOf(&l.Status, &rollout, p.now())
		if !equality.Semantic.DeepEqual(l.Status, status) {
			changes = append(changes, change{l, status, meansOther(&l.Status, &status), last})
		}
	}
	p.written = written
	slices.SortStableFunc(changes, func(a, b change) int {
		if a.urgent != b.urgent {
			if a.urgent {
				return -1
			}
			return 1
		}
		return a.last.Compare(b.last)
	})
	return changes, complete
}

// meansOther says whether more than counts and the names of nodes have changed.
func meansOther(before, after *v1alpha1.LocalhostProfileStatus) bool {
	was, is := meta.FindStatusCondition(before.Conditions, v1alpha1.ReadyCondition), meta.FindStatusCondition(after.Conditions, v1alpha1.ReadyCondition)
	return before.Digest != after.Digest || before.Served != after.Served || before.ObservedGeneration != after.ObservedGeneration ||
		was == nil || was.Status != is.Status || was.Reason != is.Reason
}

// write replaces the status. Nobody else writes it, so that it need not be read anew: the
// patch names no version that could have been overtaken.
func (p *ProfileStatus) write(ctx context.Context, c change) error {
	base := &v1alpha1.LocalhostProfile{ObjectMeta: metav1.ObjectMeta{Name: c.profile.Name, UID: c.profile.UID}, Status: c.profile.Status}
	after := base.DeepCopy()
	after.Status = c.status
	err := p.Client.Status().Patch(ctx, after, client.MergeFrom(base))
	if apierrors.IsNotFound(err) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("write status of localhostprofile %s: %w", c.profile.Name, withRemedy(err))
	}
	p.Log.V(1).Info("Status was written", "localhostProfile", c.profile.Name, "served", c.status.Served, "installed", c.status.Nodes.Installed, "desired", c.status.Nodes.Desired)
	return nil
}

func (p *ProfileStatus) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

// statusOf is the status that follows before.
func statusOf(before *v1alpha1.LocalhostProfileStatus, r *inventory.Rollout, now time.Time) v1alpha1.LocalhostProfileStatus {
	status := v1alpha1.LocalhostProfileStatus{
		ObservedGeneration: r.Generation,
		Digest:             r.Digest,
		Served:             r.Served,
		Nodes:              v1alpha1.ProfileNodes{Desired: int32(r.Desired), Installed: int32(r.Installed)},
		Conditions:         slices.Clone(before.Conditions),
	}
	for _, s := range r.Shown {
		status.Nodes.Failed = append(status.Nodes.Failed, v1alpha1.ProfileFailure{Node: s.Node, Reason: shorten(s.Reason, maxReason)})
	}
	ready := readiness(r)
	ready.Type, ready.ObservedGeneration, ready.LastTransitionTime = v1alpha1.ReadyCondition, r.Generation, metav1.NewTime(now)
	meta.SetStatusCondition(&status.Conditions, ready)
	return status
}

// readiness is the condition without what conditions have in common.
func readiness(r *inventory.Rollout) metav1.Condition {
	are := func(status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Status: status, Reason: reason, Message: message}
	}
	on := fmt.Sprintf("installed on %d of %s", r.Installed, nodes(r.Desired))
	if n := r.Unknown.Count; n > 0 {
		on += fmt.Sprintf("; %d unknown: %s", n, examples(r.Unknown))
	}
	switch {
	case r.Problem != "":
		return are(metav1.ConditionFalse, reasonInvalid, r.Problem)
	case r.Desired == 0:
		return are(metav1.ConditionTrue, reasonNoNodes, "no node is to have it; see spec.nodeSelector")
	case r.Lacking > 0:
		first, reason := r.Shown[0], reasonRollingOut
		if !first.Late() {
			reason = reasonNodesFailed
		}
		return are(metav1.ConditionFalse, reason, fmt.Sprintf("%s; lacking on %d, node %s: %s", on, r.Lacking, first.Node, first.Reason))
	case r.Unknown.Count > 0:
		return are(metav1.ConditionUnknown, reasonNodesUnknown, on)
	default:
		return are(metav1.ConditionTrue, reasonInstalled, on)
	}
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// examples names some of the nodes.
func examples(c inventory.NodeCount) string {
	names := strings.Join(c.Examples, ", ")
	if more := c.Count - len(c.Examples); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return names
}

// shorten cuts text at the end of a character.
func shorten(s string, most int) string {
	const dots = "..."
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len(dots)], "") + dots
}
