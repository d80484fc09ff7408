// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateSeccompNode says what is wrong with the object.
func ValidateSeccompNode(n *SeccompNode) field.ErrorList {
	errs := validateName(n.Name, "Node", validation.IsDNS1123Subdomain, field.NewPath("metadata", "name"))
	at, facts := field.NewPath("facts"), &n.Facts

	if root := facts.SeccompRoot; root != "" && (!path.IsAbs(root) || path.Clean(root) != root || strings.ContainsFunc(root, isControl)) {
		errs = append(errs, field.Invalid(at.Child("seccompRoot"), shorten(root), "is not an absolute path in its cleaned form"))
	}
	for i, arch := range facts.Architectures {
		errs = append(errs, oneOf(arch, architectures(), at.Child("architectures").Index(i))...)
	}
	handlers := make([]string, len(facts.Runtimes))
	for i := range facts.Runtimes {
		handlers[i] = facts.Runtimes[i].Handler
	}
	errs = append(errs, distinct(handlers, func(i int) *field.Path { return at.Child("runtimes").Index(i).Child("handler") })...)

	switch {
	case facts.ProfileSet == "":
	case len(facts.Profiles) > 0:
		errs = append(errs, field.Invalid(at.Child("profileSet"), shorten(facts.ProfileSet), "both profileSet and profiles are set; name a ProfileSet or list the files"))
	case len(facts.ProfileSet) != profileSetNameDigits || !isHex(facts.ProfileSet):
		errs = append(errs, field.Invalid(at.Child("profileSet"), shorten(facts.ProfileSet), fmt.Sprintf("is not the name of a ProfileSet, %d hexadecimal digits; list files of your own under profiles", profileSetNameDigits)))
	}
	return append(errs, ValidateProfileFiles(facts.Profiles, at.Child("profiles"))...)
}

// ValidateProfileSet says what is wrong with the object. Its name vouches for its
// content: who reads a set by name need not trust who wrote it.
func ValidateProfileSet(s *ProfileSet) field.ErrorList {
	errs := ValidateProfileFiles(s.Profiles, field.NewPath("profiles"))
	if want := ProfileSetName(s.Profiles); s.Name != want {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), shorten(s.Name), fmt.Sprintf("is not the hash of the content; write %s, or list files of your own in a SeccompNode", want)))
	}
	return errs
}

// ValidateProfileFiles says what is wrong with a list of files. The order does not
// matter, and a file without a digest is one that was too large to be read.
func ValidateProfileFiles(files []ProfileFile, at *field.Path) field.ErrorList {
	errs := atMost(len(files), MaxProfiles, at)
	files = files[:min(len(files), MaxProfiles)]
	paths := make([]string, len(files))
	for i := range files {
		f, at := &files[i], at.Index(i)
		paths[i] = f.Path
		errs = append(errs, validatePath(f.Path, at.Child("path"))...)
		if f.Digest != "" {
			errs = append(errs, validateDigest(f.Digest, at.Child("digest"))...)
		}
		if f.Size < 0 {
			errs = append(errs, field.Invalid(at.Child("size"), f.Size, "is negative"))
		}
		if f.Analysis == nil {
			continue
		}
		at = at.Child("analysis")
		if f.Analysis.DefaultAction != "" {
			errs = append(errs, validateAction(f.Analysis.DefaultAction, at.Child("defaultAction"))...)
		}
		for j, arch := range f.Analysis.Architectures {
			errs = append(errs, oneOf(arch, architectures(), at.Child("architectures").Index(j))...)
		}
	}
	return append(errs, distinct(paths, func(i int) *field.Path { return at.Index(i).Child("path") })...)
}

func isControl(c rune) bool { return c < ' ' || c == '\u007f' }

// validateName wants a name that an object of the kind can have, as check says.
func validateName(name, kind string, check func(string) []string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "write the name of a "+kind)}
	}
	if problems := check(name); len(problems) > 0 {
		return field.ErrorList{field.Invalid(at, shorten(name), fmt.Sprintf("is not the name of a %s: %s", kind, problems[0]))}
	}
	return nil
}
