// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/webhook/report"
)

// wide is the output with digests and with all names.
const wide report.Format = "wide"

// Bounds of what a person reads.
const (
	// maxColumns is how many groups of nodes stand beside each other.
	maxColumns = 6
	// maxMembers is how many nodes of a group are named.
	maxMembers = 8
	// shortDigest is how much of a digest tells contents apart, in hexadecimal digits.
	shortDigest = 12
)

// nodesOptions are the flags of nodes.
type nodesOptions struct {
	clusterOptions
	output string
}

func newNodesCommand(s streams) *cobra.Command {
	var o nodesOptions
	c := &cobra.Command{
		Use:   "nodes",
		Short: "Show which node has which profile",
		Long: `Show which node has which profile, nodes that stand alike in one column:

  present   the node has the content of the LocalhostProfile
  missing   it has none, or an earlier content that is still to be replaced
  drifted   somebody has changed it
  invalid   no container would start with it
  unknown   the node has not reported
  -         the node is not to have it, as nodeSelector says

A file that belongs to no LocalhostProfile has drifted where it differs from that of most nodes.
Only Linux nodes count.

Exit codes: 0 nothing is wrong, 1 a LocalhostProfile is not present everywhere that it is to be, or
another file has drifted or is invalid, 2 bad usage or a cluster that cannot be read.`,
		Example: `  seccompctl nodes
  seccompctl nodes -o wide --context production
  seccompctl nodes -o json | jq '.nodes[] | select(.reported | not).name'
  kubectl get nodes,seccompnodes,profilesets,localhostprofiles -o yaml | seccompctl nodes --inventory -`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	c.Flags().SortFlags = false
	o.addFlags(c)
	addOutputFlag(c, &o.output, wide)
	return c
}

func (o *nodesOptions) run(ctx context.Context, s streams) error {
	format, err := report.ParseFormat(o.output, wide)
	if err != nil {
		return err
	}
	known, err := o.read(ctx, s)
	if err != nil {
		return err
	}
	m := newMatrix(known.index)
	var text []byte
	if format == report.JSON {
		if text, err = m.json(); err != nil {
			return err
		}
	} else {
		text = m.text(format == wide, colours(s.out))
	}
	if _, err := s.out.Write(text); err != nil {
		return fmt.Errorf("write nodes: %w", err)
	}
	if m.wrong > 0 {
		return errFindings
	}
	return nil
}

// matrix is the profiles and the nodes.
type matrix struct {
	index  *inventory.Index
	rows   []inventory.Row
	nodes  []string
	groups []group
	// wrong counts what the exit code is about.
	wrong int
}

// group is nodes that stand alike.
type group struct {
	nodes    []string
	reported bool
	cells    []cell
}

// cell is how the nodes of a group stand to a row.
type cell struct {
	inventory.Standing
	wanted bool
}

func newMatrix(index *inventory.Index) *matrix {
	m := &matrix{index: index, rows: index.Rows(), nodes: index.LinuxNodes()}
	known := make(map[string]int)
	for _, node := range m.nodes {
		g := group{nodes: []string{node}, reported: index.Reported(node)}
		var alike strings.Builder
		fmt.Fprintln(&alike, g.reported)
		for _, row := range m.rows {
			standing, wanted := index.At(row, node)
			g.cells = append(g.cells, cell{standing, wanted})
			if isWrong(row, standing.State, wanted) {
				m.wrong++
			}
			fmt.Fprintf(&alike, "%v %s %s\n", wanted, standing.State, standing.Reason)
		}
		if i, found := known[alike.String()]; found {
			m.groups[i].nodes = append(m.groups[i].nodes, node)
			continue
		}
		known[alike.String()] = len(m.groups)
		m.groups = append(m.groups, g)
	}
	slices.SortStableFunc(m.groups, func(a, b group) int { return cmp.Compare(len(b.nodes), len(a.nodes)) })
	return m
}

// isWrong says whether somebody should look at it: a file that nobody asked for may be
// missing.
func isWrong(row inventory.Row, state inventory.State, wanted bool) bool {
	switch state {
	case inventory.Drifted, inventory.Invalid:
		return wanted
	case inventory.Missing, inventory.Unknown:
		return wanted && row.Profile != ""
	default:
		return false
	}
}

// title is what stands above the column of a group.
func (g *group) title() string {
	if more := len(g.nodes) - 1; more > 0 {
		return fmt.Sprintf("%s +%d", g.nodes[0], more)
	}
	return g.nodes[0]
}

func (m *matrix) text(wide bool, paint painter) []byte {
	var b strings.Builder
	switch {
	case len(m.nodes) == 0:
		return []byte("no Linux node\n")
	case len(m.rows) == 0:
		return fmt.Appendf(nil, "no profile on %s, and no LocalhostProfile\n", counted(len(m.nodes), "node"))
	}
	for columns := range slices.Chunk(m.groups, maxColumns) {
		m.writeTable(&b, columns, wide, paint)
		b.WriteByte('\n')
	}
	m.writeMembers(&b, wide)
	m.writeReasons(&b)
	fmt.Fprintf(&b, "%s on %s: ", counted(len(m.rows), "profile"), counted(len(m.nodes), "node"))
	if m.wrong == 0 {
		b.WriteString("all as it should be\n")
	} else {
		fmt.Fprintf(&b, "%d not as it should be\n", m.wrong)
	}
	return []byte(b.String())
}

// writeTable writes the columns of some groups.
func (m *matrix) writeTable(b *strings.Builder, groups []group, wide bool, paint painter) {
	lines := make([][]string, len(m.rows)+1)
	lines[0] = []string{"PROFILE"}
	for _, g := range groups {
		lines[0] = append(lines[0], g.title())
	}
	for i, row := range m.rows {
		lines[i+1] = []string{cmp.Or(row.Profile, row.Path)}
		for _, g := range groups {
			lines[i+1] = append(lines[i+1], g.cells[i].text(wide))
		}
	}
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, text := range line {
			width[i] = max(width[i], utf8.RuneCountInString(text))
		}
	}
	for n, line := range lines {
		for i, text := range line {
			padding := strings.Repeat(" ", width[i]-utf8.RuneCountInString(text)+2)
			if i == len(line)-1 {
				padding = ""
			}
			if n > 0 && i > 0 {
				text = paint(groups[i-1].cells[n-1].State, text)
			}
			b.WriteString(text + padding)
		}
		b.WriteByte('\n')
	}
}

func (c *cell) text(wide bool) string {
	switch {
	case !c.wanted:
		return "-"
	case wide && c.Digest != "":
		return string(c.State) + " " + shorten(c.Digest)
	default:
		return string(c.State)
	}
}

// shorten leaves as much of a digest as tells contents apart.
func shorten(digest string) string {
	digits := strings.TrimPrefix(digest, "sha256:")
	return digits[:min(shortDigest, len(digits))]
}

// writeMembers names the nodes of each group.
func (m *matrix) writeMembers(b *strings.Builder, all bool) {
	before := b.Len()
	for _, g := range m.groups {
		if len(g.nodes) == 1 {
			continue
		}
		names, more := g.nodes, 0
		if !all && len(names) > maxMembers {
			names, more = names[:maxMembers], len(names)-maxMembers
		}
		fmt.Fprintf(b, "%s: %s", g.title(), strings.Join(names, ", "))
		if more > 0 {
			fmt.Fprintf(b, " and %d more", more)
		}
		b.WriteByte('\n')
	}
	if b.Len() > before {
		b.WriteByte('\n')
	}
}

// writeReasons says what is behind each state that is not as it should be.
func (m *matrix) writeReasons(b *strings.Builder) {
	before := b.Len()
	for _, g := range m.groups {
		if !g.reported && len(g.cells) > 0 {
			fmt.Fprintf(b, "%s: has not reported; see whether seccomp-agent runs there\n", g.title())
			continue
		}
		for i, c := range g.cells {
			if isWrong(m.rows[i], c.State, c.wanted) {
				fmt.Fprintf(b, "%s: %s is %s: %s\n", g.title(), cmp.Or(m.rows[i].Profile, m.rows[i].Path), c.State, c.Reason)
			}
		}
	}
	if b.Len() > before {
		b.WriteByte('\n')
	}
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// nodeStates is one node of the JSON output.
type nodeStates struct {
	Name           string         `json:"name"`
	Reported       bool           `json:"reported"`
	SeccompDefault *bool          `json:"seccompDefault,omitempty"`
	Profiles       []profileState `json:"profiles"`
}

type profileState struct {
	// Profile is absent for a file that belongs to no LocalhostProfile.
	Profile string          `json:"profile,omitempty"`
	Path    string          `json:"path"`
	State   inventory.State `json:"state"`
	Digest  string          `json:"digest,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

func (m *matrix) json() ([]byte, error) {
	out := struct {
		Nodes []nodeStates `json:"nodes"`
	}{make([]nodeStates, 0, len(m.nodes))}
	for _, g := range m.groups {
		for _, node := range g.nodes {
			n := nodeStates{Name: node, Reported: g.reported, Profiles: []profileState{}}
			if on, known := m.index.SeccompDefault(node); known {
				n.SeccompDefault = &on
			}
			for i, c := range g.cells {
				if c.wanted {
					n.Profiles = append(n.Profiles, profileState{m.rows[i].Profile, m.rows[i].Path, c.State, c.Digest, c.Reason})
				}
			}
			out.Nodes = append(out.Nodes, n)
		}
	}
	slices.SortFunc(out.Nodes, func(a, b nodeStates) int { return cmp.Compare(a.Name, b.Name) })
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode nodes: %w", err)
	}
	return append(text, '\n'), nil
}

// painter colours the name of a state.
type painter func(state inventory.State, text string) string

// colours paints on a terminal, unless the environment says otherwise (no-color.org).
func colours(out io.Writer) painter {
	plain := func(_ inventory.State, text string) string { return text }
	file, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return plain
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return plain
	}
	codes := map[inventory.State]string{
		inventory.Present: "32", inventory.Missing: "31", inventory.Drifted: "35", inventory.Invalid: "31;1", inventory.Unknown: "33",
	}
	return func(state inventory.State, text string) string {
		if codes[state] == "" {
			return text
		}
		return "\x1b[" + codes[state] + "m" + text + "\x1b[0m"
	}
}
