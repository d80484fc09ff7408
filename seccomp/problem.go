// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a profile file.
type Problem struct {
	// Line and Column are where it stands, counted from 1, columns in characters.
	// Both are 0 when the problem is the file as a whole.
	Line, Column int
	// Key is the place in the profile, such as "syscalls[3].action"; empty for the
	// profile itself.
	Key string
	// Message says what is wrong, Remedy what to write instead.
	Message, Remedy string
}

// String returns the problem on one line: place, key, message, remedy.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", p.Line, p.Column)
	}
	b.WriteString(p.statement())
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

func (p Problem) statement() string {
	if p.Key == "" {
		return p.Message
	}
	return p.Key + ": " + p.Message
}

// ParseError says why a file is not a valid profile.
type ParseError struct {
	// Problems in the order of the file, never empty.
	Problems []Problem
	// Omitted is how many more there were.
	Omitted int
}

// Error returns the first problem in full and the number of the others.
func (e *ParseError) Error() string {
	text := e.Problems[0].String()
	switch more := len(e.Problems) - 1 + e.Omitted; more {
	case 0:
		return text
	case 1:
		return text + " (and 1 more problem)"
	default:
		return fmt.Sprintf("%s (and %d more problems)", text, more)
	}
}

// Reason returns the first problem without its remedy: short enough for a status
// field or an API warning.
func (e *ParseError) Reason() string {
	first := e.Problems[0]
	if first.Line == 0 {
		return first.statement()
	}
	return fmt.Sprintf("%s (line %d)", first.statement(), first.Line)
}
