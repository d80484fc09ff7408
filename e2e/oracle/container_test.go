// SPDX-License-Identifier: Apache-2.0

//go:build libseccomp

package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seccompgate/seccompgate/seccomp"
)

// source is what containers run: it makes one call, to end with a status that nothing
// else ends with, so that what a container needs is what its runtime needs.
const source = `
void _start(void) {
	__asm__ volatile("syscall" : : "a"(60L), "D"(42L) : "rcx", "r11", "memory");
	for (;;)
		;
}
`

const status = 42

// runtimeBinary is a low-level runtime of this machine.
type runtimeBinary struct{ name, version, path string }

// is says whether it is the runtime that was measured.
func (r runtimeBinary) is(s seccomp.Startup) bool {
	return r.name == s.Runtime && r.version == s.Version
}

// bundle is a root file system with the program, and a directory for the runtimes.
type bundle struct{ dir string }

func newBundle(t *testing.T) *bundle {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("containers are started here: run this as root")
		}
		t.Skip("containers are started here: run this as root")
	}
	b := &bundle{t.TempDir()}
	c := filepath.Join(b.dir, "start.c")
	for _, dir := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(b.dir, "rootfs", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(c, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gcc", "-static", "-nostdlib", "-O1", "-o", filepath.Join(b.dir, "rootfs", "start"), c).CombinedOutput()
	if err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	return b
}

// runtimes are runc as this module has it, and whatever else is installed.
func (b *bundle) runtimes(t *testing.T) []runtimeBinary {
	t.Helper()
	own := filepath.Join(b.dir, "runc")
	if out, err := exec.Command("go", "build", "-tags", "seccomp", "-o", own, "github.com/opencontainers/runc").CombinedOutput(); err != nil {
		t.Fatalf("build runc: %v\n%s", err, out)
	}
	paths := []string{own}
	for _, name := range []string{"runc", "crun"} {
		if path, err := exec.LookPath(name); err == nil {
			paths = append(paths, path)
		}
	}
	var found []runtimeBinary
	for _, path := range paths {
		out, err := exec.Command(path, "--version").Output()
		if err != nil {
			t.Fatalf("%s --version: %v", path, err)
		}
		// "runc version 1.1.5+ds1"
		words := strings.Fields(string(out))
		version, _, _ := strings.Cut(words[2], "+")
		found = append(found, runtimeBinary{words[0], version, path})
	}
	return found
}

var started atomic.Int64

// start runs a container under a profile and says whether its program ran. A runtime that
// hangs did not start it.
func (b *bundle) start(t *testing.T, r runtimeBinary, profile *specs.LinuxSeccomp, noNewPrivileges bool) (ran bool, output string) {
	t.Helper()
	code, output := b.run(t, r, profile, noNewPrivileges)
	return code == status, output
}

// run runs the program in a container under a profile and returns how it ended.
func (b *bundle) run(t *testing.T, r runtimeBinary, profile *specs.LinuxSeccomp, noNewPrivileges bool) (code int, output string) {
	t.Helper()
	code, output, _ = b.runSpec(t, r, b.spec(profile, noNewPrivileges))
	return code, output
}

// spec is a container under a profile, as Kubernetes would have it made.
func (b *bundle) spec(profile *specs.LinuxSeccomp, noNewPrivileges bool) *specs.Spec {
	capabilities := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
	return &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			Args: []string{"/start"}, Cwd: "/", Env: []string{"PATH=/"}, NoNewPrivileges: noNewPrivileges,
			Capabilities: &specs.LinuxCapabilities{Bounding: capabilities, Effective: capabilities, Permitted: capabilities},
		},
		Root: &specs.Root{Path: filepath.Join(b.dir, "rootfs")},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}},
			Seccomp:    profile,
		},
	}
}

// runSpec runs a container and returns how it ended: by its own exit code, or by one of
// the runtime's. pid is that of the container's first process, 0 if there was none.
func (b *bundle) runSpec(t *testing.T, r runtimeBinary, spec *specs.Spec) (code int, output string, pid int) {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("seccompgate-%d-%d", os.Getpid(), started.Add(1))
	dir := filepath.Join(b.dir, id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(b.dir, "state-"+r.name+r.version)
	pidFile := filepath.Join(dir, "pid")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	args := []string{r.path, "--root", state, "run", "--bundle", dir, "--pid-file", pidFile, id}
	if r.name == "crun" {
		// It refuses a machine that has both versions of cgroups.
		args = append([]string{"unshare", "--mount", "sh", "-c", `umount -l /sys/fs/cgroup/unified 2>/dev/null; exec "$0" --cgroup-manager=disabled "$@"`}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	_ = cmd.Run()
	if cmd.ProcessState.ExitCode() < status { // what is left of it
		_ = exec.Command(r.path, "--root", state, "delete", "--force", id).Run()
	}
	if text, err := os.ReadFile(pidFile); err == nil {
		if pid, err = strconv.Atoi(string(text)); err != nil {
			t.Fatalf("pid of the container: %v", err)
		}
	}
	_ = os.RemoveAll(dir)
	return cmd.ProcessState.ExitCode(), out.String(), pid
}
