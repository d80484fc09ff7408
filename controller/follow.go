// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/seccompgate/seccompgate/inventory"
)

const (
	// followInterval is how often it is looked whether there is a new index.
	followInterval = time.Second
	// maxFollowRetry bounds the time between two tries of what fails.
	maxFollowRetry = time.Minute
)

// follow calls do with each new index, or with the newest where do takes long, until the
// context ends. do is called again when it says that it is not done, or fails, which is
// logged and tried ever more rarely.
func follow(ctx context.Context, facts *inventory.Store, log logr.Logger, do func(context.Context, *inventory.Index) (done bool, err error)) error {
	var seen *inventory.Index
	wait := followInterval
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		index := facts.Index()
		if !facts.Synced() || index == seen {
			continue
		}
		done, err := do(ctx, index)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			log.Error(err, "Will be tried again", "after", wait.String())
			wait = min(2*wait, maxFollowRetry)
			continue
		case done:
			seen = index
		}
		wait = followInterval
	}
}
