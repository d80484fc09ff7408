// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"github.com/seccompgate/seccompgate/seccomp"
)

// This package cannot import the domain, so that it has its own checks of names and
// paths. These tests hold the two together: what the domain accepts an agent publishes.

func TestNamesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(
			rapid.StringMatching(`[a-c0-9.-]{0,20}`),
			rapid.StringMatching(`[a-z]{0,3}[.-][0-9a-g]{11,13}`),
			rapid.StringMatching(`[a-z]{61,65}`),
			rapid.SampledFrom([]string{"runtime-default", "unconfined", "A", "a_b", "a b", "\u00e4", "a/b"}),
		).Draw(t, "name")
		errs := validateProfileName(name, field.NewPath("name"))
		if err := seccomp.ParseName(name); (err == nil) != (len(errs) == 0) {
			t.Errorf("%q: %v here, %v there", name, errs, err)
		}
	})
}

func TestPathsAgree(t *testing.T) {
	schema := definitions(t)["ProfileSet"].Spec.Validation.OpenAPIV3Schema.Properties["profiles"].Items.Schema.Properties["path"]
	pattern := regexp.MustCompile(schema.Pattern)
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.OneOf(
			rapid.StringMatching(`[a./]{0,8}`),
			rapid.StringMatching(`[ -~]{0,8}`),
			rapid.StringMatching(`[a-c\x00-\x20\x7f\x{e4}/.]{0,6}`),
			rapid.Custom(func(t *rapid.T) string {
				element := strings.Repeat("a", rapid.IntRange(253, 257).Draw(t, "length")) + "/"
				return strings.Repeat(element, rapid.IntRange(0, 4).Draw(t, "elements")) + "end"
			}),
		).Draw(t, "path")
		errs := validatePath(path, field.NewPath("path"))
		err := seccomp.CheckPath(path)
		if (err == nil) != (len(errs) == 0) {
			t.Errorf("%q: %v here, %v there", path, errs, err)
		}
		// The schema does not count the bytes of an element.
		accepted := pattern.MatchString(path) && int64(len(path)) <= *schema.MaxLength
		if err == nil && !accepted || accepted && err != nil && len(path) <= maxPathElement {
			t.Errorf("%q: the schema accepts it: %t; the domain says %v", path, accepted, err)
		}
	})
}
