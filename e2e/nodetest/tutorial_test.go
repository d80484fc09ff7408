// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/e2e/tutorial"
)

// TestTutorial makes the three experiments of examples/tutorial.
func TestTutorial(t *testing.T) {
	ctx := t.Context()
	experiments, err := tutorial.Prepare(ctx, shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deleteNamespace(t, "tutorial") })

	t.Run("audit", func(t *testing.T) {
		got, err := experiments.Audit(ctx)
		if err != nil {
			t.Fatal(err)
		}
		checkWarnings(t, got.Warnings, `seccompgate: [permissive] container "test-container": profile "profiles/audit.json" blocks nothing (default action SCMP_ACT_LOG); name one that does, or start a recording`)
		if !strings.Contains(got.Page, "Welcome to nginx!") {
			t.Errorf("nginx answers %q", got.Page)
		}
		for _, call := range tutorial.Twelve() {
			if !slices.Contains(got.Calls, call) {
				t.Errorf("%s is not among the calls of nginx: %s", call, got.Calls)
			}
		}
	})
	t.Run("violation", func(t *testing.T) {
		got, err := experiments.Violation(ctx)
		if err != nil {
			t.Fatal(err)
		}
		// seccompgate says it before the kubelet finds out.
		checkWarnings(t, got.Warnings, `seccompgate: [startable] container "test-container": runc cannot start a container under profile "profiles/violation.json", which blocks close, execve, fstatfs, getdents64, openat and 1 more; allow them`)
		// A stopped process, or a container that has stopped: it depends on who notices first.
		if want := "cannot start a"; got.Reason != "StartError" || !strings.Contains(got.Message, want) {
			t.Errorf("the kubelet says %s: %s; want StartError: %s", got.Reason, got.Message, want)
		}
	})
	t.Run("fine-grained", func(t *testing.T) {
		got, err := experiments.FineGrained(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want := "just made some syscalls!"; got.Page != want {
			t.Errorf("the program answers %q, want %q", got.Page, want)
		}
		if want := "mkdir: operation not permitted"; got.Outside != want {
			t.Errorf("a call outside the profile: %q, want %q", got.Outside, want)
		}
		checkWarnings(t, got.Warnings, `seccompgate: [weaker-than-default] container "test-container": profile "profiles/fine-grained.json" lets through what the runtime's default blocks for it: clone, socket; take them out`)
	})
}

func checkWarnings(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
}
