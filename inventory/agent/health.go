// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// tick is how often a loop with nothing to do comes round all the same.
	tick = 5 * time.Second
	// notReadyAfter and hungAfter are how long a loop may be silent. Reading a thousand
	// files takes well under a second; a disk that hangs takes for ever.
	notReadyAfter = 20 * time.Second
	hungAfter     = time.Minute
)

// pulse is when a loop last came round.
type pulse struct{ last atomic.Int64 }

func (p *pulse) beat() { p.last.Store(time.Now().UnixNano()) }

// silent is how long ago that was.
func (p *pulse) silent() time.Duration { return time.Since(time.Unix(0, p.last.Load())) }

// Alive says that the agent works, or since when it hangs.
func (a *Agent) Alive() error { return a.beats(hungAfter) }

func (a *Agent) beats(within time.Duration) error {
	if silent := a.pulse.silent(); silent > within {
		return fmt.Errorf("the node's files have not been looked at for %s; the disk may hang", silent.Round(time.Second))
	}
	return nil
}

// Ready says that what the node has is published, or why not.
func (a *Agent) Ready() error {
	return errors.Join(a.beats(notReadyAfter), a.publisher.Current())
}

// Register serves the probes. Who asks whether the agent is ready asks whether what is
// published is true: a pod that is not ready makes its node unknown.
func (a *Agent) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", probe(a.Alive))
	mux.HandleFunc("GET /readyz", probe(a.Ready))
}

func probe(test func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := test(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	}
}
