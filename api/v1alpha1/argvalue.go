// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ArgValue is a number that an argument of a syscall is compared with: unsigned, of
// 64 bits.
//
// JSON has such numbers and profile files use them, in masks above all. An API server
// keeps whole numbers as int64 and makes others floating-point, which would change the
// mask without a word. So an object of the API writes what lies above int64 as text:
// "0x" and up to 16 hexadecimal digits, which is allowed for every value. Decimal text
// is not: the schema could not tell where 64 bits end.
//
// In Go and in a profile file the value is a number; only [LocalhostProfileSpec] is
// written for an API server.
//
// +kubebuilder:validation:XIntOrString
// +kubebuilder:validation:Type=""
// +kubebuilder:validation:Format=""
// +kubebuilder:validation:MaxLength=18
// +kubebuilder:validation:Pattern=`^0x[0-9a-fA-F]{1,16}$`
// +kubebuilder:validation:XValidation:rule="type(self) != int || self >= 0",message="is negative; write what lies above 9223372036854775807 as text in hexadecimal, such as \"0xffffffffffffffff\""
type ArgValue uint64

// hexPrefix begins a value that is written as text.
const hexPrefix = "0x"

// UnmarshalJSON reads a number or hexadecimal text.
func (v *ArgValue) UnmarshalJSON(data []byte) error {
	text := string(data)
	if text == "null" {
		return nil // absent, as for every other field
	}
	if !strings.HasPrefix(text, `"`) {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return argValueError(text)
		}
		*v = ArgValue(n)
		return nil
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	digits, hex := strings.CutPrefix(text, hexPrefix)
	n, err := strconv.ParseUint(digits, 16, 64)
	if !hex || err != nil {
		return argValueError(strconv.Quote(text))
	}
	*v = ArgValue(n)
	return nil
}

func argValueError(text string) error {
	return fmt.Errorf(`argument value %s is not an unsigned 64-bit number; write 0 to %d, or text from "0x0" to "0xffffffffffffffff"`,
		text, uint64(math.MaxUint64))
}

// MarshalJSON writes the spec as an API server can keep it: see [ArgValue]. The
// profile in it, marshalled alone, is a profile file.
func (s LocalhostProfileSpec) MarshalJSON() ([]byte, error) {
	type plain LocalhostProfileSpec // without this method
	if !s.Profile.hasLargeValue() {
		return json.Marshal(plain(s))
	}
	type arg struct {
		OCIArg
		// These hide the ones of OCIArg.
		Value    any `json:"value"`
		ValueTwo any `json:"valueTwo,omitempty"`
	}
	type syscall struct {
		OCISyscall
		Args []arg `json:"args,omitempty"`
	}
	type profile struct {
		OCIProfile
		Syscalls []syscall `json:"syscalls,omitempty"`
	}
	out := struct {
		plain
		Profile profile `json:"profile"`
	}{plain: plain(s), Profile: profile{OCIProfile: s.Profile}}
	for _, call := range s.Profile.Syscalls {
		c := syscall{OCISyscall: call}
		for _, a := range call.Args {
			b := arg{OCIArg: a, Value: a.Value.stored()}
			if a.ValueTwo != 0 {
				b.ValueTwo = a.ValueTwo.stored()
			}
			c.Args = append(c.Args, b)
		}
		out.Profile.Syscalls = append(out.Profile.Syscalls, c)
	}
	return json.Marshal(out)
}

func (p *OCIProfile) hasLargeValue() bool {
	for i := range p.Syscalls {
		for _, a := range p.Syscalls[i].Args {
			if max(a.Value, a.ValueTwo) > math.MaxInt64 {
				return true
			}
		}
	}
	return false
}

// stored is what an API server keeps.
func (v ArgValue) stored() any {
	if v > math.MaxInt64 {
		return hexPrefix + strconv.FormatUint(uint64(v), 16)
	}
	return uint64(v)
}
