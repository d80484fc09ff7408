// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// flagTsync has no constant in specs-go, but the specification's text, runc and
// crun know it: the filter is put on all threads at once, which a container's
// first process has only one of.
const flagTsync specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"

// actions are those of the OCI runtime specification, the mildest first.
func actions() []specs.LinuxSeccompAction {
	return []specs.LinuxSeccompAction{
		specs.ActAllow,
		specs.ActLog,
		specs.ActNotify,
		specs.ActTrace,
		specs.ActErrno,
		specs.ActTrap,
		specs.ActKill,
		specs.ActKillThread,
		specs.ActKillProcess,
	}
}

// operators compare an argument of a syscall.
func operators() []specs.LinuxSeccompOperator {
	return []specs.LinuxSeccompOperator{
		specs.OpEqualTo,
		specs.OpNotEqual,
		specs.OpMaskedEqual,
		specs.OpLessThan,
		specs.OpLessEqual,
		specs.OpGreaterThan,
		specs.OpGreaterEqual,
	}
}

// architectures are those of the OCI runtime specification. Runtimes lag behind
// it (runc knows no PARISC, M68K and SH), which is the node's matter.
func architectures() []specs.Arch {
	return []specs.Arch{
		specs.ArchX86_64, specs.ArchX86, specs.ArchX32,
		specs.ArchAARCH64, specs.ArchARM,
		specs.ArchRISCV64, specs.ArchLOONGARCH64,
		specs.ArchPPC64LE, specs.ArchPPC64, specs.ArchPPC,
		specs.ArchS390X, specs.ArchS390,
		specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32,
		specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32,
		specs.ArchPARISC, specs.ArchPARISC64,
		specs.ArchM68K, specs.ArchSH, specs.ArchSHEB,
	}
}

// flags of the seccomp system call that a profile may ask for.
func flags() []specs.LinuxSeccompFlag {
	return []specs.LinuxSeccompFlag{
		specs.LinuxSeccompFlagLog,
		specs.LinuxSeccompFlagSpecAllow,
		specs.LinuxSeccompFlagWaitKillableRecv,
		flagTsync,
	}
}

// KnownActions lists every action that Parse accepts, sorted.
func KnownActions() []string { return sorted(actions()) }

// KnownOperators lists every comparison that Parse accepts, sorted.
func KnownOperators() []string { return sorted(operators()) }

// KnownArchitectures lists every architecture that Parse accepts, sorted.
func KnownArchitectures() []string { return sorted(architectures()) }

// KnownFlags lists every filter flag that Parse accepts, sorted.
func KnownFlags() []string { return sorted(flags()) }

func sorted[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	slices.Sort(out)
	return out
}
