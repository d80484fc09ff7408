// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

// maxBeyond is how many calls beyond the runtime's default are reported of those that
// the same capabilities excuse. One would do for the verdict, which holds or falls with
// the capabilities; the others are for the reader.
const maxBeyond = 3

// maxMissing is how many entries the API takes of what runtimes lack. A node would have to
// have sixteen low-level runtimes of different names; those that were measured come first.
const maxMissing = 32

// content is what a file's bytes mean on this node.
type content struct {
	// reason is why the strict loader refuses them; empty if it does not.
	reason   string
	analysis *v1alpha1.ProfileAnalysis
	// err is why the analysis is no more than what the text alone says.
	err error
	// seen says that the last reading of the directory met it.
	seen bool
}

// contents are judged once for each digest, as long as some file has it and the node's
// low-level runtimes stay what they are.
type contents struct {
	native specs.Arch
	// runtimes are the node's; none, as long as [contents.on] has not said which.
	runtimes []lowLevel
	known    map[string]*content

	// until bounds the time that is spent at once, which the deep analysis takes some 20 ms
	// of for each content; zero does not. After it one content is judged all the same, and
	// then waiting says that others are left.
	until   time.Time
	judged  int
	waiting bool
}

// bound begins a reading of the directory that may take so long.
func (s *contents) bound(d time.Duration) {
	s.until, s.judged, s.waiting = time.Now().Add(d), 0, false
}

func newContents(goarch string) *contents {
	native, _ := NativeArch(goarch)
	return &contents{native: specs.Arch(native), known: make(map[string]*content)}
}

// on says which runtimes the node has. What was judged for others is judged anew: another
// version of runc needs other calls.
func (s *contents) on(runtimes []v1alpha1.Runtime) {
	if now := lowLevels(runtimes); !slices.Equal(now, s.runtimes) {
		s.runtimes = now
		clear(s.known)
	}
}

// of is what the data mean, whose digest is given.
func (s *contents) of(digest string, data []byte) *content {
	c := s.known[digest]
	if c == nil {
		c = &content{}
		if !s.until.IsZero() && s.judged > 0 && time.Now().After(s.until) {
			s.waiting = true
			return c
		}
		s.judged++
		if profile, err := seccomp.Parse(data); err != nil {
			c.reason = reason(err)
		} else {
			c.analysis, c.err = s.analyse(profile)
		}
		s.known[digest] = c
	}
	c.seen = true
	return c
}

// forget drops what no file has had since it was called last.
func (s *contents) forget() {
	for digest, c := range s.known {
		if !c.seen {
			delete(s.known, digest)
		}
		c.seen = false
	}
}

func (s *contents) analyse(p *seccomp.Profile) (*v1alpha1.ProfileAnalysis, error) {
	oci := p.OCI()
	out := &v1alpha1.ProfileAnalysis{DefaultAction: v1alpha1.Action(oci.DefaultAction), Permissive: p.Permissive()}
	for _, arch := range oci.Architectures {
		out.Architectures = append(out.Architectures, v1alpha1.Arch(arch))
	}
	if s.native == "" {
		return out, errors.New("the architecture of this node has no name in libseccomp")
	}
	a, err := p.AnalyzeFor(s.native, startups(s.runtimes))
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
	for _, m := range a.Missing[:min(len(a.Missing), maxMissing)] {
		out.MissingToStart = append(out.MissingToStart, v1alpha1.MissingToStart(m))
	}
	return out, nil
}
