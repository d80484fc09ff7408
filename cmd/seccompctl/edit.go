// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/webhook/review"
)

// editor writes into a text without touching the rest of it.
type editor struct {
	text  []byte
	edits []edit
	// document that is being edited.
	document *document
}

// document is one of a text, with what is written into it. Offsets are its own.
type document struct {
	manifest manifest
	layout   layout
	edits    []edit
	// want is what the document has to say in the end.
	want any
}

// edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// result is the text with all edits.
func (e *editor) result() []byte { return apply(e.text, e.edits) }

func apply(text []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out bytes.Buffer
	at := 0
	for _, x := range edits {
		out.Write(text[at:x.start])
		out.WriteString(x.text)
		at = x.end
	}
	out.Write(text[at:])
	return out.Bytes()
}

// inject writes the injections into the text of a manifest. Manifests come in the order
// of the text, so that a document is parsed and proven once, whatever it holds.
func (e *editor) inject(m *manifest, injections []review.Injection) error {
	if len(injections) == 0 {
		return nil
	}
	if e.document == nil || e.document.manifest.doc.Number != m.doc.Number {
		if err := e.finish(); err != nil {
			return err
		}
		e.document = &document{manifest: *m, layout: newLayout(m.doc.Text)}
		e.document.manifest.pointer = ""
		if err := json.Unmarshal(m.doc.JSON, &e.document.want); err != nil {
			return m.problem("", "%v; set seccompProfile by hand", err)
		}
	}
	for i := range injections {
		at := m.pointer + jsontext.Pointer(injections[i].Pointer())
		x, err := e.document.layout.place(m, at, injections[i].Profile)
		if err != nil {
			return m.problem(jsontext.Pointer(injections[i].Pointer()), "%w; set seccompProfile there by hand", err)
		}
		e.document.edits = append(e.document.edits, x)
		set(e.document.want, at, &injections[i].Profile)
	}
	return nil
}

// finish ends a document. The edited text is parsed again: it must say what was there
// before and the injections, or nothing is written.
func (e *editor) finish() error {
	d := e.document
	if d == nil {
		return nil
	}
	e.document = nil
	doc := &d.manifest.doc
	text := apply(doc.Text, d.edits)
	unmarshal := func(text []byte, v any) error { return yaml.Unmarshal(text, v) }
	if doc.IsJSON {
		unmarshal = json.Unmarshal
	}
	var got any
	if err := unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, d.want) {
		return d.manifest.problem("", "%w; set seccompProfile by hand", errUnusual)
	}
	for _, x := range d.edits {
		e.edits = append(e.edits, edit{start: x.start + doc.Offset, end: x.end + doc.Offset, text: x.text})
	}
	return nil
}

// errUnusual is an edit that cannot be done without touching more than it should.
var errUnusual = errors.New("its layout is too unusual to be edited")

// set writes a profile into a decoded object, at the pointer of a securityContext.
func set(root any, at jsontext.Pointer, profile *review.SeccompProfile) {
	value := map[string]any{"type": profile.Type}
	if profile.LocalhostProfile != "" {
		value["localhostProfile"] = profile.LocalhostProfile
	}
	node := root
	tokens := slices.Collect(at.Tokens())
	for i, token := range tokens {
		last := i == len(tokens)-1
		switch n := node.(type) {
		case map[string]any:
			if context, ok := n[token].(map[string]any); last && ok {
				context["seccompProfile"] = value
			} else if last {
				n[token] = map[string]any{"seccompProfile": value}
			}
			node = n[token]
		case []any:
			index, _ := strconv.Atoi(token)
			node = n[index]
		}
	}
}

// place finds where the profile of the securityContext at the pointer goes.
func (t *layout) place(m *manifest, at jsontext.Pointer, profile review.SeccompProfile) (edit, error) {
	root := m.doc.Root()
	if root == nil {
		return edit{}, errUnusual
	}
	parent, key, err := find(root, at)
	switch {
	case err != nil:
		return edit{}, err
	case key == nil:
		return t.add(parent, []string{"securityContext", "seccompProfile"}, profile, m.doc.IsJSON)
	case key.value.Kind == yamlv3.MappingNode:
		return t.add(key.value, []string{"seccompProfile"}, profile, m.doc.IsJSON)
	case key.value.Tag == "!!null":
		return t.replaceNull(key, profile, m.doc.IsJSON)
	default:
		return edit{}, errors.New("securityContext is no object")
	}
}

// member is a key of a mapping and its value.
type member struct{ key, value *yamlv3.Node }

var errShared = errors.New("it is shared by a YAML anchor")

// find returns the mapping that the last token of the pointer is a key of, and the key
// where it is there. What is shared by an anchor cannot be edited for one.
func find(node *yamlv3.Node, at jsontext.Pointer) (*yamlv3.Node, *member, error) {
	tokens := slices.Collect(at.Tokens())
	for i, token := range tokens {
		if node.Kind == yamlv3.AliasNode || node.Anchor != "" {
			return nil, nil, errShared
		}
		last := i == len(tokens)-1
		switch node.Kind {
		case yamlv3.SequenceNode:
			index, err := strconv.Atoi(token)
			if err != nil || index >= len(node.Content) {
				return nil, nil, errUnusual
			}
			node = node.Content[index]
		case yamlv3.MappingNode:
			m := keyOf(node, token)
			switch {
			case last && m != nil && (m.value.Kind == yamlv3.AliasNode || m.value.Anchor != ""):
				return nil, nil, errShared
			case last:
				return node, m, nil
			case m == nil: // it comes from elsewhere, by a merge key
				return nil, nil, errShared
			}
			node = m.value
		default:
			return nil, nil, errUnusual
		}
	}
	return nil, nil, errUnusual
}

func keyOf(mapping *yamlv3.Node, name string) *member {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return &member{mapping.Content[i], mapping.Content[i+1]}
		}
	}
	return nil
}

// layout finds bytes by lines and columns.
type layout struct {
	text []byte
	// lines are the offsets at which lines begin.
	lines []int
	// last is the place that was asked for before. Most are asked for in order, and JSON may
	// stand on one line.
	last struct{ line, column, offset int }
}

func newLayout(text []byte) layout {
	t := layout{text: text, lines: []int{0}}
	for i, b := range text {
		if b == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	return t
}

// offset of a node's first byte. Columns count characters.
func (t *layout) offset(n *yamlv3.Node) int {
	at, column := t.lines[min(n.Line, len(t.lines))-1], 1
	if t.last.line == n.Line && t.last.column <= n.Column {
		at, column = t.last.offset, t.last.column
	}
	for range n.Column - column {
		_, size := utf8.DecodeRune(t.text[at:])
		at += size
	}
	t.last.line, t.last.column, t.last.offset = n.Line, n.Column, at
	return at
}

// lineEnd is the offset behind the line that holds the byte, and what ends lines here.
func (t *layout) lineEnd(at int) (end int, newline string) {
	newline = "\n"
	if i := bytes.IndexByte(t.text, '\n'); i > 0 && t.text[i-1] == '\r' {
		newline = "\r\n"
	}
	i := bytes.IndexByte(t.text[at:], '\n')
	if i < 0 {
		return len(t.text), newline
	}
	return at + i + 1, newline
}

// add writes a new key into a mapping, with the profile below it.
func (t *layout) add(mapping *yamlv3.Node, keys []string, profile review.SeccompProfile, quoted bool) (edit, error) {
	if mapping.Style&yamlv3.FlowStyle != 0 || len(mapping.Content) == 0 {
		at := t.offset(mapping)
		if at >= len(t.text) || t.text[at] != '{' {
			return edit{}, errUnusual
		}
		separator := ", "
		switch {
		case len(mapping.Content) == 0:
			separator = ""
		case bytes.IndexByte([]byte(" \t\r\n"), t.text[at+1]) >= 0:
			separator = ","
		}
		return edit{at + 1, at + 1, flow(keys, profile, quoted) + separator}, nil
	}
	first, value := mapping.Content[0], mapping.Content[1]
	indent := strings.Repeat(" ", first.Column-1)
	at := t.offset(first)
	// Behind a first key on one line, such as a container's name, the new one reads best;
	// before any other it is always right.
	end, newline := t.lineEnd(at)
	lines := block(keys, profile, indent, newline)
	oneLine := value.Kind == yamlv3.ScalarNode && value.Line == first.Line && value.Style&(yamlv3.LiteralStyle|yamlv3.FoldedStyle) == 0 &&
		(len(mapping.Content) == 2 || mapping.Content[2].Line == first.Line+1)
	if oneLine {
		text := indent + lines + newline
		if end == len(t.text) && !bytes.HasSuffix(t.text, []byte("\n")) {
			text = newline + indent + lines
		}
		return edit{end, end, text}, nil
	}
	return edit{at, at, lines + newline + indent}, nil
}

// replaceNull writes an object in place of a null, which may be nothing at all.
func (t *layout) replaceNull(m *member, profile review.SeccompProfile, quoted bool) (edit, error) {
	text := "{" + flow([]string{"seccompProfile"}, profile, quoted) + "}"
	if m.value.Value != "" {
		at := t.offset(m.value)
		return edit{at, at + len(m.value.Value), text}, nil
	}
	at := t.offset(m.key) + len(m.key.Value)
	if at >= len(t.text) || t.text[at] != ':' {
		return edit{}, errUnusual
	}
	return edit{at + 1, at + 1, " " + text}, nil
}

// block is the profile in block style, without indentation before its first line and
// without an end of its last.
func block(keys []string, profile review.SeccompProfile, indent, newline string) string {
	var lines []string
	for i, key := range keys {
		lines = append(lines, strings.Repeat("  ", i)+key+":")
	}
	inner := strings.Repeat("  ", len(keys))
	lines = append(lines, inner+"type: "+profile.Type)
	if profile.LocalhostProfile != "" {
		lines = append(lines, inner+"localhostProfile: "+scalar(profile.LocalhostProfile))
	}
	return strings.Join(lines, newline+indent)
}

// plainScalar is text that YAML takes for text, without quotes, in every style.
var plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*([./][A-Za-z0-9_./-]+)?$`)

func scalar(s string) string {
	if plainScalar.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// flow is the profile on one line, without the outer braces.
func flow(keys []string, profile review.SeccompProfile, quoted bool) string {
	word := scalar
	if quoted {
		word = strconv.Quote
	}
	text := "{" + word("type") + ": " + word(profile.Type)
	if profile.LocalhostProfile != "" {
		text += ", " + word("localhostProfile") + ": " + word(profile.LocalhostProfile)
	}
	text += "}"
	for i, key := range slices.Backward(keys) {
		text = word(key) + ": " + text
		if i > 0 {
			text = "{" + text + "}"
		}
	}
	return text
}
