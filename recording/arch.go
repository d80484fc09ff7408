// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/seccomp"
)

// Call is a syscall as the kernel counts them.
type Call struct {
	Arch Arch
	// Number can be of no syscall at all: a program may call whatever it likes.
	Number int32
}

// x32Bit marks the calls of x32 among those of x86_64.
const x32Bit = 1 << 30

// SpecArch returns the architecture by its name in profiles; ok is false when it has none.
func (c Call) SpecArch() (arch specs.Arch, ok bool) {
	if c.isX32() {
		return specs.ArchX32, true
	}
	for _, a := range arches() {
		if a.audit == c.Arch {
			return a.name, true
		}
	}
	return "", false
}

func (c Call) isX32() bool { return c.Arch == archX86_64 && c.Number >= x32Bit }

// Name returns the name of the syscall; ok is false when none is known.
func (c Call) Name() (name string, ok bool) {
	arch, ok := c.SpecArch()
	if !ok || c.Number < 0 {
		return "", false
	}
	return seccomp.SyscallName(arch, uint32(c.Number))
}

// String returns number and architecture, never a name.
func (c Call) String() string {
	if arch, ok := c.SpecArch(); ok {
		return fmt.Sprintf("syscall %d of %s", c.Number, arch)
	}
	return fmt.Sprintf("syscall %d of architecture %#x", c.Number, uint32(c.Arch))
}

// mayBeCompat says that some kernel has the architecture beside a wider one.
func (c Call) mayBeCompat() bool {
	return c.isX32() || c.Arch&wide == 0 || c.Arch&n32 != 0
}

// Arch is an architecture as audit has it: the ELF machine, and the flags below.
type Arch uint32

const (
	wide   Arch = 1 << 31 // 64 bits
	little Arch = 1 << 30 // little-endian
	n32    Arch = 1 << 29 // MIPS with 64-bit registers and 32-bit pointers

	archX86_64 = 62 | wide | little
)

// arch is an architecture that profiles can name.
type arch struct {
	audit Arch
	name  specs.Arch
	// native is the architecture of kernels that run this one as compatible; empty for
	// those that nothing wider runs.
	native specs.Arch
}

// arches has every native architecture followed by those that it can run.
func arches() []arch {
	return []arch{
		{archX86_64, specs.ArchX86_64, ""},
		{3 | little, specs.ArchX86, specs.ArchX86_64},
		{archX86_64, specs.ArchX32, specs.ArchX86_64}, // found by its numbers
		{183 | wide | little, specs.ArchAARCH64, ""},
		{40 | little, specs.ArchARM, specs.ArchAARCH64},
		{243 | wide | little, specs.ArchRISCV64, ""},
		{258 | wide | little, specs.ArchLOONGARCH64, ""},
		{21 | wide | little, specs.ArchPPC64LE, ""},
		{21 | wide, specs.ArchPPC64, ""},
		{20, specs.ArchPPC, specs.ArchPPC64},
		{22 | wide, specs.ArchS390X, ""},
		{22, specs.ArchS390, specs.ArchS390X},
		{8 | wide, specs.ArchMIPS64, ""},
		{8, specs.ArchMIPS, specs.ArchMIPS64},
		{8 | wide | n32, specs.ArchMIPS64N32, specs.ArchMIPS64},
		{8 | wide | little, specs.ArchMIPSEL64, ""},
		{8 | little, specs.ArchMIPSEL, specs.ArchMIPSEL64},
		{8 | wide | little | n32, specs.ArchMIPSEL64N32, specs.ArchMIPSEL64},
		{15 | wide, specs.ArchPARISC64, ""},
		{15, specs.ArchPARISC, specs.ArchPARISC64},
		{4, specs.ArchM68K, ""},
		{42 | little, specs.ArchSH, ""},
		{42, specs.ArchSHEB, ""},
	}
}
