// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
)

// everything is what would be read by rules that read all of the input.
func everything() reads {
	r := reads{top: make(map[string]bool), nested: make(map[string]bool)}
	for _, name := range fieldNames(reflect.TypeFor[Input]()) {
		r.top[name] = true
	}
	eachField(reflect.TypeFor[Input](), func(name string) { r.nested[name] = true })
	return r
}

// eachField calls visit with the JSON name of every field at any depth.
func eachField(t reflect.Type, visit func(name string)) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map:
		eachField(t.Elem(), visit)
	case reflect.Slice:
		if t != reflect.TypeFor[json.RawMessage]() {
			eachField(t.Elem(), visit)
		}
	case reflect.Struct:
		for i, name := range fieldNames(t) {
			visit(name)
			eachField(t.Field(i).Type, visit)
		}
	}
}

func TestEveryFieldNameIsInTheVocabulary(t *testing.T) {
	fields := 0
	eachField(reflect.TypeFor[Input](), func(name string) {
		fields++
		if key(name) == nil {
			t.Errorf("field %q is not in the vocabulary; add it to words()", name)
		}
	})
	if fields < 80 {
		t.Errorf("only %d fields were visited", fields)
	}
}

// fill gives every field at any depth a value that is not its zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString("text " + string(rune('a'+*n%26)))
	case reflect.Int:
		v.SetInt(int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{"spec": {"containers": [{"name": "app"}]}}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if v.Type().Elem().Kind() == reflect.Interface {
			v.SetMapIndex(reflect.ValueOf("parameter"), reflect.ValueOf("value"))
			return
		}
		for _, k := range []string{"one", "two"} {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(e, n)
			v.SetMapIndex(reflect.ValueOf(k), e)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

// TestDocumentIsTheInput compares the document that is built by hand with the JSON of
// Input: a field that one has and the other lacks fails here.
func TestDocumentIsTheInput(t *testing.T) {
	var full Input
	n := 0
	fill(reflect.ValueOf(&full).Elem(), &n)
	for i := range full.Containers {
		full.Containers[i].Index = i
	}
	empty := Input{
		Labels: map[string]string{}, Annotations: map[string]string{}, Profiles: map[string]*Profile{}, Parameters: map[string]any{},
		Containers: []Container{}, HostPaths: []HostPath{},
		Namespace: Namespace{Labels: map[string]string{}}, User: User{Groups: []string{}},
		Nodes: Nodes{Architectures: []string{}, Runtimes: []string{}, SeccompRoots: []string{}},
	}
	shared := full
	shared.Containers = append(shared.Containers, shared.Containers...)
	for name, in := range map[string]*Input{"full": &full, "empty": &empty, "equal containers": &shared} {
		t.Run(name, func(t *testing.T) {
			parameters, err := ast.InterfaceToValue(in.Parameters)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := in.toValue(everything(), ast.NewTerm(parameters))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			want, err := ast.ValueFromReader(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(plain(t, want), plain(t, doc)); d != "" {
				t.Errorf("document (-JSON of Input +built by hand):\n%s", d)
			}
		})
	}
}

func TestUnreadableObject(t *testing.T) {
	in := &Input{Object: json.RawMessage(`{"spec": `)}
	_, err := in.toValue(everything(), emptyObject)
	if err == nil || err.Error() != "read object: unexpected EOF" {
		t.Errorf("error %v", err)
	}
}

func plain(t *testing.T, v ast.Value) any {
	t.Helper()
	out, err := ast.JSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
