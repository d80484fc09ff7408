// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"

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
a valid one does otherwise than its text suggests, as runc and libseccomp take it. Of a file with
several LocalhostProfiles, each is judged.

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

// linted is what lint says of one profile.
type linted struct {
	File string `json:"file"`
	// Name of the LocalhostProfile in it.
	Name    string           `json:"name,omitempty"`
	Remarks []seccomp.Remark `json:"remarks"`

	from string // for people
}

func lint(s streams, files []string, native specs.Arch, asJSON bool) error {
	var bad error
	results := []linted{}
	found := false
	for _, name := range files {
		entries, err := readProfiles(name, s.in)
		bad = errors.Join(bad, err)
		for i := range entries {
			e := &entries[i]
			remarks, err := e.lint(native)
			if err != nil {
				bad = errors.Join(bad, fmt.Errorf("%s: %w", e.from, err))
				continue
			}
			results = append(results, linted{File: displayName(name), Name: e.name, Remarks: remarks, from: e.from})
			for _, r := range remarks {
				found = found || r.Severity != seccomp.SeverityInfo
			}
		}
	}
	if asJSON {
		if err := writeJSON(s.out, map[string][]linted{"results": results}); err != nil {
			return err
		}
	} else {
		var text bytes.Buffer
		for _, r := range results {
			for _, remark := range r.Remarks {
				fmt.Fprintf(&text, "%s: %s\n", r.from, remark)
			}
			if len(r.Remarks) == 0 {
				fmt.Fprintf(&text, "%s: fine\n", r.from)
			}
		}
		if _, err := s.out.Write(text.Bytes()); err != nil {
			return fmt.Errorf("write remarks: %w", err)
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

// lint returns remarks, never nil. What the loader refuses is a remark, too.
func (e *profileEntry) lint(native specs.Arch) ([]seccomp.Remark, error) {
	var parse *seccomp.ParseError
	var field *fieldError
	switch {
	case errors.As(e.err, &parse):
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
	case errors.As(e.err, &field):
		return []seccomp.Remark{{ID: "invalid", Severity: seccomp.SeverityError, Key: field.key(), Message: field.message, Remedy: field.remedy}}, nil
	case e.err != nil:
		return []seccomp.Remark{{ID: "invalid", Severity: seccomp.SeverityError, Message: e.err.Error(), Remedy: "correct it"}}, nil
	}
	remarks, err := e.profile.Lint(native)
	if remarks == nil {
		remarks = []seccomp.Remark{}
	}
	return remarks, err
}
