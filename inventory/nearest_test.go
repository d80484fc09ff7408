// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seccompgate/seccompgate/seccomp"
)

// TestNearestEqualsFullComparison draws few and similar names, of which all are
// compared in full.
func TestNearestEqualsFullComparison(t *testing.T) {
	name := rapid.StringMatching(`([ab]{0,2}/)?[abc]{1,6}\.json`)
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(name, 0, mostCompared, rapid.ID).Draw(t, "names")
		slices.Sort(names)
		p, asked := newProposals(names), name.Draw(t, "asked")
		if d := cmp.Diff(nonEmpty(seccomp.Nearest(asked, names, maxNearest)), p.nearest(asked)); d != "" {
			t.Errorf("nearest to %q (-full +bounded):\n%s", asked, d)
		}
	})
}

// TestLettersAreALowerBound edits a name and counts.
func TestLettersAreALowerBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.StringN(0, 300, 300).Draw(t, "name")
		after, edits := []byte(before), rapid.IntRange(0, 6).Draw(t, "edits")
		for range edits {
			at := rapid.IntRange(0, len(after)).Draw(t, "at")
			switch c := rapid.Byte().Draw(t, "byte"); {
			case at == len(after) || c%3 == 0:
				after = slices.Insert(after, at, c)
			case c%3 == 1:
				after = slices.Delete(after, at, at+1)
			default:
				after[at] = c
			}
		}
		a, b := lettersOf(before), lettersOf(string(after))
		if got := a.apart(&b, max(len(before)-len(after), len(after)-len(before)), 300); got > edits {
			t.Errorf("%d edits make the letters differ by %d", edits, got)
		}
	})
}

// manyPaths are similar to each other, as those of a real directory.
func manyPaths(n int) []string {
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("profiles/team-%02d/service-%04d-worker/v%d.profile.json", i%40, i, i%7)
	}
	slices.Sort(paths)
	return paths
}

// TestNearestFindsTypos mistypes paths of a large cluster.
func TestNearestFindsTypos(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	paths := manyPaths(2000)
	p := newProposals(paths)
	const tries = 50
	found, full := 0, 0
	for range tries {
		meant := paths[r.IntN(len(paths))]
		at := r.IntN(len(meant) - 1)
		asked := meant[:at] + meant[at+1:] // a letter is missing
		if r.IntN(2) == 0 {
			asked = meant[:at] + meant[at+1:at+2] + meant[at:at+1] + meant[at+2:] // or two have changed places
		}
		if slices.Contains(p.nearest(asked), meant) {
			found++
		}
		if slices.Contains(seccomp.Nearest(asked, paths, maxNearest), meant) {
			full++
		}
	}
	// Among numbered paths many are as near as the one that was meant.
	t.Logf("of %d typing errors %d are found, %d by comparing all paths in full", tries, found, full)
	if found < full*9/10 || full == 0 {
		t.Error("the bounds lose too many")
	}
}

// TestNearestAmongEquals has hundreds of names with the letters of the asked one, of
// which the last in the alphabet is meant.
func TestNearestAmongEquals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const meant, asked = "zyxwvutsrqponmlkjihgfedcba", "zyxwvutsrqponmlkjihgefdcba"
	names := []string{meant}
	for range 500 {
		shuffled := []byte(meant)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		names = append(names, string(shuffled))
	}
	slices.Sort(names)
	p := newProposals(names)
	if d := cmp.Diff([]string{meant}, p.nearest(asked)); d != "" {
		t.Errorf("nearest (-want +got):\n%s", d)
	}
}

func TestNearestInAnotherDirectory(t *testing.T) {
	p := newProposals([]string{"app.json", "some/where/else/app.json", "some/where/else/apps.json"})
	if d := cmp.Diff([]string{"app.json", "some/where/else/app.json"}, p.nearest("profiles/of/a/team/app.json")); d != "" {
		t.Errorf("nearest (-want +got):\n%s", d)
	}
}

func TestNearestIsBounded(t *testing.T) {
	p := newProposals(manyPaths(2 * mostConsidered))
	last := p.names[len(p.names)-1]
	if got := p.nearest(last + "x"); !slices.Contains(got, last) {
		t.Errorf("a name at the end of many is not found: %q", got)
	}
	first := p.names[0]
	if got := p.nearest(first + "x"); !slices.Contains(got, first) {
		t.Errorf("a name at the beginning of many is not found: %q", got)
	}
	long := newProposals([]string{strings.Repeat("x", 256), strings.Repeat("x", 257)})
	if got := long.nearest(strings.Repeat("x", 255)); len(got) != 2 {
		t.Errorf("nearest to 255 bytes: %d names", len(got))
	}
	if got := long.nearest(strings.Repeat("x", 258)); got != nil {
		t.Errorf("nearest to 258 bytes: %d names; nobody typed that", len(got))
	}
	if got := long.nearest(""); got != nil {
		t.Errorf("nearest to nothing: %q", got)
	}
}

// BenchmarkNearest asks for a path that does not exist, at several numbers of those
// that do. "all" compares all of them.
func BenchmarkNearest(b *testing.B) {
	for _, n := range []int{200, 5000, 20_000} {
		paths := manyPaths(n)
		p := newProposals(paths)
		for _, asked := range []struct{ name, path string }{
			{"typo", "profiles/team-04/service-004-worker/v1.profile.json"},
			{"foreign", "something/entirely/different/but/of/that/length.json"},
			{"long", strings.Repeat("profiles/team-04/service-004-worker/", 6) + "v1.json"},
		} {
			b.Run(fmt.Sprintf("paths=%d/%s", n, asked.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p.nearest(asked.path)
				}
			})
			b.Run(fmt.Sprintf("paths=%d/%s/all", n, asked.name), func(b *testing.B) {
				for b.Loop() {
					seccomp.Nearest(asked.path, paths, maxNearest)
				}
			})
		}
	}
}
