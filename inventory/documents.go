// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Document is one YAML document, or one JSON value, of a file.
type Document struct {
	// Number counts documents from 1, without empty ones.
	Number int
	// Line of the file that the text begins on, from 1, and the byte.
	Line, Offset int
	// Text as it stands in the file; three spaces stand for a separator's dashes, so that
	// offsets and columns are those of the file.
	Text []byte
	// JSON is the same as JSON, and IsJSON says that the text is JSON itself.
	JSON   jsontext.Value
	IsJSON bool

	root func() *yamlv3.Node
}

// Root is the text as nodes that know their lines and columns, nil where it cannot be
// told. It is parsed once, however often it is asked for: a List may hold thousands.
func (d Document) Root() *yamlv3.Node { return d.root() }

// EachDocument calls do for each document of a YAML or JSON stream, and ends with its
// first error. An error of the text names the file, the document and the line.
func EachDocument(data []byte, filename string, do func(Document) error) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%s: not UTF-8 text; save it as UTF-8", filename)
	}
	r := documents{file: filename, do: do}
	for _, c := range split(data) {
		if err := r.chunk(c); err != nil {
			return err
		}
	}
	return nil
}

// documents is a stream that is being read.
type documents struct {
	file  string
	count int
	do    func(Document) error
}

func (r *documents) problem(line int, format string, args ...any) error {
	return fmt.Errorf("%s: document %d, line %d: %s", r.file, r.count, line, fmt.Sprintf(format, args...))
}

// chunk is the text between two YAML document separators.
type chunk struct {
	// line of the file that the text begins on, from 1, and the byte.
	line, offset int
	text         []byte
}

// split cuts at lines that begin with three dashes, as kubectl does: no other line
// of a document can. Three dots end a document, too: what follows them would
// otherwise not be read at all.
func split(data []byte) []chunk {
	var chunks []chunk
	current := chunk{line: 1}
	number, offset := 0, 0
	for line := range bytes.Lines(data) {
		number++
		switch rest, mark := marker(line); mark {
		case "---":
			chunks = append(chunks, current)
			// What follows on the line belongs to the document; spaces keep its columns.
			current = chunk{line: number, offset: offset, text: append([]byte("   "), rest...)}
		case "...":
			current.text = append(current.text, line...)
			chunks = append(chunks, current)
			current = chunk{line: number + 1, offset: offset + len(line)}
		default:
			current.text = append(current.text, line...)
		}
		offset += len(line)
	}
	return append(chunks, current)
}

// marker takes a line that begins or ends a document apart.
func marker(line []byte) (rest []byte, mark string) {
	if len(line) < 3 || len(line) > 3 && !bytes.ContainsAny(line[3:4], " \t\r\n") {
		return line, ""
	}
	return line[3:], string(line[:3])
}

// isBlank says whether there are only comments, white space and the mark of an end.
func (c chunk) isBlank() bool {
	for line := range bytes.Lines(c.text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && string(line) != "..." {
			return false
		}
	}
	return true
}

func (r *documents) chunk(c chunk) error {
	if c.isBlank() {
		return nil
	}
	if bytes.HasPrefix(bytes.TrimSpace(c.text), []byte("{")) {
		done, err := r.jsonStream(c)
		if done {
			return err
		}
	}
	r.count++
	converted, err := yaml.YAMLToJSONStrict(c.text)
	if err != nil && bytes.Contains(c.text, []byte("<<:")) {
		// The strict parser takes a key that overrides a merged one for a repeated key.
		if merged, mergedErr := yaml.YAMLToJSON(c.text); mergedErr == nil {
			converted, err = merged, nil
		}
	}
	if err != nil {
		line, text := yamlProblem(err)
		return r.problem(c.line+max(line, 1)-1, "%s; correct the YAML", text)
	}
	return r.do(Document{
		Number: r.count, Line: c.line, Offset: c.offset, Text: c.text, JSON: converted,
		root: sync.OnceValue(func() *yamlv3.Node { return yamlNodes(c.text) }),
	})
}

// jsonStream reads JSON values one after the other. It is not done if the first of
// them is no JSON: braces begin a YAML document, too.
func (r *documents) jsonStream(c chunk) (done bool, err error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(c.text))
	// Lines are counted on from the last value: a big cluster's inventory has thousands.
	line, counted := c.line, int64(0)
	lineAt := func(offset int64) int {
		line += bytes.Count(c.text[counted:offset], []byte("\n"))
		counted = offset
		return line
	}
	for first := true; ; first = false {
		before := decoder.InputOffset()
		value, err := decoder.ReadValue()
		if errors.Is(err, io.EOF) && !first {
			return true, nil
		}
		if err != nil {
			var syntax *jsontext.SyntacticError
			if !errors.As(err, &syntax) {
				return true, fmt.Errorf("read %s: %w", r.file, err)
			}
			if _, isYAML := yaml.YAMLToJSON(c.text); isYAML == nil && first && !errors.Is(err, jsontext.ErrDuplicateName) {
				return false, nil
			}
			r.count++
			return true, r.problem(lineAt(syntax.ByteOffset), "%v; correct the JSON", jsonProblem(syntax))
		}
		r.count++
		text := c.text[before:decoder.InputOffset()]
		d := Document{
			Number: r.count,
			Line:   lineAt(before),
			Offset: c.offset + int(before),
			Text:   text,
			JSON:   value.Clone(),
			IsJSON: true,
			root:   sync.OnceValue(func() *yamlv3.Node { return jsonNodes(text) }),
		}
		if err := r.do(d); err != nil {
			return true, err
		}
	}
}

// jsonProblem is a syntax error without the name of a package.
func jsonProblem(err error) string {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && syntax.Err != nil {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Sprintf("%v %q", syntax.Err, syntax.JSONPointer.LastToken())
		}
		return syntax.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "jsontext: ")
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlProblem takes the line within the chunk out of a YAML parser's message.
func yamlProblem(err error) (line int, text string) {
	text = strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "yaml: "), "unmarshal errors:\n  ")
	if found := yamlLine.FindStringSubmatchIndex(text); found != nil {
		line, _ = strconv.Atoi(text[found[2]:found[3]])
		text = text[:found[0]] + text[found[1]:]
	}
	text, _, _ = strings.Cut(text, "\n")
	return line, text
}

// LineOf is the line of the file on which a value stands, or the nearest value
// around it that there is.
func (d Document) LineOf(at jsontext.Pointer) int {
	root := d.Root()
	if root == nil {
		return d.Line
	}
	return d.Line + lineOf(root, at) - 1
}

func yamlNodes(text []byte) *yamlv3.Node {
	var document yamlv3.Node
	if yamlv3.Unmarshal(text, &document) != nil || len(document.Content) == 0 {
		return nil
	}
	return document.Content[0]
}

// jsonNodes makes the nodes that a YAML parser would make. JSON is not quite YAML: an
// escaped surrogate pair is none to its parser.
func jsonNodes(text []byte) *yamlv3.Node {
	p := jsonParser{text: text, decoder: jsontext.NewDecoder(bytes.NewReader(text)), line: 1, column: 1}
	return p.value()
}

// jsonParser reads nodes; line and column are those of the byte at the offset at.
type jsonParser struct {
	text             []byte
	decoder          *jsontext.Decoder
	at, line, column int
}

// value reads the next value, or the end of what holds it, which is nil.
func (p *jsonParser) value() *yamlv3.Node {
	for p.at < len(p.text) && (p.at < int(p.decoder.InputOffset()) || bytes.IndexByte([]byte(" \t\r\n,:"), p.text[p.at]) >= 0) {
		r, size := utf8.DecodeRune(p.text[p.at:])
		p.at += size
		p.column++
		if r == '\n' {
			p.line, p.column = p.line+1, 1
		}
	}
	n := &yamlv3.Node{Kind: yamlv3.ScalarNode, Line: p.line, Column: p.column}
	token, err := p.decoder.ReadToken()
	if err != nil {
		return nil
	}
	switch token.Kind() {
	case '{':
		n.Kind, n.Style = yamlv3.MappingNode, yamlv3.FlowStyle
	case '[':
		n.Kind, n.Style = yamlv3.SequenceNode, yamlv3.FlowStyle
	case '}', ']':
		return nil
	case 'n':
		n.Tag, n.Value = "!!null", "null"
		return n
	default:
		n.Value = token.String()
		return n
	}
	for inner := p.value(); inner != nil; inner = p.value() {
		n.Content = append(n.Content, inner)
	}
	return n
}

func lineOf(n *yamlv3.Node, at jsontext.Pointer) int {
	line := n.Line
	for token := range at.Tokens() {
		if n.Kind == yamlv3.AliasNode {
			n = n.Alias
		}
		var next *yamlv3.Node
		switch n.Kind {
		case yamlv3.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == token {
					line, next = n.Content[i].Line, n.Content[i+1]
				}
			}
		case yamlv3.SequenceNode:
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.Content) {
				next = n.Content[i]
				line = next.Line
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return line
}
