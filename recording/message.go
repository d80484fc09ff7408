// SPDX-License-Identifier: Apache-2.0

package recording

import "bytes"

// message returns what the kernel or audit wrote in a line of a log, without what the log
// put in front. It is nil when the log says that somebody else wrote it.
//
//	5,1234,1032904,-;audit: …                /dev/kmsg
//	<5>[ 1032.904] audit: …                  dmesg --raw
//	[ 1032.904] audit: …                     dmesg
//	Nov 26 17:24:00 node kernel: audit: …    syslog, the journal
//	Nov 26 17:24:00 node audit[812]: …       the journal
//
// Only the place where the name of the writer stands counts: further right, it is part of
// what somebody wrote.
func message(line []byte) []byte {
	rest := afterPriority(line)
	if text, ok := afterBrackets(rest); ok {
		if text, ok := afterWriter(text); ok {
			return text
		}
		return text
	}
	if text, ok := afterTime(rest); ok {
		text, _ = afterWriter(text)
		return text
	}
	return rest
}

// afterPriority takes off the kernel's facility, which is 0, and a level.
func afterPriority(line []byte) []byte {
	isLevel := func(i int) bool { return '0' <= line[i] && line[i] <= '7' }
	switch {
	case len(line) > 3 && line[0] == '<' && isLevel(1) && line[2] == '>':
		return line[3:]
	case len(line) > 2 && isLevel(0) && line[1] == ',':
		if fields, text, ok := bytes.Cut(line, []byte(";")); ok && !bytes.Contains(fields, []byte(" ")) {
			return text
		}
	}
	return line
}

// afterBrackets takes off [ 1032.904] and whatever else the kernel's log has in brackets.
func afterBrackets(text []byte) (rest []byte, ok bool) {
	for len(text) > 0 && text[0] == '[' {
		_, after, closed := bytes.Cut(text, []byte("]"))
		if !closed {
			return nil, false
		}
		text, ok = bytes.TrimLeft(after, " "), true
	}
	return text, ok
}

// afterTime takes off a time as syslog and the journal write it.
func afterTime(text []byte) (rest []byte, ok bool) {
	words := 0
	first, _, _ := bytes.Cut(text, []byte(" "))
	switch string(first) {
	case "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec":
		words = 3 // Nov 26 17:24:00
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		words = 4 // Thu 2026-11-26 17:24:00 UTC
	default:
		if len(first) == 0 || first[0] < '0' || first[0] > '9' {
			return nil, false
		}
		words = 1 // 2026-11-26T17:24:00+00:00, 1795432970.069
	}
	for range words {
		_, text, ok = cutWord(text)
	}
	return text, ok
}

// afterWriter takes off the name of the writer, and that of the node before it, if the
// writer is the kernel or audit.
func afterWriter(text []byte) (rest []byte, ok bool) {
	for range 2 {
		var word []byte
		if word, text, ok = cutWord(text); !ok {
			return nil, false
		}
		if string(word) == "kernel:" {
			if inner, ok := afterBrackets(text); ok {
				text = inner
			}
			return text, true
		}
		if pid, ok := bytes.CutPrefix(word, []byte("audit[")); ok && bytes.HasSuffix(pid, []byte("]:")) {
			return text, true
		}
	}
	return nil, false
}

func cutWord(text []byte) (word, rest []byte, ok bool) {
	word, rest, ok = bytes.Cut(text, []byte(" "))
	return word, bytes.TrimLeft(rest, " "), ok
}
