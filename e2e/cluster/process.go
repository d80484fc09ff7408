// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a program may take to end before it is killed.
const stopTimeout = 20 * time.Second

// Process is a program that the cluster runs.
type Process struct {
	// Name of the program, and of its log in the cluster's directory.
	Name string
	// Log is the file that holds what the program wrote.
	Log string

	cmd  *exec.Cmd
	done chan struct{}
	err  error // what Wait said; valid once done is closed
}

// launcher writes, under the cluster's directory, a script that notes its process
// id and becomes the program. Unless the cluster is to outlive us, the kernel kills
// the program when we die, however that happens; no test leaves anything behind.
func (c *Cluster) launcher(program string) (string, error) {
	name := filepath.Base(program)
	path := filepath.Join(c.Dir, "bin", name)
	become := fmt.Sprintf("exec %s \"$@\"", quote(program))
	if !c.detached {
		become = fmt.Sprintf("exec setpriv --pdeathsig KILL -- %s \"$@\"", quote(program))
	}
	script := fmt.Sprintf("#!/bin/sh\necho $$ >>%s\n%s\n", quote(c.pidFile()), become)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("make launcher: %w", err)
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		return "", fmt.Errorf("make launcher: %w", err)
	}
	return path, nil
}

func (c *Cluster) pidFile() string { return filepath.Join(c.Dir, "pids") }

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// start runs program in a process group of its own, with env added to ours.
func (c *Cluster) start(name, program string, env, args []string) (*Process, error) {
	launcher, err := c.launcher(program)
	if err != nil {
		return nil, err
	}
	logFile, err := c.openLog(name)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	p := &Process{Name: name, Log: logFile.Name(), cmd: exec.Command(launcher, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// openLog opens the log of a program for appending. Programs get the file itself,
// not a pipe that we copy: one that outlives us must not die of writing to it.
func (c *Cluster) openLog(name string) (*os.File, error) {
	dir := filepath.Join(c.Dir, "log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	return f, nil
}

// Exited returns a channel that is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Stop asks the program to end, waits, and kills it when it takes too long, which
// is an error.
func (p *Process) Stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		p.Kill()
		return fmt.Errorf("stop %s: it was killed for not ending within %s: see %s", p.Name, stopTimeout, p.Log)
	}
}

// Signal sends a signal to the program.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// Resident is the memory that the program has, in KiB. The launcher became the program, so
// that the process is its own.
func (p *Process) Resident() (int, error) { return p.status("VmRSS") }

// Peak is the most memory that it ever had, in KiB.
func (p *Process) Peak() (int, error) { return p.status("VmHWM") }

func (p *Process) status(field string) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", p.Name, err)
	}
	for line := range strings.Lines(string(status)) {
		var size int
		if _, err := fmt.Sscanf(line, field+": %d kB", &size); err == nil {
			return size, nil
		}
	}
	return 0, fmt.Errorf("read memory of %s: there is no %s", p.Name, field)
}

// Kill ends the program as a crash would, and waits for it.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // gone already is as good
	<-p.done
}

// Tail returns the end of the program's log.
func (p *Process) Tail() string { return tail(p.Log) }

// tail returns the end of the program's log, for an error that needs its cause.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
