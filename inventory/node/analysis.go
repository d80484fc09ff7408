// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

// maxBeyond is how many calls beyond the runtime's default are reported of those that
// the same capabilities excuse. One would do for the verdict, which holds or falls with
// the capabilities; the others are for the reader.
const maxBeyond = 3

// analyses are made once for each digest.
type analyses struct {
	native specs.Arch
	known  map[string]*v1alpha1.ProfileAnalysis
}

func newAnalyses(goarch string) *analyses {
	native, _ := NativeArch(goarch)
	return &analyses{native: specs.Arch(native), known: make(map[string]*v1alpha1.ProfileAnalysis)}
}

// of is what the profile means on this node. With an error it is what the text alone says.
func (s *analyses) of(digest string, p *seccomp.Profile) (*v1alpha1.ProfileAnalysis, error) {
	if a := s.known[digest]; a != nil {
		return a, nil
	}
	a, err := s.analyse(p)
	if err != nil {
		return a, err
	}
	s.known[digest] = a
	return a, nil
}

func (s *analyses) analyse(p *seccomp.Profile) (*v1alpha1.ProfileAnalysis, error) {
	oci := p.OCI()
	out := &v1alpha1.ProfileAnalysis{DefaultAction: v1alpha1.Action(oci.DefaultAction), Permissive: p.Permissive()}
	for _, arch := range oci.Architectures {
		out.Architectures = append(out.Architectures, v1alpha1.Arch(arch))
	}
	if s.native == "" {
		return out, errors.New("the architecture of this node has no name in libseccomp")
	}
	a, err := p.Analyze(s.native)
	if err != nil {
		return out, err
	}
	out.Grade = string(a.Grade)
	for _, d := range a.Dangerous {
		out.Dangerous = append(out.Dangerous, d.Syscall)
	}
	for _, b := range a.Beyond {
		alike := 0
		for _, o := range out.BeyondDefault {
			if slices.Equal(o.UnlessCapability, b.Capabilities) {
				alike++
			}
		}
		if alike < maxBeyond {
			out.BeyondDefault = append(out.BeyondDefault, v1alpha1.BeyondDefault{Syscall: b.Syscall, UnlessCapability: b.Capabilities})
		}
	}
	for _, m := range a.Missing {
		out.MissingToStart = append(out.MissingToStart, v1alpha1.MissingToStart(m))
	}
	return out, nil
}
