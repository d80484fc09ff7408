// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// As the environment of this test's own program has it, it is the one that is recorded.
const (
	roleVariable = "RECORDING_TEST_ROLE"
	commVariable = "RECORDING_TEST_COMM"
)

// noSyscall is a number that no architecture has.
const noSyscall = 3999

func TestMain(m *testing.M) {
	calls, err := strconv.Atoi(os.Getenv(roleVariable))
	if err != nil {
		os.Exit(m.Run())
	}
	if err := beRecorded(calls); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beRecorded makes calls under a filter that logs getppid and what is no syscall, and one
// more of both when standard input ends.
func beRecorded(calls int) error {
	runtime.LockOSThread() // the filter is for this thread
	if comm := os.Getenv(commVariable); comm != "" {
		if err := os.WriteFile("/proc/self/comm", []byte(comm), 0); err != nil {
			return err
		}
	}
	const returnAction = unix.BPF_RET | unix.BPF_K
	const isEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: isEqual, Jt: 2, K: unix.SYS_GETPPID},
		{Code: isEqual, Jt: 1, K: noSyscall},
		{Code: returnAction, K: unix.SECCOMP_RET_ALLOW},
		{Code: returnAction, K: unix.SECCOMP_RET_LOG},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno
	}
	for range calls {
		unix.Getppid()
	}
	fmt.Println("made")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	unix.Getppid()
	_, _, _ = unix.RawSyscall(noSyscall, 0, 0, 0)
	return nil
}

// recorded is the running program.
type recorded struct {
	*exec.Cmd
	exe string
	end io.Closer
}

// record starts the program, which has made its calls when record returns.
func record(t *testing.T, calls int, comm string) recorded {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), exe)
	c.Env = append(os.Environ(), roleVariable+"="+strconv.Itoa(calls), commVariable+"="+comm)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("made\n"))); err != nil {
		t.Fatalf("program that is recorded: %v", err)
	}
	return recorded{c, exe, in}
}

func (r recorded) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(r.end.Close(), r.Wait()); err != nil {
		t.Fatalf("program that is recorded: %v", err)
	}
}

// listen listens to the kernel, for which it must be root.
func listen(t *testing.T, buffer int) *Listener {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("the kernel's audit records are read here: run this as root, in the initial namespaces")
		}
		t.Skip("the kernel's audit records are read here: run this as root, in the initial namespaces")
	}
	l, err := Listen(buffer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// receive returns the records of a process up to that of the call which is no syscall.
func (l *Listener) receive(t *testing.T, pid int) []Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var records []Record
	err := l.Receive(ctx, func(r *Record) {
		if r.PID == pid {
			records = append(records, *r)
			if r.Number == noSyscall {
				cancel()
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Fatalf("the last record did not come; %d did, losses %+v (records come in the initial network namespace only)", len(records), l.Losses())
	}
	return records
}

// TestListener has the kernel write records of a program whose name looks like a record.
func TestListener(t *testing.T) {
	for _, comm := range []string{"plain", `x" syscall=59 "`, "\x01\x1dARCH=x", "a b", "É", "6576696C", "(null)"} {
		t.Run(strconv.Quote(comm), func(t *testing.T) {
			l := listen(t, Buffer)
			start := time.Now().Add(-time.Second)
			p := record(t, 1, comm)
			p.stop(t)
			got := l.receive(t, p.Process.Pid)
			for i := range got {
				if got[i].Time.Before(start) || got[i].Time.After(time.Now().Add(time.Second)) || got[i].Serial == 0 {
					t.Errorf("event %v:%d is not of this test", got[i].Time, got[i].Serial)
				}
				got[i].Time, got[i].Serial = time.Time{}, 0
			}
			want := Record{
				PID: p.Process.Pid, Comm: comm, Exe: p.exe, Call: Call{native(t), unix.SYS_GETPPID}, Action: "SCMP_ACT_LOG",
			}
			last := want
			last.Number = noSyscall
			if d := cmp.Diff([]Record{want, want, last}, got); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
		})
	}
}

func native(t *testing.T) Arch {
	t.Helper()
	switch runtime.GOARCH {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64
	default:
		t.Fatalf("write down the architecture of %s", runtime.GOARCH)
		return 0
	}
}

// TestListenerCountsLosses overruns a small buffer. The calls of other processes may be
// among those that are missing.
func TestListenerCountsLosses(t *testing.T) {
	const calls = 5000
	l := listen(t, 1)
	p := record(t, calls, "")
	// What is in the buffer has to be read before anything else gets in, and the gap shows
	// when something comes after it.
	drained, cancel := context.WithCancel(t.Context())
	received := 0
	go func() {
		time.Sleep(500 * time.Millisecond)
		cancel()
	}()
	if err := l.Receive(drained, func(r *Record) {
		if r.PID == p.Process.Pid {
			received++
		}
	}); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	received += len(l.receive(t, p.Process.Pid))
	losses := l.Losses()
	const made = calls + 2
	if received >= made || losses.Overruns == 0 || losses.Broken != 0 || received+int(losses.Missing) < made {
		t.Errorf("of %d records %d came, losses %+v", made, received, losses)
	}
	t.Logf("of %d records %d came, losses %+v", made, received, losses)
}

// TestListenerTakesAll is the same with the buffer that is meant for it.
func TestListenerTakesAll(t *testing.T) {
	const calls = 5000
	l := listen(t, Buffer)
	p := record(t, calls, "")
	p.stop(t)
	if got := len(l.receive(t, p.Process.Pid)); got != calls+2 {
		t.Errorf("%d records, want %d", got, calls+2)
	}
	if losses := l.Losses(); losses != (Losses{}) {
		t.Errorf("losses %+v, want none", losses)
	}
}

// TestListenerHearsTheKernelOnly sends a record to the socket, as who administers the
// network may.
func TestListenerHearsTheKernelOnly(t *testing.T) {
	l := listen(t, Buffer)
	var to unix.Sockaddr
	var err error
	if controlled := l.conn.Control(func(fd uintptr) { to, err = unix.Getsockname(int(fd)) }); controlled != nil || err != nil {
		t.Fatal(controlled, err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	p := record(t, 0, "")
	text := strings.Replace(bare, "pid=18394", "pid="+strconv.Itoa(p.Process.Pid), 1)
	message := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(text))
	binary.NativeEndian.PutUint32(message, uint32(cap(message)))
	binary.NativeEndian.PutUint16(message[4:], seccompType)
	if err := unix.Sendto(fd, append(message, text...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: to.(*unix.SockaddrNetlink).Pid}); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	for _, r := range l.receive(t, p.Process.Pid) {
		if r.Number != unix.SYS_GETPPID && r.Number != noSyscall {
			t.Errorf("a record that no kernel sent came: %+v", r)
		}
	}
}

func TestListenerStops(t *testing.T) {
	l := listen(t, Buffer)
	for range 3 { // and can go on
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		start := time.Now()
		err := l.Receive(ctx, func(*Record) {})
		cancel()
		if took := time.Since(start); err != nil || took > 5*time.Second {
			t.Errorf("Receive ended after %v with %v", took, err)
		}
	}
}

// TestArches compares the numbers of architectures with the kernel's.
func TestArches(t *testing.T) {
	theirs := map[string]Arch{
		"SCMP_ARCH_X86_64": unix.AUDIT_ARCH_X86_64, "SCMP_ARCH_X86": unix.AUDIT_ARCH_I386, "SCMP_ARCH_X32": unix.AUDIT_ARCH_X86_64,
		"SCMP_ARCH_AARCH64": unix.AUDIT_ARCH_AARCH64, "SCMP_ARCH_ARM": unix.AUDIT_ARCH_ARM,
		"SCMP_ARCH_RISCV64": unix.AUDIT_ARCH_RISCV64, "SCMP_ARCH_LOONGARCH64": unix.AUDIT_ARCH_LOONGARCH64,
		"SCMP_ARCH_PPC64LE": unix.AUDIT_ARCH_PPC64LE, "SCMP_ARCH_PPC64": unix.AUDIT_ARCH_PPC64, "SCMP_ARCH_PPC": unix.AUDIT_ARCH_PPC,
		"SCMP_ARCH_S390X": unix.AUDIT_ARCH_S390X, "SCMP_ARCH_S390": unix.AUDIT_ARCH_S390,
		"SCMP_ARCH_MIPS": unix.AUDIT_ARCH_MIPS, "SCMP_ARCH_MIPS64": unix.AUDIT_ARCH_MIPS64, "SCMP_ARCH_MIPS64N32": unix.AUDIT_ARCH_MIPS64N32,
		"SCMP_ARCH_MIPSEL": unix.AUDIT_ARCH_MIPSEL, "SCMP_ARCH_MIPSEL64": unix.AUDIT_ARCH_MIPSEL64, "SCMP_ARCH_MIPSEL64N32": unix.AUDIT_ARCH_MIPSEL64N32,
		"SCMP_ARCH_PARISC": unix.AUDIT_ARCH_PARISC, "SCMP_ARCH_PARISC64": unix.AUDIT_ARCH_PARISC64,
		"SCMP_ARCH_M68K": unix.AUDIT_ARCH_M68K, "SCMP_ARCH_SH": unix.AUDIT_ARCH_SHEL, "SCMP_ARCH_SHEB": unix.AUDIT_ARCH_SH,
	}
	ours := make(map[string]Arch)
	for _, a := range arches() {
		ours[string(a.name)] = a.audit
	}
	if d := cmp.Diff(theirs, ours); d != "" {
		t.Errorf("architectures (-kernel +ours):\n%s", d)
	}
}
