// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/inventory/provision"
	"github.com/seccompgate/seccompgate/seccomp"
)

// TestDocumentedPolicies: what docs/user-rules.md shows is valid and compiles.
func TestDocumentedPolicies(t *testing.T) {
	text, err := os.ReadFile("../../docs/user-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	policies := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		objects, _, err := inventory.ReadObjects(strings.NewReader(string(block[1])), "docs/user-rules.md")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newChecker(t.Context(), v1alpha1.LevelStrict, "", false, facts{policies: objects.SeccompPolicies}); err != nil {
			t.Error(err)
		}
		policies += len(objects.SeccompPolicies)
	}
	if policies != 2 {
		t.Errorf("%d policies, want 2", policies)
	}
}

// TestExampleProfile: the profile that README tells people to apply has no fault, and the
// nodes of examples/ have it.
func TestExampleProfile(t *testing.T) {
	var stdout, stderr strings.Builder
	status := run("seccompctl", []string{"profile", "lint", "../../examples/localhostprofile.yaml"}, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
	if want := "../../examples/localhostprofile.yaml: fine\n"; status != 0 || stdout.String() != want || stderr.Len() != 0 {
		t.Errorf("status %d, %q and %q, want %q", status, stdout.String(), stderr.String(), want)
	}
	profile, nodes := readExample(t, "localhostprofile.yaml"), readExample(t, "nodes.yaml")
	content, err := provision.Content(profile.LocalhostProfiles[0])
	if err != nil {
		t.Fatal(err)
	}
	found := slices.ContainsFunc(nodes.ProfileSets[0].Profiles, func(f v1alpha1.ProfileFile) bool {
		return f.Digest == content.Digest && int(f.Size) == len(content.Content) && f.Path == seccomp.DigestPath(content.Name, content.Digest)
	})
	if name := v1alpha1.ProfileSetName(nodes.ProfileSets[0].Profiles); !found || nodes.ProfileSets[0].Name != name {
		t.Errorf("the nodes of examples/ lack %s with %s in a set of name %s", content.Name, content.Digest, name)
	}
}

func readExample(t *testing.T, file string) inventory.Objects {
	t.Helper()
	f, err := os.Open("../../examples/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	objects, _, err := inventory.ReadObjects(f, file)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}
