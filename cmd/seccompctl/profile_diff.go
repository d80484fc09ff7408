// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/seccomp"
)

func newProfileDiffCommand(s streams) *cobra.Command {
	var o profileOptions
	c := &cobra.Command{
		Use:   "diff FROM TO",
		Short: "Compare what two profiles do",
		Long: `Compare what two profiles do, not how they are written: every syscall that the kernel treats
otherwise under the second, with arguments for which it does. Without a table of an architecture's
syscalls, such as s390x has none, every name that another architecture has is compared.

Exit codes: 0 no difference, 1 differences, 2 bad usage or a file that cannot be read.`,
		Example: `  seccompctl profile diff before.json after.json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("two profiles are compared, not %d; see %s --help", len(args), c.CommandPath())
			}
			return readsOnce(args...)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			native, asJSON, err := o.read()
			if err != nil {
				return err
			}
			return diff(s, args[0], args[1], native, asJSON)
		},
	}
	o.addTo(c.Flags())
	return c
}

// difference is one syscall that two profiles treat otherwise.
type difference struct {
	Architecture specs.Arch `json:"architecture"`
	Syscall      string     `json:"syscall"`
	// Arguments are an example; absent when they do not matter.
	Arguments []string `json:"arguments,omitempty"`
	From      string   `json:"from"`
	To        string   `json:"to"`
}

func diff(s streams, from, to string, native specs.Arch, asJSON bool) error {
	a, err := readProfile(from, s.in)
	if err != nil {
		return err
	}
	b, err := readProfile(to, s.in)
	if err != nil {
		return err
	}
	differences := []difference{}
	for _, d := range seccomp.Diff(a.Filter(native), b.Filter(native)) {
		x := difference{Architecture: d.Arch, Syscall: d.Syscall, From: outcomeText(d.From), To: outcomeText(d.To)}
		if d.Undecided {
			x.From, x.To = "not compared", "its conditions are too many"
		}
		if d.Args != nil {
			for _, v := range d.Args {
				x.Arguments = append(x.Arguments, fmt.Sprintf("%#x", v))
			}
		}
		differences = append(differences, x)
	}
	if asJSON {
		if err := writeJSON(s.out, map[string][]difference{"differences": differences}); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		for _, d := range differences {
			call := d.Syscall
			if d.Arguments != nil {
				call += "(" + strings.Join(d.Arguments, ", ") + ")"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t->\t%s\n", strings.TrimPrefix(string(d.Architecture), "SCMP_ARCH_"), call, d.From, d.To)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if len(differences) > 0 {
		return errFindings
	}
	return nil
}

func outcomeText(o seccomp.Outcome) string {
	text := strings.TrimPrefix(string(o.Action), "SCMP_ACT_")
	if o.Errno != 0 {
		text += fmt.Sprintf("(%d)", o.Errno)
	}
	return text
}
