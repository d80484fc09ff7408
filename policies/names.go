// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Built-in rules hand the names of containers on, into findings, and compare them with
// nothing. So they are asked about pods whose containers have stand-ins for names: pods
// that differ in names only are one to the memory, and the names are put into what it
// answers. A user's rule may look at a name; with one loaded, names stay.

// mark begins a stand-in. %q prints it as it is.
const mark = "⟦"

var standIns = func() (names [32]string) {
	for i := range names {
		names[i] = mark + strconv.Itoa(i) + "⟧"
	}
	return names
}()

// nameless is a copy of an input with stand-ins in place of names.
type nameless struct {
	in    Input
	names []string // as standIns
	uses  int      // of stand-ins in a key
}

var namelesses = sync.Pool{New: func() any { return new(nameless) }}

// hideNames returns the input with stand-ins, to be released, and nil where names must stay:
// there are too many, or they would be quoted in a message otherwise than as they are.
func hideNames(in *Input) *nameless {
	if len(in.Containers) > len(standIns) {
		return nil
	}
	for i := range in.Containers {
		if !isPlain(in.Containers[i].Name) {
			return nil
		}
	}
	n := namelesses.Get().(*nameless)
	containers, hostPaths := n.in.Containers, n.in.HostPaths
	n.in = *in
	n.in.Containers = append(containers[:0], in.Containers...)
	n.in.HostPaths = append(hostPaths[:0], in.HostPaths...)
	n.names, n.uses = n.names[:0], 0
	for i := range n.in.Containers {
		n.names = append(n.names, n.in.Containers[i].Name)
		n.hide(&n.in.Containers[i].Name)
	}
	for i := range n.in.HostPaths {
		n.hide(&n.in.HostPaths[i].Container)
	}
	return n
}

// hide replaces a name. Equal names get equal stand-ins.
func (n *nameless) hide(name *string) {
	if i := slices.Index(n.names, *name); i >= 0 && *name != "" {
		*name = standIns[i]
		n.uses++
	}
}

func (n *nameless) release() {
	clear(n.in.Containers)
	clear(n.in.HostPaths)
	clear(n.names)
	n.in = Input{Containers: n.in.Containers[:0], HostPaths: n.in.HostPaths[:0]}
	namelesses.Put(n)
}

// foreign says that something else than a name looks like a stand-in.
func (n *nameless) foreign(key []byte) bool { return bytes.Count(key, []byte(mark)) != n.uses }

// show puts the names into findings.
func (n *nameless) show(findings []Finding) {
	for i := range findings {
		f := &findings[i]
		for j, name := range n.names {
			if f.Container == standIns[j] {
				f.Container = name
			}
			if strings.Contains(f.Message, mark) {
				f.Message = strings.ReplaceAll(f.Message, standIns[j], name)
			}
		}
	}
	slices.SortFunc(findings, compareFindings)
}

// isPlain says that a name is quoted as it is. The API server's names of containers all are.
func isPlain(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
