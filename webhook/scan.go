// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner reads JSON as API servers write it, several times faster than the library,
// whose reading is what a request costs. It is not a judge: whatever it does not take,
// right or wrong, sets unsure, and the library reads all of it again and says what is
// wrong. What it does take means the same to both; [FuzzScan] holds it to that.
type scanner struct {
	data   []byte
	pos    int
	unsure bool
	// words is where strings are copied to, so that few allocations hold many.
	words []byte
}

const (
	// maxScanDepth is deeper than any object of the API but a custom resource's.
	maxScanDepth = 64
	// maxScanNames of one object are compared with each other. Managed fields have most.
	maxScanNames = 64
	// wordsBlock in bytes holds the strings that are read of a pod with few containers.
	wordsBlock = 1 << 10
)

// giveUp leaves the text to the library. Every loop ends then.
func (s *scanner) giveUp() {
	s.unsure = true
	s.pos = len(s.data)
}

// peek is the next byte that is no white space; 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// take takes the byte that must come next.
func (s *scanner) take(c byte) {
	if s.peek() != c {
		s.giveUp()
		return
	}
	s.pos++
}

// end says that nothing follows.
func (s *scanner) end() bool { return s.peek() == 0 && s.pos == len(s.data) && !s.unsure }

// null takes a null, if one comes next.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.literal("null")
	return true
}

func (s *scanner) literal(text string) {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(text)) {
		s.giveUp()
		return
	}
	s.pos += len(text)
}

// members are the names of an object, each to be followed by reading its value. A null
// has none.
func (s *scanner) members(yield func(name []byte) bool) {
	if s.null() {
		return
	}
	s.take('{')
	if s.peek() == '}' {
		s.pos++
		return
	}
	var room [16][]byte
	for names := room[:0]; ; {
		if s.peek() != '"' {
			s.giveUp()
			return
		}
		name, plain := s.span()
		// Two spellings of one name would go unnoticed.
		if !plain && !spelledOnce(name) || len(names) == maxScanNames || contains(names, name) {
			s.giveUp()
			return
		}
		names = append(names, name)
		s.take(':')
		if s.unsure || !yield(name) {
			return
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return
		default:
			s.giveUp()
			return
		}
	}
}

// spelledOnce says that a name has no escapes but those of which there is no other
// spelling than by number.
func spelledOnce(name []byte) bool {
	for i := 0; i < len(name); i++ {
		if name[i] == '\\' {
			if i++; name[i] != '"' && name[i] != '\\' {
				return false
			}
		}
	}
	return true
}

func contains(names [][]byte, name []byte) bool {
	for _, n := range names {
		if len(n) == len(name) && bytes.Equal(n, name) {
			return true
		}
	}
	return false
}

// elements are those of an array, each to be read. A null has none.
func (s *scanner) elements(yield func() bool) {
	if s.null() {
		return
	}
	s.take('[')
	if s.peek() == ']' {
		s.pos++
		return
	}
	for !s.unsure && yield() {
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return
		default:
			s.giveUp()
		}
	}
}

// Each of the eight bytes of a word.
const (
	lowBits   = 0x0101010101010101
	highBits  = 0x8080808080808080
	spaces    = 0x20 * lowBits
	quotes    = '"' * lowBits
	backslash = '\\' * lowBits
)

// span is what stands between the quotes of the string that comes next. It is plain when
// it means itself: it has no escapes.
func (s *scanner) span() (text []byte, plain bool) {
	s.pos++
	start, ascii := s.pos, true
	plain = true
	for i := s.pos; ; {
		for i+8 <= len(s.data) {
			w := binary.LittleEndian.Uint64(s.data[i:])
			q, b := w^quotes, w^backslash
			special := ((w - spaces) | (q - lowBits) | (b - lowBits) | w) & highBits
			if special == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(special) / 8
			break
		}
		if i >= len(s.data) {
			s.giveUp()
			return nil, false
		}
		switch c := s.data[i]; {
		case c == '"':
			text, s.pos = s.data[start:i], i+1
			if !ascii && !utf8.Valid(text) {
				s.giveUp()
			}
			return text, plain
		case c == '\\':
			n := escape(s.data[i:])
			if n == 0 {
				s.giveUp()
				return nil, false
			}
			plain = false
			i += n
		case c < ' ':
			s.giveUp()
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
			i++
		default:
			i++
		}
	}
}

// escape is how many bytes the escape at the beginning of text has; 0 for one that is
// wrong or half of a character.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) < 6 || !hex(text[2]) || !hex(text[3]) || !hex(text[4]) || !hex(text[5]) || text[2] == 'd' || text[2] == 'D' {
			return 0
		}
		return 6
	default:
		return 0
	}
}

func hex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// string reads a string. A null is an empty one.
func (s *scanner) string() string {
	switch s.peek() {
	case 'n':
		s.literal("null")
		return ""
	case '"':
		text, plain := s.span()
		return s.keep(text, plain)
	default:
		s.giveUp()
		return ""
	}
}

// keep copies what is between quotes, so that nothing points into the body.
func (s *scanner) keep(text []byte, plain bool) string {
	if !plain {
		unquoted, err := jsontext.AppendUnquote(nil, s.data[s.pos-len(text)-2:s.pos])
		if err != nil {
			s.giveUp()
		}
		return string(unquoted)
	}
	return bytesString(s.copy(text))
}

// copy copies bytes behind those that were copied before.
func (s *scanner) copy(text []byte) []byte {
	if cap(s.words)-len(s.words) < len(text) {
		s.words = make([]byte, 0, max(wordsBlock, len(text)))
	}
	start := len(s.words)
	s.words = append(s.words, text...)
	return s.words[start:len(s.words):len(s.words)]
}

// boolean reads a boolean. A null is false.
func (s *scanner) boolean() bool {
	switch s.peek() {
	case 't':
		s.literal("true")
		return true
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.giveUp()
	}
	return false
}

// integer reads an integer of up to eighteen digits.
func (s *scanner) integer() (n int64) {
	negative := s.peek() == '-'
	start := s.pos
	s.number()
	digits := s.data[start:s.pos]
	if negative {
		digits = digits[1:]
	}
	if len(digits) > 18 {
		s.giveUp()
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			s.giveUp()
		}
		n = 10*n + int64(d-'0')
	}
	if negative {
		return -n
	}
	return n
}

func (s *scanner) number() {
	if s.peek() == '-' {
		s.pos++
	}
	if s.pos < len(s.data) && s.data[s.pos] == '0' {
		s.pos++
	} else {
		s.digits()
	}
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		s.pos++
		s.digits()
	}
	if s.pos < len(s.data) && (s.data[s.pos] == 'e' || s.data[s.pos] == 'E') {
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		s.digits()
	}
}

// digits takes one or more digits.
func (s *scanner) digits() {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == start {
		s.giveUp()
	}
}

// skip passes over a value.
func (s *scanner) skip() { s.skipTo(maxScanDepth) }

func (s *scanner) skipTo(depth int) {
	if depth == 0 {
		s.giveUp()
		return
	}
	switch s.peek() {
	case '{':
		for range s.members {
			s.skipTo(depth - 1)
		}
	case '[':
		for range s.elements {
			s.skipTo(depth - 1)
		}
	case '"':
		s.span()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// value is the text of a value that is passed over.
func (s *scanner) value() []byte {
	s.peek()
	start := s.pos
	if s.skip(); s.unsure {
		return nil
	}
	return s.data[start:s.pos]
}
