// SPDX-License-Identifier: Apache-2.0

// Command seccomp-agent tells which seccomp profiles a node really has.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"

	"github.com/seccompgate/seccompgate/inventory/node"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "seccomp-agent:", err)
		os.Exit(2)
	}
}

// run prints what the node would publish. Every error is one of the command line or of
// the root that it names; what cannot be read below the root is told and left out.
func run(args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return err
	case o.version:
		_, err := fmt.Fprintln(stdout, "seccomp-agent", version())
		return err
	}
	host, err := node.OpenHost(o.config.Root)
	if err != nil {
		return fmt.Errorf("%w; name the directory that is the node's / with --root", err)
	}
	defer host.Close() //nolint:errcheck // nothing was written
	facts, problems := node.Collect(host, node.Options{NodeName: o.config.NodeName, GOARCH: runtime.GOARCH})
	for _, p := range problems {
		fmt.Fprintln(stderr, "seccomp-agent:", p)
	}
	text, err := o.encode(facts)
	if err != nil {
		return fmt.Errorf("print facts: %w", err)
	}
	_, err = stdout.Write(text)
	return err
}

// version is what the build says of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v0.1.0-dev"
}
