// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "testing"

func TestParseLevel(t *testing.T) {
	for rank, level := range Levels() {
		got, err := ParseLevel(string(level))
		if err != nil || got != level || got.Rank() != rank {
			t.Errorf("ParseLevel(%q) = %q of rank %d, %v; want rank %d", level, got, got.Rank(), err, rank)
		}
	}
	for text, want := range map[string]string{
		"":       `level "" is not one of privileged, baseline, restricted, strict`,
		"Strict": `level "Strict" is not one of privileged, baseline, restricted, strict`,
	} {
		got, err := ParseLevel(text)
		if err == nil || err.Error() != want || got != "" {
			t.Errorf("ParseLevel(%q) = %q, %v; want the error %s", text, got, err, want)
		}
	}
	if got := Level("none").Rank(); got != -1 {
		t.Errorf("rank of no level: %d, want -1", got)
	}
}
