// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// APIServerOptions say in what a further API server differs from the first.
type APIServerOptions struct {
	// Args are further arguments.
	Args []string
	// Hosts are names that it alone knows, with their addresses, as hostAliases are known to
	// a static pod. The file is mounted in a namespace of its own, which takes root.
	Hosts map[string]string
}

// APIServer is a further one on the same etcd, as control planes of several machines have.
type APIServer struct {
	*Process

	Config *rest.Config
	Client *kubernetes.Clientset
}

// AddAPIServer starts a further API server. Who starts it stops it.
func (c *Cluster) AddAPIServer(ctx context.Context, name string, o APIServerOptions) (*APIServer, error) {
	s, err := c.addAPIServer(ctx, name, o)
	if err != nil {
		return nil, fmt.Errorf("add API server %s: %w", name, err)
	}
	return s, nil
}

func (c *Cluster) addAPIServer(ctx context.Context, name string, o APIServerOptions) (*APIServer, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	first := c.env.ControlPlane.GetAPIServer()
	certs := func(file string) string { return filepath.Join(first.CertDir, file) }
	args := append([]string{
		"--etcd-servers=" + c.env.ControlPlane.Etcd.URL.String(),
		"--bind-address=127.0.0.1",
		"--secure-port=" + port,
		"--endpoint-reconciler-type=none",
		fmt.Sprintf("--service-cluster-ip-range=127.%d.0.0/17", c.octet),
		"--allow-privileged",
		"--authorization-mode=RBAC",
		"--client-ca-file=" + certs("client-cert-auth-ca.crt"),
		"--tls-cert-file=" + certs("apiserver.crt"),
		"--tls-private-key-file=" + certs("apiserver.key"),
		"--service-account-issuer=" + first.SecureServing.URL("https", "/").String(),
		"--service-account-key-file=" + certs("sa-signer.crt"),
		"--service-account-signing-key-file=" + certs("sa-signer.key"),
	}, o.Args...)
	program := filepath.Join(c.binaries.Kubernetes, "kube-apiserver")
	if len(o.Hosts) > 0 {
		if program, args, err = c.withHosts(name, program, args, o.Hosts); err != nil {
			return nil, err
		}
	}
	s := &APIServer{Config: rest.CopyConfig(c.Config)}
	s.Config.Host = net.JoinHostPort("127.0.0.1", port)
	if s.Client, err = kubernetes.NewForConfig(s.Config); err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	if s.Process, err = c.start(name, program, nil, args); err != nil {
		return nil, err
	}
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, tail(s.Log)), s.Stop())
	}
	return s, nil
}

func (s *APIServer) waitReady(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		select {
		case <-s.Exited():
			return false, fmt.Errorf("it ended: %w", s.err)
		default:
		}
		code := 0
		_ = s.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code) // what else it says is in the log
		return code == http.StatusOK, nil
	})
	if err != nil {
		return fmt.Errorf("wait for it to be ready: %w", err)
	}
	return nil
}

// withHosts makes a command of the program that sees these names in /etc/hosts.
func (c *Cluster) withHosts(name, program string, args []string, hosts map[string]string) (string, []string, error) {
	text, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return "", nil, fmt.Errorf("read hosts: %w", err)
	}
	for host, address := range hosts {
		text = fmt.Appendf(text, "\n%s %s\n", address, host)
	}
	dir := filepath.Join(c.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("make directory: %w", err)
	}
	file := filepath.Join(dir, "hosts")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return "", nil, fmt.Errorf("write hosts: %w", err)
	}
	script := fmt.Sprintf("mount --bind %s /etc/hosts && exec \"$0\" \"$@\"", quote(file))
	return "unshare", append([]string{"--mount", "sh", "-c", script, program}, args...), nil
}

// freePort is one of the loopback address that nobody listens on now.
func freePort(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}
