// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"math"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seccompgate/seccompgate/seccomp"
)

func TestArgValueDecode(t *testing.T) {
	const remedy = ` is not an unsigned 64-bit number; write 0 to 18446744073709551615, or text from "0x0" to "0xffffffffffffffff"`
	for _, tc := range []struct {
		text    string
		want    ArgValue
		problem string
	}{
		{text: `0`},
		{text: `null`},
		{text: `2114060288`, want: 2114060288},
		{text: `9223372036854775807`, want: math.MaxInt64},
		{text: `18446744073709551615`, want: math.MaxUint64},
		{text: `"0x0"`},
		{text: `"0xffffffffffffffff"`, want: math.MaxUint64},
		{text: `"0xFFFFFFFF81000000"`, want: 0xFFFFFFFF81000000},
		{text: `-1`, problem: `argument value -1` + remedy},
		{text: `1.5`, problem: `argument value 1.5` + remedy},
		{text: `18446744073709551616`, problem: `argument value 18446744073709551616` + remedy},
		{text: `"0x10000000000000000"`, problem: `argument value "0x10000000000000000"` + remedy},
		{text: `"0x"`, problem: `argument value "0x"` + remedy},
		{text: `"0x-1"`, problem: `argument value "0x-1"` + remedy},
		{text: `"12"`, problem: `argument value "12"` + remedy},
		{text: `true`, problem: `argument value true` + remedy},
	} {
		t.Run(tc.text, func(t *testing.T) {
			var got ArgValue
			problem := ""
			if err := got.UnmarshalJSON([]byte(tc.text)); err != nil {
				problem = err.Error()
			}
			if got != tc.want || problem != tc.problem {
				t.Errorf("UnmarshalJSON = %d, %q; want %d, %q", got, problem, tc.want, tc.problem)
			}
		})
	}
}

// largeMask is a spec whose mask an API server cannot keep as a number.
func largeMask() LocalhostProfileSpec {
	return LocalhostProfileSpec{
		NodeSelector: map[string]string{"disk": "ssd"},
		Profile: OCIProfile{
			DefaultAction: "SCMP_ACT_ERRNO",
			Architectures: []Arch{"SCMP_ARCH_X86_64"},
			Syscalls: []OCISyscall{{
				Names: []string{"ioctl"}, Action: "SCMP_ACT_ALLOW",
				Args: []OCIArg{
					{Index: 1, Value: 0xffffffff00000000, ValueTwo: 0, Op: "SCMP_CMP_MASKED_EQ"},
					{Index: 2, Value: math.MaxInt64, ValueTwo: math.MaxInt64 + 1, Op: "SCMP_CMP_MASKED_EQ"},
				},
			}},
		},
	}
}

func TestSpecIsStoredWithoutLoss(t *testing.T) {
	spec := largeMask()
	const want = `{"nodeSelector":{"disk":"ssd"},"profile":{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],` +
		`"syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_ALLOW","args":[` +
		`{"index":1,"op":"SCMP_CMP_MASKED_EQ","value":"0xffffffff00000000"},` +
		`{"index":2,"op":"SCMP_CMP_MASKED_EQ","value":9223372036854775807,"valueTwo":"0x8000000000000000"}]}]}}`
	text, err := json.Marshal(&LocalhostProfile{Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	var parts struct{ Spec json.RawMessage }
	if err := json.Unmarshal(text, &parts); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(parts.Spec)); d != "" {
		t.Errorf("stored spec (-want +got):\n%s", d)
	}

	t.Run("read back", func(t *testing.T) {
		var v1, v2 LocalhostProfileSpec
		if err := json.Unmarshal(parts.Spec, &v1); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(spec, v1); d != "" {
			t.Errorf("encoding/json (-want +got):\n%s", d)
		}
		if err := jsonv2.Unmarshal(parts.Spec, &v2, jsonv2.RejectUnknownMembers(true)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(spec, v2); d != "" {
			t.Errorf("encoding/json/v2 (-want +got):\n%s", d)
		}
	})
	// Clients of the dynamic kind convert by way of maps, where a number is an int64.
	t.Run("by way of maps", func(t *testing.T) {
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&LocalhostProfile{Spec: spec})
		if err != nil {
			t.Fatal(err)
		}
		var got LocalhostProfile
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(spec, got.Spec); d != "" {
			t.Errorf("FromUnstructured (-want +got):\n%s", d)
		}
	})
}

// TestSpecWithoutLargeValues takes the short way through MarshalJSON: both ways must
// write the same.
func TestSpecWithoutLargeValues(t *testing.T) {
	spec := largeMask()
	for i := range spec.Profile.Syscalls[0].Args {
		spec.Profile.Syscalls[0].Args[i].Value, spec.Profile.Syscalls[0].Args[i].ValueTwo = 7, 1
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"nodeSelector":{"disk":"ssd"},"profile":{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],` +
		`"syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_ALLOW","args":[` +
		`{"index":1,"value":7,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"},{"index":2,"value":7,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"}]}]}}`
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Errorf("stored spec (-want +got):\n%s", d)
	}
}

func TestProfileAloneIsAProfileFile(t *testing.T) {
	spec := largeMask()
	text, err := json.Marshal(&spec.Profile)
	if err != nil {
		t.Fatal(err)
	}
	p, err := seccomp.Parse(text)
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	args := p.OCI().Syscalls[0].Args
	if args[0].Value != 0xffffffff00000000 || args[1].ValueTwo != math.MaxInt64+1 {
		t.Errorf("values %#x and %#x, want 0xffffffff00000000 and 0x8000000000000000", args[0].Value, args[1].ValueTwo)
	}
}
