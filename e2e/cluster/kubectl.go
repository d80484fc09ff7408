// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// KubectlPath is the kubectl that belongs to the API server.
func (c *Cluster) KubectlPath() string { return filepath.Join(c.binaries.Kubernetes, "kubectl") }

// ProductPath is the directory of seccompgate's own programs.
func (c *Cluster) ProductPath() string { return c.binaries.Product }

// KubectlEnv makes a kubectl talk to this cluster and to no other, and keep its
// files inside the cluster's directory.
func (c *Cluster) KubectlEnv() []string {
	return []string{
		"KUBECONFIG=" + c.Kubeconfig,
		"KUBECACHEDIR=" + filepath.Join(c.Dir, "kubectl-cache"),
		"KUBERC=off",
	}
}

// Result is what a command said.
type Result struct {
	Stdout, Stderr string
	// Code is the exit code.
	Code int
}

// Kubectl runs kubectl; a non-zero exit is a Result, not an error.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (Result, error) {
	cmd := exec.CommandContext(ctx, c.KubectlPath(), args...)
	cmd.Env = append(os.Environ(), c.KubectlEnv()...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return Result{}, fmt.Errorf("run kubectl: %w", err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}, nil
}

// MustKubectl runs a kubectl that has to succeed, and returns what it printed.
func (c *Cluster) MustKubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	r, err := c.Kubectl(ctx, stdin, args...)
	if err != nil {
		return "", err
	}
	if r.Code != 0 {
		return "", fmt.Errorf("kubectl %s: exit %d: %s", strings.Join(args, " "), r.Code, strings.TrimSpace(r.Stderr))
	}
	return r.Stdout, nil
}
