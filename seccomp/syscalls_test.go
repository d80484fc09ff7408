// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestSyscallsAreTheKernels compares the tables with the kernel's headers, where this
// machine has them: those of x86 come with every C compiler there.
func TestSyscallsAreTheKernels(t *testing.T) {
	for _, tc := range []struct {
		arch specs.Arch
		file string
	}{
		{specs.ArchX86_64, "unistd_64.h"},
		{specs.ArchX86, "unistd_32.h"},
		{specs.ArchX32, "unistd_x32.h"},
	} {
		t.Run(string(tc.arch), func(t *testing.T) {
			text, err := os.ReadFile(header(t, tc.file))
			if err != nil {
				t.Fatal(err)
			}
			defined := regexp.MustCompile(`(?m)^#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ (\d+)\)|(\d+))$`).FindAllStringSubmatch(string(text), -1)
			if len(defined) < 300 {
				t.Fatalf("%s defines %d syscalls", tc.file, len(defined))
			}
			theirs := make(map[string]uint32)
			for _, d := range defined {
				nr, err := strconv.ParseUint(d[2]+d[3], 10, 32)
				if err != nil {
					t.Fatal(err)
				}
				if d[2] != "" {
					nr |= x32Bit
				}
				theirs[d[1]] = uint32(nr)
				if ours, ok := SyscallNumber(tc.arch, d[1]); !ok || ours != uint32(nr) {
					t.Errorf("%s is %d (known: %v), and %d for the kernel", d[1], ours, ok, nr)
				}
			}
			for _, name := range SyscallNames(tc.arch) {
				if _, ok := theirs[name]; !ok && !recent(tc.arch, name) {
					t.Errorf("%s is no syscall for the kernel", name)
				}
			}
		})
	}
}

func TestSyscallName(t *testing.T) {
	for _, arch := range tabled() {
		for _, name := range SyscallNames(arch) {
			nr, _ := SyscallNumber(arch, name)
			if got, ok := SyscallName(arch, nr); !ok || got != name {
				t.Errorf("%d of %s is %q (known: %v), and %s has that number", nr, arch, got, ok, name)
			}
		}
	}
	for _, unknown := range []struct {
		arch specs.Arch
		nr   uint32
	}{{specs.ArchX86_64, 3999}, {specs.ArchX86_64, 1<<32 - 1}, {specs.ArchX32, 0}, {specs.ArchX32, x32Bit | 59}, {specs.ArchAARCH64, 403}, {specs.ArchRISCV64, 64}} {
		if name, ok := SyscallName(unknown.arch, unknown.nr); ok {
			t.Errorf("%d of %s is %s, want none", unknown.nr, unknown.arch, name)
		}
	}
}

func header(t *testing.T, file string) string {
	t.Helper()
	for _, dir := range []string{"/usr/include/x86_64-linux-gnu/asm/", "/usr/x86_64-linux-gnu/include/asm/"} {
		if _, err := os.Stat(dir + file); err == nil {
			return dir + file
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s of the kernel's headers is missing; install linux-libc-dev, or linux-libc-dev-amd64-cross elsewhere than on amd64", file)
	}
	t.Skipf("%s of the kernel's headers is missing; install linux-libc-dev, or linux-libc-dev-amd64-cross elsewhere than on amd64", file)
	return ""
}
