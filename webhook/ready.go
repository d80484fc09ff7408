// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// Check is one thing that must have been proven before requests may come.
type Check struct {
	// Name is a metric's label.
	Name string
	// Test returns nil when it is proven.
	Test func(context.Context) error
}

// checkInterval is how often what was proven is looked at again, and checkTimeout how long
// one look may take.
const (
	checkInterval = 30 * time.Second
	checkTimeout  = 5 * time.Second
)

// Readiness serves the readiness probe. A replica becomes ready when every check has been
// proven once. Losing one later alarms, in the log and in a metric, and never un-readies:
// all replicas lose the same thing at the same time, and a webhook without any replica
// denies everything.
type Readiness struct {
	checks  []Check
	metrics *Metrics
	log     logr.Logger
	// ready never becomes false again, and is read without mu: a check that hangs must
	// not make the probe hang.
	ready atomic.Bool

	mu     sync.Mutex
	proven map[string]bool
	failed map[string]string
}

// NewReadiness makes a Readiness that is not ready yet, unless there are no checks.
func NewReadiness(metrics *Metrics, log logr.Logger, checks ...Check) *Readiness {
	for _, c := range checks {
		metrics.checks.WithLabelValues(c.Name).Set(1)
	}
	return &Readiness{checks: checks, metrics: metrics, log: log, proven: make(map[string]bool), failed: make(map[string]string)}
}

// ServeHTTP answers the probe.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !r.ready.Load() {
		if missing := r.test(req.Context(), false); len(missing) > 0 {
			http.Error(w, "not ready: "+strings.Join(missing, "; "), http.StatusServiceUnavailable)
			return
		}
	}
	_, _ = w.Write([]byte("ok\n"))
}

// Watch looks at all checks again and again until the context ends.
func (r *Readiness) Watch(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		r.test(ctx, true)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// test runs the checks that have not been proven yet, or all, and returns what is missing
// to be ready.
func (r *Readiness) test(ctx context.Context, all bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var missing []string
	for _, c := range r.checks {
		if r.proven[c.Name] && !all {
			continue
		}
		err := run(ctx, c)
		if err == nil {
			r.metrics.checks.WithLabelValues(c.Name).Set(0)
			if r.failed[c.Name] != "" || !r.proven[c.Name] {
				r.log.Info("Check passes", "check", c.Name)
			}
			r.proven[c.Name] = true
			delete(r.failed, c.Name)
			continue
		}
		r.metrics.checks.WithLabelValues(c.Name).Set(1)
		if r.failed[c.Name] != err.Error() {
			r.failed[c.Name] = err.Error()
			r.log.Info("Check fails", "check", c.Name, "reason", err.Error(), "ready", r.proven[c.Name])
		}
		if !r.proven[c.Name] {
			missing = append(missing, fmt.Sprintf("%s: %v", c.Name, err))
		}
	}
	if len(missing) == 0 {
		r.ready.Store(true)
	}
	return missing
}

func run(ctx context.Context, c Check) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return c.Test(ctx)
}
