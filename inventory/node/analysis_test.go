// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

func TestAnalyses(t *testing.T) {
	p, err := seccomp.Parse([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["mount","execve"],"action":"SCMP_ACT_ERRNO"}]}`))
	must(t, err)
	s := newAnalyses("amd64")
	got, err := s.of("sha256:1", p)
	must(t, err)
	if got.DefaultAction != "SCMP_ACT_ALLOW" || got.Permissive || got.Grade != "block-list" || !cmp.Equal(got.Architectures, []v1alpha1.Arch{"SCMP_ARCH_X86_64"}) {
		t.Errorf("got %+v", got)
	}
	capabilities := make(map[string]int)
	for _, b := range got.BeyondDefault {
		capabilities[cmp.Diff([]string(nil), b.UnlessCapability)]++
		if b.Syscall == "mount" {
			t.Error("mount is blocked, and said to be beyond the default")
		}
	}
	for _, n := range capabilities {
		if n > maxBeyond {
			t.Errorf("%d calls are listed for the same capabilities, want at most %d", n, maxBeyond)
		}
	}
	if len(capabilities) < 8 {
		t.Errorf("calls beyond the default for %d sets of capabilities, want those of every capability that the default asks for", len(capabilities))
	}
	if len(got.MissingToStart) == 0 || !cmp.Equal(got.MissingToStart[0].Syscalls, []string{"execve"}) {
		t.Errorf("missing to start: %+v, want execve", got.MissingToStart)
	}
	again, err := s.of("sha256:1", nil)
	if err != nil || again != got {
		t.Errorf("the same digest is analysed again: %v %v", again, err)
	}
}

func TestAnalysesOfAnUnknownArchitecture(t *testing.T) {
	p, err := seccomp.Parse([]byte(`{"defaultAction":"SCMP_ACT_LOG"}`))
	must(t, err)
	got, err := newAnalyses("wasm").of("sha256:1", p)
	if want := (&v1alpha1.ProfileAnalysis{DefaultAction: "SCMP_ACT_LOG", Permissive: true}); !cmp.Equal(want, got) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err == nil || err.Error() != "the architecture of this node has no name in libseccomp" {
		t.Errorf("got error %v", err)
	}
}
