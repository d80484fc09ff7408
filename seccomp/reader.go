// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxProblems bounds what is reported of one file; nobody reads more at once.
	maxProblems = 20
	// maxKept bounds what is held of a hostile file before it is sorted.
	maxKept = 1000
	// maxShown bounds what a message quotes of a file, in bytes.
	maxShown = 64
)

// state of a value that was asked for.
type state int

const (
	// absent: not there, or null.
	absent state = iota
	// bad: there, and reported.
	bad
	good
)

// reader walks over the tokens of one file and collects what is wrong with it.
// The tokenizer refuses what is not JSON, is not UTF-8 or has a key twice in one
// object; after that the reader has failed and reads no more.
type reader struct {
	data   []byte
	dec    *jsontext.Decoder
	failed bool
	path   []segment
	kept   []located
	total  int
}

// segment is one step into the file: a key of an object or an index of a list.
type segment struct {
	key   string
	isKey bool
	index int
}

// located is a problem and the byte that it stands at.
type located struct {
	Problem
	offset int
}

func newReader(data []byte) *reader {
	return &reader{data: data, dec: jsontext.NewDecoder(bytes.NewReader(data))}
}

// offset returns where the next token begins.
func (r *reader) offset() int {
	at := int(r.dec.InputOffset())
	separators := " \t\r\n,:"
	if r.dec.StackDepth() == 0 {
		// What follows the profile is not skipped: end reports it.
		separators = " \t\r\n"
	}
	for at < len(r.data) && strings.IndexByte(separators, r.data[at]) >= 0 {
		at++
	}
	return at
}

// token reads the next token; it has failed when there is none.
func (r *reader) token() jsontext.Token {
	token, err := r.dec.ReadToken()
	if err != nil {
		r.syntax(err)
	}
	return token
}

// skip reads over a value that nothing is to be known about.
func (r *reader) skip() {
	if r.failed {
		return
	}
	if err := r.dec.SkipValue(); err != nil {
		r.syntax(err)
	}
}

// end makes sure that nothing follows the profile.
func (r *reader) end() {
	if r.failed {
		return
	}
	at := r.offset()
	if at < len(r.data) {
		r.report(at, "text follows the end of the profile, which runtimes refuse", "keep one object in the file")
	}
}

// expect looks at the next value. Unless it answers good it has read the value.
func (r *reader) expect(want jsontext.Kind, noun string) state {
	if r.failed {
		return bad
	}
	at := r.offset()
	switch kind := r.dec.PeekKind(); kind {
	case want:
		return good
	case jsontext.KindNull:
		r.skip()
		return absent
	case jsontext.KindInvalid:
		r.token() // for its error
		return bad
	default:
		r.skip()
		if !r.failed {
			r.report(at, fmt.Sprintf("is %s instead of %s", kindName(kind), noun), "write "+noun)
		}
		return bad
	}
}

// object reads an object and calls member for each known key; member reads the
// value, which stands at the given byte. It returns the known keys that unknown
// ones probably stand for.
func (r *reader) object(known []string, member func(key string, at int)) (misspelt []string) {
	r.token()
	for !r.failed {
		at := r.offset()
		token := r.token()
		if r.failed || token.Kind() == jsontext.KindEndObject {
			break
		}
		key := token.String()
		r.path = append(r.path, segment{key: key, isKey: true})
		if slices.Contains(known, key) {
			member(key, r.offset())
		} else {
			if near := r.unknownKey(at, key, known); near != "" {
				misspelt = append(misspelt, near)
			}
			r.skip()
		}
		r.path = r.path[:len(r.path)-1]
	}
	return misspelt
}

// list reads an array with the function that reads one element. An empty array
// is nil, as an absent one.
func list[T any](r *reader, noun string, element func() (T, state)) ([]T, state) {
	if st := r.expect(jsontext.KindBeginArray, "a list of "+noun); st != good {
		return nil, st
	}
	r.token()
	var out []T
	for i := 0; !r.failed; i++ {
		if r.dec.PeekKind() == jsontext.KindEndArray {
			r.token()
			break
		}
		at := r.offset()
		r.path = append(r.path, segment{index: i})
		value, st := element()
		switch st {
		case good:
			out = append(out, value)
		case absent:
			r.report(at, "is null", "remove it")
		case bad:
		}
		r.path = r.path[:len(r.path)-1]
	}
	return out, good
}

func (r *reader) text() (string, state) {
	if st := r.expect(jsontext.KindString, "a string"); st != good {
		return "", st
	}
	token := r.token()
	if r.failed {
		return "", bad
	}
	return token.String(), good
}

// number reads an unsigned whole number.
func (r *reader) number() (uint64, state) {
	at := r.offset()
	if st := r.expect(jsontext.KindNumber, "a whole number"); st != good {
		return 0, st
	}
	token := r.token()
	if r.failed {
		return 0, bad
	}
	text := token.String()
	// ParseUint takes what encoding/json takes for a uint64: no sign, no fraction
	// and no exponent.
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.report(at, fmt.Sprintf("%s is not a whole number from 0 to 18446744073709551615", shorten(text, maxShown)),
			"write it in decimal digits, without sign, fraction and exponent")
		return 0, bad
	}
	return n, good
}

// syntax reports an error of the tokenizer, after which nothing can be read.
func (r *reader) syntax(err error) {
	if r.failed {
		return
	}
	r.failed = true
	at := r.offset()
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		at = int(syntactic.ByteOffset)
		err = syntactic.Err
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		r.reportMember(at, syntactic.JSONPointer.LastToken(), "key stands twice in one object, and runtimes take the last", "keep one of them")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		r.report(len(r.data), "file ends in the middle of the profile", "complete it")
	default:
		r.report(at, "file is not JSON: "+err.Error(), "write a profile as one JSON object")
	}
}

// report keeps a problem of what is being read, which stands at the given byte.
func (r *reader) report(at int, message, remedy string) {
	r.total++
	if len(r.kept) < maxKept {
		r.kept = append(r.kept, located{Problem{Key: r.key(), Message: message, Remedy: remedy}, at})
	}
}

// reportMember is report for a member of the object that is being read.
func (r *reader) reportMember(at int, key, message, remedy string) {
	r.path = append(r.path, segment{key: key, isKey: true})
	r.report(at, message, remedy)
	r.path = r.path[:len(r.path)-1]
}

// reportFirst is report for a problem that outweighs all others of the file.
func (r *reader) reportFirst(at int, key, message, remedy string) {
	r.total++
	r.kept = slices.Insert(r.kept, 0, located{Problem{Key: key, Message: message, Remedy: remedy}, at})
}

// err returns what was wrong, nil when nothing was.
func (r *reader) err() error {
	if r.total == 0 {
		return nil
	}
	slices.SortStableFunc(r.kept, func(a, b located) int { return cmp.Compare(a.offset, b.offset) })
	shown := r.kept[:min(len(r.kept), maxProblems)]
	problems := make([]Problem, len(shown))
	for i, p := range shown {
		problems[i] = p.Problem
		problems[i].Line, problems[i].Column = position(r.data, p.offset)
	}
	return &ParseError{Problems: problems, Omitted: r.total - len(problems)}
}

// key renders the path as it is read in a program: syscalls[3].args[0].op.
func (r *reader) key() string {
	var b strings.Builder
	for _, s := range r.path {
		switch {
		case !s.isKey:
			fmt.Fprintf(&b, "[%d]", s.index)
		case !isPlain(s.key):
			b.WriteString("[" + quote(s.key, maxShown) + "]")
		case b.Len() > 0:
			b.WriteString("." + s.key)
		default:
			b.WriteString(s.key)
		}
	}
	return b.String()
}

// isPlain reports whether a key can be shown without quotes.
func isPlain(key string) bool {
	return key != "" && len(key) <= maxShown &&
		!strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`.[]":`, c) })
}

// position turns a byte offset into line and column, counted from 1, the column
// in characters.
func position(data []byte, offset int) (line, column int) {
	before := data[:min(offset, len(data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}

func kindName(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "a list"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	default:
		return "true or false"
	}
}

// meant returns the known name that was probably meant: the same in another case,
// without its prefix, or at most two typing errors away.
func meant(text string, known []string) (string, bool) {
	for _, k := range known {
		if strings.EqualFold(text, k) || (text != "" && strings.HasSuffix(k, "_"+strings.ToUpper(text))) {
			return k, true
		}
	}
	const typingErrors = 2
	best, distance := "", typingErrors+1
	for _, k := range known {
		if len(text) > len(k)+typingErrors || len(k) <= 2*typingErrors {
			continue
		}
		if d := levenshtein.ComputeDistance(text, k); d < distance {
			best, distance = k, d
		}
	}
	return best, best != ""
}

// alternation lists names for a remedy; long lists are cut.
func alternation(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " or another of the OCI runtime specification"
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// shorten cuts text of printable ASCII.
func shorten(s string, limit int) string {
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
