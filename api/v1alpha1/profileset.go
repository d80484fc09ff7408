// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// profileSetNameDigits of the hash name a set: 128 bits, so that two sets never meet
// and nobody can make one that does.
const profileSetNameDigits = 32

// ProfileSetName is the name of the ProfileSet with these files: the beginning of the
// SHA-256 of their JSON, sorted by path. The order of profiles does not matter.
func ProfileSetName(profiles []ProfileFile) string {
	// Not nil for no files, which the encoder would write in another way.
	sorted := append([]ProfileFile{}, profiles...)
	slices.SortStableFunc(sorted, func(a, b ProfileFile) int { return cmp.Compare(a.Path, b.Path) })
	h := sha256.New()
	// The types hold only strings, numbers, booleans and lists of them: nothing that the
	// encoder can refuse, and a hash takes every write.
	_ = json.NewEncoder(h).Encode(sorted)
	return hex.EncodeToString(h.Sum(nil))[:profileSetNameDigits]
}
