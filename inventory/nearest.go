// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/seccompgate/seccompgate/seccomp"
)

// Bounds of what a proposal costs. Who asks for names that do not exist decides how
// often and how long they are, and edit distances to 5,000 paths of 50 bytes take 10 to
// 30 ms. With these bounds it is about 1 ms at most, whatever is asked.
const (
	// longestAsked in bytes is more than anybody types.
	longestAsked = 256
	// mostConsidered names are looked at: the neighbours of the asked one in the alphabet.
	mostConsidered = 10_000
	// mostCompared of them, the most similar ones, are compared in full.
	mostCompared = 24
	// comparedCells bounds all full comparisons together: one of names of n bytes
	// fills a table of n² cells.
	comparedCells = 64 << 10
)

// proposals are the names that a message may propose.
type proposals struct {
	// names are sorted.
	names   []string
	letters []letters
}

// letters counts the bytes of a name by their low bits.
type letters [32]uint8

func lettersOf(name string) letters {
	var l letters
	for i := range len(name) {
		if n := &l[name[i]%32]; *n < 255 {
			*n++
		}
	}
	return l
}

// apart is a lower bound of the number of edits between two names, of lengths that
// differ by longer: every edit changes the count of one letter by one, or of two. It
// may stop counting above limit.
func (l *letters) apart(m *letters, longer, limit int) int {
	sum := longer
	for i := 0; i < len(l) && sum/2 <= limit; i += 8 {
		for j := i; j < i+8; j++ {
			d := int(l[j%32]) - int(m[j%32])
			sum += max(d, -d)
		}
	}
	return sum / 2
}

// within is an upper bound of it: all that is not alike at both ends.
func within(a, b string) int {
	if len(a) > len(b) {
		a, b = b, a
	}
	start := 0
	for start < len(a) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	return len(b) - start - end
}

// newProposals keeps names, which are sorted.
func newProposals(names []string) proposals {
	p := proposals{names: names, letters: make([]letters, len(names))}
	for i, name := range names {
		p.letters[i] = lettersOf(name)
	}
	return p
}

// nearest is [seccomp.Nearest] at a bounded cost: of the names that could be near it
// compares those in full that have the most letters in common with the asked one, and
// among equals those that are alike at both ends.
func (p *proposals) nearest(name string) []string {
	if name == "" || len(name) > longestAsked {
		return nil
	}
	first := 0
	if len(p.names) > mostConsidered {
		at, _ := slices.BinarySearch(p.names, name)
		first = min(max(0, at-mostConsidered/2), len(p.names)-mostConsidered)
	}
	type near struct{ least, most, at int }
	var found [mostCompared]near
	n, room := 0, min(mostCompared, max(maxNearest, comparedCells/(len(name)*len(name))))
	asked, file := lettersOf(name), "/"+path.Base(name)
	limit := max(2, len(name)/3) // that of seccomp.Nearest
	for at := first; at < min(len(p.names), first+mostConsidered); at++ {
		candidate := p.names[at]
		least := max(len(candidate)-len(name), len(name)-len(candidate))
		if least <= limit {
			least = asked.apart(&p.letters[at], least, limit)
		}
		// The same file in another directory is near however far that is.
		if strings.HasSuffix(candidate, file) || candidate == file[1:] {
			least = min(least, 1)
		}
		if least > limit {
			continue
		}
		c := near{least, within(name, candidate), at}
		i, _ := slices.BinarySearchFunc(found[:n], c, func(a, b near) int {
			return cmp.Or(cmp.Compare(a.least, b.least), cmp.Compare(a.most, b.most), cmp.Compare(a.at, b.at))
		})
		if i == room {
			continue
		}
		n = min(n+1, room)
		copy(found[i+1:n], found[i:n-1])
		found[i] = c
		if n == room {
			limit = found[n-1].least
		}
	}
	shortlist := make([]string, n)
	for i, f := range found[:n] {
		shortlist[i] = p.names[f.at]
	}
	return nonEmpty(seccomp.Nearest(name, shortlist, maxNearest))
}

func nonEmpty(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return s
}
