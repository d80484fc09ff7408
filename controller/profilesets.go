// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// pageSize is how many objects are listed at once.
const pageSize = 500

// looksPerAge is how often sets are looked at in the time that one has to be old.
const looksPerAge = 6

// ProfileSets removes the sets that no node refers to any more. An agent makes a set before
// it refers to it, and a drift that is repaired brings a node back to the set that it had:
// what goes is old, and nobody has referred to it at two looks in a row.
type ProfileSets struct {
	// Client lists without a cache, and deletes. A cache whose watch is broken would not
	// know of new references.
	Client client.Client
	// After is how old a set is at least that is removed.
	After time.Duration
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	Log logr.Logger

	// idle are the sets without a reference at the last look.
	idle map[types.UID]bool
}

// Start works until the context ends.
func (p *ProfileSets) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(p.After / looksPerAge):
		}
		if err := p.collect(ctx); err != nil && ctx.Err() == nil {
			p.Log.Error(err, "Profile sets were not collected; will be tried again")
		}
	}
}

// collect looks once.
func (p *ProfileSets) collect(ctx context.Context) error {
	var old []metav1.PartialObjectMetadata
	sets := &metav1.PartialObjectMetadataList{}
	sets.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ProfileSetList"))
	err := eachPage(ctx, p.Client, sets, func() {
		for i := range sets.Items {
			if p.now().Sub(sets.Items[i].CreationTimestamp.Time) >= p.After {
				old = append(old, sets.Items[i])
			}
		}
	})
	if err != nil {
		return fmt.Errorf("list profilesets: %w", withRemedy(err))
	}
	if len(old) == 0 {
		p.idle = nil
		return nil
	}
	// Read after the sets: a reference to one of them that comes later is to a set that
	// somebody has just made sure of.
	used := make(map[string]bool)
	var list v1alpha1.SeccompNodeList
	if err := eachPage(ctx, p.Client, &list, func() {
		for i := range list.Items {
			used[list.Items[i].Facts.ProfileSet] = true
		}
	}); err != nil {
		return fmt.Errorf("list seccompnodes: %w", withRemedy(err))
	}
	idle := make(map[types.UID]bool)
	for i := range old {
		set := &old[i]
		switch {
		case used[set.Name]:
		case !p.idle[set.UID]:
			idle[set.UID] = true
		default:
			if err := p.remove(ctx, set); err != nil {
				return err
			}
		}
	}
	p.idle = idle
	return nil
}

// remove deletes the set that was looked at, and none that came in its place.
func (p *ProfileSets) remove(ctx context.Context, set *metav1.PartialObjectMetadata) error {
	err := p.Client.Delete(ctx, set, client.Preconditions{UID: &set.UID, ResourceVersion: &set.ResourceVersion})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return nil
	case err != nil:
		return fmt.Errorf("delete profileset %s: %w", set.Name, withRemedy(err))
	}
	p.Log.Info("Profile set without a reference was removed", "profileSet", set.Name)
	return nil
}

// eachPage calls do whenever list holds another page.
func eachPage(ctx context.Context, c client.Client, list client.ObjectList, do func()) error {
	for next := ""; ; {
		if err := c.List(ctx, list, client.Limit(pageSize), client.Continue(next)); err != nil {
			return err
		}
		do()
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

func (p *ProfileSets) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}
