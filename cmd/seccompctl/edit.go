// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/webhook/review"
)

// editor writes into a text without touching the rest of it.
type editor struct {
	text  []byte
	edits []edit
}

// edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// result is the text with all edits.
func (e *editor) result() []byte {
	slices.SortStableFunc(e.edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out bytes.Buffer
	at := 0
	for _, x := range e.edits {
		out.Write(e.text[at:x.start])
		out.WriteString(x.text)
		at = x.end
	}
	out.Write(e.text[at:])
	return out.Bytes()
}

// inject writes the injections into the text of a manifest. The edited text is parsed
// again: it must say what was there before and the injections, or nothing is written.
func (e *editor) inject(m *manifest, injections []review.Injection) error {
	if len(injections) == 0 {
		return nil
	}
	before := len(e.edits)
	for i := range injections {
		x, err := place(m, &injections[i])
		if err != nil {
			return m.problem(jsontext.Pointer(injections[i].Pointer()), "%v; set seccompProfile there by hand", err)
		}
		x.start += m.doc.Offset
		x.end += m.doc.Offset
		e.edits = append(e.edits, x)
	}
	if err := e.verify(m, e.edits[before:], injections); err != nil {
		return m.problem("", "%v; set seccompProfile by hand", err)
	}
	return nil
}

// verify compares the edited document with the original one and the injections.
func (e *editor) verify(m *manifest, edits []edit, injections []review.Injection) error {
	document := editor{text: m.doc.Text}
	for _, x := range edits {
		x.start -= m.doc.Offset
		x.end -= m.doc.Offset
		document.edits = append(document.edits, x)
	}
	var got, want any
	text := document.result()
	if err := yaml.Unmarshal(text, &got); err != nil {
		return fmt.Errorf("its layout is too unusual to be edited: %w", err)
	}
	if err := json.Unmarshal(m.doc.JSON, &want); err != nil {
		return err
	}
	for i := range injections {
		set(want, m.pointer+jsontext.Pointer(injections[i].Pointer()), &injections[i].Profile)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("its layout is too unusual to be edited")
	}
	return nil
}

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

// place finds where an injection goes, in offsets of the document's text.
func place(m *manifest, i *review.Injection) (edit, error) {
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(m.doc.Text, &root); err != nil || len(root.Content) == 0 {
		return edit{}, fmt.Errorf("its layout is too unusual to be edited")
	}
	parent, key, err := find(root.Content[0], m.pointer+jsontext.Pointer(i.Pointer()))
	if err != nil {
		return edit{}, err
	}
	t := layout{text: m.doc.Text}
	if key == nil {
		return t.add(parent, []string{"securityContext", "seccompProfile"}, i.Profile, m.doc.IsJSON)
	}
	switch {
	case key.value.Kind == yamlv3.MappingNode:
		return t.add(key.value, []string{"seccompProfile"}, i.Profile, m.doc.IsJSON)
	case key.value.Tag == "!!null":
		return t.replaceNull(key, i.Profile, m.doc.IsJSON)
	default:
		return edit{}, fmt.Errorf("securityContext is no object")
	}
}

// member is a key of a mapping and its value.
type member struct{ key, value *yamlv3.Node }

// find returns the mapping that the last token of the pointer is a key of, and the key
// where it is there. What is shared by an anchor cannot be edited for one.
func find(node *yamlv3.Node, at jsontext.Pointer) (*yamlv3.Node, *member, error) {
	tokens := slices.Collect(at.Tokens())
	for i, token := range tokens {
		if node.Kind == yamlv3.AliasNode || node.Anchor != "" {
			return nil, nil, fmt.Errorf("it is shared by a YAML anchor")
		}
		last := i == len(tokens)-1
		switch node.Kind {
		case yamlv3.SequenceNode:
			index, err := strconv.Atoi(token)
			if err != nil || index >= len(node.Content) {
				return nil, nil, fmt.Errorf("its layout is too unusual to be edited")
			}
			node = node.Content[index]
		case yamlv3.MappingNode:
			m := keyOf(node, token)
			switch {
			case last && m != nil && (m.value.Kind == yamlv3.AliasNode || m.value.Anchor != ""):
				return nil, nil, fmt.Errorf("it is shared by a YAML anchor")
			case last:
				return node, m, nil
			case m == nil: // it comes from elsewhere, by a merge key
				return nil, nil, fmt.Errorf("it is shared by a YAML anchor")
			}
			node = m.value
		default:
			return nil, nil, fmt.Errorf("its layout is too unusual to be edited")
		}
	}
	return nil, nil, fmt.Errorf("its layout is too unusual to be edited")
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
type layout struct{ text []byte }

// offset of a node's first byte. Columns count characters.
func (t layout) offset(n *yamlv3.Node) int {
	at := 0
	for range n.Line - 1 {
		at += bytes.IndexByte(t.text[at:], '\n') + 1
	}
	for range n.Column - 1 {
		at += len(string(bytes.Runes(t.text[at : at+min(4, len(t.text)-at)])[:1]))
	}
	return at
}

// lineEnd is the offset behind the line that holds the byte, and what ends lines here.
func (t layout) lineEnd(at int) (end int, newline string) {
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
func (t layout) add(mapping *yamlv3.Node, keys []string, profile review.SeccompProfile, quoted bool) (edit, error) {
	if mapping.Style&yamlv3.FlowStyle != 0 || len(mapping.Content) == 0 {
		at := t.offset(mapping)
		if at >= len(t.text) || t.text[at] != '{' {
			return edit{}, fmt.Errorf("its layout is too unusual to be edited")
		}
		separator := ", "
		if len(mapping.Content) == 0 {
			separator = ""
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
func (t layout) replaceNull(m *member, profile review.SeccompProfile, quoted bool) (edit, error) {
	text := "{" + flow([]string{"seccompProfile"}, profile, quoted) + "}"
	if m.value.Value != "" {
		at := t.offset(m.value)
		return edit{at, at + len(m.value.Value), text}, nil
	}
	at := t.offset(m.key) + len(m.key.Value)
	if at >= len(t.text) || t.text[at] != ':' {
		return edit{}, fmt.Errorf("its layout is too unusual to be edited")
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
