// SPDX-License-Identifier: Apache-2.0

// Package recording turns what the kernel says of filtered syscalls into profiles: it
// reads audit records, from the kernel or from a log of them, collects the calls and
// makes a profile that lets them through.
package recording

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Record is one call for which a filter had the kernel write an audit record.
type Record struct {
	// Time and Serial name the event; both are zero in the journal's own form, which
	// leaves them out.
	Time   time.Time
	Serial uint32
	// PID is that of the process, also when a thread made the call, as the initial pid
	// namespace has it.
	PID int
	UID uint32
	// Comm and Exe are what the process is called and runs, decoded. A process can choose
	// both, of any bytes; Exe is empty when the kernel knows none.
	Comm, Exe string
	Call
	// Compat says that the call was made in another architecture than the kernel's own.
	Compat bool
	// Action is what the filter did.
	Action specs.LinuxSeccompAction
}

var (
	// ErrForeign is returned for what is no seccomp record.
	ErrForeign = errors.New("no seccomp record")
	// ErrBroken is returned for what begins as a seccomp record, but is none that the
	// kernel writes: cut off, mixed up with another, in contradiction with itself.
	ErrBroken = errors.New("seccomp record is not whole")
)

// Parse reads one record, without its line break, in any of these forms:
//
//	audit(…): …                                  the kernel's own, over netlink
//	[ 1032.904] audit: type=1326 audit(…): …     dmesg, /dev/kmsg, syslog, the journal
//	type=SECCOMP msg=audit(…): …                 auditd, also enriched or with node=
//	Nov 26 17:24:00 node audit[812]: SECCOMP …   the journal, where it reads audit itself
//
// The error is ErrForeign or ErrBroken. Nothing is ever read out of a name: the kernel
// quotes names, and encodes those with a space or a quote. For the same reason the form of
// ausearch -i is not read, which takes the quotes away.
//
// Text is as good as who can write to it. Parse wants a log to say that the kernel or
// audit wrote the line; but the journal shows any process under the name it chose, and
// journalctl _TRANSPORT=audit is needed to be sure.
func Parse(line []byte) (Record, error) {
	var r Record
	rest, known := head(message(line))
	if event, ok := bytes.CutPrefix(rest, []byte("audit(")); ok {
		if rest, ok = r.event(event); !ok {
			return Record{}, fault(known)
		}
	} else if rest, ok = bytes.CutPrefix(rest, []byte("SECCOMP ")); !ok || known {
		return Record{}, fault(known)
	} else {
		known = true
	}
	seen, ok := r.fields(rest)
	if !ok || seen != allFields || r.Compat && !r.mayBeCompat() {
		return Record{}, fault(known || seen&fieldCode != 0)
	}
	return r, nil
}

// fault is what is wrong with a line that is known, or not, to be of a seccomp record.
func fault(known bool) error {
	if known {
		return ErrBroken
	}
	return ErrForeign
}

// head takes off what stands before audit(…), and says whether that named the type.
func head(text []byte) (rest []byte, known bool) {
	text = bytes.TrimPrefix(text, []byte("audit: "))
	if node, rest, ok := bytes.Cut(text, []byte(" ")); ok && bytes.HasPrefix(node, []byte("node=")) {
		text = rest
	}
	if !bytes.HasPrefix(text, []byte("type=")) {
		return text, false
	}
	for _, kind := range []string{"type=SECCOMP ", "type=1326 "} {
		if rest, ok := bytes.CutPrefix(text, []byte(kind)); ok {
			return bytes.TrimPrefix(rest, []byte("msg=")), true
		}
	}
	return nil, false
}

// event reads "1795432970.069:790): ".
func (r *Record) event(text []byte) (rest []byte, ok bool) {
	stamp, rest, ok := bytes.Cut(text, []byte("): "))
	when, serial, ok1 := bytes.Cut(stamp, []byte(":"))
	seconds, millis, ok2 := bytes.Cut(when, []byte("."))
	if !ok || !ok1 || !ok2 || len(millis) != 3 {
		return nil, false
	}
	s, ok := number(seconds, 10, math.MaxInt64)
	ms, ok1 := number(millis, 10, 999)
	n, ok2 := number(serial, 10, math.MaxUint32)
	r.Time = time.Unix(int64(s), int64(ms)*int64(time.Millisecond)).UTC()
	r.Serial = uint32(n)
	return rest, ok && ok1 && ok2
}

// fieldSet says which fields were there.
type fieldSet uint16

const (
	fieldAUID fieldSet = 1 << iota
	fieldUID
	fieldGID
	fieldSes
	fieldPID
	fieldComm
	fieldExe
	fieldSig
	fieldArch
	fieldSyscall
	fieldCompat
	fieldIP
	fieldCode

	// allFields are those that the kernel always writes.
	allFields = fieldCode<<1 - 1
)

// enrichment stands before the names that auditd adds for numbers.
const enrichment = 0x1d

// fields reads "auid=4294967295 uid=0 …" in any order, and returns which there were.
func (r *Record) fields(text []byte) (seen fieldSet, ok bool) {
	for {
		text = bytes.TrimLeft(text, " ")
		if len(text) == 0 || text[0] == enrichment {
			return seen, true
		}
		key, after, found := bytes.Cut(text, []byte("="))
		if !found || !isKey(key) {
			return seen, false
		}
		var value []byte
		if value, text, ok = cutValue(key, after); !ok {
			return seen, false
		}
		field, ok := r.set(key, value)
		if !ok || seen&field != 0 {
			return seen, false
		}
		seen |= field
	}
}

// isKey says that a text can be the name of a field.
func isKey(text []byte) bool {
	for _, c := range text {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return len(text) > 0
}

// cutValue cuts off the value of a field, together with its quotes. Within them there is
// anything but quotes and control characters; a value without quotes has no space either.
func cutValue(key, text []byte) (value, rest []byte, ok bool) {
	n := 0
	switch {
	case len(text) > 0 && text[0] == '"':
		n = bytes.IndexByte(text[1:], '"') + 2
		if n < 2 || n < len(text) && text[n] != ' ' && text[n] != enrichment {
			return nil, nil, false
		}
	default:
		if n = bytes.IndexAny(text, " \x1d"); n < 0 {
			n = len(text)
		}
		if string(key) == "code" {
			// Where the separator got lost, auditd's names follow at once, in upper case.
			if i := bytes.IndexFunc(text[:n], func(c rune) bool { return 'A' <= c && c <= 'Z' }); i >= 0 {
				return text[:i], nil, true
			}
		}
		if bytes.ContainsAny(text[:n], `"'`) {
			return nil, nil, false
		}
	}
	value, rest = text[:n], text[n:]
	if bytes.HasPrefix(key, []byte("subj")) {
		rest = afterMode(rest)
	}
	return value, rest, !bytes.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// afterMode takes off the " (enforce)" that AppArmor writes after a label.
func afterMode(text []byte) []byte {
	after, ok := bytes.CutPrefix(text, []byte(" ("))
	if !ok {
		return text
	}
	mode, rest, ok := bytes.Cut(after, []byte(")"))
	if !ok || !isKey(mode) {
		return text
	}
	return rest
}

// set takes one field. Those that are not named here, such as the labels of security
// modules and auditd's names, say nothing about the call.
func (r *Record) set(key, value []byte) (field fieldSet, ok bool) {
	var n uint64
	switch string(key) {
	case "auid":
		_, ok = number(value, 10, math.MaxUint32)
		return fieldAUID, ok
	case "uid":
		n, ok = number(value, 10, math.MaxUint32)
		r.UID = uint32(n)
		return fieldUID, ok
	case "gid":
		_, ok = number(value, 10, math.MaxUint32)
		return fieldGID, ok
	case "ses":
		_, ok = number(value, 10, math.MaxUint32)
		return fieldSes, ok
	case "pid":
		n, ok = number(value, 10, math.MaxInt32)
		r.PID = int(n)
		return fieldPID, ok && n > 0
	case "comm":
		r.Comm, ok = name(value)
		return fieldComm, ok
	case "exe":
		if string(value) == "(null)" {
			return fieldExe, true
		}
		r.Exe, ok = name(value)
		return fieldExe, ok
	case "sig":
		_, ok = number(value, 10, 64)
		return fieldSig, ok
	case "arch":
		n, ok = number(value, 16, math.MaxUint32)
		r.Arch = Arch(n)
		return fieldArch, ok
	case "syscall":
		positive, negative := bytes.CutPrefix(value, []byte("-"))
		n, ok = number(positive, 10, math.MaxInt32)
		r.Number = int32(n)
		if negative {
			r.Number = -r.Number
		}
		return fieldSyscall, ok
	case "compat":
		n, ok = number(value, 10, 1)
		r.Compat = n == 1
		return fieldCompat, ok
	case "ip":
		_, ok = prefixed(value, math.MaxUint64)
		return fieldIP, ok
	case "code":
		n, ok = prefixed(value, math.MaxUint32)
		r.Action = actionOf(uint32(n))
		return fieldCode, ok && r.Action != ""
	case "msg":
		// Another type of record: what a program had written, which may be anything.
		return 0, false
	default:
		return 0, true
	}
}

// number reads digits, and nothing but digits.
func number(text []byte, base int, most uint64) (n uint64, ok bool) {
	if len(text) > 20 { // more than any number has
		return 0, false
	}
	n, err := strconv.ParseUint(string(text), base, 64)
	return n, err == nil && n <= most
}

// prefixed reads a hexadecimal number after 0x.
func prefixed(text []byte, most uint64) (n uint64, ok bool) {
	digits, ok := bytes.CutPrefix(text, []byte("0x"))
	if !ok {
		return 0, false
	}
	return number(digits, 16, most)
}

// name decodes a name: in quotes as it is, or as upper-case hexadecimal digits.
func name(value []byte) (string, bool) {
	if len(value) > 0 && value[0] == '"' {
		return string(value[1 : len(value)-1]), true
	}
	if bytes.ContainsAny(value, "abcdef") {
		return "", false
	}
	decoded := make([]byte, hex.DecodedLen(len(value)))
	_, err := hex.Decode(decoded, value)
	return string(decoded), err == nil && len(decoded) > 0
}

// actionOf returns what a filter did by the code of its record, which has no data; empty
// for what no kernel writes, such as the beginning of a longer code.
func actionOf(code uint32) specs.LinuxSeccompAction {
	switch code {
	case 0x00000000:
		return specs.ActKillThread
	case 0x80000000:
		return specs.ActKillProcess
	case 0x00030000:
		return specs.ActTrap
	case 0x00050000:
		return specs.ActErrno
	case 0x7fc00000:
		return specs.ActNotify
	case 0x7ff00000:
		return specs.ActTrace
	case 0x7ffc0000:
		return specs.ActLog
	default:
		return ""
	}
}
