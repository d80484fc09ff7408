// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"
)

// Schema is the JSON schema of Input, the content of schema/input.json. A path that is
// not in it is a compile error in a rule.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{
		DoNotReference: true,
		ExpandedStruct: true,
		Anonymous:      true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			// The object as submitted may be anything.
			if t == reflect.TypeFor[json.RawMessage]() {
				return &jsonschema.Schema{Type: "object"}
			}
			return nil
		},
	}
	s := r.Reflect(&Input{})
	s.Title = "Input of seccompgate rules, " + InputVersion
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("make input schema: %w", err)
	}
	return append(raw, '\n'), nil
}
