// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxTOMLDepth bounds arrays and inline tables within each other.
const maxTOMLDepth = 32

// bare is a TOML value that is not text, as it is written: a number, a date, true, false.
type bare string

// parseTOML reads a configuration of containerd or CRI-O. Text becomes a string, an array
// []any, a table map[string]any, an array of tables the last of them, and everything else
// a bare. It is more lenient than TOML: it reads what the daemons have read already, and
// where a key stands twice the last one counts.
func parseTOML(data []byte) (map[string]any, error) {
	root := make(map[string]any)
	p := &tomlParser{rest: string(data), line: 1}
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	table := root
	for {
		p.skip(true)
		if p.rest == "" {
			return root, nil
		}
		var err error
		if strings.HasPrefix(p.rest, "[") {
			table, err = p.header(root)
		} else {
			err = p.assignment(table, 0)
		}
		if err == nil {
			err = p.endOfLine()
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
	}
}

// tomlParser is what is left of a text.
type tomlParser struct {
	rest string
	line int
}

// skip passes over white space and comments, and line ends too if they mean nothing here.
func (p *tomlParser) skip(lines bool) {
	for p.rest != "" {
		switch c := p.rest[0]; {
		case c == ' ' || c == '\t' || c == '\r':
		case c == '\n' && lines:
			p.line++
		case c == '#':
			end := strings.IndexByte(p.rest, '\n')
			if end < 0 {
				end = len(p.rest)
			}
			p.rest = p.rest[end:]
			continue
		default:
			return
		}
		p.rest = p.rest[1:]
	}
}

func (p *tomlParser) endOfLine() error {
	p.skip(false)
	if p.rest != "" && p.rest[0] != '\n' {
		return fmt.Errorf("%q in place of the end of the line", p.word())
	}
	return nil
}

// word is the beginning of what is left, for messages.
func (p *tomlParser) word() string {
	word, _, _ := strings.Cut(p.rest, "\n")
	return word[:min(len(word), 20)]
}

func (p *tomlParser) take(text string) bool {
	rest, found := strings.CutPrefix(p.rest, text)
	p.rest = rest
	return found
}

// header reads [a.b] or [[a.b]] and returns the table of that name.
func (p *tomlParser) header(root map[string]any) (map[string]any, error) {
	opening, closing := "[", "]"
	if strings.HasPrefix(p.rest, "[[") {
		opening, closing = "[[", "]]"
	}
	p.take(opening)
	keys, err := p.key()
	if err != nil {
		return nil, err
	}
	p.skip(false)
	if !p.take(closing) {
		return nil, fmt.Errorf("%q in place of %q", p.word(), closing)
	}
	if opening == "[[" {
		table, err := descend(root, keys[:len(keys)-1])
		if err != nil {
			return nil, err
		}
		table[keys[len(keys)-1]] = make(map[string]any)
	}
	return descend(root, keys)
}

// descend returns the table of a path, making what is not there.
func descend(table map[string]any, keys []string) (map[string]any, error) {
	for _, key := range keys {
		if table[key] == nil {
			table[key] = make(map[string]any)
		}
		next, isTable := table[key].(map[string]any)
		if !isTable {
			return nil, fmt.Errorf("%s is a value and a table", key)
		}
		table = next
	}
	return table, nil
}

// assignment reads key = value into the table.
func (p *tomlParser) assignment(table map[string]any, depth int) error {
	keys, err := p.key()
	if err != nil {
		return err
	}
	p.skip(false)
	if !p.take("=") {
		return fmt.Errorf("%q in place of \"=\"", p.word())
	}
	value, err := p.value(depth)
	if err != nil {
		return err
	}
	if table, err = descend(table, keys[:len(keys)-1]); err != nil {
		return err
	}
	table[keys[len(keys)-1]] = value
	return nil
}

// key reads a key with the dots that it has.
func (p *tomlParser) key() ([]string, error) {
	var keys []string
	for {
		p.skip(false)
		switch {
		case strings.HasPrefix(p.rest, `"`), strings.HasPrefix(p.rest, "'"):
			text, err := p.text()
			if err != nil {
				return nil, err
			}
			keys = append(keys, text)
		default:
			end := strings.IndexFunc(p.rest, func(c rune) bool {
				return c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
			})
			if end < 0 {
				end = len(p.rest)
			}
			if end == 0 {
				return nil, fmt.Errorf("%q in place of a key", p.word())
			}
			keys = append(keys, p.rest[:end])
			p.rest = p.rest[end:]
		}
		p.skip(false)
		if !p.take(".") {
			return keys, nil
		}
	}
}

func (p *tomlParser) value(depth int) (any, error) {
	if depth > maxTOMLDepth {
		return nil, errors.New("values are nested too deep")
	}
	p.skip(false)
	switch {
	case strings.HasPrefix(p.rest, `"`), strings.HasPrefix(p.rest, "'"):
		return p.text()
	case p.take("["):
		return p.array(depth)
	case p.take("{"):
		return p.inlineTable(depth)
	default:
		end := strings.IndexAny(p.rest, ",]}#\n")
		if end < 0 {
			end = len(p.rest)
		}
		value := strings.TrimSpace(p.rest[:end])
		if value == "" {
			return nil, errors.New("a value is missing")
		}
		p.rest = p.rest[end:]
		return bare(value), nil
	}
}

func (p *tomlParser) array(depth int) ([]any, error) {
	var list []any
	for {
		p.skip(true)
		if p.take("]") {
			return list, nil
		}
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
		p.skip(true)
		if !p.take(",") && !strings.HasPrefix(p.rest, "]") {
			return nil, fmt.Errorf("%q in place of \",\" or \"]\"", p.word())
		}
	}
}

func (p *tomlParser) inlineTable(depth int) (map[string]any, error) {
	table := make(map[string]any)
	for {
		p.skip(true)
		if p.take("}") {
			return table, nil
		}
		if err := p.assignment(table, depth+1); err != nil {
			return nil, err
		}
		p.skip(true)
		if !p.take(",") && !strings.HasPrefix(p.rest, "}") {
			return nil, fmt.Errorf("%q in place of \",\" or \"}\"", p.word())
		}
	}
}

// text reads a string in any of its four forms.
func (p *tomlParser) text() (string, error) {
	for _, quote := range []string{`"""`, "'''", `"`, "'"} {
		if !p.take(quote) {
			continue
		}
		end := closing(p.rest, quote)
		if end < 0 || len(quote) == 1 && strings.Contains(p.rest[:end], "\n") {
			return "", errors.New("text without an end")
		}
		text := p.rest[:end]
		p.rest = p.rest[end+len(quote):]
		p.line += strings.Count(text, "\n")
		if len(quote) == 3 {
			text = strings.TrimPrefix(strings.TrimPrefix(text, "\r"), "\n")
		}
		if quote[0] == '\'' {
			return text, nil
		}
		return unescape(text)
	}
	return "", fmt.Errorf("%q in place of text", p.word())
}

// closing is where the quote ends a text; a backslash escapes in double quotes only.
func closing(text, quote string) int {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote[0] == '"':
			i++
		case strings.HasPrefix(text[i:], quote):
			return i
		}
	}
	return -1
}

func unescape(text string) (string, error) {
	var b strings.Builder
	for text != "" {
		if text[0] != '\\' {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		if trimmed := strings.TrimLeft(text[1:], " \t\r"); strings.HasPrefix(trimmed, "\n") {
			text = strings.TrimLeft(trimmed, " \t\r\n") // the line goes on
			continue
		}
		c, _, rest, err := strconv.UnquoteChar(strings.Replace(text, `\e`, `\x1b`, 1), '"')
		if err != nil {
			return "", fmt.Errorf("%q is no escape", text[:min(len(text), 2)])
		}
		b.WriteRune(c)
		text = rest
	}
	return b.String(), nil
}

// at follows keys into tables; nil if one is missing.
func at(value any, keys ...string) any {
	for _, key := range keys {
		table, _ := value.(map[string]any)
		value = table[key]
	}
	return value
}

// textAt is the text at the end of keys; empty if there is none.
func textAt(value any, keys ...string) string {
	text, _ := at(value, keys...).(string)
	return text
}

// tableAt is the table at the end of keys; nil if there is none.
func tableAt(value any, keys ...string) map[string]any {
	table, _ := at(value, keys...).(map[string]any)
	return table
}
