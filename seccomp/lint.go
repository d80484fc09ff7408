// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Severity is how much a remark matters.
type Severity string

// The severities, the heaviest first.
const (
	SeverityError   Severity = "error"   // the profile does not do what it is for
	SeverityWarning Severity = "warning" // it does something else than it says
	SeverityInfo    Severity = "info"
)

// Remark is something about a valid profile that its author should know.
type Remark struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Key is the rule that it is about, such as "syscalls[3]"; empty for the profile.
	Key string `json:"key,omitempty"`
	// Message says what is so, Remedy what to do about it.
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// String returns the remark on one line.
func (r Remark) String() string {
	text := fmt.Sprintf("%s [%s] ", r.Severity, r.ID)
	if r.Key != "" {
		text += r.Key + ": "
	}
	return text + r.Message + "; " + r.Remedy
}

// Lint says what a profile does otherwise than its text suggests on nodes of the native
// architecture, the heaviest first.
func (p *Profile) Lint(native specs.Arch) ([]Remark, error) {
	a, err := p.Analyze(native)
	if err != nil {
		return nil, err
	}
	l := linter{profile: p, filter: p.Filter(native), native: native}
	l.verdict(a)
	l.rules()
	l.names()
	slices.SortStableFunc(l.remarks, func(a, b Remark) int {
		order := []Severity{SeverityError, SeverityWarning, SeverityInfo}
		return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
	})
	return l.remarks, nil
}

type linter struct {
	profile *Profile
	filter  *Filter
	native  specs.Arch
	remarks []Remark
}

func (l *linter) add(severity Severity, id, key, message, remedy string) {
	l.remarks = append(l.remarks, Remark{ID: id, Severity: severity, Key: key, Message: message, Remedy: remedy})
}

// verdict is about the profile as a whole.
func (l *linter) verdict(a *Analysis) {
	switch a.Grade {
	case GradeNone:
		l.add(SeverityError, "permissive", "", "it blocks nothing", "use it to record only, or let SCMP_ACT_ERRNO be the default action")
	case GradeBlockList:
		l.add(SeverityWarning, "block-list", "", fmt.Sprintf("what it does not name is let through, %d calls beyond the runtime's default among it, and whatever the next kernel brings", len(a.Beyond)),
			"let SCMP_ACT_ERRNO be the default action and name what is needed")
	case GradeWeaker:
		var names []string
		for _, b := range a.Beyond {
			names = append(names, b.Syscall)
		}
		l.add(SeverityWarning, "weaker-than-default", "", "it lets through what the runtime's default blocks: "+some(names), "remove them, or see what each is needed for with explain")
	case GradeTight, GradeDefault:
	}
	for _, m := range a.Missing {
		if m.Runtime == AnyRuntime {
			continue
		}
		when := "without"
		if m.NoNewPrivileges {
			when = "with"
		}
		l.add(SeverityError, "startable", "", fmt.Sprintf("%s starts no container %s allowPrivilegeEscalation: false, for it lacks %s", m.Runtime, when, some(m.Syscalls)), "allow them")
	}
	if l.filter.def.Action == specs.ActKillThread {
		l.add(SeverityWarning, "kill-thread", "defaultAction", "it ends the thread, not the process: what runs on may hang, and runc itself does", "use SCMP_ACT_KILL_PROCESS or SCMP_ACT_ERRNO")
	}
	if out := l.filter.Action(l.native, "clone3", [6]uint64{}); out.Action == specs.ActErrno && out.Errno != enosys {
		l.add(SeverityWarning, "clone3", "", fmt.Sprintf("clone3 fails with errno %d, after which a C library does not try clone", out.Errno), `add a rule for it with SCMP_ACT_ERRNO and "errnoRet": 38 (ENOSYS)`)
	}
	if l.filter.archs[specs.ArchX86] != nil && l.native == specs.ArchX86_64 {
		if c := l.filter.archs[specs.ArchX86].calls["socket"]; c != nil && !c.settled {
			l.add(SeverityInfo, "carrier", "", "32-bit programs make sockets by socketcall, too, where no argument of socket can be looked at", "leave SCMP_ARCH_X86 out unless 32-bit programs run")
		}
	}
}

// rules is about single rules, and how they act together.
func (l *linter) rules() {
	oci := &l.profile.oci
	settled := make(map[string]int) // by which rule
	conditional := make(map[string][]int)
	for i, call := range oci.Syscalls {
		key := fmt.Sprintf("syscalls[%d]", i)
		if call.Action == specs.ActNotify && oci.ListenerPath == "" {
			l.add(SeverityError, "listener", key, "SCMP_ACT_NOTIFY has nobody to notify: runc starts no container, crun answers ENOSYS", "name a socket under listenerPath")
		}
		if l.profile.isDefault(call) {
			l.add(SeverityInfo, "as-default", key, fmt.Sprintf("does for %s what the default action does anyway, so that it settles nothing", some(call.Names)), "remove it, or mind that a later rule decides")
			continue
		}
		var late []string
		for _, name := range unique(call.Names) {
			if _, ok := settled[name]; ok {
				late = append(late, name)
				continue
			}
			if len(separate(call.Args)) == 1 && len(conditions(call.Args, false)) == 0 {
				settled[name] = i
				for _, j := range conditional[name] {
					l.add(SeverityWarning, "wiped", fmt.Sprintf("syscalls[%d]", j), fmt.Sprintf("its conditions on %s are wiped by syscalls[%d], which has none", name, i), "leave one of the two")
				}
				continue
			}
			conditional[name] = append(conditional[name], i)
		}
		if len(late) > 0 {
			l.add(SeverityWarning, "no-effect", key, fmt.Sprintf("has no effect on %s: syscalls[%d] has settled it", some(late), settled[late[0]]), "leave one of the two")
		}
		if len(separate(call.Args)) > 1 && !alike(call.Args) {
			l.add(SeverityWarning, "alternatives", key, "compares an argument more than once, so that each of its conditions alone is enough", "write ranges by one comparison, or make several rules")
		}
	}
	calls := l.filter.archs[l.native].calls
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		if c := calls[name]; !c.settled && !c.simple() {
			l.add(SeverityWarning, "conditions", "", fmt.Sprintf("several rules have conditions on %s that libseccomp (2.5.4 was seen) may compile to something else", name), "let them compare one argument, by SCMP_CMP_EQ alone")
		}
	}
}

// alike says that all conditions compare one argument for equality, where being
// alternatives is what anybody would expect.
func alike(args []specs.LinuxSeccompArg) bool {
	return !slices.ContainsFunc(args, func(a specs.LinuxSeccompArg) bool {
		return a.Index != args[0].Index || a.Op != specs.OpEqualTo
	})
}

// names is about what the syscalls are called.
func (l *linter) names() {
	var unknown, newer []string
	for _, call := range l.profile.oci.Syscalls {
		for _, name := range call.Names {
			switch {
			case !KnownSyscall(name) && !slices.Contains(elsewhere(), name):
				unknown = append(unknown, name)
			case l.filter.def.LetsThrough() && blocks(call.Action) && recent(l.native, name) && slices.Contains(possibleNames(l.native), name):
				newer = append(newer, name)
			}
		}
	}
	for _, name := range unique(unknown) {
		remedy := "correct or remove it"
		if near, ok := meant(name, possibleNames(l.native)); ok {
			remedy = fmt.Sprintf("did you mean %q?", near)
		}
		l.add(SeverityWarning, "unknown-syscall", "", fmt.Sprintf("no kernel has a syscall %s, as far as is known", quote(name, maxShown)), remedy)
	}
	if len(newer) > 0 {
		l.add(SeverityWarning, "recent-syscall", "", fmt.Sprintf("%s may be let through all the same: libseccomp 2.5.4 does not know of it, and ignores the rule", some(unique(newer))),
			"let SCMP_ACT_ERRNO be the default action")
	}
	for _, arch := range l.filter.Architectures() {
		if l.filter.archs[arch].unsure {
			has := "does"
			if SyscallNames(arch) == nil {
				has = "may"
			}
			l.add(SeverityWarning, "foreign-names", "", fmt.Sprintf("it names syscalls that %s %s not have: with up to %d names, libseccomp (2.5.4 was seen) may then build a filter that does the default action only", arch, has, treeFrom),
				"write a profile for each architecture, or leave out its names")
		}
	}
}

// elsewhere are the names in the runtime's default, which has rules for architectures
// whose tables are not known.
var elsewhere = sync.OnceValue(func() []string {
	dialect, err := mobyDefault()
	if err != nil { // not on Linux; then some names are said to be unknown
		return nil
	}
	var names []string
	for _, call := range dialect.Syscalls {
		names = append(names, call.Names...)
	}
	return names
})

// some is a list of names that fits a line.
func some(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
