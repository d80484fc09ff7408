// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seccompgate/seccompgate/inventory/agent"
)

// serve runs the agent and its probes until the context ends.
func (o *options) serve(ctx context.Context, client *agent.Client, log logr.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a, err := agent.New(agent.Options{
		Client:   client,
		Root:     o.config.Root,
		NodeName: o.config.NodeName,
		GOARCH:   runtime.GOARCH,
		Rehash:   o.config.Rehash.Duration,
		Sweep:    o.config.Sweep.Duration,
		Metrics:  registry,
		Log:      log,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	a.Register(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(o.bindAddress, strconv.Itoa(o.port)))
	if err != nil {
		return fmt.Errorf("%w; choose another --port or --bind-address", err)
	}
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	served := make(chan error, 1)
	go func() {
		err := server.Serve(listener)
		stop(err)
		served <- err
	}()
	a.Run(ctx)
	err = errors.Join(server.Close(), <-served)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
