// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// texts are the messages of a list of errors, in order.
func texts(errs field.ErrorList) []string {
	var out []string
	for _, e := range errs {
		out = append(out, e.Error())
	}
	return out
}

func compare(t *testing.T, want []string, got field.ErrorList) {
	t.Helper()
	if d := cmp.Diff(want, texts(got)); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

func digestOf(digit byte) string { return "sha256:" + strings.Repeat(string(digit), 64) }

func pointer[T any](v T) *T { return &v }

// goodProfile uses everything that a profile may have.
func goodProfile() *LocalhostProfile {
	return &LocalhostProfile{
		TypeMeta:   metav1.TypeMeta{APIVersion: GroupVersion.String(), Kind: "LocalhostProfile"},
		ObjectMeta: metav1.ObjectMeta{Name: "team-a.web"},
		Spec: LocalhostProfileSpec{
			NodeSelector: map[string]string{"node-role.example.com/web": "", "disk": "ssd"},
			Profile: OCIProfile{
				DefaultAction:    "SCMP_ACT_ERRNO",
				DefaultErrnoRet:  pointer(int32(38)),
				Architectures:    architectures(),
				Flags:            flags(),
				ListenerPath:     "/run/listener.sock",
				ListenerMetadata: "web",
				Syscalls: []OCISyscall{
					{Names: []string{"read", "write"}, Action: "SCMP_ACT_ALLOW"},
					{Names: []string{"ptrace"}, Action: "SCMP_ACT_TRACE", ErrnoRet: pointer(int32(4095))},
					{Names: []string{"clone"}, Action: "SCMP_ACT_ALLOW", Args: []OCIArg{
						{Index: 0, Value: 2114060288, Op: "SCMP_CMP_MASKED_EQ"},
						{Index: 5, Value: math.MaxUint64, ValueTwo: math.MaxUint64, Op: "SCMP_CMP_NE"},
					}},
				},
			},
		},
		Status: LocalhostProfileStatus{
			Digest: digestOf('a'),
			Served: "seccompgate/team-a.web.aaaaaaaaaaaa.json",
			Nodes:  ProfileNodes{Desired: 2, Installed: 1, Failed: []ProfileFailure{{Node: "node-a", Reason: "read-only file system"}}},
		},
	}
}

func TestValidateLocalhostProfile(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tweak func(*LocalhostProfile)
		want  []string
	}{
		{"good", func(*LocalhostProfile) {}, nil},
		{"shortest", func(p *LocalhostProfile) {
			*p = LocalhostProfile{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: LocalhostProfileSpec{Profile: OCIProfile{DefaultAction: "SCMP_ACT_LOG"}}}
		}, nil},
		{"plain path served", func(p *LocalhostProfile) { p.Status.Served = "seccompgate/team-a.web.json" }, nil},
		{"no name", func(p *LocalhostProfile) { p.Name, p.Status.Served = "", "" }, []string{
			`metadata.name: Required value: name the profile; the name becomes a label value and a file name`,
		}},
		{"long name", func(p *LocalhostProfile) { p.Name, p.Status.Served = strings.Repeat("a", 64), "" }, []string{
			`metadata.name: Invalid value: "` + strings.Repeat("a", 64) + `": has 64 characters; use at most 63, so that it fits a label value`,
		}},
		{"runtime-default", func(p *LocalhostProfile) { p.Name, p.Status.Served = "runtime-default", "" }, []string{
			`metadata.name: Invalid value: "runtime-default": is reserved; choose another name`,
		}},
		{"unconfined", func(p *LocalhostProfile) { p.Name, p.Status.Served = "unconfined", "" }, []string{
			`metadata.name: Invalid value: "unconfined": is reserved; choose another name`,
		}},
		{"upper case", func(p *LocalhostProfile) { p.Name, p.Status.Served = "Web", "" }, []string{
			`metadata.name: Invalid value: "Web": is not a DNS subdomain; use lower-case letters, digits, "-" and ".", with a letter or digit at both ends of each part`,
		}},
		{"name of a generation", func(p *LocalhostProfile) { p.Name, p.Status.Served = "web.0123456789ab", "" }, []string{
			`metadata.name: Invalid value: "web.0123456789ab": ends like the file of a generation (a dot and 12 hexadecimal digits); choose another name`,
		}},
		{"status of another profile", func(p *LocalhostProfile) { p.Status.Served = "seccompgate/other.aaaaaaaaaaaa.json" }, []string{
			`status.served: Invalid value: "seccompgate/other.aaaaaaaaaaaa.json": is not a file of this profile: seccompgate/team-a.web.<first 12 digits of the digest>.json, or seccompgate/team-a.web.json`,
		}},
		{"status of a profile with a longer name", func(p *LocalhostProfile) { p.Status.Served = "seccompgate/team-a.web.b.aaaaaaaaaaaa.json" }, []string{
			`status.served: Invalid value: "seccompgate/team-a.web.b.aaaaaaaaaaaa.json": is not a file of this profile: seccompgate/team-a.web.<first 12 digits of the digest>.json, or seccompgate/team-a.web.json`,
		}},
		{"two labels", func(p *LocalhostProfile) {
			p.Spec.NodeSelector = map[string]string{"a b": "x", "disk": "s s"}
		}, []string{
			`spec.nodeSelector: Invalid value: "a b": is not a label's key: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			`spec.nodeSelector[disk]: Invalid value: "s s": is not a label's value: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
		}},
		{"no default action", func(p *LocalhostProfile) { p.Spec.Profile.DefaultAction, p.Spec.Profile.DefaultErrnoRet = "", nil }, []string{
			`spec.profile.defaultAction: Required value: use SCMP_ACT_ALLOW, SCMP_ACT_LOG, SCMP_ACT_NOTIFY, SCMP_ACT_TRACE, SCMP_ACT_ERRNO, SCMP_ACT_TRAP, SCMP_ACT_KILL, SCMP_ACT_KILL_THREAD or SCMP_ACT_KILL_PROCESS`,
		}},
		{"notify by default", func(p *LocalhostProfile) {
			p.Spec.Profile.DefaultAction, p.Spec.Profile.DefaultErrnoRet = "SCMP_ACT_NOTIFY", nil
		}, []string{
			`spec.profile.defaultAction: Invalid value: "SCMP_ACT_NOTIFY": cannot be the default action: no container starts; use SCMP_ACT_ERRNO and give SCMP_ACT_NOTIFY to single syscalls`,
		}},
		{"too large", func(p *LocalhostProfile) {
			names := make([]string, 1024)
			for i := range names {
				names[i] = fmt.Sprintf("%060d", i)
			}
			call := OCISyscall{Names: names, Action: "SCMP_ACT_ALLOW"}
			p.Spec.Profile = OCIProfile{DefaultAction: "SCMP_ACT_ERRNO", Syscalls: []OCISyscall{call, call, call, call, call}}
		}, []string{
			`spec.profile: Invalid value: "322797 bytes": a profile file has at most 262144; decide about fewer syscalls by their arguments`,
		}},
		{"too many of everything", func(p *LocalhostProfile) {
			call := OCISyscall{Names: make([]string, 1025), Action: "SCMP_ACT_ALLOW", Args: make([]OCIArg, 65)}
			for i := range call.Names {
				call.Names[i] = "read"
			}
			for i := range call.Args {
				call.Args[i].Op = "SCMP_CMP_EQ"
			}
			p.Spec.Profile.Syscalls = make([]OCISyscall, 4097)
			for i := range p.Spec.Profile.Syscalls {
				p.Spec.Profile.Syscalls[i] = OCISyscall{Names: []string{"read"}, Action: "SCMP_ACT_ALLOW"}
			}
			p.Spec.Profile.Syscalls[0] = call
			p.Spec.NodeSelector = make(map[string]string)
			for i := range 33 {
				p.Spec.NodeSelector[fmt.Sprint("l", i)] = ""
			}
		}, []string{
			`spec.nodeSelector: Too many: 33: must have at most 32 items`,
			`spec.profile.syscalls: Too many: 4097: must have at most 4096 items`,
			`spec.profile.syscalls[0].names: Too many: 1025: must have at most 1024 items`,
			`spec.profile.syscalls[0].args: Too many: 65: must have at most 64 items`,
		}},
		{"every problem at once", func(p *LocalhostProfile) {
			p.Name = "Web"
			p.Spec.Profile = OCIProfile{
				DefaultAction:   "SCMP_ACT_ALLOW",
				DefaultErrnoRet: pointer(int32(0)),
				Architectures:   []Arch{"x86_64"},
				Flags:           []Flag{"LOG"},
				Syscalls: []OCISyscall{
					{Action: "allow"},
					{
						Names: []string{"", "re ad", strings.Repeat("a", 65)}, Action: "SCMP_ACT_LOG", ErrnoRet: pointer(int32(4096)),
						Args: []OCIArg{{Index: 6, Op: "=="}},
					},
				},
			}
			p.Status.Digest, p.Status.Served = "sha256:ABC", "../etc/passwd"
		}, []string{
			`metadata.name: Invalid value: "Web": is not a DNS subdomain; use lower-case letters, digits, "-" and ".", with a letter or digit at both ends of each part`,
			`spec.profile.defaultErrnoRet: Invalid value: 0: use 1 to 4095`,
			`spec.profile.defaultErrnoRet: Invalid value: 0: has no meaning with SCMP_ACT_ALLOW; remove it, or use SCMP_ACT_ERRNO`,
			`spec.profile.architectures[0]: Invalid value: "x86_64": use SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, SCMP_ARCH_RISCV64, SCMP_ARCH_LOONGARCH64, SCMP_ARCH_PPC64LE, SCMP_ARCH_PPC64, SCMP_ARCH_PPC, SCMP_ARCH_S390X, SCMP_ARCH_S390, SCMP_ARCH_MIPS, SCMP_ARCH_MIPS64, SCMP_ARCH_MIPS64N32, SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64N32, SCMP_ARCH_PARISC, SCMP_ARCH_PARISC64, SCMP_ARCH_M68K, SCMP_ARCH_SH or SCMP_ARCH_SHEB`,
			`spec.profile.flags[0]: Invalid value: "LOG": use SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV or SECCOMP_FILTER_FLAG_TSYNC`,
			`spec.profile.syscalls[0].names: Required value: name the syscalls, or remove the rule`,
			`spec.profile.syscalls[0].action: Invalid value: "allow": use SCMP_ACT_ALLOW, SCMP_ACT_LOG, SCMP_ACT_NOTIFY, SCMP_ACT_TRACE, SCMP_ACT_ERRNO, SCMP_ACT_TRAP, SCMP_ACT_KILL, SCMP_ACT_KILL_THREAD or SCMP_ACT_KILL_PROCESS`,
			`spec.profile.syscalls[1].names[0]: Invalid value: "": is not a syscall's name: 1 to 64 characters of printable ASCII without spaces`,
			`spec.profile.syscalls[1].names[1]: Invalid value: "re ad": is not a syscall's name: 1 to 64 characters of printable ASCII without spaces`,
			`spec.profile.syscalls[1].names[2]: Invalid value: "` + strings.Repeat("a", 65) + `": is not a syscall's name: 1 to 64 characters of printable ASCII without spaces`,
			`spec.profile.syscalls[1].errnoRet: Invalid value: 4096: use 1 to 4095`,
			`spec.profile.syscalls[1].errnoRet: Invalid value: 4096: has no meaning with SCMP_ACT_LOG; remove it, or use SCMP_ACT_ERRNO`,
			`spec.profile.syscalls[1].args[0].index: Invalid value: 6: use 0 to 5`,
			`spec.profile.syscalls[1].args[0].op: Invalid value: "==": use SCMP_CMP_EQ, SCMP_CMP_NE, SCMP_CMP_MASKED_EQ, SCMP_CMP_LT, SCMP_CMP_LE, SCMP_CMP_GT or SCMP_CMP_GE`,
			`status.digest: Invalid value: "sha256:ABC": is not "sha256:" and 64 hexadecimal digits in lower case`,
			`status.served: Invalid value: "../etc/passwd": is not a file of this profile: seccompgate/Web.<first 12 digits of the digest>.json, or seccompgate/Web.json`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := goodProfile()
			tc.tweak(p)
			compare(t, tc.want, ValidateLocalhostProfile(p))
		})
	}
}

// goodNode lists its files itself.
func goodNode() *SeccompNode {
	return &SeccompNode{
		TypeMeta:   metav1.TypeMeta{APIVersion: GroupVersion.String(), Kind: "SeccompNode"},
		ObjectMeta: metav1.ObjectMeta{Name: "node-a.example.com"},
		Facts: NodeFacts{
			SeccompRoot:    "/var/lib/kubelet/seccomp",
			SeccompDefault: pointer(true),
			ActionsAvail:   []string{"kill_process", "errno", "allow"},
			Architectures:  []Arch{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"},
			Runtimes: []Runtime{
				{Name: "containerd", Version: "2.1.4", LowLevel: "runc", LowLevelVersion: "1.3.0"},
				{Handler: "gvisor", Name: "containerd", LowLevel: "runsc"},
			},
			Profiles: goodFiles(),
		},
	}
}

func goodFiles() []ProfileFile {
	return []ProfileFile{
		{Path: "README.md", Digest: digestOf('a'), Size: 3, Reason: "file is empty"},
		{Path: "seccompgate/app.json", Digest: digestOf('b'), Size: 35, Valid: true, Managed: true, Analysis: &ProfileAnalysis{
			DefaultAction: "SCMP_ACT_ERRNO", Architectures: []Arch{"SCMP_ARCH_X86_64"}, Grade: "A", Dangerous: []string{"bpf"},
			BeyondDefault:  []BeyondDefault{{Syscall: "bpf", UnlessCapability: []string{"CAP_BPF"}}},
			MissingToStart: []MissingToStart{{Runtime: "runc", NoNewPrivileges: true, Syscalls: []string{"futex"}}},
		}},
		{Path: "too large/..a b", Size: 300000, Reason: "file has 300000 bytes, more than 262144"},
		{Path: "only-a-path"},
	}
}

func TestValidateSeccompNode(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tweak func(*SeccompNode)
		want  []string
	}{
		{"good", func(*SeccompNode) {}, nil},
		{"nothing known", func(n *SeccompNode) { n.Facts = NodeFacts{} }, nil},
		{"profile set", func(n *SeccompNode) { n.Facts.Profiles, n.Facts.ProfileSet = nil, ProfileSetName(goodFiles()) }, nil},
		{"truncated", func(n *SeccompNode) { n.Facts.Truncated = true }, nil},
		{"both lists", func(n *SeccompNode) { n.Facts.ProfileSet = ProfileSetName(nil) }, []string{
			`facts.profileSet: Invalid value: "` + ProfileSetName(nil) + `": both profileSet and profiles are set; name a ProfileSet or list the files`,
		}},
		{"too many files", func(n *SeccompNode) {
			n.Facts.Profiles = nil
			for i := range 1001 {
				n.Facts.Profiles = append(n.Facts.Profiles, ProfileFile{Path: fmt.Sprint(i)})
			}
		}, []string{
			`facts.profiles: Too many: 1001: must have at most 1000 items`,
		}},
		{"every problem at once", func(n *SeccompNode) {
			n.Name = ""
			n.Facts = NodeFacts{
				SeccompRoot:   "var/lib",
				Architectures: []Arch{"amd64"},
				Runtimes:      []Runtime{{Name: "a"}, {Handler: "b"}, {Name: "c"}},
				ProfileSet:    "mine",
			}
		}, []string{
			`metadata.name: Required value: write the name of a Node`,
			`facts.seccompRoot: Invalid value: "var/lib": is not an absolute path in its cleaned form`,
			`facts.architectures[0]: Invalid value: "amd64": use ` + alternatives(architectures()),
			`facts.runtimes[2].handler: Duplicate value: ""`,
			`facts.profileSet: Invalid value: "mine": is not the name of a ProfileSet, 32 hexadecimal digits; list files of your own under profiles`,
		}},
		{"every problem of files at once", func(n *SeccompNode) {
			n.Facts.Profiles = []ProfileFile{
				{Path: ""},
				{Path: "/a"},
				{Path: "../a"},
				{Path: "a//b"},
				{Path: "./a"},
				{Path: "a/"},
				{Path: ".."},
				{Path: "."},
				{Path: "a/../b"},
				{Path: "\u00e4.json"},
				{Path: "a\n"},
				{Path: strings.Repeat("a", 256)},
				{Path: strings.Repeat("a/", 512) + "a"},
				{Path: "same"},
				{Path: "same"},
				{
					Path: "b", Digest: "md5:00", Size: -1,
					Analysis: &ProfileAnalysis{DefaultAction: "ALLOW", Architectures: []Arch{"arm"}},
				},
				{Path: "c", Digest: strings.Repeat("f", 71)},
			}
		}, []string{
			`facts.profiles[0].path: Required value: name a file by its path below the seccomp root`,
			`facts.profiles[1].path: Invalid value: "/a": is absolute; write it relative to the seccomp root`,
			`facts.profiles[2].path: Invalid value: "../a": is not in its cleaned form; write it without ".", ".." and empty elements`,
			`facts.profiles[3].path: Invalid value: "a//b": is not in its cleaned form; write it without ".", ".." and empty elements`,
			`facts.profiles[4].path: Invalid value: "./a": is not in its cleaned form; write it without ".", ".." and empty elements`,
			`facts.profiles[5].path: Invalid value: "a/": is not in its cleaned form; write it without ".", ".." and empty elements`,
			`facts.profiles[6].path: Invalid value: "..": is not in its cleaned form; write it without ".", ".." and empty elements`,
			`facts.profiles[7].path: Invalid value: ".": is not in its cleaned form; write it without ".", ".." and empty elements`,
			`facts.profiles[8].path: Invalid value: "a/../b": is not in its cleaned form; write it without ".", ".." and empty elements`,
			`facts.profiles[9].path: Invalid value: "ä.json": has a character outside printable ASCII`,
			`facts.profiles[10].path: Invalid value: "a\n": has a character outside printable ASCII`,
			`facts.profiles[11].path: Invalid value: "` + strings.Repeat("a", 80) + `...": has an element of more than 255 bytes`,
			`facts.profiles[12].path: Invalid value: "` + strings.Repeat("a/", 40) + `...": has 1025 bytes; use at most 1024`,
			`facts.profiles[15].digest: Invalid value: "md5:00": is not "sha256:" and 64 hexadecimal digits in lower case`,
			`facts.profiles[15].size: Invalid value: -1: is negative`,
			`facts.profiles[15].analysis.defaultAction: Invalid value: "ALLOW": use ` + alternatives(actions()),
			`facts.profiles[15].analysis.architectures[0]: Invalid value: "arm": use ` + alternatives(architectures()),
			`facts.profiles[16].digest: Invalid value: "` + strings.Repeat("f", 71) + `": is not "sha256:" and 64 hexadecimal digits in lower case`,
			`facts.profiles[14].path: Duplicate value: "same"`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := goodNode()
			tc.tweak(n)
			compare(t, tc.want, ValidateSeccompNode(n))
		})
	}
}

func goodSet() *ProfileSet {
	return &ProfileSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: GroupVersion.String(), Kind: "ProfileSet"},
		ObjectMeta: metav1.ObjectMeta{Name: ProfileSetName(goodFiles())},
		Profiles:   goodFiles(),
	}
}

func TestValidateProfileSet(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tweak func(*ProfileSet)
		want  []string
	}{
		{"good", func(*ProfileSet) {}, nil},
		{"another order", func(s *ProfileSet) { s.Profiles[0], s.Profiles[1] = s.Profiles[1], s.Profiles[0] }, nil},
		{"no files", func(s *ProfileSet) { s.Profiles, s.Name = nil, ProfileSetName(nil) }, nil},
		{"content of another name", func(s *ProfileSet) { s.Profiles = s.Profiles[:1] }, []string{
			`metadata.name: Invalid value: "` + ProfileSetName(goodFiles()) + `": is not the hash of the content; write ` +
				ProfileSetName(goodFiles()[:1]) + `, or list files of your own in a SeccompNode`,
		}},
		{"every problem at once", func(s *ProfileSet) {
			s.Name = "mine"
			s.Profiles = []ProfileFile{{Path: "/a"}}
		}, []string{
			`profiles[0].path: Invalid value: "/a": is absolute; write it relative to the seccomp root`,
			`metadata.name: Invalid value: "mine": is not the hash of the content; write ` + ProfileSetName([]ProfileFile{{Path: "/a"}}) +
				`, or list files of your own in a SeccompNode`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := goodSet()
			tc.tweak(s)
			compare(t, tc.want, ValidateProfileSet(s))
		})
	}
}

func goodPolicy() *SeccompPolicy {
	return &SeccompPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: GroupVersion.String(), Kind: "SeccompPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: "ours"},
		Spec: SeccompPolicySpec{
			Rules:      []RegoModule{{Name: "no-log.rego", Rego: "package seccompgate.rules.no_log\n"}},
			Parameters: map[string]string{"registry": "registry.example.com"},
			Exceptions: []PolicyException{
				{
					Rules: []string{"profile-missing", "unset"}, Namespaces: []string{"legacy"},
					PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "old"}},
					Reason:      "moves to the new cluster", Expires: metav1.NewTime(now),
				},
				{Rules: []string{"unset"}, Reason: "all of them", Expires: metav1.NewTime(now)},
			},
		},
	}
}

// now is the time of these tests.
var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestValidateSeccompPolicy(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tweak func(*SeccompPolicy)
		want  []string
	}{
		{"good", func(*SeccompPolicy) {}, nil},
		{"empty", func(p *SeccompPolicy) { p.Spec = SeccompPolicySpec{} }, nil},
		{"an empty exception", func(p *SeccompPolicy) { p.Spec.Exceptions[0] = PolicyException{} }, []string{
			`spec.exceptions[0].rules: Required value: name the rules whose findings are excused; there is no entry for all of them`,
			`spec.exceptions[0].reason: Required value: say why; it is shown with every excused finding`,
			`spec.exceptions[0].expires: Required value: say when the exception ends, such as 2030-01-31T00:00:00Z`,
		}},
		{"an exception from whatever fails", func(p *SeccompPolicy) { p.Spec.Exceptions[0].Rules = []string{"rule-error", "unset", "not-synced"} }, []string{
			`spec.exceptions[0].rules[0]: Invalid value: "rule-error": stands for any rule that gave no answer; name the rule itself, and its errors are excused with its findings`,
			`spec.exceptions[0].rules[2]: Invalid value: "not-synced": stands for any rule that gave no answer; name the rule itself, and its errors are excused with its findings`,
		}},
		{"too many of everything", func(p *SeccompPolicy) {
			p.Spec.Exceptions = make([]PolicyException, 257)
			for i := range p.Spec.Exceptions {
				p.Spec.Exceptions[i] = goodPolicy().Spec.Exceptions[1]
			}
			p.Spec.Exceptions[0].Reason = strings.Repeat("ä", 257)
			p.Spec.Rules, p.Spec.Parameters = nil, make(map[string]string)
			for i := range 65 {
				p.Spec.Rules = append(p.Spec.Rules, RegoModule{Name: fmt.Sprintf("r%d.rego", i), Rego: "package a"})
				p.Spec.Parameters[fmt.Sprintf("p%02d", i)] = ""
			}
			p.Spec.Rules[0].Rego = strings.Repeat("#", 256<<10+1)
			p.Spec.Parameters["p00"] = strings.Repeat("x", 4097)
		}, []string{
			`spec.rules: Too many: 65: must have at most 64 items`,
			`spec.rules[0].rego: Too long: may not be more than 262144 characters`,
			`spec.parameters: Too many: 65: must have at most 64 items`,
			`spec.parameters[p00]: Too long: may not be more than 4096 characters`,
			`spec.exceptions: Too many: 257: must have at most 256 items`,
			`spec.exceptions[0].reason: Too long: may not be more than 256 characters`,
		}},
		{"every problem at once", func(p *SeccompPolicy) {
			p.Spec.Rules = []RegoModule{{Name: "a.rego", Rego: " "}, {Name: "a.rego", Rego: "package a"}, {Name: "../b.rego", Rego: "package b"}}
			p.Spec.Parameters = map[string]string{"": "x"}
			p.Spec.Exceptions = []PolicyException{{
				Rules: []string{"*", "unset", "unset"}, Namespaces: []string{"kube-*", "a", "a"},
				PodSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "app"}}},
				Reason:      "two\nlines", Expires: metav1.NewTime(now),
			}}
		}, []string{
			`spec.rules[0].rego: Required value: write the module, or remove the entry`,
			`spec.rules[2].name: Invalid value: "../b.rego": is not a file name of Rego; use lower-case letters, digits, "-", "_" and ".", and ".rego" at the end`,
			`spec.rules[1].name: Duplicate value: "a.rego"`,
			`spec.parameters: Invalid value: "": the name of a parameter has 1 to 63 characters`,
			`spec.exceptions[0].rules[0]: Invalid value: "*": is not the id of a rule, such as profile-missing; there are no patterns`,
			`spec.exceptions[0].rules[2]: Duplicate value: "unset"`,
			`spec.exceptions[0].namespaces[0]: Invalid value: "kube-*": is not the name of a Namespace: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			`spec.exceptions[0].namespaces[2]: Duplicate value: "a"`,
			`spec.exceptions[0].podSelector.matchExpressions[0].operator: Invalid value: "app": not a valid selector operator`,
			`spec.exceptions[0].reason: Invalid value: "two\nlines": has a line break or another control character; write one line`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := goodPolicy()
			tc.tweak(p)
			compare(t, tc.want, ValidateSeccompPolicy(p))
		})
	}
}

func goodRecording() *SyscallRecording {
	return &SyscallRecording{
		TypeMeta:   metav1.TypeMeta{APIVersion: GroupVersion.String(), Kind: "SyscallRecording"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec: SyscallRecordingSpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Until:       metav1.NewTime(now.Add(MaxRecording)),
		},
	}
}

func TestValidateSyscallRecording(t *testing.T) {
	until := func(d time.Duration) func(*SyscallRecording) {
		return func(r *SyscallRecording) { r.Spec.Until = metav1.NewTime(now.Add(d)) }
	}
	// created is a recording that began a day ago.
	created := func(d time.Duration) *SyscallRecording {
		r := goodRecording()
		r.CreationTimestamp = metav1.NewTime(now.Add(-24 * time.Hour))
		r.Spec.Until = metav1.NewTime(now.Add(d))
		return r
	}
	for _, tc := range []struct {
		name  string
		tweak func(*SyscallRecording)
		old   *SyscallRecording
		want  []string
	}{
		{"seven days", until(MaxRecording), nil, nil},
		{"a second", until(time.Second), nil, nil},
		{"every pod", func(r *SyscallRecording) { r.Spec.PodSelector = metav1.LabelSelector{} }, nil, nil},
		{"more than seven days", until(MaxRecording + time.Second), nil, []string{
			`spec.until: Invalid value: "2026-11-08T12:00:01Z": is more than 7 days from now; use 2026-11-08T12:00:00Z or earlier`,
		}},
		{"now", until(0), nil, []string{
			`spec.until: Invalid value: "2026-11-01T12:00:00Z": is in the past; use a time after 2026-11-01T12:00:00Z`,
		}},
		{"no end and no selector", func(r *SyscallRecording) {
			r.Spec = SyscallRecordingSpec{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"a b": ""}}}
		}, nil, []string{
			`spec.podSelector.matchLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			`spec.until: Required value: say when the recording ends, at most 7 days from now, such as 2026-11-01T13:00:00Z`,
		}},
		{"prolonged", until(6 * 24 * time.Hour), created(time.Hour), nil},
		{"prolonged beyond seven days", until(6*24*time.Hour + time.Second), created(time.Hour), []string{
			`spec.until: Invalid value: "2026-11-07T12:00:01Z": is more than 7 days after the recording was created; use 2026-11-07T12:00:00Z or earlier`,
		}},
		{"ended early", until(-time.Minute), created(time.Hour), nil},
		{"over and unchanged", until(-time.Minute), created(-time.Minute), nil},
		{"other pods", func(r *SyscallRecording) { r.Spec.PodSelector = metav1.LabelSelector{} }, created(MaxRecording), []string{
			`spec.podSelector: Forbidden: the pods of a recording do not change; create another recording`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := goodRecording()
			tc.tweak(r)
			compare(t, tc.want, ValidateSyscallRecording(r, tc.old, now))
		})
	}
}
