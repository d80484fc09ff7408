// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// configuration is one of the kinds of configuration file.
type configuration[T any] interface {
	*T
	Default()
	Validate() field.ErrorList
}

// LoadWebhookConfig reads a WebhookConfig from YAML or JSON; name is that of the file,
// for messages. The error lists everything that is wrong, one problem a line.
func LoadWebhookConfig(data []byte, name string) (*WebhookConfig, error) {
	return load[WebhookConfig](data, name, "WebhookConfig")
}

// LoadControllerConfig does for a ControllerConfig what [LoadWebhookConfig] does.
func LoadControllerConfig(data []byte, name string) (*ControllerConfig, error) {
	return load[ControllerConfig](data, name, "ControllerConfig")
}

// LoadAgentConfig does for an AgentConfig what [LoadWebhookConfig] does.
func LoadAgentConfig(data []byte, name string) (*AgentConfig, error) {
	return load[AgentConfig](data, name, "AgentConfig")
}

func load[T any, P configuration[T]](data []byte, name, kind string) (*T, error) {
	values, err := decodeYAML(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := new(T)
	errs := checkType(values, kind)
	errs = appendNew(errs, fill(reflect.ValueOf(c).Elem(), values, nil))
	P(c).Default()
	errs = appendNew(errs, P(c).Validate())
	switch len(errs) {
	case 0:
		return c, nil
	case 1:
		return nil, fmt.Errorf("%s: %w", name, errs[0])
	}
	lines := make([]string, len(errs))
	for i, e := range errs {
		lines[i] = "\n  " + e.Error()
	}
	return nil, fmt.Errorf("%s: %d problems:%s", name, len(errs), strings.Join(lines, ""))
}

// appendNew leaves out what is about a field that has a problem already, or about a part
// of one: a value that does not fit was not set, and that it is missing is no problem of
// its own.
func appendNew(errs, more field.ErrorList) field.ErrorList {
	before := errs
	for _, e := range more {
		if !slices.ContainsFunc(before, func(known *field.Error) bool {
			rest, under := strings.CutPrefix(e.Field, known.Field)
			return under && (rest == "" || rest[0] == '.' || rest[0] == '[')
		}) {
			errs = append(errs, e)
		}
	}
	return errs
}

// decodeYAML reads the one object of a file. A key that stands twice is an error.
func decodeYAML(data []byte) (map[string]any, error) {
	text, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, yamlError(err)
	}
	// The library reads the first document and is silent about the others.
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for count := 0; ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read YAML: %w", err)
		}
		if one, err := yaml.YAMLToJSON(document); err != nil || string(one) != "null" {
			count++
		}
		if count > 1 {
			return nil, errors.New("holds more than one document; keep one")
		}
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	object, isObject := value.(map[string]any)
	if value != nil && !isObject {
		return nil, fmt.Errorf("holds %s, not a configuration; write keys and values, apiVersion and kind among them", kindOf(value))
	}
	return object, nil
}

// yamlError puts the lines of the YAML library into a list like ours.
func yamlError(err error) error {
	text := err.Error()
	// Two layers of the library prefix their messages.
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	text, listed := strings.CutPrefix(text, "unmarshal errors:\n")
	if lines := strings.Split(text, "\n"); listed && len(lines) > 1 {
		return fmt.Errorf("%d problems:\n%s", len(lines), text)
	}
	return errors.New(strings.TrimSpace(text))
}

// checkType wants the file to be of the kind: one of another kind may have the same keys
// and mean something else.
func checkType(values map[string]any, kind string) field.ErrorList {
	var errs field.ErrorList
	for _, want := range []struct{ key, value string }{{"apiVersion", GroupVersion.String()}, {"kind", kind}} {
		switch got, isText := values[want.key].(string); {
		case isText && got == want.value:
		case isText && got != "":
			errs = append(errs, field.Invalid(field.NewPath(want.key), shorten(got), "use "+want.value))
		default:
			errs = append(errs, field.Required(field.NewPath(want.key), "use "+want.value))
		}
	}
	return errs
}

// fill sets v to what a decoder made of the file. It does value by value what a decoder
// does at once, so that it can name every value that does not fit, not the first one
// only; such a value is left unset. Keys are compared in their exact case.
func fill(v reflect.Value, value any, at *field.Path) field.ErrorList {
	if value == nil {
		return nil
	}
	if _, decodesItself := v.Addr().Interface().(json.Unmarshaler); decodesItself {
		return fillLeaf(v, value, at)
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), value, at)
	case reflect.Struct:
		object, ok := value.(map[string]any)
		if !ok {
			return misfit(value, "keys and values", at)
		}
		return fillObject(v, object, at)
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			return misfit(value, "a list", at)
		}
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		var errs field.ErrorList
		for i, element := range list {
			errs = append(errs, fill(v.Index(i), element, at.Index(i))...)
		}
		return errs
	default:
		return fillLeaf(v, value, at)
	}
}

func fillObject(v reflect.Value, object map[string]any, at *field.Path) field.ErrorList {
	fields := make(map[string]reflect.Value)
	var known []string
	for _, f := range reflect.VisibleFields(v.Type()) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			continue // an embedded struct, whose fields are visible too
		}
		fields[key] = v.FieldByIndex(f.Index)
		known = append(known, key)
	}
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(object)) {
		path := at.Child(shorten(key))
		if f, found := fields[key]; found {
			errs = append(errs, fill(f, object[key], path)...)
		} else {
			errs = append(errs, field.Forbidden(path, "unknown key; use "+alternatives(known)))
		}
	}
	return errs
}

func fillLeaf(v reflect.Value, value any, at *field.Path) field.ErrorList {
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, v.Addr().Interface())
	}
	if err == nil {
		return nil
	}
	_, isDuration := v.Interface().(metav1.Duration)
	switch {
	case isDuration:
		return misfit(value, `a duration such as "500ms" or "3s"`, at)
	case v.Kind() == reflect.String:
		return misfit(value, "text, in quotes if it looks like a number or a truth value", at)
	case v.Kind() == reflect.Bool:
		return misfit(value, "true or false", at)
	default:
		return misfit(value, "a whole number", at)
	}
}

func misfit(value any, want string, at *field.Path) field.ErrorList {
	switch value.(type) {
	case map[string]any, []any:
		return field.ErrorList{field.Invalid(at, field.OmitValueType{}, fmt.Sprintf("is %s; write %s", kindOf(value), want))}
	default:
		return field.ErrorList{field.Invalid(at, shorten(fmt.Sprint(value)), "write "+want)}
	}
}

func kindOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "keys and values"
	case []any:
		return "a list"
	case string:
		return "text"
	case bool:
		return "true or false"
	default:
		return "a number"
	}
}
