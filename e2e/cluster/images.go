// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Images of what runs on the node besides seccompgate: see e2e/images/workloads.sh.
const (
	ProbeImage = "localhost/probe:1"
	NginxImage = "localhost/nginx:1"
	EchoImage  = "localhost/http-echo:1"
	// pauseImage holds the namespaces of a pod.
	pauseImage = "localhost/pause:1"
)

// Image is a container image in a file.
type Image struct {
	// Archive is the file, in OCI's format.
	Archive string
	// Repository is the image's name without its tag, which the archive has.
	Repository string
}

// BuildImages returns the images of a node: seccompgate's, which the Dockerfile builds as
// it is shipped, and those of the workloads. Each is built when its sources have changed.
func BuildImages(ctx context.Context, binaries Binaries, progress io.Writer) ([]Image, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	scripts := filepath.Join(root, "e2e", "images")
	programs := []string{"seccomp-webhook", "seccomp-controller", "seccomp-agent"}
	product, err := buildImages(ctx, filepath.Join(scripts, "build.sh"), "seccompgate's images: a minute",
		[]string{binaries.Product, filepath.Join(root, "Dockerfile"), filepath.Join(scripts, "build.sh")}, progress, append([]string{runtime.GOARCH}, programs...)...)
	if err != nil {
		return nil, err
	}
	workloads, err := buildImages(ctx, filepath.Join(scripts, "workloads.sh"), "the images of pause, probe, nginx and http-echo",
		[]string{scripts}, progress)
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, program := range programs {
		images = append(images, Image{
			Archive:    filepath.Join(product, program+"-"+runtime.GOARCH+".tar"),
			Repository: "docker.io/seccompgate/" + program,
		})
	}
	for _, reference := range []string{pauseImage, ProbeImage, NginxImage, EchoImage} {
		repository, _, _ := strings.Cut(reference, ":")
		images = append(images, Image{
			Archive:    filepath.Join(workloads, filepath.Base(repository)+".tar"),
			Repository: repository,
		})
	}
	return images, nil
}

// buildImages runs a script with a directory for what it makes, and args, unless it has
// run for these sources.
func buildImages(ctx context.Context, script, what string, sources []string, progress io.Writer, args ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	key, err := contentKey(sources...)
	if err != nil {
		return "", fmt.Errorf("build images: %w", err)
	}
	dir, err := cached(root, "images", key, func(dir string) error {
		defer told(progress, what)()
		out, err := exec.CommandContext(ctx, script, append([]string{dir}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", filepath.Base(script), err, out)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("build images: %w", err)
	}
	return dir, nil
}

// contentKey changes whenever a file does, of these or below these.
func contentKey(paths ...string) (string, error) {
	sum := sha256.New()
	for _, path := range paths {
		err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			fmt.Fprintln(sum, path)
			return addFile(sum, path)
		})
		if err != nil {
			return "", fmt.Errorf("compute cache key: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func addFile(sum hash.Hash, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(sum, f)
	return err
}

// Import makes images known to the node's containerd: there is no registry.
func (n *Node) Import(ctx context.Context, images ...Image) error {
	for _, image := range images {
		command := n.inside(n.runtime.ctr, "--namespace=k8s.io", "images", "import", "--base-name="+image.Repository, image.Archive)
		out, err := exec.CommandContext(ctx, n.cluster.machineScript(), command...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("import image %s: %w: %s", image.Repository, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
