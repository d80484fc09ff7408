// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// StartCertManager makes cert-manager's kinds and runs its own controllers and its CA
// injector, in one process and as a member of system:masters. Its webhook, which only
// refuses and defaults, is not there. Who starts it stops it; the kinds stay.
func (c *Cluster) StartCertManager(ctx context.Context, progress io.Writer) (*Process, error) {
	p, err := c.startCertManager(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("start cert-manager: %w", err)
	}
	return p, nil
}

func (c *Cluster) startCertManager(ctx context.Context, progress io.Writer) (*Process, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	dir, err := buildCertManager(ctx, root, progress)
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	kinds := filepath.Join(dir, "crds")
	// They are too long for the annotation of kubectl's own apply.
	if _, err := c.MustKubectl(ctx, "", "apply", "--server-side", "-f", kinds); err != nil {
		return nil, err
	}
	if _, err := c.MustKubectl(ctx, "", "wait", "--for=condition=Established", "-f", kinds); err != nil {
		return nil, err
	}
	return c.start("cert-manager", filepath.Join(dir, "cert-manager"), []string{"KUBECONFIG=" + c.Kubeconfig}, nil)
}

// buildCertManager returns the directory of the program and of the kinds that belong to it.
func buildCertManager(ctx context.Context, root string, progress io.Writer) (string, error) {
	module := filepath.Join(root, "e2e", "certmanager")
	key, err := moduleKey(ctx, module, "main.go")
	if err != nil {
		return "", err
	}
	return cached(root, "cert-manager", key, func(dir string) error {
		defer told(progress, "cert-manager, once: some 3 minutes on 2 cores")()
		if err := goBuild(ctx, module, "-ldflags=-s -w", "-o", filepath.Join(dir, "cert-manager"), "."); err != nil {
			return err
		}
		source, err := goOutput(ctx, module, "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager")
		if err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(dir, "crds"), os.DirFS(filepath.Join(source, "deploy", "crds"))); err != nil {
			return fmt.Errorf("copy kinds: %w", err)
		}
		return nil
	})
}
