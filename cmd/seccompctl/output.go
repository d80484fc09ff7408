// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/webhook/report"
)

// addOutputFlag adds -o with text, JSON and what else a command can write.
func addOutputFlag(c *cobra.Command, output *string, more ...report.Format) {
	formats := append([]report.Format{report.Text, report.JSON}, more...)
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	last := len(names) - 1
	usage := "`FORMAT`: " + strings.Join(names[:last], ", ") + " or " + names[last]
	c.Flags().StringVarP(output, "output", "o", string(report.Text), usage)
	// There is no error but a flag that does not exist.
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}
