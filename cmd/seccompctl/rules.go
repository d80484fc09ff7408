// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/report"
)

func newRulesCommand(s streams) *cobra.Command {
	var directory, output string
	c := &cobra.Command{
		Use:   "rules",
		Short: "List the rules by level",
		Long: `List the rules by level, the weakest first. A level includes the rules of those before it.
With -o json, all that a rule says of itself.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := report.ParseFormat(output)
			if err != nil {
				return err
			}
			set, err := loadRules(c.Context(), directory, nil)
			if err != nil {
				return err
			}
			rules := set.Rules()
			slices.SortStableFunc(rules, func(a, b policies.Rule) int { return a.Level.Rank() - b.Level.Rank() })
			if format == report.JSON {
				enc := json.NewEncoder(s.out)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				return enc.Encode(map[string][]policies.Rule{"rules": rules})
			}
			w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "LEVEL\tRULE\tSINCE\tTITLE")
			for _, r := range rules {
				fmt.Fprintln(w, strings.Join([]string{string(r.Level), r.ID, r.Since, r.Title}, "\t"))
			}
			return w.Flush()
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	nameFlag(flags, &directory, "policies", "", "`DIR` with rules of your own")
	addOutputFlag(c, &output)
	return c
}
