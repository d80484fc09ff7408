// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The Validate functions say everything that is wrong with an object. What the schema
// of a kind says too is repeated where a reader depends on it: objects from files never
// met the schema, and a reader refuses them by the same functions.

const (
	// maxPath and maxPathElement in bytes are those of a pod's localhostProfile that the
	// rules accept.
	maxPath        = 1024
	maxPathElement = 255
	// shown bounds what a message quotes.
	shown = 80
	// digestPrefix and digestDigits make a digest.
	digestPrefix = "sha256:"
	digestDigits = 64
	// generationDigits of the digest name a generation of a profile on disk.
	generationDigits = 12
)

// validateProfileName says why a LocalhostProfile cannot have the name.
func validateProfileName(name string, at *field.Path) field.ErrorList {
	switch {
	case name == "":
		return field.ErrorList{field.Required(at, "name the profile; the name becomes a label value and a file name")}
	case len(name) > MaxProfileName:
		return field.ErrorList{field.Invalid(at, shorten(name), fmt.Sprintf("has %d characters; use at most %d, so that it fits a label value", len(name), MaxProfileName))}
	case name == RuntimeDefaultName || name == UnconfinedName:
		return field.ErrorList{field.Invalid(at, name, "is reserved; choose another name")}
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		return field.ErrorList{field.Invalid(at, name, `is not a DNS subdomain; use lower-case letters, digits, "-" and ".", with a letter or digit at both ends of each part`)}
	case endsInGeneration(name):
		return field.ErrorList{field.Invalid(at, name, fmt.Sprintf("ends like the file of a generation (a dot and %d hexadecimal digits); choose another name", generationDigits))}
	default:
		return nil
	}
}

func endsInGeneration(name string) bool {
	dot := len(name) - generationDigits - 1
	return dot >= 0 && name[dot] == '.' && isHex(name[dot+1:])
}

// validatePath says why the path of a profile is not one that a pod can name. It is the
// minimum of what package seccomp says about paths, which this package cannot import:
// readers look files up by their path as text, so that two spellings of one file would
// fool them.
func validatePath(p string, at *field.Path) field.ErrorList {
	invalid := func(detail string) field.ErrorList {
		return field.ErrorList{field.Invalid(at, shorten(p), detail)}
	}
	switch {
	case p == "":
		return field.ErrorList{field.Required(at, "name a file by its path below the seccomp root")}
	case len(p) > maxPath:
		return invalid(fmt.Sprintf("has %d bytes; use at most %d", len(p), maxPath))
	case strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c > '~' }):
		return invalid("has a character outside printable ASCII")
	case path.IsAbs(p):
		return invalid("is absolute; write it relative to the seccomp root")
	case p == "." || p == ".." || strings.HasPrefix(p, "../") || path.Clean(p) != p:
		return invalid(`is not in its cleaned form; write it without ".", ".." and empty elements`)
	case slices.ContainsFunc(strings.Split(p, "/"), func(element string) bool { return len(element) > maxPathElement }):
		return invalid(fmt.Sprintf("has an element of more than %d bytes", maxPathElement))
	default:
		return nil
	}
}

func validateDigest(digest string, at *field.Path) field.ErrorList {
	digits, prefixed := strings.CutPrefix(digest, digestPrefix)
	if !prefixed || len(digits) != digestDigits || !isHex(digits) {
		return field.ErrorList{field.Invalid(at, shorten(digest), fmt.Sprintf("is not %q and %d hexadecimal digits in lower case", digestPrefix, digestDigits))}
	}
	return nil
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// oneOf says which values are valid where value is none of them.
func oneOf[T ~string](value T, valid []T, at *field.Path) field.ErrorList {
	if slices.Contains(valid, value) {
		return nil
	}
	if value == "" {
		return field.ErrorList{field.Required(at, "use "+alternatives(valid))}
	}
	return field.ErrorList{field.Invalid(at, shorten(string(value)), "use "+alternatives(valid))}
}

// alternatives joins values as in "a, b or c".
func alternatives[T ~string](values []T) string {
	var b strings.Builder
	for i, v := range values {
		switch i {
		case 0:
		case len(values) - 1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(v))
	}
	return b.String()
}

// number bounds a number.
func number[T int | int32 | uint32](value, least, most T, at *field.Path) field.ErrorList {
	if value >= least && value <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(at, value, fmt.Sprintf("use %d to %d", least, most))}
}

// atMost bounds the length of a list.
func atMost(length, most int, at *field.Path) field.ErrorList {
	if length <= most {
		return nil
	}
	return field.ErrorList{field.TooMany(at, length, most)}
}

// distinct reports each value that stands in the list before.
func distinct[T comparable](values []T, at func(int) *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := make(map[T]bool, len(values))
	for i, v := range values {
		if seen[v] {
			errs = append(errs, field.Duplicate(at(i), v))
		}
		seen[v] = true
	}
	return errs
}

func shorten(s string) string {
	if len(s) > shown {
		return strings.ToValidUTF8(s[:shown], "") + "..."
	}
	return s
}
