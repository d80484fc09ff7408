// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
	kind    string
	raw     []byte
	object  review.Object
}

// files lists what -f names: a file, everything below a directory that looks like a
// manifest, or standard input.
func files(names []string) ([]string, error) {
	var out []string
	var errs []error
	for _, name := range names {
		if name == "-" {
			out = append(out, name)
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read manifests: %w; name a file, a directory, or - for standard input", err))
			continue
		}
		if !info.IsDir() {
			out = append(out, name)
			continue
		}
		err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
				out = append(out, path)
			}
			return err
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("read manifests: %w", err))
		}
	}
	return out, errors.Join(errs...)
}

// readFile reads the text of a file of manifests.
func readFile(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		defer file.Close() //nolint:errcheck // nothing was written
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read manifests %s: %w", displayName(name), err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s: more than %d MiB; split it", displayName(name), maxFile>>20)
	}
	return data, nil
}

// eachManifest calls do for each object of a file, those of a List one by one.
func eachManifest(data []byte, name string, do func(*manifest) error) error {
	seen := 0
	err := inventory.EachDocument(data, displayName(name), func(d inventory.Document) error {
		if d.JSON.Kind() == 'n' {
			return nil
		}
		seen++
		return eachObject(manifest{file: displayName(name), doc: d, raw: d.JSON}, "", do)
	})
	if err == nil && seen == 0 {
		return fmt.Errorf("%s: no object in it; write a Kubernetes manifest", displayName(name))
	}
	return err
}

// eachObject takes lists apart. An item of a typed list need not name its kind.
func eachObject(m manifest, kind string, do func(*manifest) error) error {
	var head struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []jsontext.Value `json:"items"`
	}
	if err := json.Unmarshal(m.raw, &head); err != nil {
		return m.problem("", "%v; write a Kubernetes object, with apiVersion and kind", plain(err))
	}
	if head.Kind == "" && kind != "" {
		head.Kind = kind
	} else if head.APIVersion == "" || head.Kind == "" {
		return m.problem("", "no apiVersion and kind; write a Kubernetes object")
	}
	if element, isList := strings.CutSuffix(head.Kind, "List"); isList && head.Items != nil {
		for i, item := range head.Items {
			one := m
			one.raw, one.pointer = item, m.pointer+jsontext.Pointer("/items/"+strconv.Itoa(i))
			if err := eachObject(one, element, do); err != nil {
				return err
			}
		}
		return nil
	}
	m.kind = head.Kind
	if !makesPods(m.kind) {
		return do(&m)
	}
	if err := json.Unmarshal(m.raw, &m.object); err != nil {
		var semantic *json.SemanticError
		at := jsontext.Pointer("")
		if errors.As(err, &semantic) {
			at = semantic.JSONPointer
		}
		return m.problem(at, "%s: %v; correct the value", m.kind, plain(err))
	}
	return do(&m)
}

func makesPods(kind string) bool {
	return kind == "Pod" || slices.ContainsFunc(review.WorkloadKinds(), func(k review.GroupResource) bool { return k.Kind == kind })
}

// problem names the file, the document and the line.
func (m *manifest) problem(at jsontext.Pointer, format string, args ...any) error {
	return fmt.Errorf("%s: document %d, line %d: %s", m.file, m.doc.Number, m.doc.LineOf(m.pointer+at), fmt.Sprintf(format, args...))
}

// indexes are elements of lists, which Kubernetes writes in brackets.
var indexes = regexp.MustCompile(`\.(\d+)`)

// plain takes the package's name out of a decoder's message.
func plain(err error) error {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return err
	}
	what := map[jsontext.Kind]string{'n': "null", 't': "a boolean", 'f': "a boolean", '"': "a string", '0': "a number", '[': "a list", '{': "an object"}[semantic.JSONKind]
	place := indexes.ReplaceAllString(strings.ReplaceAll(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/", "."), "[$1]")
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
