// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

const (
	// maxName is what a label value can hold, in bytes.
	maxName = 63
	// nameRuntimeDefault and nameUnconfined mean something else than a file.
	nameRuntimeDefault = "runtime-default"
	nameUnconfined     = "unconfined"
)

// ParseName says why a LocalhostProfile cannot have the name, nil when it can: a
// DNS subdomain of at most 63 bytes, so that it fits a label value. The names
// "runtime-default" and "unconfined" are reserved, and so is every name that ends
// like a generation's file (see DigestPath): its plain path would be that file.
func ParseName(name string) error {
	switch {
	case name == "":
		return errors.New("profile name is empty; use the name of a LocalhostProfile or " + nameRuntimeDefault)
	case len(name) > maxName:
		return fmt.Errorf("profile name %s has %d characters; use at most %d, so that it fits a label value", quotePath(name), len(name), maxName)
	case name == nameRuntimeDefault || name == nameUnconfined:
		return fmt.Errorf("profile name %q is reserved; choose another", name)
	case !isSubdomain(name):
		return fmt.Errorf(`profile name %s is not a DNS subdomain; use lower-case letters, digits, "-" and ".", with a letter or digit at both ends of each part`, quotePath(name))
	case endsInDigest(name):
		return fmt.Errorf("profile name %q ends like the file of a generation (a dot and %d hexadecimal digits); choose another", name, digestDigits)
	default:
		return nil
	}
}

func isSubdomain(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func endsInDigest(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || len(name)-dot-1 != digestDigits {
		return false
	}
	return strings.Trim(name[dot+1:], "0123456789abcdef") == ""
}

// Nearest returns at most n of the candidates that a person may have meant by
// name, the most similar first and equally similar ones in alphabetical order.
// Similar is: a few typing errors away (a third of the name, at least two), or
// the same file name in another directory. The name itself is never proposed.
func Nearest(name string, candidates []string, n int) []string {
	type near struct {
		name     string
		distance int
	}
	limit := max(2, len(name)/3)
	var found []near
	for _, c := range candidates {
		if c == name || c == "" {
			continue
		}
		distance := limit + 1
		// The difference in length is a lower bound of the distance and costs nothing.
		if max(len(c)-len(name), len(name)-len(c)) <= limit {
			distance = levenshtein.ComputeDistance(name, c)
		}
		if path.Base(c) == path.Base(name) {
			distance = min(distance, 1)
		}
		if distance <= limit {
			found = append(found, near{c, distance})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	found = slices.Compact(found)
	out := make([]string, 0, min(max(n, 0), len(found)))
	for _, f := range found[:cap(out)] {
		out = append(out, f.name)
	}
	return out
}
