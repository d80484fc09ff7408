// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
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

// addition is what is written into a text: keys below an object, one inside the other, and
// the value of the last. Without keys, items are put before those of a list.
type addition struct {
	// at is the object or the list, which is there already.
	at    jsontext.Pointer
	keys  []string
	value any
	// what to do by hand where it cannot be written.
	byHand string
}

// additions are those of a mutation.
func additions(m *review.Mutation) []addition {
	var all []addition
	for i := range m.Injections {
		in := &m.Injections[i]
		at := jsontext.Pointer(in.Pointer())
		all = append(all, addition{at.Parent(), []string{at.LastToken(), "seccompProfile"}, profileValue(in.Profile), "seccompProfile"})
	}
	for i := range m.Steering {
		s := &m.Steering[i]
		items := make(list, len(s.Requirements))
		for j, r := range s.Requirements {
			values := make(list, len(r.Values))
			for k, v := range r.Values {
				values[k] = v
			}
			items[j] = object{{"key", r.Key}, {"operator", string(r.Operator)}, {"values", values}}
		}
		if n := len(s.Keys); n > 0 && s.Keys[n-1] == review.TermsKey {
			items = list{object{{review.ExpressionsKey, items}}}
		}
		all = append(all, addition{jsontext.Pointer(s.Pointer()), s.Keys, items, "affinity"})
	}
	return all
}

func profileValue(p review.SeccompProfile) object {
	o := object{{"type", p.Type}}
	if p.LocalhostProfile != "" {
		o = append(o, field{"localhostProfile", p.LocalhostProfile})
	}
	return o
}

// inject writes a mutation into the text of a manifest. Manifests come in the order of the
// text, so that a document is parsed and proven once, whatever it holds.
func (e *editor) inject(m *manifest, mutation *review.Mutation) error {
	add := additions(mutation)
	if len(add) == 0 {
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
	root := m.doc.Root()
	for i := range add {
		a := &add[i]
		at := a.at
		a.at = m.pointer + at
		if root == nil {
			return m.problem(at, "%w; set %s there by hand", errUnusual, a.byHand)
		}
		x, err := e.document.layout.place(root, *a, m.doc.IsJSON)
		if err != nil {
			if len(a.keys) > 0 {
				at = at.AppendToken(a.keys[0])
			}
			return m.problem(at, "%w; set %s there by hand", err, a.byHand)
		}
		e.document.edits = append(e.document.edits, x)
		e.document.want = a.applied(e.document.want, slices.Collect(a.at.Tokens()))
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

// applied is the decoded object with the addition in it; path leads to where it goes.
func (a *addition) applied(node any, path []string) any {
	if len(path) == 0 {
		path = a.keys
		if len(path) == 0 {
			items, _ := node.([]any)
			return append(plainValue(a.value).([]any), items...)
		}
		m, ok := node.(map[string]any)
		if !ok { // null, or nothing
			m = make(map[string]any)
		}
		inner := *a
		inner.keys = path[1:]
		if len(inner.keys) == 0 {
			if items, isList := m[path[0]].([]any); isList {
				m[path[0]] = inner.applied(items, nil)
			} else {
				m[path[0]] = plainValue(a.value)
			}
			return m
		}
		m[path[0]] = inner.applied(m[path[0]], nil)
		return m
	}
	switch n := node.(type) {
	case map[string]any:
		n[path[0]] = a.applied(n[path[0]], path[1:])
	case []any:
		index, _ := strconv.Atoi(path[0])
		n[index] = a.applied(n[index], path[1:])
	}
	return node
}

// place finds where an addition goes.
func (t *layout) place(root *yamlv3.Node, a addition, quoted bool) (edit, error) {
	if len(a.keys) == 0 {
		_, m, err := find(root, a.at)
		if err != nil {
			return edit{}, err
		}
		return t.prepend(m, a.value, quoted)
	}
	parent, m, err := find(root, a.at.AppendToken(a.keys[0]))
	switch {
	case err != nil:
		return edit{}, err
	case m == nil:
		return t.add(parent, a.keys, a.value, quoted)
	case m.value.Tag == "!!null":
		return t.replaceNull(m, a.keys[1:], a.value, quoted)
	case len(a.keys) == 1:
		return t.prepend(m, a.value, quoted)
	case m.value.Kind == yamlv3.MappingNode:
		a.at, a.keys = a.at.AppendToken(a.keys[0]), a.keys[1:]
		return t.place(root, a, quoted)
	default:
		return edit{}, fmt.Errorf("%s is no object", a.keys[0])
	}
}

// prepend puts items before those of a list.
func (t *layout) prepend(m *member, value any, quoted bool) (edit, error) {
	items, ok := value.(list)
	if m == nil || m.value.Kind != yamlv3.SequenceNode || !ok {
		return edit{}, errUnusual
	}
	at := t.offset(m.value)
	if m.value.Style&yamlv3.FlowStyle != 0 {
		if at >= len(t.text) || t.text[at] != '[' {
			return edit{}, errUnusual
		}
		text := items.flow(quoted)
		text = text[1 : len(text)-1]
		if len(m.value.Content) > 0 {
			text += ", "
		}
		return edit{at + 1, at + 1, text}, nil
	}
	if at >= len(t.text) || t.text[at] != '-' {
		return edit{}, errUnusual
	}
	_, newline := t.lineEnd(at)
	var b strings.Builder
	for _, item := range items {
		b.WriteString("- " + flow(item, quoted) + newline + strings.Repeat(" ", m.value.Column-1))
	}
	return edit{at, at, b.String()}, nil
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

// add writes a new key into a mapping, with the value below it.
func (t *layout) add(mapping *yamlv3.Node, keys []string, value any, quoted bool) (edit, error) {
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
		return edit{at + 1, at + 1, nest(keys, value, quoted) + separator}, nil
	}
	first, firstValue := mapping.Content[0], mapping.Content[1]
	indent := strings.Repeat(" ", first.Column-1)
	at := t.offset(first)
	// Behind a first key on one line, such as a container's name, the new one reads best;
	// before any other it is always right.
	end, newline := t.lineEnd(at)
	lines := block(keys, value, indent, newline)
	oneLine := firstValue.Kind == yamlv3.ScalarNode && firstValue.Line == first.Line && firstValue.Style&(yamlv3.LiteralStyle|yamlv3.FoldedStyle) == 0 &&
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

// replaceNull writes a value in place of a null, which may be nothing at all.
func (t *layout) replaceNull(m *member, keys []string, value any, quoted bool) (edit, error) {
	text := flow(value, quoted)
	if len(keys) > 0 {
		text = "{" + nest(keys, value, quoted) + "}"
	}
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

// block is the value in block style, a list on one line, without indentation before its
// first line and without an end of its last.
func block(keys []string, value any, indent, newline string) string {
	var lines []string
	for i, key := range keys {
		lines = append(lines, strings.Repeat("  ", i)+key+":")
	}
	inner := strings.Repeat("  ", len(keys))
	if o, ok := value.(object); ok {
		for _, f := range o {
			lines = append(lines, inner+f.key+": "+flow(f.value, false))
		}
	} else {
		lines[len(lines)-1] += " " + flow(value, false)
	}
	return strings.Join(lines, newline+indent)
}

// Values keep the order of their fields. A leaf is a string.
type (
	object []field
	field  struct {
		key   string
		value any
	}
	list []any
)

// plainValue is the value as decoders make it.
func plainValue(value any) any {
	switch v := value.(type) {
	case object:
		m := make(map[string]any, len(v))
		for _, f := range v {
			m[f.key] = plainValue(f.value)
		}
		return m
	case list:
		items := make([]any, len(v))
		for i := range v {
			items[i] = plainValue(v[i])
		}
		return items
	default:
		return v
	}
}

// plainScalar is text that YAML takes for text, without quotes, in every style.
var plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*([./][A-Za-z0-9_./-]+)?$`)

// otherScalar is text that some YAML parser takes for a boolean or a null.
var otherScalar = regexp.MustCompile(`^(?i:y|yes|n|no|on|off|true|false|null)$`)

func scalar(s string) string {
	if plainScalar.MatchString(s) && !otherScalar.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// flow is the value on one line; quoted is for JSON.
func flow(value any, quoted bool) string {
	switch v := value.(type) {
	case object:
		parts := make([]string, len(v))
		for i, f := range v {
			parts[i] = flow(f.key, quoted) + ": " + flow(f.value, quoted)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case list:
		return v.flow(quoted)
	case string:
		if quoted {
			return strconv.Quote(v)
		}
		return scalar(v)
	default:
		return ""
	}
}

func (l list) flow(quoted bool) string {
	parts := make([]string, len(l))
	for i := range l {
		parts[i] = flow(l[i], quoted)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// nest is the value below keys on one line, without the outer braces.
func nest(keys []string, value any, quoted bool) string {
	text := flow(value, quoted)
	for i, key := range slices.Backward(keys) {
		text = flow(key, quoted) + ": " + text
		if i > 0 {
			text = "{" + text + "}"
		}
	}
	return text
}
