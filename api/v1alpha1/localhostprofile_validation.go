// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxArgument = 5
	// maxErrno is the kernel's MAX_ERRNO.
	maxErrno = 4095
	// maxProfileSize in bytes is that of a profile file.
	maxProfileSize = 256 << 10

	actionErrno  Action = "SCMP_ACT_ERRNO"
	actionTrace  Action = "SCMP_ACT_TRACE"
	actionNotify Action = "SCMP_ACT_NOTIFY"
)

// The enums of the schema. A test holds them, the schema and package seccomp together.

func actions() []Action {
	return []Action{
		"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", actionNotify, actionTrace, actionErrno,
		"SCMP_ACT_TRAP", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS",
	}
}

func architectures() []Arch {
	return []Arch{
		"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM",
		"SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC",
		"SCMP_ARCH_S390X", "SCMP_ARCH_S390", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32",
		"SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",
		"SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
	}
}

func flags() []Flag {
	return []Flag{
		"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
		"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC",
	}
}

func operators() []string {
	return []string{
		"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ",
		"SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE",
	}
}

// ValidateLocalhostProfile says what is wrong with the object. Whether the profile is a
// good one is not said: that is for the rules.
func ValidateLocalhostProfile(p *LocalhostProfile) field.ErrorList {
	errs := validateProfileName(p.Name, field.NewPath("metadata", "name"))
	spec := field.NewPath("spec")
	errs = append(errs, validateNodeSelector(p.Spec.NodeSelector, spec.Child("nodeSelector"))...)
	errs = append(errs, validateOCIProfile(&p.Spec.Profile, spec.Child("profile"))...)

	status := field.NewPath("status")
	if p.Status.Digest != "" {
		errs = append(errs, validateDigest(p.Status.Digest, status.Child("digest"))...)
	}
	if p.Status.Served != "" {
		errs = append(errs, validateServed(p.Status.Served, p.Name, status.Child("served"))...)
	}
	return errs
}

func validateNodeSelector(selector map[string]string, at *field.Path) field.ErrorList {
	errs := atMost(len(selector), maxLabels, at)
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		for _, problem := range validation.IsQualifiedName(key) {
			errs = append(errs, field.Invalid(at, shorten(key), "is not a label's key: "+problem))
		}
		for _, problem := range validation.IsValidLabelValue(selector[key]) {
			errs = append(errs, field.Invalid(at.Key(shorten(key)), shorten(selector[key]), "is not a label's value: "+problem))
		}
	}
	return errs
}

// validateServed wants a file of this very profile: injection writes the path into pods.
func validateServed(served, name string, at *field.Path) field.ErrorList {
	prefix, suffix := ProfileDirectory+"/"+name, ".json"
	middle, under := strings.CutPrefix(served, prefix)
	middle, json := strings.CutSuffix(middle, suffix)
	if under && json && (middle == "" || len(middle) == generationDigits+1 && endsInGeneration(middle)) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, shorten(served), fmt.Sprintf("is not a file of this profile: %s.<first %d digits of the digest>%s, or %s%s",
		prefix, generationDigits, suffix, prefix, suffix))}
}

func validateOCIProfile(p *OCIProfile, at *field.Path) field.ErrorList {
	errs := validateAction(p.DefaultAction, at.Child("defaultAction"))
	if p.DefaultAction == actionNotify {
		errs = append(errs, field.Invalid(at.Child("defaultAction"), p.DefaultAction,
			"cannot be the default action: no container starts; use SCMP_ACT_ERRNO and give SCMP_ACT_NOTIFY to single syscalls"))
	}
	errs = append(errs, validateErrno(p.DefaultErrnoRet, p.DefaultAction, at.Child("defaultErrnoRet"))...)
	for i, arch := range p.Architectures {
		errs = append(errs, oneOf(arch, architectures(), at.Child("architectures").Index(i))...)
	}
	for i, flag := range p.Flags {
		errs = append(errs, oneOf(flag, flags(), at.Child("flags").Index(i))...)
	}
	errs = append(errs, atMost(len(p.Syscalls), maxRules, at.Child("syscalls"))...)
	for i := range p.Syscalls[:min(len(p.Syscalls), maxRules)] {
		errs = append(errs, validateOCISyscall(&p.Syscalls[i], at.Child("syscalls").Index(i))...)
	}
	// Only what is right otherwise is worth its size. Strings, numbers and lists of them
	// are nothing that the encoder can refuse.
	if text, _ := json.Marshal(p); len(errs) == 0 && len(text) > maxProfileSize {
		errs = append(errs, field.Invalid(at, fmt.Sprintf("%d bytes", len(text)), fmt.Sprintf("a profile file has at most %d; decide about fewer syscalls by their arguments", maxProfileSize)))
	}
	return errs
}

func validateOCISyscall(call *OCISyscall, at *field.Path) field.ErrorList {
	names := at.Child("names")
	errs := atMost(len(call.Names), maxNames, names)
	if len(call.Names) == 0 {
		errs = append(errs, field.Required(names, "name the syscalls, or remove the rule"))
	}
	for i, name := range call.Names[:min(len(call.Names), maxNames)] {
		if name == "" || len(name) > maxSyscall || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
			errs = append(errs, field.Invalid(names.Index(i), shorten(name), fmt.Sprintf("is not a syscall's name: 1 to %d characters of printable ASCII without spaces", maxSyscall)))
		}
	}
	errs = append(errs, validateAction(call.Action, at.Child("action"))...)
	errs = append(errs, validateErrno(call.ErrnoRet, call.Action, at.Child("errnoRet"))...)
	errs = append(errs, atMost(len(call.Args), maxConditions, at.Child("args"))...)
	for i, arg := range call.Args[:min(len(call.Args), maxConditions)] {
		errs = append(errs, number(arg.Index, 0, maxArgument, at.Child("args").Index(i).Child("index"))...)
		errs = append(errs, oneOf(arg.Op, operators(), at.Child("args").Index(i).Child("op"))...)
	}
	return errs
}

func validateAction(action Action, at *field.Path) field.ErrorList {
	return oneOf(action, actions(), at)
}

func validateErrno(errno *int32, action Action, at *field.Path) field.ErrorList {
	if errno == nil {
		return nil
	}
	errs := number(*errno, 1, maxErrno, at)
	if slices.Contains(actions(), action) && action != actionErrno && action != actionTrace {
		errs = append(errs, field.Invalid(at, *errno, fmt.Sprintf("has no meaning with %s; remove it, or use SCMP_ACT_ERRNO", action)))
	}
	return errs
}
