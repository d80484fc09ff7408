// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// maxFile bounds a file of manifests in bytes: thousands of objects fit.
const maxFile = 64 << 20

// manifest is one object of a file.
type manifest struct {
	file string
	doc  inventory.Document
	// pointer of the object in the document: empty, or that of an item of a List.
	pointer jsontext.Pointer
	raw     []byte

	apiVersion, kind string
	// object is decoded only where it is a pod or makes pods.
	object review.Object
}

// inputError is what keeps a file from being judged, or the rest of it.
type inputError struct {
	// file as -f names it, or below a directory that it names.
	file string
	err  error
}

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// files lists what -f names: a file, everything below a directory that looks like a
// manifest, or standard input. Its errors are input errors.
func files(names []string) ([]string, error) {
	var out []string
	var errs []error
	for _, name := range names {
		if name == "-" {
			out = append(out, name)
			continue
		}
		info, err := os.Stat(name)
		if name == "" {
			err = errors.New("-f names nothing")
		}
		if err != nil {
			errs = append(errs, &inputError{name, fmt.Errorf("read manifests: %w; name a file, a directory, or - for standard input", err)})
			continue
		}
		if !info.IsDir() {
			out = append(out, name)
			continue
		}
		before := len(out) + len(errs)
		// What cannot be read below the directory does not hide what is beside it.
		_ = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				errs = append(errs, &inputError{path, fmt.Errorf("read manifests: %w; make it readable, or name what is beside it", err)})
				return nil
			}
			// Reading a pipe that nobody writes to would never end.
			isFile := d.Type().IsRegular() || d.Type() == fs.ModeSymlink
			if isFile && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
				out = append(out, path)
			}
			return nil
		})
		if len(out)+len(errs) == before {
			errs = append(errs, &inputError{name, fmt.Errorf("%s: no .yaml, .yml or .json file below it; name a directory of manifests", name)})
		}
	}
	return out, errors.Join(errs...)
}

// readsOnce refuses to read standard input for two purposes: the second would find
// nothing.
func readsOnce(names ...string) error {
	first := slices.Index(names, "-")
	if first >= 0 && slices.Contains(names[first+1:], "-") {
		return errors.New("standard input is named twice, and can be read once; name a file for one of them")
	}
	return nil
}

// readFile reads the text of a file of manifests.
func readFile(name string, stdin io.Reader) ([]byte, error) {
	return readInput("manifests", name, maxFile, "split it", stdin)
}

// openInput opens a file or standard input; what says for messages what it is, and remedy
// what to do about one that cannot be read.
func openInput(what, name, remedy string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w; %s", what, err, remedy)
	}
	// A directory can be opened, and not be read.
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close() //nolint:errcheck,gosec // nothing was written
		return nil, fmt.Errorf("read %s: %s is a directory; %s", what, name, remedy)
	}
	return file, nil
}

// readable is the remedy for a file that an argument or -f names.
const readable = "name a readable file, or - for standard input"

// readInput reads a file or standard input to its end; what says for messages what it is,
// and remedy what to do about one with more than most bytes.
func readInput(what, name string, most int64, remedy string, stdin io.Reader) ([]byte, error) {
	in, err := openInput(what, name, readable, stdin)
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s %s: %w; %s", what, displayName(name), err, readable)
	case int64(len(data)) > most:
		return nil, fmt.Errorf("%s: more than %d MiB; %s", displayName(name), most>>20, remedy)
	}
	return data, nil
}

// eachManifest calls do for each object of a file that is a pod or makes pods, those of a
// List one by one.
func eachManifest(data []byte, name string, do func(*manifest) error) error {
	seen := 0
	err := inventory.EachDocument(data, displayName(name), func(d inventory.Document) error {
		if d.JSON.Kind() == 'n' {
			return nil
		}
		seen++
		return eachObject(manifest{file: displayName(name), doc: d, raw: d.JSON}, "", "", func(m *manifest) error {
			if !makesPods(m.apiVersion, m.kind) {
				return nil
			}
			if err := json.Unmarshal(m.raw, &m.object); err != nil {
				var semantic *json.SemanticError
				at := jsontext.Pointer("")
				if errors.As(err, &semantic) {
					at = semantic.JSONPointer
				}
				return m.problem(at, "%s: %v; correct the value", m.kind, plain(err))
			}
			return do(m)
		})
	})
	if err == nil && seen == 0 {
		return fmt.Errorf("%s: no object in it; write a Kubernetes manifest", displayName(name))
	}
	return err
}

// eachObject calls do for an object, or for each item of a list. An item of a typed list
// need not name its kind.
func eachObject(m manifest, apiVersion, kind string, do func(*manifest) error) error {
	var head struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []jsontext.Value `json:"items"`
	}
	if err := json.Unmarshal(m.raw, &head); err != nil {
		return m.problem("", "%v; write a Kubernetes object, with apiVersion and kind", plain(err))
	}
	if head.Kind == "" && kind != "" {
		head.APIVersion, head.Kind = apiVersion, kind
	} else if head.APIVersion == "" || head.Kind == "" {
		return m.problem("", "no apiVersion and kind; write a Kubernetes object")
	}
	if element, isList := strings.CutSuffix(head.Kind, "List"); isList && head.Items != nil {
		for i, item := range head.Items {
			one := m
			one.raw, one.pointer = item, m.pointer+jsontext.Pointer("/items/"+strconv.Itoa(i))
			if err := eachObject(one, head.APIVersion, element, do); err != nil {
				return err
			}
		}
		return nil
	}
	m.apiVersion, m.kind = head.APIVersion, head.Kind
	return do(&m)
}

// makesPods knows the kinds that the webhook is called for. Others have kinds of the same
// name in groups of their own, which mean something else.
func makesPods(apiVersion, kind string) bool {
	group, _, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		group = ""
	}
	return kind == "Pod" && group == "" || slices.ContainsFunc(review.WorkloadKinds(), func(k review.GroupResource) bool {
		return k.Kind == kind && k.Group == group
	})
}

// podless is the error of an object that is a pod or makes pods, and has none. The API
// server refuses it, so that there is nothing to be judged, and nothing to be called fine.
// The consequence is what follows for the object.
func (m *manifest) podless(consequence string) error {
	if w, ok := review.Extract(m.kind, &m.object); ok && len(w.Spec.Containers) > 0 {
		return nil
	}
	field, at := jsontext.Pointer(""), m.raw
	what := fmt.Sprintf("%s %q %s", m.kind, m.object.Metadata.DisplayName(), consequence)
	for _, token := range append(podPath(m.kind), "containers") {
		var fields map[string]jsontext.Value
		_ = json.Unmarshal(at, &fields) // null, or what was decoded before
		value, has := fields[token]
		around := field
		field = field.AppendToken(token)
		if has && value.Kind() != 'n' {
			at = value
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(fields)) {
			if other != token && strings.EqualFold(other, token) {
				return m.problem(around.AppendToken(other), "%s: it has %q in place of %s; correct the name", what, other, inventory.FieldPath(field))
			}
		}
		return m.problem(around, "%s: it has no %s; write it, or leave the object out", what, inventory.FieldPath(field))
	}
	return m.problem(field, "%s: %s is empty; write a container, or leave the object out", what, inventory.FieldPath(field))
}

// podPath is where the spec of the pod is in an object of the kind.
func podPath(kind string) []string {
	switch kind {
	case "Pod":
		return []string{"spec"}
	case "PodTemplate":
		return []string{"template", "spec"}
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template", "spec"}
	default:
		return []string{"spec", "template", "spec"}
	}
}

// problem names the file, the document and the line.
func (m *manifest) problem(at jsontext.Pointer, format string, args ...any) error {
	return fmt.Errorf("%s: document %d, line %d: %w", m.file, m.doc.Number, m.line(at), fmt.Errorf(format, args...))
}

// line of the file that a value of the object stands on, or the nearest around it.
func (m *manifest) line(at jsontext.Pointer) int { return m.doc.LineOf(m.pointer + at) }

// plain takes the package's name out of a decoder's message.
func plain(err error) error {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return err
	}
	what, place := inventory.KindName(semantic.JSONKind), inventory.FieldPath(semantic.JSONPointer)
	switch {
	case semantic.Err != nil && place != "":
		return fmt.Errorf("%s: %w", place, semantic.Err)
	case semantic.Err != nil:
		return semantic.Err
	case place == "":
		return fmt.Errorf("%s in place of an object", what)
	default:
		return fmt.Errorf("%s has %s, which does not fit", place, what)
	}
}
