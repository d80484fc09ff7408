// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// maxArgIndex is the last argument of a system call.
	maxArgIndex = 5
	// maxErrno is the kernel's MAX_ERRNO: above it, libseccomp fails with a message
	// about something else.
	maxErrno = 4095
	// maxConditions is how many comparisons were seen to fit a filter of 4,096
	// instructions (BPF_MAXINSNS): 4,050 load, 4,080 do not.
	maxConditions = 4050
)

// Keys of the runtime specification, by the object that they stand in.
const (
	keyDefaultAction    = "defaultAction"
	keyDefaultErrnoRet  = "defaultErrnoRet"
	keyArchitectures    = "architectures"
	keyFlags            = "flags"
	keyListenerPath     = "listenerPath"
	keyListenerMetadata = "listenerMetadata"
	keySyscalls         = "syscalls"

	keyNames    = "names"
	keyAction   = "action"
	keyErrnoRet = "errnoRet"
	keyArgs     = "args"

	keyIndex    = "index"
	keyValue    = "value"
	keyValueTwo = "valueTwo"
	keyOp       = "op"
)

func profileKeys() []string {
	return []string{
		keyDefaultAction, keyDefaultErrnoRet, keyArchitectures, keyFlags,
		keyListenerPath, keyListenerMetadata, keySyscalls,
	}
}

func syscallKeys() []string { return []string{keyNames, keyAction, keyErrnoRet, keyArgs} }

func argKeys() []string { return []string{keyIndex, keyValue, keyValueTwo, keyOp} }

const (
	remedyAction      = `put "defaultAction": "SCMP_ACT_ERRNO" (or another action) at the top of one object`
	remedyErrnoAction = "remove it, or use SCMP_ACT_ERRNO"
)

// Parse reads a profile file. What it returns means the same to every runtime;
// otherwise the error is a *ParseError that lists what is wrong with the text.
//
// As for the runtimes, null stands for an absent key, an absent index or value of
// an argument is 0, and a syscall name that no kernel knows has no effect.
func Parse(data []byte) (*Profile, error) {
	if problem, ok := checkText(data); !ok {
		return nil, &ParseError{Problems: []Problem{problem}}
	}
	r := newReader(data)
	p := &Profile{}
	r.profile(p)
	r.end()
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// checkText refuses what should not even be read as JSON.
func checkText(data []byte) (Problem, bool) {
	switch {
	case len(data) > MaxProfileSize:
		return Problem{
			Message: fmt.Sprintf("file has %d bytes", len(data)),
			Remedy:  fmt.Sprintf("a profile has at most %d (%d KiB)", MaxProfileSize, MaxProfileSize>>10),
		}, false
	case len(bytes.TrimSpace(data)) == 0:
		return Problem{Message: "file is empty", Remedy: remedyAction}, false
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return Problem{
			Message: "file begins with a byte order mark, which runtimes refuse",
			Remedy:  "save it as UTF-8 without BOM",
		}, false
	case !utf8.Valid(data):
		line, column := position(data, len(validPrefix(data)))
		return Problem{
			Line: line, Column: column,
			Message: "file is not UTF-8",
			Remedy:  "save it as UTF-8 without BOM",
		}, false
	default:
		return Problem{}, true
	}
}

// validPrefix returns data up to the first byte that is not UTF-8.
func validPrefix(data []byte) []byte {
	end := 0
	for end < len(data) {
		c, size := utf8.DecodeRune(data[end:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		end += size
	}
	return data[:end]
}

// profile reads the whole file but what follows the profile.
func (r *reader) profile(p *Profile) {
	start := r.offset()
	switch kind := r.dec.PeekKind(); kind {
	case jsontext.KindBeginObject:
	case jsontext.KindInvalid:
		r.token() // for its error
		return
	case jsontext.KindNull:
		r.report(start, "file holds null: runc starts the container without any filter (Unconfined)", remedyAction)
		r.skip()
		return
	default:
		r.report(start, fmt.Sprintf("file holds %s instead of an object", kindName(kind)), remedyAction)
		r.skip()
		return
	}
	var (
		oci                    = &p.oci
		action, errno, calls   state
		actionAt, errnoAt, sys int
	)
	misspelt := r.object(profileKeys(), func(key string, at int) {
		switch key {
		case keyDefaultAction:
			actionAt = at
			oci.DefaultAction, action = oneOf(r, "action", actions())
		case keyDefaultErrnoRet:
			errnoAt = at
			oci.DefaultErrnoRet, errno = r.errno()
		case keyArchitectures:
			oci.Architectures, _ = list(r, "architectures", r.architecture)
		case keyFlags:
			oci.Flags, _ = list(r, "flags", r.flag)
		case keyListenerPath:
			oci.ListenerPath, _ = r.text()
		case keyListenerMetadata:
			oci.ListenerMetadata, _ = r.text()
		case keySyscalls:
			sys = at
			oci.Syscalls, calls = list(r, "rules", r.syscall)
		}
	})
	switch {
	case r.failed:
		return
	case action == absent && slices.Contains(misspelt, keyDefaultAction):
	case action == absent && (calls == absent || calls == good && len(oci.Syscalls) == 0):
		r.reportFirst(start, keyDefaultAction, "missing, so that runc starts the container without any filter (Unconfined)", remedyAction)
	case action == absent:
		r.reportFirst(start, keyDefaultAction, "missing, so that no container starts", remedyAction)
	case oci.DefaultAction == specs.ActNotify:
		r.reportMember(actionAt, keyDefaultAction, "SCMP_ACT_NOTIFY cannot be the default action: no container starts",
			"use SCMP_ACT_ERRNO and give SCMP_ACT_NOTIFY to single syscalls")
	}
	if errno == good {
		r.checkErrnoAction(errnoAt, keyDefaultErrnoRet, oci.DefaultAction, action)
	}
	// Counting needs a profile that is right otherwise.
	if r.total == 0 && p.conditions(maxConditions) > maxConditions {
		r.reportMember(sys, keySyscalls, fmt.Sprintf("has more than %d conditions, which outgrow the kernel's limit of 4096 instructions", maxConditions),
			"decide about the syscalls by fewer values of their arguments")
	}
}

// syscall reads one rule of the profile.
func (r *reader) syscall() (specs.LinuxSyscall, state) {
	var (
		call                 specs.LinuxSyscall
		names, action, errno state
		errnoAt              int
	)
	start := r.offset()
	if st := r.expect(jsontext.KindBeginObject, "an object"); st != good {
		return call, st
	}
	misspelt := r.object(syscallKeys(), func(key string, at int) {
		switch key {
		case keyNames:
			before := r.total
			call.Names, names = list(r, "syscall names", r.name)
			if names == good && len(call.Names) == 0 && r.total == before {
				r.report(at, "is empty, so that the rule has no effect", "name the syscalls, or remove the rule")
			}
		case keyAction:
			call.Action, action = oneOf(r, "action", actions())
		case keyErrnoRet:
			errnoAt = at
			call.ErrnoRet, errno = r.errno()
		case keyArgs:
			call.Args, _ = list(r, "conditions", r.arg)
		}
	})
	if r.failed {
		return call, bad
	}
	if names == absent && !slices.Contains(misspelt, keyNames) {
		r.reportMember(start, keyNames, "missing, so that the rule has no effect", "add it with a list of syscalls")
	}
	if action == absent && !slices.Contains(misspelt, keyAction) {
		r.reportMember(start, keyAction, "missing, so that no container starts", `add it, such as "action": "SCMP_ACT_ALLOW"`)
	}
	if errno == good {
		r.checkErrnoAction(errnoAt, keyErrnoRet, call.Action, action)
	}
	return call, good
}

// arg reads one condition of a rule.
func (r *reader) arg() (specs.LinuxSeccompArg, state) {
	var (
		arg specs.LinuxSeccompArg
		op  state
	)
	start := r.offset()
	if st := r.expect(jsontext.KindBeginObject, "an object"); st != good {
		return arg, st
	}
	misspelt := r.object(argKeys(), func(key string, at int) {
		switch key {
		case keyIndex:
			index, st := r.number()
			if st == good && index > maxArgIndex {
				r.report(at, fmt.Sprintf("a syscall has no argument %d", index), fmt.Sprintf("use 0 to %d", maxArgIndex))
				return
			}
			arg.Index = uint(index)
		case keyValue:
			arg.Value, _ = r.number()
		case keyValueTwo:
			arg.ValueTwo, _ = r.number()
		case keyOp:
			arg.Op, op = oneOf(r, "operator", operators())
		}
	})
	if !r.failed && op == absent && !slices.Contains(misspelt, keyOp) {
		r.reportMember(start, keyOp, "missing, so that no container starts", `add it, such as "op": "SCMP_CMP_EQ"`)
	}
	return arg, good
}

func (r *reader) architecture() (specs.Arch, state) {
	return oneOf(r, "architecture", architectures())
}

func (r *reader) flag() (specs.LinuxSeccompFlag, state) {
	return oneOf(r, "flag", flags())
}

// name reads the name of a syscall. Kernels and architectures differ in what they
// have, so that only its shape is judged.
func (r *reader) name() (string, state) {
	at := r.offset()
	name, st := r.text()
	if st != good {
		return "", st
	}
	switch {
	case name == "":
		r.report(at, "syscall name is empty", "remove it")
		return "", bad
	case strings.ContainsFunc(name, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }):
		r.report(at, fmt.Sprintf("syscall name %s has white space or a control character in it, so that runtimes ignore it", quote(name, maxShown)), "write the bare name")
		return "", bad
	default:
		return name, good
	}
}

// errno reads the number that a blocked call returns.
func (r *reader) errno() (*uint, state) {
	at := r.offset()
	number, st := r.number()
	if st != good {
		return nil, st
	}
	const remedy = "use an errno from 1 to 4095, such as 1 (EPERM) or 38 (ENOSYS)"
	switch {
	case number == 0:
		r.report(at, "0 makes a blocked call look successful", remedy)
		return nil, bad
	case number > maxErrno:
		r.report(at, fmt.Sprintf("%d is above the kernel's last errno", number), remedy)
		return nil, bad
	default:
		errno := uint(number)
		return &errno, good
	}
}

// checkErrnoAction refuses an errno beside an action that has none: the runtime
// specification wants an error, runc ignores it and crun does not start.
func (r *reader) checkErrnoAction(at int, key string, action specs.LinuxSeccompAction, st state) {
	if st == good && !takesErrno(action) {
		r.reportMember(at, key, fmt.Sprintf("has no meaning with %s, and crun refuses it", action), remedyErrnoAction)
	}
}

// unknownKey reports a key that is not in the specification, the last of the
// path, and returns the known one that was meant, empty when that is unknown.
func (r *reader) unknownKey(at int, key string, known []string) string {
	switch key {
	case "archMap":
		r.report(at, "key of Docker's dialect, which containerd ignores", `list the architectures under "architectures"`)
		return ""
	case "includes", "excludes", "minKernel":
		r.report(at, "key of Docker's dialect, which containerd ignores, so that the rule applies always",
			"flatten the file for the capabilities and the architecture of your containers")
		return ""
	case "name":
		r.report(at, "key of Docker's dialect, which containerd ignores, so that the rule has no effect", `write "names" with a list`)
		return keyNames
	case "comment":
		r.report(at, "key of Docker's dialect", "remove it")
		return ""
	case "errno", "defaultErrno":
		r.report(at, "key of Podman's dialect, which containerd ignores", fmt.Sprintf("write the number under %q", key+"Ret"))
		return ""
	case "apiVersion", "kind", "metadata", "spec", "status":
		r.report(at, "key of a Kubernetes object, not of a profile", "keep only the object in it that has defaultAction")
		return ""
	}
	near, ok := meant(key, known)
	switch {
	case !ok:
		r.report(at, "unknown key", "remove it, or use "+alternation(known))
	case strings.EqualFold(key, near):
		r.report(at, "key is not in its exact case: some runtimes accept it, others ignore it", fmt.Sprintf("did you mean %q?", near))
	default:
		r.report(at, "unknown key", fmt.Sprintf("did you mean %q?", near))
	}
	return near
}

// oneOf reads a string that must be one of the known ones.
func oneOf[T ~string](r *reader, noun string, known []T) (T, state) {
	at := r.offset()
	text, st := r.text()
	if st != good || slices.Contains(known, T(text)) {
		return T(text), st
	}
	names := sorted(known)
	remedy := "use " + alternation(names)
	if near, ok := meant(text, names); ok {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	r.report(at, fmt.Sprintf("unknown %s %s", noun, quote(text, maxShown)), remedy)
	return "", bad
}
