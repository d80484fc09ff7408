// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/seccomp"
)

func newProfileLintCommand(s streams) *cobra.Command {
	var o profileOptions
	c := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Say what profiles do otherwise than they seem to",
		Long: `Say what is wrong with profiles: whatever the strict loader refuses, with line and column, and what
a valid one does otherwise than its text suggests, as runc and libseccomp take it.

Exit codes: 0 nothing to say or only remarks of info, 1 errors or warnings, 2 bad usage or a file
that cannot be read.`,
		Example: `  seccompctl profile lint profiles/*.json
  kubectl get localhostprofile web -o yaml | seccompctl profile lint -`,
		Args: someFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			native, asJSON, err := o.read()
			if err != nil {
				return err
			}
			return lint(s, args, native, asJSON)
		},
	}
	o.addTo(c.Flags())
	return c
}

// linted is what lint says of one file.
type linted struct {
	File    string           `json:"file"`
	Remarks []seccomp.Remark `json:"remarks"`
}

func lint(s streams, files []string, native specs.Arch, asJSON bool) error {
	var bad error
	results := []linted{}
	found := false
	for _, name := range files {
		remarks, err := lintFile(name, s.in, native)
		if err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		results = append(results, linted{File: displayName(name), Remarks: remarks})
		for _, r := range remarks {
			found = found || r.Severity != seccomp.SeverityInfo
		}
	}
	if asJSON {
		if err := writeJSON(s.out, map[string][]linted{"results": results}); err != nil {
			return err
		}
	} else {
		for _, r := range results {
			for _, remark := range r.Remarks {
				fmt.Fprintf(s.out, "%s: %s\n", r.File, remark)
			}
			if len(r.Remarks) == 0 {
				fmt.Fprintf(s.out, "%s: fine\n", r.File)
			}
		}
	}
	switch {
	case bad != nil:
		return bad
	case found:
		return errFindings
	default:
		return nil
	}
}

// lintFile returns remarks, never nil. What the loader refuses is a remark, too.
func lintFile(name string, stdin io.Reader, native specs.Arch) ([]seccomp.Remark, error) {
	data, err := readProfileFile(name, stdin)
	if err != nil {
		return nil, err
	}
	p, err := parseProfile(data)
	var parse *seccomp.ParseError
	switch {
	case errors.As(err, &parse):
		remarks := make([]seccomp.Remark, 0, len(parse.Problems))
		for _, problem := range parse.Problems {
			key := problem.Key
			if problem.Line > 0 {
				key = fmt.Sprintf("line %d, column %d", problem.Line, problem.Column)
				if problem.Key != "" {
					key += ": " + problem.Key
				}
			}
			remarks = append(remarks, seccomp.Remark{ID: "invalid", Severity: seccomp.SeverityError, Key: key, Message: problem.Message, Remedy: problem.Remedy})
		}
		return remarks, nil
	case err != nil:
		return []seccomp.Remark{{ID: "invalid", Severity: seccomp.SeverityError, Message: err.Error(), Remedy: "correct it"}}, nil
	}
	remarks, err := p.Lint(native)
	if remarks == nil {
		remarks = []seccomp.Remark{}
	}
	return remarks, err
}
