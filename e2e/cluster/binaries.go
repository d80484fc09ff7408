// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Binaries are the programs that a cluster runs.
type Binaries struct {
	// Kubernetes is the directory of etcd and of Kubernetes' programs.
	Kubernetes string
	// Product is the directory of seccompgate's own programs.
	Product string
	// Tools is the directory of what only tests need.
	Tools string
}

// kubernetesPackages are built from the module that go.mod names. etcd's main
// package is its module's root, so that it needs its name said.
func kubernetesPackages() map[string]string {
	return map[string]string{
		"etcd":                    "go.etcd.io/etcd/server/v3",
		"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
		"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
		"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
		"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
		"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
	}
}

// Root returns the top directory of the repository that the working directory
// lies in.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "e2e", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find repository: no directory above the working directory holds e2e/go.mod: run this inside a checkout")
		}
		dir = filepath.Dir(dir)
	}
}

// Build returns the programs, building what is not there yet. Kubernetes is kept
// under .cache by the content of go.mod and go.sum and by Go's version: the first
// time takes minutes, which progress is told; later ones take none. The product
// is built each time, from what is checked out.
func Build(ctx context.Context, progress io.Writer) (Binaries, error) {
	root, err := Root()
	if err != nil {
		return Binaries{}, err
	}
	kubernetes, err := buildKubernetes(ctx, root, progress)
	if err != nil {
		return Binaries{}, fmt.Errorf("build kubernetes: %w", err)
	}
	product := filepath.Join(root, ".cache", "bin")
	if err := goBuild(ctx, root, "-trimpath", "-buildvcs=false", "-o", product+string(filepath.Separator), "./cmd/..."); err != nil {
		return Binaries{}, fmt.Errorf("build seccompgate: %w", err)
	}
	tools := filepath.Join(root, ".cache", "tools")
	if err := goBuild(ctx, filepath.Join(root, "e2e", "audit"), "-trimpath", "-o", tools+string(filepath.Separator), "."); err != nil {
		return Binaries{}, fmt.Errorf("build audit: %w", err)
	}
	return Binaries{Kubernetes: kubernetes, Product: product, Tools: tools}, nil
}

func buildKubernetes(ctx context.Context, root string, progress io.Writer) (string, error) {
	module := filepath.Join(root, "e2e")
	key, err := moduleKey(ctx, module)
	if err != nil {
		return "", err
	}
	return cached(root, "kubernetes", key, func(dir string) error {
		version, err := goOutput(ctx, module, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
		if err != nil {
			return err
		}
		defer told(progress, fmt.Sprintf("Kubernetes %s and etcd, once: 10 to 15 minutes on 2 cores", version))()
		for name, pkg := range kubernetesPackages() {
			err := goBuild(ctx, module, "-trimpath", "-ldflags", linkFlags(version), "-o", filepath.Join(dir, name), pkg)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// told tells what is being built, and in the end how long it took.
func told(progress io.Writer, what string) (done func()) {
	fmt.Fprintf(progress, "Building %s.\n", what)
	start := time.Now()
	return func() { fmt.Fprintf(progress, "That took %s.\n", time.Since(start).Round(time.Second)) }
}

// cached returns the directory .cache/name/key, which build fills unless it is there:
// another key, another directory.
func cached(root, name, key string, build func(dir string) error) (string, error) {
	cache := filepath.Join(root, ".cache", name)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make cache: %w", err)
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()

	dir := filepath.Join(cache, key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look into cache: %w", err)
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", fmt.Errorf("clear cache: %w", err)
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return "", fmt.Errorf("make cache: %w", err)
	}
	if err := build(partial); err != nil {
		return "", err
	}
	if err := os.Rename(partial, dir); err != nil {
		return "", fmt.Errorf("keep in cache: %w", err)
	}
	return dir, nil
}

// moduleKey changes whenever what is built from a module of others' programs could. Files are
// those of ours that are built with them.
func moduleKey(ctx context.Context, module string, files ...string) (string, error) {
	goVersion, err := goOutput(ctx, module, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintln(sum, goVersion, linkFlags(""))
	for _, name := range append([]string{"go.mod", "go.sum"}, files...) {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", fmt.Errorf("compute cache key: %w", err)
		}
		fmt.Fprintf(sum, "%d\n%s", len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// linkFlags stamps the version, which kubectl and the API server both report and
// compare, and leaves the symbol tables out.
func linkFlags(version string) string {
	flags := []string{"-s", "-w"}
	major, minor := "", ""
	if parts := strings.Split(strings.TrimPrefix(version, "v"), "."); len(parts) == 3 {
		major, minor = parts[0], parts[1]
	}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags, "-X", pkg+".gitVersion="+version, "-X", pkg+".gitMajor="+major, "-X", pkg+".gitMinor="+minor)
	}
	return strings.Join(flags, " ")
}

// goBuild builds static programs: they are started from directories of their own.
func goBuild(ctx context.Context, dir string, args ...string) error {
	_, err := goCommand(ctx, dir, "0", append([]string{"build"}, args...)...)
	return err
}

func goOutput(ctx context.Context, dir string, args ...string) (string, error) {
	return goCommand(ctx, dir, "0", args...)
}

func goCommand(ctx context.Context, dir, cgo string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// lock keeps two processes from building into the cache at once.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock cache: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock cache: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing releases it; there is nothing left to lose
}
