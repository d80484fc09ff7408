// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
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
