// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// fields are those of a record as the kernel writes them, and bare is all of it.
	fields = `auid=4294967295 uid=0 gid=0 ses=4294967295 pid=18394 comm="runc:[2:INIT]" exe="/runc" sig=0 arch=c000003e syscall=3 compat=0 ip=0x40f90e code=0x7ffc0000`
	bare   = "audit(1795432970.069:790): " + fields
	typed  = "audit: type=1326 " + bare
	auditd = "type=SECCOMP msg=" + bare
)

// parsed is what Parse makes of them.
func parsed(change ...func(*Record)) Record {
	r := Record{
		Time: time.UnixMilli(1795432970069).UTC(), Serial: 790, PID: 18394, Comm: "runc:[2:INIT]", Exe: "/runc",
		Call: Call{archX86_64, 3}, Action: specs.ActLog,
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func TestParse(t *testing.T) {
	untimed := func(r *Record) { r.Time, r.Serial = time.Time{}, 0 }
	replaced := func(old, new string) string {
		t.Helper()
		if !strings.Contains(bare, old) {
			t.Fatalf("%q is not in the record", old)
		}
		return strings.Replace(bare, old, new, 1)
	}
	for _, tc := range []struct {
		name, line string
		want       Record
	}{
		{"netlink", bare, parsed()},
		{"old kernel", "type=1326 " + bare, parsed()},
		{"message alone", typed, parsed()},
		{"dmesg", "[ 1032.904] " + typed, parsed()},
		{"dmesg with the time of day", "[Thu Nov 26 17:24:00 2026] " + typed, parsed()},
		{"dmesg with distances", "[  +0,261094] " + typed, parsed()},
		{"dmesg with callers", "[ 1032.904312][   T31] " + typed, parsed()},
		{"dmesg --raw", "<5>[ 1032.904] " + typed, parsed()},
		{"kmsg", "5,1234,1032904312,-;" + typed, parsed()},
		{"kmsg with caller", "5,1234,1032904312,-,caller=T31;" + typed, parsed()},
		{"syslog", "Nov 26 17:24:00 node-1 kernel: [ 1032.904] " + typed, parsed()},
		{"syslog on a day of one digit", "Nov  6 17:24:00 node-1 kernel: [ 1032.904] " + typed, parsed()},
		{"syslog of RFC 3339", "2026-11-26T17:24:00.069123+00:00 node-1 kernel: " + typed, parsed()},
		{"journal", "Nov 26 17:24:00 node-1 kernel: " + typed, parsed()},
		{"journal without host", "Nov 26 17:24:00 kernel: " + typed, parsed()},
		{"journal, short-full", "Thu 2026-11-26 17:24:00 UTC node-1 kernel: " + typed, parsed()},
		{"journal, short-unix", "1795432970.069123 node-1 kernel: " + typed, parsed()},
		{"journal, short-monotonic", "[ 1032.904312] node-1 kernel: " + typed, parsed()},
		{"journal that reads audit", "Nov 26 17:24:00 node-1 audit[18394]: SECCOMP " + fields, parsed(untimed)},
		{"journal that reads audit, the message alone", "SECCOMP " + fields, parsed(untimed)},
		{"auditd", auditd, parsed()},
		{"auditd for several nodes", "node=node-1 " + auditd, parsed()},
		{"enriched", auditd + "\x1dAUID=\"unset\" UID=\"root\" GID=\"root\" ARCH=x86_64 SYSCALL=close", parsed()},
		{"enriched by somebody else", auditd + "\x1dpid=1 syscall=59 \"", parsed()},
		{"enriched with a space", auditd + " AUID=\"unset\" UID=\"Jane Doe\" ARCH=x86_64 SYSCALL=open", parsed()},
		{"enriched, separator lost", auditd + "AUID=\"unset\" UID=\"root\" GID=\"root\" ARCH=x86_64 SYSCALL=close", parsed()},

		{
			"any order",
			`audit(1795432970.069:790): code=0x7ffc0000 ip=0x40f90e compat=0 syscall=3 arch=c000003e sig=0 exe="/runc" comm="runc:[2:INIT]" pid=18394 ses=4294967295 gid=0 uid=0 auid=4294967295`,
			parsed(),
		},
		{"SELinux", replaced("pid=", "subj=system_u:system_r:container_t:s0:c284,c594 pid="), parsed()},
		{"AppArmor", replaced("pid=", "subj==docker-default (enforce) pid="), parsed()},
		{"AppArmor, unconfined", replaced("pid=", "subj==unconfined pid="), parsed()},
		{"several security modules", replaced("pid=", "subj=? subj_selinux=system_u:system_r:spc_t:s0 subj_apparmor=a//&b (complain) pid="), parsed()},
		{"a field of tomorrow", replaced("pid=", "contid=17 pid="), parsed()},
		{"of a user", replaced("uid=0", "uid=1000"), parsed(func(r *Record) { r.UID = 1000 })},

		{
			"names in hexadecimal",
			replaced(`comm="runc:[2:INIT]" exe="/runc"`, "comm=6576696C22207069643D3120657865 exe=2F7370206163652271"),
			parsed(func(r *Record) { r.Comm, r.Exe = `evil" pid=1 exe`, `/sp ace"q` }),
		},
		{"name that looks encoded", replaced(`"runc:[2:INIT]"`, `"6576696C"`), parsed(func(r *Record) { r.Comm = "6576696C" })},
		{"name that is no UTF-8", replaced(`"runc:[2:INIT]"`, "61FF0A"), parsed(func(r *Record) { r.Comm = "a\xff\n" })},
		{"program that was replaced", replaced(`"/runc"`, "2F72756E63202864656C6574656429"), parsed(func(r *Record) { r.Exe = "/runc (deleted)" })},
		{"no program", replaced(`"/runc"`, "(null)"), parsed(func(r *Record) { r.Exe = "" })},
		{"name with fields in it", replaced(`"runc:[2:INIT]"`, `"a syscall=59 b"`), parsed(func(r *Record) { r.Comm = "a syscall=59 b" })},

		{"i386", replaced("arch=c000003e syscall=3 compat=0", "arch=40000003 syscall=102 compat=1"), parsed(func(r *Record) { r.Call, r.Compat = Call{0x40000003, 102}, true })},
		{"i386 by itself", replaced("c000003e", "40000003"), parsed(func(r *Record) { r.Arch = 0x40000003 })},
		{"x32", replaced("syscall=3", "syscall=1073741863"), parsed(func(r *Record) { r.Number = 1073741863 })},
		{"x32 as compatible", replaced("syscall=3 compat=0", "syscall=1073741863 compat=1"), parsed(func(r *Record) { r.Number, r.Compat = 1073741863, true })},
		{"aarch64", replaced("c000003e", "c00000b7"), parsed(func(r *Record) { r.Arch = 0xc00000b7 })},
		{"arm", replaced("arch=c000003e syscall=3 compat=0", "arch=40000028 syscall=983045 compat=1"), parsed(func(r *Record) { r.Call, r.Compat = Call{0x40000028, 983045}, true })},
		{"s390", replaced("arch=c000003e", "arch=16"), parsed(func(r *Record) { r.Arch = 0x16 })},
		{"architecture that nobody knows", replaced("arch=c000003e", "arch=c0009026"), parsed(func(r *Record) { r.Arch = 0xc0009026 })},
		{"no syscall", replaced("syscall=3", "syscall=-1"), parsed(func(r *Record) { r.Number = -1 })},

		{"errno", replaced("0x7ffc0000", "0x50000"), parsed(func(r *Record) { r.Action = specs.ActErrno })},
		{"kill", replaced("sig=0", "sig=31")[:len(bare)+1-len("0x7ffc0000")] + "0x0", parsed(func(r *Record) { r.Action = specs.ActKillThread })},
		{"kill process", replaced("0x7ffc0000", "0x80000000"), parsed(func(r *Record) { r.Action = specs.ActKillProcess })},
		{"trap", replaced("0x7ffc0000", "0x30000"), parsed(func(r *Record) { r.Action = specs.ActTrap })},
		{"trace", replaced("0x7ffc0000", "0x7ff00000"), parsed(func(r *Record) { r.Action = specs.ActTrace })},
		{"notify", replaced("0x7ffc0000", "0x7fc00000"), parsed(func(r *Record) { r.Action = specs.ActNotify })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse([]byte(tc.line))
			if err != nil {
				t.Fatalf("Parse(%s): %v", tc.line, err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("Parse(%s) (-want +got):\n%s", tc.line, d)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       error
	}{
		{"nothing", "", ErrForeign},
		{"another type", "type=1400 " + bare, ErrForeign},
		{"another type of auditd", "type=SYSCALL msg=" + bare, ErrForeign},
		{"another type in the journal", "Nov 26 17:24:00 node-1 audit[18394]: SYSCALL " + fields, ErrForeign},
		{"suppressed records", "[ 3683.829] kauditd_printk_skb: 1 callbacks suppressed", ErrForeign},
		{"another record of the kernel", `audit(1795432970.069:790): avc:  denied  { read } for  pid=75593 comm="x"`, ErrForeign},
		{"what a program had written", `type=USER_AVC msg=audit(1795432970.069:790): pid=1 uid=0 msg='` + auditd + `'`, ErrForeign},
		{"what a program had written, over netlink", `audit(1795432970.069:790): pid=1 msg='` + fields + `'`, ErrForeign},
		{"as ausearch -i interprets it", `type=SECCOMP msg=audit(11/26/2026 17:24:00.069:790) : ` + fields, ErrBroken},
		{"JSON", `{"MESSAGE":"` + typed + `"}`, ErrForeign},

		{"syslog of a process", "Nov 26 17:24:00 node-1 app: " + typed, ErrForeign},
		{"syslog of a process with the kernel in its message", "Nov 26 17:24:00 node-1 app: Nov 26 17:24:00 node-1 kernel: " + typed, ErrForeign},
		{"syslog of a process called kernel", "Nov 26 17:24:00 node-1 kernel[1234]: " + typed, ErrForeign},
		{"syslog of a process called audit", "Nov 26 17:24:00 node-1 audit: " + typed, ErrForeign},
		{"syslog without a name", "Nov 26 17:24:00 node-1 x kernel: " + typed, ErrForeign},
		{"output of a container", "2026-11-26T17:24:00.069123+00:00 node-1 conmon[4242]: " + auditd, ErrForeign},
		{"output of a container, as the runtime logs it", "2026-11-26T17:24:00.069123456Z stdout F " + auditd, ErrForeign},
		{"kmsg of a process", "13,1234,1032904312,-;" + typed, ErrForeign},
		{"dmesg --raw of a process", "<13>[ 1032.904] " + typed, ErrForeign},
		{"quoted", `"` + auditd, ErrForeign},
		{"echoed", "echo " + auditd, ErrForeign},

		{"field twice", bare + " syscall=59", ErrBroken},
		{"name with a quote", strings.Replace(auditd, `"/runc"`, `"/a" exe="/b"`, 1), ErrBroken},
		{"name with a quote at its end", strings.Replace(auditd, `"/runc"`, `"/runc"x`, 1), ErrBroken},
		{"name without quotes", strings.Replace(auditd, `"/runc"`, `/runc`, 1), ErrBroken},
		{"name in lower-case hexadecimal", strings.Replace(auditd, `"/runc"`, `2f72756e63`, 1), ErrBroken},
		{"name of half a byte", strings.Replace(auditd, `"/runc"`, `2F7`, 1), ErrBroken},
		{"name of nothing", strings.Replace(auditd, `"/runc"`, ``, 1), ErrBroken},
		{"name that the kernel always knows", strings.Replace(auditd, `"runc:[2:INIT]"`, `(null)`, 1), ErrBroken},
		{"name with a control character", strings.Replace(auditd, `"/runc"`, "\"/ru\tnc\"", 1), ErrBroken},
		{"two lines in one", strings.Replace(auditd, "exe=", "\n"+auditd+"\n exe=", 1), ErrBroken},
		{"label with more than a mode", strings.Replace(auditd, "pid=", "subj=a (enforce x) pid=", 1), ErrBroken},

		{"64 bits as compatible", strings.Replace(auditd, "compat=0", "compat=1", 1), ErrBroken},
		{"code of no action", strings.Replace(auditd, "0x7ffc0000", "0x7fff0000", 1), ErrBroken},
		{"code with data", strings.Replace(auditd, "0x7ffc0000", "0x50001", 1), ErrBroken},
		{"number that is none", strings.Replace(auditd, "syscall=3", "syscall=+3", 1), ErrBroken},
		{"name for a number", strings.Replace(auditd, "syscall=3", "syscall=close", 1), ErrBroken},
		{"number that is too large", strings.Replace(auditd, "syscall=3", "syscall=2147483648", 1), ErrBroken},
		{"number with too many digits", strings.Replace(auditd, "syscall=3", "syscall=000000000000000000003", 1), ErrBroken},
		{"architecture that is too large", strings.Replace(auditd, "c000003e", "1c000003e", 1), ErrBroken},
		{"process 0", strings.Replace(auditd, "pid=18394", "pid=0", 1), ErrBroken},
		{"negative uid", strings.Replace(auditd, "uid=0", "uid=-1", 1), ErrBroken},
		{"address without 0x", strings.Replace(auditd, "0x40f90e", "40f90e", 1), ErrBroken},
		{"event without milliseconds", strings.Replace(auditd, ".069", "", 1), ErrBroken},
		{"event without number", strings.Replace(auditd, ":790", "", 1), ErrBroken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := Parse([]byte(tc.line))
			if !errors.Is(err, tc.want) || r != (Record{}) {
				t.Errorf("Parse(%s) = %+v, %v; want %v", tc.line, r, err, tc.want)
			}
		})
	}
}

// TestParseTakesNoPart cuts a record everywhere, and mixes it with another.
func TestParseTakesNoPart(t *testing.T) {
	other := strings.NewReplacer("syscall=3", "syscall=59", "18394", "777", "790", "791").Replace(auditd)
	if r, err := Parse([]byte(other)); err != nil || r.Number != 59 {
		t.Fatalf("Parse(%s) = %+v, %v", other, r, err)
	}
	for i := 1; i < len(auditd); i++ {
		for _, part := range []string{auditd[:i], auditd[i:], auditd[:i] + other, auditd[:i] + " " + other, auditd[:i] + "\n" + auditd[i:]} {
			// Without its type it is as the kernel sends it.
			if r, err := Parse([]byte(part)); err == nil && part != bare {
				t.Errorf("Parse(%q) = %+v", part, r)
			}
		}
	}
}

// kernelName writes a name as the kernel does.
func kernelName(name []byte) string {
	for _, c := range name {
		if c == '"' || c < 0x21 || c > 0x7e {
			return strings.ToUpper(hex.EncodeToString(name))
		}
	}
	return `"` + string(name) + `"`
}

// FuzzParseNames lets a process choose what it is called.
func FuzzParseNames(f *testing.F) {
	f.Add([]byte("nginx"), []byte("/usr/sbin/nginx"), int32(288))
	f.Add([]byte(`x" syscall=59 "`), []byte("/a\" exe=\"/b"), int32(1))
	f.Add([]byte("\n"), []byte(bare), int32(-1))
	f.Add([]byte("a\x1dsyscall=59"), []byte(auditd), int32(1073741863))
	f.Fuzz(func(t *testing.T, comm, exe []byte, nr int32) {
		if len(comm) == 0 || len(exe) == 0 {
			return
		}
		want := parsed(func(r *Record) { r.Comm, r.Exe, r.Number = string(comm), string(exe), nr })
		text := strings.NewReplacer(`"runc:[2:INIT]"`, kernelName(comm), `"/runc"`, kernelName(exe), "syscall=3", fmt.Sprintf("syscall=%d", nr)).Replace(fields)
		for _, form := range []string{"audit(1795432970.069:790): ", "[ 1032.904] audit: type=1326 audit(1795432970.069:790): ", "type=SECCOMP msg=audit(1795432970.069:790): "} {
			got, err := Parse([]byte(form + text))
			if err != nil {
				t.Fatalf("Parse(%q): %v", form+text, err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", form+text, d)
			}
		}
	})
}

var (
	inQuotes = regexp.MustCompile(`"[^"]*"`)
	numbers  = regexp.MustCompile(`(?:^|[ :])(?:syscall=(-?\d+)|arch=([0-9a-fA-F]+)|pid=(\d+))`)
)

// FuzzParse looks at what is outside of quotes by other means: that is where numbers come
// from, each from the one place that has it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", bare, typed, auditd, "[ 1032.904] " + typed, "<5>[ 1032.904] " + typed, "5,1234,1032904312,-;" + typed,
		"Nov 26 17:24:00 node-1 kernel: " + typed, "Nov 26 17:24:00 node-1 audit[18394]: SECCOMP " + fields, "node=a " + auditd,
		auditd + "\x1dAUID=\"unset\" SYSCALL=close", auditd + "AUID=\"unset\" SYSCALL=close",
		strings.Replace(bare, `"/runc"`, `"a syscall=59 pid=7"`, 1), strings.Replace(bare, "pid=", "subj==docker-default (enforce) pid=", 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := Parse(line)
		if err != nil {
			if r != (Record{}) || !errors.Is(err, ErrForeign) && !errors.Is(err, ErrBroken) {
				t.Errorf("Parse(%q) = %+v, %v", line, r, err)
			}
			return
		}
		text, _ := head(message(line))
		text, _, _ = bytes.Cut(text, []byte{enrichment})
		got := make(map[string][]string)
		for _, m := range numbers.FindAllSubmatch(inQuotes.ReplaceAll(text, []byte(`""`)), -1) {
			for i, key := range []string{"", "syscall", "arch", "pid"} {
				if i > 0 && len(m[i]) > 0 {
					got[key] = append(got[key], string(m[i]))
				}
			}
		}
		for key, want := range map[string]int64{"syscall": int64(r.Number), "arch": int64(r.Arch), "pid": int64(r.PID)} {
			base := 10
			if key == "arch" {
				base = 16
			}
			if len(got[key]) != 1 {
				t.Errorf("Parse(%q): %s is %v outside of quotes", line, key, got[key])
			} else if n, err := strconv.ParseInt(got[key][0], base, 64); err != nil || n != want {
				t.Errorf("Parse(%q): %s is %d, and %v outside of quotes", line, key, want, got[key])
			}
		}
	})
}

// TestParseAllocations holds what a record costs: its two names.
func TestParseAllocations(t *testing.T) {
	line := []byte("[ 1032.904] " + typed)
	if got := testing.AllocsPerRun(100, func() { _, _ = Parse(line) }); got > 2 {
		t.Errorf("%.0f allocations, want at most 2", got)
	}
}

func BenchmarkParse(b *testing.B) {
	line := []byte(bare)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}
