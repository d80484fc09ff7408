// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Pod is a pod of ours that runs as a local process: what the kubelet would make of
// its template. Only its first container is run; none of our pods has more.
type Pod struct {
	*Process

	// IP is a loopback address that only this pod listens on.
	IP string

	cluster   *Cluster
	name      string
	namespace string
	spec      corev1.PodSpec
	dir       string
	// object is the Pod that this is; nil for a replica of a Deployment, of which nobody
	// looks at the Pod.
	object *corev1.Pod
	// server is the URL of what the pod takes for the API server; empty for itself.
	server string
}

// startPod runs a pod template of namespace, with extra arguments at the end.
func (c *Cluster) startPod(ctx context.Context, namespace, name string, spec corev1.PodSpec, extra ...string) (*Pod, error) {
	ip := c.podIP()
	p := &Pod{
		IP:        ip,
		cluster:   c,
		name:      fmt.Sprintf("%s-%d", name, c.pods),
		namespace: namespace,
		spec:      spec,
	}
	p.dir = filepath.Join(c.Dir, "pods", p.name)
	if err := p.start(ctx, extra); err != nil {
		return nil, fmt.Errorf("run pod %s/%s: %w", namespace, p.name, err)
	}
	return p, nil
}

// podIP is an address that no other pod has.
func (c *Cluster) podIP() string {
	c.pods++
	return fmt.Sprintf("127.%d.%d.%d", c.octet, 128+c.pods/250, 1+c.pods%250)
}

func (p *Pod) start(ctx context.Context, extra []string) error {
	if err := p.waitVolumes(ctx); err != nil {
		return err
	}
	kubeconfig, err := p.serviceAccountKubeconfig(ctx)
	if err != nil {
		return err
	}
	container := p.spec.Containers[0]
	env := []string{"KUBECONFIG=" + kubeconfig}
	values := map[string]string{}
	for _, v := range container.Env {
		value, err := p.value(v)
		if err != nil {
			return err
		}
		values[v.Name] = value
		env = append(env, v.Name+"="+value)
	}
	// The image's entry point is the program of the image's name.
	command := slices.Concat(container.Command, container.Args)
	if len(container.Command) == 0 {
		image, _, _ := strings.Cut(path.Base(container.Image), ":")
		image, _, _ = strings.Cut(image, "@")
		command = append([]string{image}, container.Args...)
	}
	args := make([]string, 0, len(command)+len(extra))
	for _, a := range command[1:] {
		for name, value := range values {
			a = strings.ReplaceAll(a, "$("+name+")", value)
		}
		args = append(args, p.local(a))
	}
	program := filepath.Join(p.cluster.binaries.Product, path.Base(command[0]))
	p.Process, err = p.cluster.start(p.name, program, env, append(args, extra...))
	return err
}

// value resolves an environment variable as the kubelet does.
func (p *Pod) value(v corev1.EnvVar) (string, error) {
	if v.ValueFrom == nil {
		return v.Value, nil
	}
	if ref := v.ValueFrom.FieldRef; ref != nil {
		switch ref.FieldPath {
		case "metadata.name":
			return p.name, nil
		case "metadata.namespace":
			return p.namespace, nil
		case "status.podIP":
			return p.IP, nil
		case "spec.nodeName":
			return p.spec.NodeName, nil
		}
	}
	return "", fmt.Errorf("environment variable %s: its source is not known to this small kubelet: teach it in e2e/cluster/pod.go", v.Name)
}

// local turns paths inside the container into ours.
func (p *Pod) local(arg string) string {
	mounts := slices.Clone(p.spec.Containers[0].VolumeMounts)
	slices.SortFunc(mounts, func(a, b corev1.VolumeMount) int { return len(b.MountPath) - len(a.MountPath) })
	for _, m := range mounts {
		if strings.Contains(arg, m.MountPath) {
			return strings.Replace(arg, m.MountPath, p.volume(m.Name), 1)
		}
	}
	return arg
}

func (p *Pod) volume(name string) string { return filepath.Join(p.dir, "volumes", name) }

// waitVolumes waits for what the pod mounts, as the kubelet does: who makes it may be slower
// than who makes the pod.
func (p *Pod) waitVolumes(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = p.SyncVolumes(ctx)
		if apierrors.IsNotFound(last) {
			return false, nil
		}
		return true, last
	})
	if wait.Interrupted(err) {
		return errors.Join(err, last)
	}
	return err
}

// SyncVolumes brings the Secrets and ConfigMaps that the pod mounts up to date, as
// the kubelet does within a minute of a change.
func (p *Pod) SyncVolumes(ctx context.Context) error {
	for _, v := range p.spec.Volumes {
		files := map[string][]byte{}
		switch {
		case v.Secret != nil:
			s, err := p.cluster.Client.CoreV1().Secrets(p.namespace).Get(ctx, v.Secret.SecretName, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("mount volume %s: %w", v.Name, err)
			}
			files = s.Data
		case v.ConfigMap != nil:
			m, err := p.cluster.Client.CoreV1().ConfigMaps(p.namespace).Get(ctx, v.ConfigMap.Name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("mount volume %s: %w", v.Name, err)
			}
			for name, content := range m.Data {
				files[name] = []byte(content)
			}
		case v.EmptyDir != nil:
		case v.Projected != nil: // the token, which is in the kubeconfig
			continue
		case v.HostPath != nil: // a part of the directory that stands for the node's "/"
			continue
		default:
			return fmt.Errorf("mount volume %s: its source is not known to this small kubelet: teach it in e2e/cluster/pod.go", v.Name)
		}
		if err := project(p.volume(v.Name), files); err != nil {
			return fmt.Errorf("mount volume %s: %w", v.Name, err)
		}
	}
	return nil
}

// holds says that a directory has these files and no others: then the kubelet does not
// touch it.
func holds(dir string, files map[string][]byte) bool {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		return false
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if want, ok := files[e.Name()]; err != nil || !ok || !bytes.Equal(content, want) {
			return false
		}
	}
	return true
}

// project makes dir hold files the way the kubelet does it: every file is a link
// into ..data, which is itself a link that is replaced in one step. Programs that
// watch their certificate have to notice exactly this.
func project(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if holds(filepath.Join(dir, "..data"), files) {
		return nil
	}
	version, err := os.MkdirTemp(dir, "..version_")
	if err != nil {
		return fmt.Errorf("make version: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(version, name), content, 0o600); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("link file: %w", err)
		}
	}
	data := filepath.Join(dir, "..data")
	old, _ := os.Readlink(data) // none the first time
	if err := os.Symlink(filepath.Base(version), data+"_tmp"); err != nil {
		return fmt.Errorf("link version: %w", err)
	}
	if err := os.Rename(data+"_tmp", data); err != nil {
		return fmt.Errorf("switch version: %w", err)
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return nil
}

// serviceAccountKubeconfig writes a kubeconfig with a token of the pod's service
// account: what the program may do is what the shipped RBAC lets it.
func (p *Pod) serviceAccountKubeconfig(ctx context.Context) (string, error) {
	account := p.spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	day := int64(24 * 60 * 60)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}
	if p.object != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: p.object.Name, UID: p.object.UID}
	}
	token, err := p.cluster.Client.CoreV1().ServiceAccounts(p.namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request token of service account %s: %w", account, err)
	}
	path := filepath.Join(p.dir, "kubeconfig")
	config := rest.AnonymousClientConfig(p.cluster.Config)
	if err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"local": {Server: cmp.Or(p.server, config.Host), CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"pod": {Token: token.Status.Token}},
		Contexts:       map[string]*clientcmdapi.Context{"local": {Cluster: "local", AuthInfo: "pod", Namespace: p.namespace}},
		CurrentContext: "local",
	}, path); err != nil {
		return "", fmt.Errorf("write kubeconfig: %w", err)
	}
	return path, nil
}

// Port returns the number of a container port that is given by number or name.
func (p *Pod) Port(port string) (int, error) {
	if n, err := strconv.Atoi(port); err == nil {
		return n, nil
	}
	for _, c := range p.spec.Containers[0].Ports {
		if c.Name == port {
			return int(c.ContainerPort), nil
		}
	}
	return 0, fmt.Errorf("pod %s/%s has no port %q", p.namespace, p.name, port)
}

// Ready asks the pod's readiness probe once; the error says what it answered.
func (p *Pod) Ready(ctx context.Context) error {
	return p.ask(ctx, p.spec.Containers[0].ReadinessProbe)
}

// Alive asks the pod's liveness probe once.
func (p *Pod) Alive(ctx context.Context) error {
	return p.ask(ctx, p.spec.Containers[0].LivenessProbe)
}

func (p *Pod) ask(ctx context.Context, probe *corev1.Probe) error {
	if probe == nil || probe.HTTPGet == nil {
		return nil
	}
	port, err := p.Port(probe.HTTPGet.Port.String())
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // as the kubelet probes
	}}
	url := fmt.Sprintf("%s://%s%s", strings.ToLower(string(probe.HTTPGet.Scheme)), net.JoinHostPort(p.IP, strconv.Itoa(port)), probe.HTTPGet.Path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("probe pod: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("probe pod: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 4096)) // the status says enough
		return fmt.Errorf("probe pod: %s answers %s: %s", url, response.Status, strings.TrimSpace(string(why)))
	}
	return nil
}

// WaitReady waits until the readiness probe succeeds.
func (p *Pod) WaitReady(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 90*time.Second, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.Exited():
			return false, fmt.Errorf("it ended: %w", p.err)
		default:
		}
		last = p.Ready(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for pod %s/%s to be ready: %w\n%s", p.namespace, p.name, errors.Join(err, last), tail(p.Log))
	}
	return nil
}
