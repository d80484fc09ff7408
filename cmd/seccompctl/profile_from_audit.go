// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/recording"
)

type fromAuditOptions struct {
	exe, comm string
	base      string
}

// maxComm is how many bytes of a process's name the kernel keeps.
const maxComm = 15

func newProfileFromAuditCommand(s streams) *cobra.Command {
	var o fromAuditOptions
	c := &cobra.Command{
		Use:   "from-audit [FILE|-]",
		Short: "Make a profile of what the kernel's audit records show",
		Long: `Make a profile that lets through the syscalls of the audit records in FILE, or in standard input,
and fails all others with EPERM. Records are read as dmesg, syslog, the journal and auditd have
them, and as the kernel sends them. Lines that are no whole seccomp records are skipped and
counted; syscalls without a known name are reported and left out.

--exe and --comm choose whose records count: with --exe /usr/sbin/nginx, what the container
runtime did before it started nginx does not. --base adds what a low-level runtime needs to start
a container under the profile, and a process to end: that of runc, of crun, of all that were
measured, or of none, for nothing but what was seen.

Records come from containers under a profile whose default action is SCMP_ACT_LOG. A process
chooses its name and program, so record what you trust.

Exit codes: 0 a profile was made, 2 bad usage, a file that cannot be read, or no record that
matches.`,
		Example: `  journalctl _TRANSPORT=audit | seccompctl profile from-audit --exe /usr/sbin/nginx > nginx.json
  seccompctl profile from-audit --base none /var/log/audit/audit.log`,
		Args: oneInput,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			name := "-"
			if len(args) > 0 {
				name = args[0]
			}
			return o.run(s, c.Root().CommandPath(), name)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.exe, "exe", "", "`PATH` of the program whose records count, as it is in the container")
	flags.StringVar(&o.comm, "comm", "", "`NAME` of the processes whose records count")
	flags.StringVar(&o.base, "base", recording.BaseAll, "`NAME` of what is added: "+oneOf(recording.Bases()))
	// There is no error but a flag that does not exist.
	_ = c.RegisterFlagCompletionFunc("base", cobra.FixedCompletions(recording.Bases(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// oneInput wants a file, or none for standard input.
func oneInput(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("one file is read, not %d; join them, see %s --help", len(args), c.CommandPath())
	}
	return nil
}

func oneOf(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func (o *fromAuditOptions) check(c *cobra.Command) error {
	if c.Flags().Changed("exe") && o.exe == "" {
		return errors.New("--exe: no program; write its path as in the records, or leave the flag out for the records of all")
	}
	if c.Flags().Changed("comm") && o.comm == "" {
		return errors.New("--comm: no name; write it as in the records, or leave the flag out for the records of all")
	}
	if len(o.comm) > maxComm {
		return fmt.Errorf("--comm: %q has %d bytes, of which the kernel keeps %d; write %q", o.comm, len(o.comm), maxComm, o.comm[:maxComm])
	}
	if _, ok := recording.Base(o.base); !ok {
		return fmt.Errorf("--base: unknown base %q; write %s", o.base, oneOf(recording.Bases()))
	}
	return nil
}

// process is what a process calls itself.
type process struct{ exe, comm string }

const (
	// maxOthers bounds what is remembered of records that do not match: processes choose
	// their names.
	maxOthers = 1000
	// maxTold bounds what is said of calls: processes choose their numbers.
	maxTold = 100
)

func (o *fromAuditOptions) matches(r *recording.Record) bool {
	return (o.exe == "" || r.Exe == o.exe) && (o.comm == "" || r.Comm == o.comm)
}

func (o *fromAuditOptions) run(s streams, program, name string) error {
	in, err := openInput("audit records", name, readable, s.in)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // nothing was written
	name = displayName(name)
	say := func(format string, a ...any) {
		fmt.Fprintf(s.err, "%s: %s: %s\n", program, name, fmt.Sprintf(format, a...))
	}
	log := recording.NewLog(in)
	var calls recording.Calls
	others := make(map[process]int)
	for {
		r, err := log.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read audit records %s: %w; %s", name, err, readable)
		}
		if o.matches(&r) {
			calls.Add(&r)
		} else if who := (process{r.Exe, r.Comm}); others[who] > 0 || len(others) < maxOthers {
			others[who]++
		}
	}
	tell(say, log.Tally(), &calls)
	if calls.Len() == 0 {
		return fmt.Errorf("%s: %s", name, noRecord(others))
	}
	base, _ := recording.Base(o.base)
	p, err := calls.Profile(base)
	if errors.Is(err, recording.ErrNoName) {
		return fmt.Errorf("%s: %w, so that a profile would let nothing of it through; write one by hand", name, err)
	}
	if err != nil {
		return fmt.Errorf("%s: make profile: %w", name, err)
	}
	_, err = s.out.Write(p.Marshal())
	return err
}

// tell says what the profile does not have, and what it perhaps should not.
func tell(say func(string, ...any), t recording.Tally, calls *recording.Calls) {
	if skipped := t.Foreign + t.Broken; skipped > 0 {
		say("skipped %d of %d lines: %d no seccomp records, %d not whole", skipped, t.Lines, t.Foreign, t.Broken)
	}
	if t.Suppressed+t.Lost > 0 {
		say("the kernel did not log %d records, so that calls may be missing; record again through auditd, or read the journal's audit records", t.Suppressed+t.Lost)
	}
	unnamed := calls.Unnamed()
	for _, call := range unnamed[:min(maxTold, len(unnamed))] {
		say("left out %s, which has no known name", call)
	}
	if more := len(unnamed) - maxTold; more > 0 {
		say("left out %d more that have no known name", more)
	}
	for _, call := range calls.Blocked() {
		name, _ := call.Name()
		say("lets %s through, which was blocked when it was recorded; remove it unless it is needed", name)
	}
}

// noRecord says that nothing matched, and what there was instead.
func noRecord(others map[process]int) string {
	if len(others) == 0 {
		return "no seccomp record in it; record under a profile whose default action is SCMP_ACT_LOG"
	}
	all := slices.SortedFunc(maps.Keys(others), func(a, b process) int {
		return cmp.Or(cmp.Compare(others[b], others[a]), cmp.Compare(a.exe, b.exe), cmp.Compare(a.comm, b.comm))
	})
	const most = 3
	var seen []string
	for _, p := range all[:min(most, len(all))] {
		seen = append(seen, fmt.Sprintf("%q as %q (%d)", p.exe, p.comm, others[p]))
	}
	text := strings.Join(seen, ", ")
	if more := len(all) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "no record matches; there are those of " + text
}
