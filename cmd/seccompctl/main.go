// SPDX-License-Identifier: Apache-2.0

// Command seccompctl judges manifests by the rules of the webhook. As
// kubectl-seccompgate it is a plugin of kubectl.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitFine     = 0
	exitFindings = 1
	exitBadInput = 2
)

// errFindings ends a command that worked and found something; it has been said already.
var errFindings = errors.New("findings")

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[0], os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run is the whole program; it returns the exit code.
func run(name string, args []string, s streams) int {
	root := newRoot(name, s)
	root.SetArgs(args)
	help := &writer{to: s.out}
	root.SetOut(help)
	// Signals keep their default: there is nothing to clean up, and a read from a terminal
	// would not notice a context.
	err := root.ExecuteContext(context.Background())
	if err == nil && help.err != nil {
		err = fmt.Errorf("write help: %w", help.err)
	}
	// Cobra says nothing more of a command that is like none that there is.
	if _, _, unknown := root.Find(args); unknown != nil && err != nil && !strings.Contains(err.Error(), "\n") {
		err = fmt.Errorf("%w; see %s --help", err, root.CommandPath())
	}
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errFindings):
		return exitFindings
	default:
		for _, e := range flatten(err) {
			fmt.Fprintf(s.err, "%s: %v\n", root.CommandPath(), e)
		}
		return exitBadInput
	}
}

// writer remembers that it failed: cobra does not say so of a help text.
type writer struct {
	to  io.Writer
	err error
}

// Write writes, and remembers the first error.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.err = cmp.Or(w.err, err)
	return n, err
}

// flatten takes apart what errors.Join put together, so that each has a line of its own.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

// commands lists the verbs.
func commands(s streams) []*cobra.Command {
	return []*cobra.Command{newCheckCommand(s), newInjectCommand(s), newNodesCommand(s), newWhyCommand(s), newRulesCommand(s), newProfileCommand(s)}
}

func newRoot(name string, s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "seccompctl",
		Short: "Judge and complete manifests by the rules of seccompgate",
		Long: `seccompctl judges manifests by the same rules as the webhook of seccompgate, and writes into
them the profiles that labels name.

Exit codes: 0 fine, 1 findings, 2 bad usage or input that cannot be read.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	if strings.HasPrefix(filepath.Base(name), "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl seccompgate"}
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetVersionTemplate("{{.DisplayName}} {{.Version}}\n")
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(commands(s)...)
	root.InitDefaultCompletionCmd()
	// Cobra's own shows its help for a shell that it does not know.
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args = onlyCommands
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	return root
}

// noArguments refuses what is not said by a flag.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q; see %s --help", args[0], c.CommandPath())
	}
	return nil
}

// filesByFlag is noArguments for commands that read the files that -f names.
func filesByFlag(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q; name files with -f, see %s --help", args[0], c.CommandPath())
	}
	return nil
}

// onlyCommands refuses what is none of the commands below one.
func onlyCommands(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	// Two typing errors, as cobra itself has it below the root.
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q for %q; did you mean %q?", args[0], c.CommandPath(), near[0])
	}
	return fmt.Errorf("unknown command %q for %q; see %s --help", args[0], c.CommandPath(), c.CommandPath())
}

// version is what the build says of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v0.1.0-dev"
}
