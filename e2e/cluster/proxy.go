// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Forwarder does for one Service port what kube-proxy does: it takes connections
// to the ClusterIP and gives each to the next backend in turn.
type Forwarder struct {
	listener net.Listener
	backends atomic.Pointer[[]string]
	turn     atomic.Uint64

	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// Forward listens on address ("host:port").
func Forward(address string) (*Forwarder, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("listen on %s: %w: ports below 1024 are for root here; run as root, or allow it to all: sysctl net.ipv4.ip_unprivileged_port_start=443", address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	f := &Forwarder{listener: listener, conns: map[net.Conn]bool{}}
	f.SetBackends()
	f.wg.Go(f.serve)
	return f, nil
}

// SetBackends replaces the addresses that new connections go to. Without any,
// connections are closed at once, as by a Service without endpoints.
func (f *Forwarder) SetBackends(addresses ...string) { f.backends.Store(&addresses) }

// Close ends the forwarder and every connection through it.
func (f *Forwarder) Close() error {
	err := f.listener.Close()
	f.Disconnect()
	f.wg.Wait()
	return err
}

// Disconnect cuts every connection; the API server keeps idle ones open for long.
func (f *Forwarder) Disconnect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close() // its two copiers notice
	}
}

func (f *Forwarder) serve() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return // closed
		}
		f.wg.Go(func() { f.forward(client) })
	}
}

func (f *Forwarder) forward(client net.Conn) {
	defer f.track(client)()
	backends := *f.backends.Load()
	if len(backends) == 0 {
		return
	}
	next := backends[f.turn.Add(1)%uint64(len(backends))]
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", next)
	if err != nil {
		return // the client sees a closed connection, as from a pod that is gone
	}
	defer f.track(server)()
	f.wg.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(client, server) // an error is an end like any other
}

// track remembers a connection until the returned function closes it.
func (f *Forwarder) track(c net.Conn) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[c] = true
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, c)
		_ = c.Close()
	}
}
