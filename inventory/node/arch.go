// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// NativeArch returns libseccomp's name of an architecture in Go's spelling, which
// is also that of status.nodeInfo.architecture and of the label kubernetes.io/arch.
func NativeArch(goarch string) (arch v1alpha1.Arch, known bool) {
	switch goarch {
	case "386":
		return "SCMP_ARCH_X86", true
	case "amd64":
		return "SCMP_ARCH_X86_64", true
	case "arm":
		return "SCMP_ARCH_ARM", true
	case "arm64":
		return "SCMP_ARCH_AARCH64", true
	case "loong64":
		return "SCMP_ARCH_LOONGARCH64", true
	case "mips64":
		return "SCMP_ARCH_MIPS64", true
	case "mips64le":
		return "SCMP_ARCH_MIPSEL64", true
	case "ppc64":
		return "SCMP_ARCH_PPC64", true
	case "ppc64le":
		return "SCMP_ARCH_PPC64LE", true
	case "riscv64":
		return "SCMP_ARCH_RISCV64", true
	case "s390x":
		return "SCMP_ARCH_S390X", true
	default:
		return "", false
	}
}

// compat are the architectures that a kernel runs beside its native one, and the
// option that says so.
func compat(goarch string) []compatArch {
	switch goarch {
	case "amd64":
		return []compatArch{{"CONFIG_IA32_EMULATION", "SCMP_ARCH_X86"}, {"CONFIG_X86_X32_ABI", "SCMP_ARCH_X32"}}
	case "arm64":
		return []compatArch{{"CONFIG_COMPAT", "SCMP_ARCH_ARM"}}
	case "s390x":
		return []compatArch{{"CONFIG_COMPAT", "SCMP_ARCH_S390"}}
	default:
		return nil
	}
}

type compatArch struct {
	option string
	arch   v1alpha1.Arch
}

// maxKernelConfig in bytes; distributions' are 200 to 300 KiB.
const maxKernelConfig = 4 << 20

// architectures reads which system calls the kernel understands. The native
// architecture is that of this very process, so it says nothing about a root whose
// kernel does not run here, which is one without a proc.
type architectures struct{ goarch string }

func (architectures) Name() string { return "architectures" }

func (a architectures) Collect(host *Host, facts *v1alpha1.NodeFacts) error {
	release, err := host.ReadFile("proc/sys/kernel/osrelease", maxKernelFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read kernel release: %w", err)
	}
	native, known := NativeArch(a.goarch)
	if !known {
		return fmt.Errorf("architecture %q has no name in libseccomp; profiles cannot list it", a.goarch)
	}
	facts.Architectures = []v1alpha1.Arch{native}
	others := compat(a.goarch)
	if len(others) == 0 {
		return nil
	}
	options, err := kernelConfig(host, strings.TrimSpace(string(release)))
	if err != nil {
		return fmt.Errorf("read kernel configuration: %w", err)
	}
	for _, c := range others {
		if options[c.option] {
			facts.Architectures = append(facts.Architectures, c.arch)
		}
	}
	return nil
}

// kernelConfig is the options that are built in. A kernel that publishes none has
// none for us: the compatible architectures are then unknown.
func kernelConfig(host *Host, release string) (map[string]bool, error) {
	data, err := host.ReadFile("proc/config.gz", maxKernelConfig)
	switch {
	case err == nil:
		zipped, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("unpack proc/config.gz: %w", err)
		}
		if data, err = io.ReadAll(io.LimitReader(zipped, maxKernelConfig)); err != nil {
			return nil, fmt.Errorf("unpack proc/config.gz: %w", err)
		}
	case errors.Is(err, fs.ErrNotExist):
		if strings.ContainsAny(release, "/\x00") || release == "" {
			return nil, fmt.Errorf("kernel release %q is not a file name", release)
		}
		data, err = host.ReadFile("boot/config-"+release, maxKernelConfig)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	options := make(map[string]bool)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if option, on := strings.CutSuffix(lines.Text(), "=y"); on {
			options[option] = true
		}
	}
	return options, lines.Err()
}
