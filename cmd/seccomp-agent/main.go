// SPDX-License-Identifier: Apache-2.0

// Command seccomp-agent keeps the profiles of one node and tells which it really has.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"github.com/seccompgate/seccompgate/inventory/agent"
	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/inventory/provision"
)

// badInput is what the user has to correct.
type badInput struct{ err error }

func (b badInput) Error() string { return b.err.Error() }
func (b badInput) Unwrap() error { return b.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "seccomp-agent:", err)
	var bad badInput
	if errors.As(err, &bad) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return badInput{err}
	case o.version:
		_, err := fmt.Fprintln(stdout, "seccomp-agent", version())
		return err
	}
	host, err := node.OpenHost(o.config.Root)
	if err != nil {
		return badInput{fmt.Errorf("%w; name the directory that is the node's / with --root", err)}
	}
	defer host.Close() //nolint:errcheck // nothing was written
	switch {
	case o.once:
		return o.print(host, stdout, stderr)
	case o.purge:
		return o.remove(host, stdout, stderr)
	}
	handler := slog.NewJSONHandler(stderr, nil)
	slog.SetDefault(slog.New(handler)) // the HTTP server's own words are JSON as well
	client, err := agent.Connect(os.Getenv, "seccomp-agent/"+version())
	if err != nil {
		return badInput{err}
	}
	return o.serve(ctx, client, logr.FromSlogHandler(handler))
}

// print says what the node would publish. What cannot be read below the root is told and
// left out.
func (o *options) print(host *node.Host, stdout, stderr io.Writer) error {
	facts, problems := node.Collect(host, node.Options{NodeName: o.config.NodeName, GOARCH: runtime.GOARCH})
	tell(problems, stderr)
	text, err := o.encode(facts)
	if err != nil {
		return fmt.Errorf("print facts: %w", err)
	}
	_, err = stdout.Write(text)
	return err
}

// remove takes the profiles that seccompgate wrote from the node.
func (o *options) remove(host *node.Host, stdout, stderr io.Writer) error {
	root, problems := node.NewReader(host, node.Options{GOARCH: runtime.GOARCH}).Settings()
	tell(problems, stderr)
	directory, err := provision.Open(o.config.Root, root)
	if err != nil {
		return err
	}
	defer directory.Close() //nolint:errcheck // nothing was written
	if err := directory.Purge(); err != nil {
		return fmt.Errorf("remove profiles: %w", err)
	}
	_, err = fmt.Fprintln(stdout, "removed the profiles that seccompgate wrote below", root)
	return err
}

func tell(problems []node.Problem, stderr io.Writer) {
	for _, p := range problems {
		fmt.Fprintln(stderr, "seccomp-agent:", p)
	}
}

// version is what the build says of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v0.1.0-dev"
}
