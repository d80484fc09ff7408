// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// dialectArch is the name of an architecture in Docker's dialect, which is Go's.
func dialectArch(a specs.Arch) string {
	switch a {
	case specs.ArchX86_64:
		return "amd64"
	case specs.ArchAARCH64:
		return "arm64"
	case specs.ArchLOONGARCH64:
		return "loong64"
	default:
		return strings.ToLower(strings.TrimPrefix(string(a), "SCMP_ARCH_"))
	}
}

// ParseDialect reads a file in Docker's dialect, whose rules depend on the
// container's capabilities, the architecture and the kernel, and returns the profile
// that it means for a container with these capabilities (CAP_SYS_ADMIN and so on) on
// a node of the native architecture. Its kernel is taken for newer than any that the
// file asks about.
func ParseDialect(data []byte, native specs.Arch, capabilities []string) (*Profile, error) {
	if problem, ok := checkText(data); !ok {
		return nil, &ParseError{Problems: []Problem{problem}}
	}
	var dialect moby.Seccomp
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&dialect); err != nil {
		return nil, fmt.Errorf("read profile in Docker's dialect: %w", err)
	}
	return flatten(&dialect, native, capabilities)
}

func flatten(dialect *moby.Seccomp, native specs.Arch, capabilities []string) (*Profile, error) {
	flat := dialect.LinuxSeccomp
	flat.Syscalls = nil
	flat.Architectures = slices.Clone(flat.Architectures)
	for _, m := range dialect.ArchMap {
		if m.Arch == native {
			flat.Architectures = append(append(flat.Architectures, m.Arch), m.SubArches...)
		}
	}
	has := func(c string) bool { return slices.Contains(capabilities, c) }
	arch := dialectArch(native)
	for _, call := range dialect.Syscalls {
		if x := call.Excludes; x != nil && (slices.Contains(x.Arches, arch) || slices.ContainsFunc(x.Caps, has) || x.MinKernel != nil) {
			continue
		}
		if in := call.Includes; in != nil {
			missing := slices.ContainsFunc(in.Caps, func(c string) bool { return !has(c) })
			if missing || len(in.Arches) > 0 && !slices.Contains(in.Arches, arch) {
				continue
			}
		}
		rule := call.LinuxSyscall
		//lint:ignore SA1019 old files have it
		if old := call.Name; old != "" {
			rule.Names = append([]string{old}, rule.Names...)
		}
		flat.Syscalls = append(flat.Syscalls, rule)
	}
	text, err := json.Marshal(&flat)
	if err != nil {
		return nil, fmt.Errorf("write flattened profile: %w", err)
	}
	p, err := Parse(text)
	var parse *ParseError
	if errors.As(err, &parse) { // its lines are those of a text that nobody has written
		return nil, fmt.Errorf("flattened profile: %s", parse.Reason())
	}
	return p, err
}

// DefaultProfile returns the profile that a container gets from its runtime's
// RuntimeDefault: that of Moby, from which containerd's and CRI-O's come.
func DefaultProfile(native specs.Arch, capabilities []string) (*Profile, error) {
	dialect, err := mobyDefault()
	if err != nil {
		return nil, err
	}
	p, err := flatten(dialect, native, capabilities)
	if err != nil {
		return nil, fmt.Errorf("runtime's default for %s: %w", native, err)
	}
	return p, nil
}

// defaults are the runtime's default as filters on one architecture: for a container
// without capabilities, and for one with each of those that matter.
type defaults struct {
	bare *Filter
	with map[string]*Filter
}

var (
	defaultsLock sync.Mutex
	defaultsOf   = make(map[specs.Arch]*defaults)
)

func runtimeDefaults(native specs.Arch) (*defaults, error) {
	defaultsLock.Lock()
	defer defaultsLock.Unlock()
	if d := defaultsOf[native]; d != nil {
		return d, nil
	}
	bare, err := DefaultProfile(native, nil)
	if err != nil {
		return nil, err
	}
	dialect, err := mobyDefault()
	if err != nil {
		return nil, err
	}
	d := &defaults{bare: bare.Filter(native), with: make(map[string]*Filter)}
	for _, call := range dialect.Syscalls {
		for _, f := range []*moby.Filter{call.Includes, call.Excludes} {
			if f == nil {
				continue
			}
			for _, c := range f.Caps {
				p, err := DefaultProfile(native, []string{c})
				if err != nil {
					return nil, err
				}
				d.with[c] = p.Filter(native)
			}
		}
	}
	defaultsOf[native] = d
	return d, nil
}

// capabilities that change the default, sorted.
func (d *defaults) capabilities() []string { return slices.Sorted(maps.Keys(d.with)) }
