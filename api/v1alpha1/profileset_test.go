// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"slices"
	"testing"
)

// TestProfileSetName pins the hash: another one would make every agent of the new
// version write its set anew, and webhooks of the old one distrust it.
func TestProfileSetName(t *testing.T) {
	files := []ProfileFile{
		{
			Path: "seccompgate/app.json", Digest: digestOf('a'), Size: 35, Valid: true, Managed: true,
			Analysis: &ProfileAnalysis{DefaultAction: "SCMP_ACT_ERRNO", Architectures: []Arch{"SCMP_ARCH_X86_64"}},
		},
		{Path: "audit.json", Digest: digestOf('b'), Size: 34, Valid: true, Analysis: &ProfileAnalysis{DefaultAction: "SCMP_ACT_LOG", Permissive: true}},
		{Path: "README.md", Digest: digestOf('c'), Size: 3, Reason: "file is not JSON <&>"},
	}
	const want = "23a263723cf865bf1dd75a9221e9e095"
	if got := ProfileSetName(files); got != want {
		t.Errorf("ProfileSetName = %s, want %s", got, want)
	}
	first := files[0].Path
	slices.Reverse(files)
	if got := ProfileSetName(files); got != want {
		t.Errorf("in another order: ProfileSetName = %s, want %s", got, want)
	}
	if files[2].Path != first {
		t.Error("ProfileSetName sorts its argument")
	}
	files[0].Reason = ""
	if got := ProfileSetName(files); got == want {
		t.Error("ProfileSetName does not see a change of the reason")
	}
	if got, want := ProfileSetName(nil), ProfileSetName([]ProfileFile{}); got != want {
		t.Errorf("of no files: %s and %s differ", got, want)
	}
}
