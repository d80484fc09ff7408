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
}

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
	return r.do(Document{Number: r.count, Line: c.line, Offset: c.offset, Text: c.text, JSON: converted})
}

// jsonStream reads JSON values one after the other. It is not done if the first of
// them is no JSON: braces begin a YAML document, too.
func (r *documents) jsonStream(c chunk) (done bool, err error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(c.text))
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
			return true, r.problem(c.line+bytes.Count(c.text[:syntax.ByteOffset], []byte("\n")), "%v; correct the JSON", jsonProblem(syntax))
		}
		r.count++
		d := Document{
			Number: r.count,
			Line:   c.line + bytes.Count(c.text[:before], []byte("\n")),
			Offset: c.offset + int(before),
			Text:   c.text[before:decoder.InputOffset()],
			JSON:   value.Clone(),
			IsJSON: true,
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
// around it that there is. It parses the text again: it is called once, for a message.
func (d Document) LineOf(at jsontext.Pointer) int {
	line := 1
	if d.IsJSON {
		line = jsonLine(d.Text, at)
	} else if root := new(yamlv3.Node); yamlv3.Unmarshal(d.Text, root) == nil && len(root.Content) > 0 {
		line = yamlLineOf(root.Content[0], at)
	}
	return d.Line + line - 1
}

func jsonLine(text []byte, at jsontext.Pointer) int {
	offset := int64(len(text) - len(bytes.TrimLeft(text, " \t\r\n")))
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := decoder.ReadToken(); err != nil {
			break
		}
		if here := decoder.StackPointer(); here == at || here != "" && at.Contains(here) {
			offset = max(offset, decoder.InputOffset())
			if here == at {
				break
			}
		}
	}
	return 1 + bytes.Count(text[:offset], []byte("\n"))
}

func yamlLineOf(n *yamlv3.Node, at jsontext.Pointer) int {
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
