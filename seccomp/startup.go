// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Startup is what one low-level runtime needs between loading a filter and starting the
// container's program, measured by starting containers with one call blocked at a time.
// A profile that has all of it may still lack what the runtime calls in place of
// something else.
type Startup struct {
	// Runtime by name, such as runc, and the version that was measured.
	Runtime string `json:"runtime"`
	Version string `json:"version"`
	// NoNewPrivileges as the container has it: without, the filter is loaded early, and
	// more of the runtime's own work is under it.
	NoNewPrivileges bool `json:"noNewPrivileges"`
	// Syscalls without any one of which no container starts.
	Syscalls []string `json:"syscalls"`
	// Seen are syscalls that it was recorded to make, in any of many starts: a superset,
	// but for what it makes only when others fail.
	Seen []string `json:"seen,omitempty"`
}

// AnyRuntime stands for a runtime that is not known.
const AnyRuntime = "any"

//go:embed startup.json
var startupFile []byte

// Startups returns the measured sets, and for AnyRuntime what is in all of them.
var Startups = sync.OnceValue(func() []Startup {
	var file struct {
		How      string    `json:"how"`
		Startups []Startup `json:"startups"`
	}
	d := json.NewDecoder(bytes.NewReader(startupFile))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		panic(fmt.Sprintf("startup.json: %v", err)) // a test reads it
	}
	out := file.Startups
	for _, nnp := range []bool{false, true} {
		var common []string
		first := true
		for _, s := range file.Startups {
			if s.NoNewPrivileges != nnp {
				continue
			}
			if first {
				common, first = slices.Clone(s.Syscalls), false
				continue
			}
			common = slices.DeleteFunc(common, func(name string) bool { return !slices.Contains(s.Syscalls, name) })
		}
		out = append(out, Startup{Runtime: AnyRuntime, NoNewPrivileges: nnp, Syscalls: common})
	}
	return out
})

// Missing is what a profile lacks for one runtime to start a container.
type Missing struct {
	Runtime         string
	NoNewPrivileges bool
	Syscalls        []string
}

func missing(f *Filter, native specs.Arch, startups []Startup) []Missing {
	var out []Missing
	for _, s := range startups {
		m := Missing{Runtime: s.Runtime, NoNewPrivileges: s.NoNewPrivileges}
		for _, name := range s.Syscalls {
			_, exists, known := syscallNumber(native, name)
			if (exists || !known) && f.Allows(native, name) == Never {
				m.Syscalls = append(m.Syscalls, name)
			}
		}
		// Of several versions the one that lacks least counts: any of them may be the one
		// that starts the container.
		i := slices.IndexFunc(out, func(o Missing) bool {
			return o.Runtime == m.Runtime && o.NoNewPrivileges == m.NoNewPrivileges
		})
		switch {
		case i < 0:
			out = append(out, m)
		case len(m.Syscalls) < len(out[i].Syscalls):
			out[i] = m
		}
	}
	return slices.DeleteFunc(out, func(m Missing) bool { return len(m.Syscalls) == 0 })
}
