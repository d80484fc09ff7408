// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"
)

func TestPermissive(t *testing.T) {
	for _, tc := range []struct {
		name    string
		profile string
		want    bool
	}{
		{"allow", `{"defaultAction":"SCMP_ACT_ALLOW"}`, true},
		{"log", `{"defaultAction":"SCMP_ACT_LOG"}`, true},
		{"errno", `{"defaultAction":"SCMP_ACT_ERRNO"}`, false},
		{"trap", `{"defaultAction":"SCMP_ACT_TRAP"}`, false},
		{"kill", `{"defaultAction":"SCMP_ACT_KILL"}`, false},
		{"trace without tracer fails the call", `{"defaultAction":"SCMP_ACT_TRACE"}`, false},
		{
			"errno for everything that is named",
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}`, false,
		},
		{"block list", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ERRNO"}]}`, false},
		{"notify in a rule", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_NOTIFY"}]}`, false},
		{"trace in a rule", `{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_TRACE"}]}`, false},
		{"a name that no kernel knows counts", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["nosuch"],"action":"SCMP_ACT_KILL"}]}`, false},
		{"log rules only", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_LOG"}]}`, true},
		{
			"the first rule without conditions wins",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_LOG"},{"names":["bpf"],"action":"SCMP_ACT_ERRNO"}]}`, true,
		},
		{
			"a rule equal to the default is no first rule",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ALLOW"},{"names":["bpf"],"action":"SCMP_ACT_ERRNO"}]}`, false,
		},
		{
			"allow is a rule under log",
			`{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ALLOW"},{"names":["bpf"],"action":"SCMP_ACT_ERRNO"}]}`, true,
		},
		{
			"a rule without conditions wipes those before it",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
				{"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":38,"op":"SCMP_CMP_EQ"}]},
				{"names":["socket"],"action":"SCMP_ACT_LOG"}]}`, true,
		},
		{
			"a rule equal to the default wipes nothing",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
				{"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":38,"op":"SCMP_CMP_EQ"}]},
				{"names":["socket"],"action":"SCMP_ACT_ALLOW"}]}`, false,
		},
		{
			"a blocking rule without conditions wipes a log rule with one",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
				{"names":["socket"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":38,"op":"SCMP_CMP_EQ"}]},
				{"names":["socket"],"action":"SCMP_ACT_ERRNO"}]}`, false,
		},
		{
			"a condition after the syscall is settled does nothing",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
				{"names":["socket"],"action":"SCMP_ACT_LOG"},
				{"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":38,"op":"SCMP_CMP_EQ"}]}]}`, true,
		},
		{
			"another syscall is not settled",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_LOG"},{"names":["bpf","mount"],"action":"SCMP_ACT_ERRNO"}]}`, false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Parse([]byte(tc.profile))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Permissive(); got != tc.want {
				t.Errorf("Permissive = %t, want %t", got, tc.want)
			}
		})
	}
}

// TestPermissiveAgreesWithTheFilter compares with the filter that libseccomp
// would build: for each syscall the rules that stay, added one by one as it and
// runc do.
func TestPermissiveAgreesWithTheFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &Profile{oci: *drawProfile(t)}
		for i := range p.oci.Syscalls {
			for j := range p.oci.Syscalls[i].Names {
				p.oci.Syscalls[i].Names[j] = rapid.SampledFrom([]string{"bpf", "mount"}).Draw(t, "name")
			}
		}
		want := !blocks(p.oci.DefaultAction)
		for _, name := range []string{"bpf", "mount"} {
			for _, rule := range filterOf(&p.oci, name) {
				want = want && !blocks(rule.Action)
			}
		}
		if got := p.Permissive(); got != want {
			t.Errorf("Permissive = %t, want %t for\n%s", got, want, p.Marshal())
		}
	})
}

func filterOf(oci *specs.LinuxSeccomp, name string) []specs.LinuxSyscall {
	var filter []specs.LinuxSyscall
	for _, rule := range oci.Syscalls {
		for _, n := range rule.Names {
			switch {
			case n != name || rule.Action == oci.DefaultAction:
			case len(filter) == 1 && len(filter[0].Args) == 0:
			case len(rule.Args) == 0:
				filter = []specs.LinuxSyscall{rule}
			default:
				filter = append(filter, rule)
			}
		}
	}
	return filter
}
