// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
)

// maxLine bounds a line in bytes. The kernel ends a record at 8,970, and auditd adds names.
const maxLine = 32 << 10

// Log reads the records in a text, line by line.
type Log struct {
	in    *bufio.Reader
	tally Tally
	lost  uint64 // as the kernel counted last
}

// Tally counts what a log has.
type Tally struct {
	// Lines in all; Foreign and Broken ones were skipped, see ErrForeign and ErrBroken.
	Lines, Foreign, Broken int
	// Suppressed and Lost are records that the kernel says are not in its log, because
	// there were too many at once or for audit as a whole. They need not be of filters.
	Suppressed, Lost uint64
}

// NewLog returns a Log that reads from in.
func NewLog(in io.Reader) *Log { return &Log{in: bufio.NewReaderSize(in, maxLine)} }

// Tally returns what was read so far.
func (l *Log) Tally() Tally { return l.tally }

// Next returns the next record. What else there is, it skips and counts. The error is
// io.EOF at the end.
func (l *Log) Next() (Record, error) {
	for {
		line, err := l.line()
		if err != nil {
			return Record{}, err
		}
		l.tally.Lines++
		r, err := Parse(line)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, ErrBroken):
			l.tally.Broken++
		default:
			l.tally.Foreign++
			l.loss(line)
		}
	}
}

// line returns the next line without its end, and nothing of one that is too long to be a
// record.
func (l *Log) line() ([]byte, error) {
	line, err := l.in.ReadSlice('\n')
	long := errors.Is(err, bufio.ErrBufferFull)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = l.in.ReadSlice('\n')
	}
	if len(line) > 0 && errors.Is(err, io.EOF) {
		err = nil // the next time
	}
	if long {
		line = nil
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// loss counts what the kernel says of records that it did not write.
func (l *Log) loss(line []byte) {
	text := bytes.TrimPrefix(message(line), []byte("audit: "))
	for _, writer := range []string{"kauditd_printk_skb: ", "audit_printk_skb: "} {
		if after, ok := bytes.CutPrefix(text, []byte(writer)); ok {
			count, _, ok := bytes.Cut(after, []byte(" callbacks suppressed"))
			if n, isNumber := number(count, 10, math.MaxUint32); ok && isNumber {
				l.tally.Suppressed += n
			}
			return
		}
	}
	if after, ok := bytes.CutPrefix(text, []byte("audit_lost=")); ok {
		count, _, _ := bytes.Cut(after, []byte(" "))
		if n, ok := number(count, 10, math.MaxUint32); ok {
			// It counts from the start of the machine. What was lost before the first time
			// that it says so is not of this log, but for the one that made it say so.
			if l.lost == 0 || n <= l.lost {
				l.tally.Lost++
			} else {
				l.tally.Lost += n - l.lost
			}
			l.lost = n
		}
	}
}
