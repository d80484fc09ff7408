// SPDX-License-Identifier: Apache-2.0

// Package nodetest tests seccompgate on a node whose kubelet, container runtime and kernel
// are real: installed from the shipped manifests, with images that the shipped Dockerfile
// built. All tests run once for each generation of the container runtime.
package nodetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// shared is what all tests share: a cluster with one node.
var shared *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	debian, err := cluster.DebianRuntime()
	if os.Geteuid() != 0 {
		err = errors.Join(errors.New("a node is made as root"), err)
	}
	if err != nil && os.Getenv("CI") == "" {
		fmt.Println("not tested on a node:", err)
		return 0
	}
	if err != nil {
		return fail(err)
	}
	current, err := cluster.CurrentRuntime(ctx, os.Stderr)
	if err != nil {
		return fail(err)
	}
	code := 0
	for _, r := range []*cluster.Runtime{debian, current} {
		fmt.Println("=== node with", r.Name)
		code = max(code, runOn(ctx, m, r))
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func runOn(ctx context.Context, m *testing.M, r *cluster.Runtime) (code int) {
	dir, err := os.MkdirTemp("", "seccompgate-node-")
	if err != nil {
		return fail(fmt.Errorf("make directory: %w", err))
	}
	if shared, err = cluster.Start(ctx, cluster.Options{Dir: dir, Runtime: r, Progress: os.Stderr}); err != nil {
		return fail(err)
	}
	defer func() {
		if err := errors.Join(shared.Stop(), leftovers(shared.Node.Name)); err != nil {
			code = fail(errors.Join(errors.New("the cluster did not end well"), err))
		}
	}()
	if err := shared.Node.Install(ctx, "self-signed"); err != nil {
		return fail(err)
	}
	return m.Run()
}

// leftovers finds what a node has left behind on this machine.
func leftovers(name string) error {
	if _, err := net.InterfaceByName(name); err == nil {
		return fmt.Errorf("link %s is left", name)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 {
			return errors.Join(fmt.Errorf("cgroups are left: %q", found), err)
		}
	}
	return nil
}
