// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Runtime is what a node runs containers with: containerd, runc and the CNI plugins.
type Runtime struct {
	// Name says which, to people.
	Name string

	containerd, ctr, runc string
	// cni is the directory of the plugins.
	cni string
}

// DebianRuntime is the generation of Debian 12, whose runc is from 2023.
func DebianRuntime() (*Runtime, error) {
	r := &Runtime{Name: "containerd 1.6, runc 1.1", cni: "/usr/lib/cni"}
	const remedy = "install it: apt-get install containerd runc containernetworking-plugins"
	for name, path := range map[string]*string{"containerd": &r.containerd, "ctr": &r.ctr, "runc": &r.runc} {
		var err error
		if *path, err = exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("find Debian's container runtime: %w; %s", err, remedy)
		}
	}
	if _, err := os.Stat(filepath.Join(r.cni, "bridge")); err != nil {
		return nil, fmt.Errorf("find Debian's container runtime: %w; %s", err, remedy)
	}
	return r, nil
}

// CurrentRuntime is built from the sources that e2e/runtime/go.mod names, once for each
// content of it.
func CurrentRuntime(ctx context.Context, progress io.Writer) (*Runtime, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	module := filepath.Join(root, "e2e", "runtime")
	key, err := moduleKey(ctx, module)
	if err != nil {
		return nil, fmt.Errorf("build container runtime: %w", err)
	}
	dir, err := cached(root, "runtime", key, func(dir string) error {
		defer told(progress, "containerd, runc and the CNI plugins, once: 2 to 3 minutes on 2 cores")()
		return buildRuntime(ctx, module, dir)
	})
	if err != nil {
		return nil, fmt.Errorf("build container runtime: %w", err)
	}
	return &Runtime{
		Name:       "containerd 2.4, runc 1.5",
		containerd: filepath.Join(dir, "containerd"),
		ctr:        filepath.Join(dir, "ctr"),
		runc:       filepath.Join(dir, "runc"),
		cni:        dir,
	}, nil
}

func buildRuntime(ctx context.Context, module, dir string) error {
	args := []string{
		"-trimpath", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator),
		"github.com/containerd/containerd/v2/cmd/containerd",
		"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		"github.com/containerd/containerd/v2/cmd/ctr",
		"github.com/containernetworking/plugins/plugins/ipam/host-local",
		"github.com/containernetworking/plugins/plugins/main/bridge",
		"github.com/containernetworking/plugins/plugins/main/loopback",
	}
	if err := goBuild(ctx, module, args...); err != nil {
		return err
	}
	// runc enters namespaces in C, and compiles filters with libseccomp.
	_, err := goCommand(ctx, module, "1", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "seccomp",
		"-o", filepath.Join(dir, "runc"), "github.com/opencontainers/runc")
	return err
}

// containerdConfig is for both generations: the second reads the first's by migration.
// This machine may not hold CAP_SYS_RESOURCE, without which no score is lowered.
func (r *Runtime) containerdConfig() string {
	return fmt.Sprintf(`version = 2

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = %q
`, pauseImage, r.cni, r.runc)
}
