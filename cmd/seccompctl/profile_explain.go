// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/seccomp"
)

func newProfileExplainCommand(s streams) *cobra.Command {
	var o profileOptions
	c := &cobra.Command{
		Use:   "explain FILE...",
		Short: "Say what profiles allow",
		Long: `Say what profiles allow: how much of the kernel, what of it is dangerous, what the runtime's default
would block, and whether runtimes can start containers under them. Of a file with several
LocalhostProfiles, each is explained.`,
		Example: `  seccompctl profile explain web.json
  seccompctl profile explain web.json -o json --arch arm64`,
		Args: someFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			native, asJSON, err := o.read()
			if err != nil {
				return err
			}
			return explain(s, args, native, asJSON)
		},
	}
	o.addTo(c.Flags())
	return c
}

// explained is what explain says of one profile.
type explained struct {
	File string `json:"file"`
	// Name of the LocalhostProfile in it.
	Name          string              `json:"name,omitempty"`
	Digest        string              `json:"digest"`
	Grade         seccomp.Grade       `json:"grade"`
	DefaultAction string              `json:"defaultAction"`
	Allowed       []allowed           `json:"allowed"`
	Dangerous     []explainedDanger   `json:"dangerous"`
	Beyond        []explainedBeyond   `json:"beyondDefault"`
	Missing       []explainedStartups `json:"missingToStart"`

	from string // for people
}

// allowed is how much of one architecture the filter lets through.
type allowed struct {
	Architecture specs.Arch `json:"architecture"`
	// counts are absent where nobody knows which syscalls there are.
	*counts
}

// counts are of syscalls by what the filter lets through.
type counts struct {
	Always    int `json:"always"`
	Sometimes int `json:"sometimes"`
	Never     int `json:"never"`
}

type explainedDanger struct {
	Syscall string `json:"syscall"`
	Weight  int    `json:"weight"`
	Reason  string `json:"reason"`
}

type explainedBeyond struct {
	Syscall string `json:"syscall"`
	// Arguments are an example; absent when they do not matter.
	Arguments        []string `json:"arguments,omitempty"`
	UnlessCapability []string `json:"unlessCapability"`
}

type explainedStartups struct {
	Runtime         string   `json:"runtime"`
	NoNewPrivileges bool     `json:"noNewPrivileges"`
	Syscalls        []string `json:"syscalls"`
}

func explain(s streams, files []string, native specs.Arch, asJSON bool) error {
	var bad error
	results := []explained{}
	for _, name := range files {
		entries, err := readProfiles(name, s.in)
		bad = errors.Join(bad, err)
		for i := range entries {
			e, err := entries[i].explain(native)
			if err != nil {
				bad = errors.Join(bad, fmt.Errorf("%s: %w", entries[i].from, err))
				continue
			}
			e.File = displayName(name)
			results = append(results, e)
		}
	}
	if asJSON {
		if err := writeJSON(s.out, map[string][]explained{"results": results}); err != nil {
			return err
		}
		return bad
	}
	for i := range results {
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		if err := results[i].write(s.out); err != nil {
			return err
		}
	}
	return bad
}

func (of *profileEntry) explain(native specs.Arch) (explained, error) {
	if of.err != nil {
		return explained{}, of.err
	}
	p := of.profile
	a, err := p.Analyze(native)
	if err != nil {
		return explained{}, err
	}
	e := explained{
		from: of.from, Name: of.name, Digest: seccomp.Digest(p.Marshal()), Grade: a.Grade, DefaultAction: string(a.DefaultAction),
		Allowed: []allowed{}, Dangerous: []explainedDanger{}, Beyond: []explainedBeyond{}, Missing: []explainedStartups{},
	}
	f := p.Filter(native)
	for _, arch := range f.Architectures() {
		names := seccomp.SyscallNames(arch)
		if len(names) == 0 {
			e.Allowed = append(e.Allowed, allowed{Architecture: arch})
			continue
		}
		count := &counts{}
		for _, name := range names {
			switch f.Allows(arch, name) {
			case seccomp.Always:
				count.Always++
			case seccomp.Sometimes:
				count.Sometimes++
			case seccomp.Never:
				count.Never++
			}
		}
		e.Allowed = append(e.Allowed, allowed{arch, count})
	}
	for _, d := range a.Dangerous {
		e.Dangerous = append(e.Dangerous, explainedDanger{d.Syscall, d.Weight, d.Reason})
	}
	for _, b := range a.Beyond {
		x := explainedBeyond{Syscall: b.Syscall, UnlessCapability: append([]string{}, b.Capabilities...)}
		if b.Args != nil {
			for _, v := range b.Args {
				x.Arguments = append(x.Arguments, fmt.Sprintf("%#x", v))
			}
		}
		e.Beyond = append(e.Beyond, x)
	}
	for _, m := range a.Missing {
		if m.Runtime != seccomp.AnyRuntime {
			e.Missing = append(e.Missing, explainedStartups(m))
		}
	}
	return e, nil
}

// meanings of the grades, for people.
func meaning(g seccomp.Grade) string {
	switch g {
	case seccomp.GradeTight:
		return "blocks more than the runtime's default, and lets nothing through beyond it"
	case seccomp.GradeDefault:
		return "as the runtime's default"
	case seccomp.GradeWeaker:
		return "lets through what the runtime's default blocks"
	case seccomp.GradeBlockList:
		return "lets through whatever it does not name"
	default:
		return "blocks nothing"
	}
}

func (e *explained) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", e.from, e.Digest)
	fmt.Fprintf(w, "grade\t%s: %s\n", e.Grade, meaning(e.Grade))
	fmt.Fprintf(w, "default\t%s\n", e.DefaultAction)
	for _, a := range e.Allowed {
		name := strings.TrimPrefix(string(a.Architecture), "SCMP_ARCH_")
		if a.counts == nil {
			fmt.Fprintf(w, "allows\t%s: not counted, since there is no table of its syscalls\n", name)
			continue
		}
		fmt.Fprintf(w, "allows\t%s: %d of %d syscalls", name, a.Always+a.Sometimes, a.Always+a.Sometimes+a.Never)
		if a.Sometimes > 0 {
			fmt.Fprintf(w, ", %d of them for some arguments", a.Sometimes)
		}
		fmt.Fprintln(w)
	}
	for _, d := range e.Dangerous {
		fmt.Fprintf(w, "danger %d\t%s lets a container %s\n", d.Weight, d.Syscall, d.Reason)
	}
	for _, b := range e.Beyond {
		fmt.Fprintf(w, "beyond default\t%s", b.Syscall)
		if b.Arguments != nil {
			fmt.Fprintf(w, "(%s)", strings.Join(b.Arguments, ", "))
		}
		if len(b.UnlessCapability) > 0 {
			fmt.Fprintf(w, ", which it lets through with %s", strings.Join(b.UnlessCapability, " or "))
		}
		fmt.Fprintln(w)
	}
	for _, m := range e.Missing {
		fmt.Fprintf(w, "does not start\t%s, noNewPrivileges %v: lacks %s\n", m.Runtime, m.NoNewPrivileges, strings.Join(m.Syscalls, ", "))
	}
	return w.Flush()
}
