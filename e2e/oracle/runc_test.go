// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	_ "unsafe" // for go:linkname

	"github.com/opencontainers/runc/libcontainer/configs"
	_ "github.com/opencontainers/runc/libcontainer/seccomp" // the functions below
	_ "github.com/opencontainers/runc/libcontainer/seccomp/patchbpf"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// matchCall is runc's way from one rule of a profile to rules of libseccomp.
//
//go:linkname matchCall github.com/opencontainers/runc/libcontainer/seccomp.matchCall
func matchCall(filter *libseccomp.ScmpFilter, call *configs.Syscall, def libseccomp.ScmpAction) error

// getAction is runc's way from an action of a profile to one of libseccomp.
//
//go:linkname getAction github.com/opencontainers/runc/libcontainer/seccomp.getAction
func getAction(action configs.Action, errno *uint) (libseccomp.ScmpAction, error)

// enosysPatchFilter is the program that runc loads: libseccomp's, and before it the
// part that answers ENOSYS to what the profile's author could not know.
//
//go:linkname enosysPatchFilter github.com/opencontainers/runc/libcontainer/seccomp/patchbpf.enosysPatchFilter
func enosysPatchFilter(config *configs.Seccomp, filter *libseccomp.ScmpFilter) ([]unix.SockFilter, error)

// errRefused stands for rules that libseccomp does not take, such as two actions for the
// same conditions.
var errRefused = errors.New("libseccomp refuses the rules")

// program compiles a profile as runc does on a node of the native architecture. For
// libseccomp, native is always that of this machine, which is taken out again.
func program(profile *specs.LinuxSeccomp, native libseccomp.ScmpArch) (*bpf.VM, error) {
	config, err := specconv.SetupSeccomp(profile)
	if err != nil {
		return nil, err
	}
	def, err := getAction(config.DefaultAction, config.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	filter, err := libseccomp.NewFilter(def)
	if err != nil {
		return nil, err
	}
	defer filter.Release()
	here, err := libseccomp.GetNativeArch()
	if err != nil {
		return nil, err
	}
	if here != native {
		// In this order, since a filter has architectures of one byte order only.
		if err := filter.RemoveArch(here); err != nil {
			return nil, err
		}
		if err := filter.AddArch(native); err != nil {
			return nil, err
		}
		// runc's patch would take this machine's for the one that is always there.
		config.Architectures = append(config.Architectures, native.String())
	}
	for _, a := range config.Architectures {
		arch, err := libseccomp.GetArchFromString(a)
		if err != nil {
			return nil, err
		}
		if err := filter.AddArch(arch); err != nil {
			return nil, err
		}
	}
	if len(config.Syscalls) > 32 {
		if err := filter.SetOptimize(2); err != nil {
			return nil, err
		}
	}
	for _, call := range config.Syscalls {
		if err := matchCall(filter, call, def); err != nil {
			return nil, fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	raw, err := patched(config, filter, native)
	if err != nil {
		return nil, err
	}
	instructions := make([]bpf.Instruction, len(raw))
	for i, r := range raw {
		instructions[i] = bpf.RawInstruction{Op: r.Code, Jt: r.Jt, Jf: r.Jf, K: r.K}.Disassemble()
		if _, raw := instructions[i].(bpf.RawInstruction); raw {
			return nil, fmt.Errorf("instruction %d of the filter is not understood: %+v", i, r)
		}
	}
	return bpf.NewVM(instructions)
}

// patched is enosysPatchFilter for a filter of any byte order. libseccomp writes programs in
// that of the architecture, which runc, run here, would misread: it is given an empty filter
// to put its part before, and that part does not depend on the filter.
func patched(config *configs.Seccomp, filter *libseccomp.ScmpFilter, native libseccomp.ScmpArch) ([]unix.SockFilter, error) {
	if !slices.Contains(bigEndian, native) {
		return enosysPatchFilter(config, filter)
	}
	empty, err := libseccomp.NewFilter(libseccomp.ActAllow)
	if err != nil {
		return nil, err
	}
	defer empty.Release()
	before, err := enosysPatchFilter(config, empty)
	if err != nil {
		return nil, err
	}
	after, err := exported(empty, binary.NativeEndian)
	if err != nil {
		return nil, err
	}
	own, err := exported(filter, binary.BigEndian)
	if err != nil {
		return nil, err
	}
	return append(before[:len(before)-len(after)], own...), nil
}

// bigEndian are architectures of the families that are not little-endian, as the machines
// are on which this runs.
var bigEndian = []libseccomp.ScmpArch{libseccomp.ArchPPC64, libseccomp.ArchS390X}

func exported(filter *libseccomp.ScmpFilter, order binary.ByteOrder) ([]unix.SockFilter, error) {
	file, err := os.CreateTemp("", "program")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := filter.ExportBPF(file); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(file.Name())
	if err != nil {
		return nil, err
	}
	program := make([]unix.SockFilter, len(raw)/binary.Size(unix.SockFilter{}))
	_, err = binary.Decode(raw, order, program)
	return program, err
}
