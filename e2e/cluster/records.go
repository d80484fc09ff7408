// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Call is a syscall that the kernel wrote an audit record for.
type Call struct {
	// Name is "-" when the number has none.
	Name   string
	Number int
}

func (c Call) String() string { return fmt.Sprintf("%s(%d)", c.Name, c.Number) }

// Calls returns the calls that an executable makes while do runs, as far as its filter
// logs them, each as often as it was made. The kernel tells of all processes, and only in
// the initial network namespace, which is where this must run.
func (c *Cluster) Calls(ctx context.Context, exe string, do func() error) ([]Call, error) {
	calls, err := c.calls(ctx, exe, do)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's audit records: %w", err)
	}
	return calls, nil
}

func (c *Cluster) calls(ctx context.Context, exe string, do func() error) ([]Call, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.binaries.Tools, "audit"))
	var stdout, problems bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	first := make([]byte, 256)
	n, _ := stderr.Read(first) // "listening", or why not
	done := error(nil)
	if strings.HasPrefix(string(first[:n]), "listening") {
		done = do()
		time.Sleep(500 * time.Millisecond) // the kernel queues records
		_ = cmd.Process.Signal(syscall.SIGTERM)
	} else {
		problems.Write(first[:n])
	}
	_, _ = problems.ReadFrom(stderr)
	if err := errors.Join(done, cmd.Wait()); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(problems.String()))
	}
	return parseCalls(stdout.String(), exe)
}

// parseCalls reads what e2e/audit prints.
func parseCalls(lines, exe string) ([]Call, error) {
	var calls []Call
	for line := range strings.Lines(lines) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 4 || fields[3] != strconv.Quote(exe) {
			continue
		}
		number, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		calls = append(calls, Call{Name: fields[0], Number: number})
	}
	return calls, nil
}
