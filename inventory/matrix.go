// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"slices"

	"github.com/seccompgate/seccompgate/seccomp"
)

// Row is one line of the matrix of profiles and nodes: a LocalhostProfile, or a file that
// belongs to none.
type Row struct {
	// Profile is the name of the LocalhostProfile; empty for any other file.
	Profile string
	// Path of the file; of a LocalhostProfile, the one for people.
	Path string
	// usual is the digest that most nodes have, where no LocalhostProfile says what it is
	// to be.
	usual string
}

// Rows are the LocalhostProfiles by name, and then all other files by path.
func (x *Index) Rows() []Row {
	names := x.Names()
	rows := make([]Row, 0, len(names)+len(x.files))
	for _, name := range names {
		rows = append(rows, Row{Profile: name, Path: seccomp.PlainPath(name)})
	}
	for path, entry := range x.files {
		if name, _ := seccomp.Generation(path); x.profiles[name] != nil {
			continue
		}
		row, most := Row{Path: path}, 0
		for i := range entry.contents { // sorted by digest, which decides between equals
			if n := entry.contents[i].nodes.countIn(x.linux.all); n > most {
				row.usual, most = entry.contents[i].digest, n
			}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows[len(names):], func(a, b Row) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	return rows
}

// LinuxNodes are the nodes that can have profiles, by name.
func (x *Index) LinuxNodes() []string {
	names := make([]string, 0, len(x.names))
	for id, name := range x.names {
		if x.linux.all.Test(uint(id)) {
			names = append(names, name)
		}
	}
	return names
}

// At is how the node stands to the row. wanted is false where it is not to have it: a file
// that belongs to no LocalhostProfile is wanted everywhere, since any pod may name it.
func (x *Index) At(row Row, node string) (s Standing, wanted bool) {
	if row.Profile != "" {
		return x.Standing(row.Profile, node)
	}
	at, found := slices.BinarySearch(x.names, node)
	if id := uint(at); found && x.linux.all.Test(id) {
		return x.unmanaged(row, id), true
	}
	return Standing{}, false
}

// unmanaged compares a file with what most nodes have.
func (x *Index) unmanaged(row Row, id uint) Standing {
	s := Standing{Node: x.names[id], State: Present}
	f := x.fileOn(row.Path, id)
	switch {
	case x.unknown.Test(id):
		s.State, s.Reason = Unknown, notReported
	case f == nil && x.truncated.Test(id):
		s.State, s.Reason = Unknown, fmt.Sprintf(notListed, row.Path)
	case f == nil:
		s.State, s.Reason = Missing, row.Path+" does not exist"
	case !f.valid:
		s.State, s.Digest, s.Reason = Invalid, f.digest, row.Path+": "+f.reason
	case f.digest != row.usual:
		s.State, s.Digest, s.Reason = Drifted, f.digest, fmt.Sprintf("%s has the content %s; most nodes have %s", row.Path, f.digest, row.usual)
	default:
		s.Digest = f.digest
	}
	return s
}
