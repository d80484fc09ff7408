// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestSyscallsAreTheKernels compares the tables with the kernel's headers.
func TestSyscallsAreTheKernels(t *testing.T) {
	for _, tc := range []struct {
		arch  specs.Arch
		file  string
		dirs  []string // the machine's own headers, and those for cross compilers
		hint  string
		macro string
	}{
		{arch: specs.ArchX86_64, file: "unistd_64.h", dirs: x86Headers, hint: x86Packages},
		{arch: specs.ArchX86, file: "unistd_32.h", dirs: x86Headers, hint: x86Packages},
		{arch: specs.ArchX32, file: "unistd_x32.h", dirs: x86Headers, hint: x86Packages, macro: "__X32_SYSCALL_BIT=0x40000000"},
		{
			arch: specs.ArchAARCH64, file: "unistd.h",
			dirs: []string{"/usr/include/aarch64-linux-gnu", "/usr/aarch64-linux-gnu/include"},
			hint: "linux-libc-dev, or linux-libc-dev-arm64-cross elsewhere than on arm64",
		},
		{
			arch: specs.ArchARM, file: "unistd.h",
			dirs: []string{"/usr/include/arm-linux-gnueabihf", "/usr/arm-linux-gnueabihf/include"},
			hint: "linux-libc-dev-armhf-cross", macro: "__ARM_EABI__",
		},
	} {
		t.Run(string(tc.arch), func(t *testing.T) {
			i := slices.IndexFunc(tc.dirs, func(dir string) bool {
				_, err := os.Stat(filepath.Join(dir, "asm", tc.file))
				return err == nil
			})
			if i < 0 {
				missing := fmt.Sprintf("asm/%s of the kernel's headers for %s is missing; install %s", tc.file, tc.arch, tc.hint)
				if os.Getenv("CI") != "" {
					t.Fatal(missing)
				}
				t.Skip(missing)
			}
			theirs := definedSyscalls(t, tc.dirs[i], tc.file, tc.macro)
			if len(theirs) < 300 {
				t.Fatalf("%s defines %d syscalls", tc.file, len(theirs))
			}
			for name, nr := range theirs {
				// A second name for arm_sync_file_range, which libseccomp does not take for ARM.
				if tc.arch == specs.ArchARM && name == "sync_file_range2" {
					continue
				}
				if ours, ok := SyscallNumber(tc.arch, name); !ok || ours != nr {
					t.Errorf("%s is %d (known: %v), and %d for the kernel", name, ours, ok, nr)
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

var x86Headers = []string{"/usr/include/x86_64-linux-gnu", "/usr/x86_64-linux-gnu/include"}

const x86Packages = "linux-libc-dev, or linux-libc-dev-amd64-cross elsewhere than on amd64"

// definedSyscalls returns the numbers that a header of the kernel gives to syscalls. The
// preprocessor reads it as for a machine without a name, since the headers of ARM choose
// by what the compiler defines, and define names by names.
func definedSyscalls(t *testing.T, dir, file, macro string) map[string]uint32 {
	t.Helper()
	args := []string{"-E", "-dM", "-undef", "-nostdinc", "-I", dir, "-I", "/usr/include", "-include", "asm/" + file}
	if macro != "" {
		args = append(args, "-D", macro)
	}
	text, err := exec.CommandContext(t.Context(), "gcc", append(args, "-x", "c", os.DevNull)...).Output()
	if err != nil {
		t.Fatalf("preprocess %s: %v", file, err)
	}
	macros := make(map[string]string)
	for _, d := range regexp.MustCompile(`(?m)^#define (\w+) (.+)$`).FindAllStringSubmatch(string(text), -1) {
		macros[d[1]] = d[2]
	}
	var value func(expression string) uint64
	value = func(expression string) uint64 {
		if macro, ok := macros[expression]; ok {
			return value(macro)
		}
		var sum uint64
		terms := strings.Split(strings.Trim(expression, "()"), "+")
		for _, term := range terms {
			if term = strings.TrimSpace(term); len(terms) > 1 || macros[term] != "" {
				sum += value(term)
				continue
			}
			n, err := strconv.ParseUint(term, 0, 32)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			sum += n
		}
		return sum
	}
	numbers := make(map[string]uint32)
	for name, expression := range macros {
		name, ok := syscallMacro(name)
		if ok {
			numbers[name] = uint32(value(expression))
		}
	}
	return numbers
}

// syscallMacro returns what a macro names; ok is false when that is no syscall, but the
// beginning or the end of a range of numbers.
func syscallMacro(macro string) (name string, ok bool) {
	name, private := strings.CutPrefix(macro, "__ARM_NR_")
	if !private {
		name, ok = strings.CutPrefix(macro, "__NR_")
	}
	switch name {
	case "BASE", "SYSCALL_BASE", "OABI_SYSCALL_BASE", "SYSCALL_MASK", "syscalls", "arch_specific_syscall":
		return "", false
	}
	return name, ok || private
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
	}{{specs.ArchX86_64, 3999}, {specs.ArchX86_64, 1<<32 - 1}, {specs.ArchX32, 0}, {specs.ArchX32, x32Bit | 59}, {specs.ArchAARCH64, 403}, {specs.ArchAARCH64, 244}, {specs.ArchRISCV64, 64}} {
		if name, ok := SyscallName(unknown.arch, unknown.nr); ok {
			t.Errorf("%d of %s is %s, want none", unknown.nr, unknown.arch, name)
		}
	}
}
