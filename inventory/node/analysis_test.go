// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

func TestContents(t *testing.T) {
	s := newContents("amd64")
	c := s.of("sha256:1", []byte(`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["mount","execve"],"action":"SCMP_ACT_ERRNO"}]}`))
	must(t, c.err)
	got := c.analysis
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
	for range 3 { // the file is there each time that the directory is read
		if again := s.of("sha256:1", nil); again != c {
			t.Errorf("the same digest is analysed again: %+v", again)
		}
		s.forget()
	}
	s.forget()
	if again := s.of("sha256:1", nil); again == c {
		t.Error("a content that no file has any more is remembered")
	}
}

func TestContentsOnAnUnknownArchitecture(t *testing.T) {
	c := newContents("wasm").of("sha256:1", []byte(`{"defaultAction":"SCMP_ACT_LOG"}`))
	got, err := c.analysis, c.err
	if want := (&v1alpha1.ProfileAnalysis{DefaultAction: "SCMP_ACT_LOG", Permissive: true}); !cmp.Equal(want, got) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err == nil || err.Error() != "the architecture of this node has no name in libseccomp" {
		t.Errorf("got error %v", err)
	}
}

// TestReaderTakesItsTime: many new files are judged a few at a time, and none twice.
func TestReaderTakesItsTime(t *testing.T) {
	files := make(map[string]string)
	const n = 5
	for i := range n {
		files[fmt.Sprintf("var/lib/kubelet/seccomp/%d.json", i)] = fmt.Sprintf(`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":%d}`, i+1)
	}
	r := NewReader(hostOf(t, files), Options{NodeName: "a", GOARCH: "amd64"})
	r.Settings()
	for call := 1; ; call++ {
		facts, _, complete := r.Profiles(0)
		if got := len(r.files.contents.known); got != min(call, n) {
			t.Fatalf("after %d calls %d contents are judged", call, got)
		}
		if !complete {
			continue
		}
		if call != n {
			t.Errorf("complete after %d calls, want %d", call, n)
		}
		for _, f := range facts.Profiles {
			if !f.Valid || f.Analysis == nil || f.Analysis.Grade == "" {
				t.Errorf("%s is reported as %+v", f.Path, f)
			}
		}
		break
	}
	if _, _, complete := r.Profiles(0); !complete {
		t.Error("what is judged is judged again")
	}
}
