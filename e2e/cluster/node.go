// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Node is a node of the cluster whose kubelet, containerd, runc and pods are real. Its
// machine is made of namespaces (machine.sh), and a pair of links leads there: the API
// server listens on our end.
//
// There is no kube-proxy and no DNS: pods reach the API server because it listens on the
// address of its own Service, and it reaches Services by their endpoints.
type Node struct {
	Name string
	// Root is where the files of the machine are seen from here.
	Root string

	cluster *Cluster
	runtime *Runtime
	machine *Process
	pid     string // of the machine's pid 1
}

// Addresses of a cluster with a node. Both ranges are meant for the benchmarking of
// networks (RFC 2544), so that nothing else should use them.
func (c *Cluster) serviceRange() string { return fmt.Sprintf("198.18.%d.0/24", c.octet) }
func (c *Cluster) apiAddress() string   { return fmt.Sprintf("198.18.%d.1", c.octet) }
func (c *Cluster) nodeRange() string    { return fmt.Sprintf("198.19.%d.0/24", c.octet) }
func (c *Cluster) nodeAddress() string  { return fmt.Sprintf("198.19.%d.1", c.octet) }
func (c *Cluster) podRange() string     { return fmt.Sprintf("198.19.%d.128/25", c.octet) }

//go:embed machine.sh
var machineScript []byte

// startMachine makes the node's machine and its network.
func (c *Cluster) startMachine(ctx context.Context, runtime *Runtime) error {
	if err := os.WriteFile(c.machineScript(), machineScript, 0o755); err != nil {
		return fmt.Errorf("write script: %w", err)
	}
	name := fmt.Sprintf("node-%d", c.octet)
	machine, err := c.start("machine", c.machineScript(), nil, []string{"start", name})
	if err != nil {
		return err
	}
	c.Node = &Node{Name: name, cluster: c, runtime: runtime, machine: machine}
	if err := c.Node.waitBooted(ctx); err != nil {
		return fmt.Errorf("start machine: %w\n%s", err, tail(machine.Log))
	}
	return c.Node.connect(ctx)
}

func (c *Cluster) machineScript() string { return filepath.Join(c.Dir, "machine.sh") }

func (n *Node) waitBooted(ctx context.Context) error {
	parent := strconv.Itoa(n.machine.cmd.Process.Pid)
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		select {
		case <-n.machine.Exited():
			return false, fmt.Errorf("it ended: %w", n.machine.err)
		default:
		}
		children, err := os.ReadFile(filepath.Join("/proc", parent, "task", parent, "children"))
		if err != nil {
			return false, err
		}
		n.pid = strings.TrimSpace(string(children))
		n.Root = filepath.Join("/proc", n.pid, "root")
		_, err = os.Stat(filepath.Join(n.Root, "run", "booted")) // once it is there, the child is pid 1
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	})
}

// connect makes the pair of links. It ends with the machine's network namespace.
func (n *Node) connect(ctx context.Context) error {
	api, node := n.cluster.apiAddress(), n.cluster.nodeAddress()
	here := n.Name
	inside := []string{"nsenter", "--target", n.pid, "--net", "ip"}
	for _, command := range [][]string{
		{"ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", n.pid},
		{"ip", "address", "add", api, "dev", here},
		{"ip", "link", "set", here, "up"},
		{"ip", "route", "add", node, "dev", here},
		{"ip", "route", "add", n.cluster.nodeRange(), "via", node},
		append(inside, "address", "add", node, "dev", "eth0"),
		append(inside, "link", "set", "eth0", "up"),
		append(inside, "route", "add", api, "dev", "eth0"),
		append(inside, "route", "add", "default", "via", api),
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("connect machine: %s: %w: %s", strings.Join(command, " "), err, out)
		}
	}
	return nil
}

// startNode starts what makes the machine a node of the cluster, and waits until pods can
// run there.
func (c *Cluster) startNode(ctx context.Context, images []Image) error {
	n := c.Node
	if err := n.configure(); err != nil {
		return fmt.Errorf("configure node: %w", err)
	}
	// It looks for its shim in the path: there may be one of another generation.
	path := "PATH=" + filepath.Dir(n.runtime.containerd) + string(os.PathListSeparator) + os.Getenv("PATH")
	containerd, err := n.start("containerd", "env", path, n.runtime.containerd)
	if err != nil {
		return err
	}
	if err := n.waitContainerd(ctx, containerd); err != nil {
		return err
	}
	if err := n.Import(ctx, images...); err != nil {
		return err
	}
	kubelet, err := n.start("kubelet", filepath.Join(c.binaries.Kubernetes, "kubelet"),
		"--config=/"+kubeletConfigFile, "--kubeconfig=/"+kubeletKubeconfig, "--node-ip="+c.nodeAddress())
	if err != nil {
		return err
	}
	c.scheduler, err = c.start("kube-scheduler", filepath.Join(c.binaries.Kubernetes, "kube-scheduler"), nil, []string{
		"--kubeconfig=" + c.Kubeconfig, "--secure-port=0", "--leader-elect=false",
	})
	if err != nil {
		return err
	}
	return n.waitReady(ctx, kubelet)
}

// Files of the machine, where distributions have them.
const (
	containerdConfigFile = "etc/containerd/config.toml"
	networkConfigFile    = "etc/cni/net.d/10-bridge.conflist"
	kubeletConfigFile    = "var/lib/kubelet/config.yaml"
	kubeletKubeconfig    = "etc/kubernetes/kubelet.conf"
)

// kubeletConfig suits a small machine with cgroups of version 1 and nobody else on its
// network. The API server is all that talks to the kubelet.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: true}
  webhook: {enabled: false}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
resolvConf: ""
`

func (n *Node) configure() error {
	user, err := n.cluster.env.AddUser(envtest.User{Name: "system:node:" + n.Name, Groups: []string{"system:nodes"}}, nil)
	if err != nil {
		return fmt.Errorf("add user: %w", err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return err
	}
	network, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0",
		"name":       "pods",
		"plugins": []any{map[string]any{
			"type":             "bridge",
			"isDefaultGateway": true,
			"ipam":             map[string]any{"type": "host-local", "ranges": []any{[]any{map[string]string{"subnet": n.cluster.podRange()}}}},
		}},
	})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		containerdConfigFile: []byte(n.runtime.containerdConfig()),
		networkConfigFile:    network,
		kubeletConfigFile:    []byte(kubeletConfig),
		kubeletKubeconfig:    kubeconfig,
	} {
		if err := n.WriteFile(name, content); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile writes a file of the machine, as root logged in there would.
func (n *Node) WriteFile(name string, content []byte) error {
	path := filepath.Join(n.Root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// inside turns a command into one that runs in the machine.
func (n *Node) inside(command ...string) []string {
	return append([]string{"run", n.Name, n.pid}, command...)
}

func (n *Node) start(name string, command ...string) (*Process, error) {
	return n.cluster.start(name, n.cluster.machineScript(), nil, n.inside(command...))
}

func (n *Node) waitContainerd(ctx context.Context, p *Process) error {
	socket := filepath.Join(n.Root, "run/containerd/containerd.sock")
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.Exited():
			return false, fmt.Errorf("it ended: %w", p.err)
		default:
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return false, nil // it does not listen yet
		}
		return true, conn.Close()
	})
	if err != nil {
		return fmt.Errorf("wait for containerd: %w\n%s", err, tail(p.Log))
	}
	return nil
}

func (n *Node) waitReady(ctx context.Context, kubelet *Process) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		select {
		case <-kubelet.Exited():
			return false, fmt.Errorf("kubelet ended: %w", kubelet.err)
		default:
		}
		node, err := n.cluster.Client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			return false, nil // the kubelet has not made it yet
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return condition.Status == corev1.ConditionTrue, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the node to be ready: %w\n%s", err, tail(kubelet.Log))
	}
	return nil
}

// Install does what the README says, and waits until everything that it starts on the node
// is ready.
func (n *Node) Install(ctx context.Context, overlay Overlay) error {
	root, err := Root()
	if err != nil {
		return err
	}
	c := n.cluster
	if _, err := c.MustKubectl(ctx, "", "apply", "-k", filepath.Join(root, "manifests", "overlays", string(overlay))); err != nil {
		return fmt.Errorf("install overlay %s: %w", overlay, err)
	}
	namespace, _, err := c.webhookService(ctx)
	if err != nil {
		return fmt.Errorf("install overlay %s: %w", overlay, err)
	}
	if err := n.WaitRollout(ctx, namespace); err != nil {
		return fmt.Errorf("install overlay %s: %w", overlay, err)
	}
	if err := c.waitRegistered(ctx); err != nil {
		return fmt.Errorf("install overlay %s: %w", overlay, err)
	}
	return c.Discover()
}

// WaitRollout waits until every Deployment and DaemonSet of a namespace is as it should be.
func (n *Node) WaitRollout(ctx context.Context, namespace string) error {
	args := []string{"--namespace=" + namespace, "rollout", "status", "--timeout=2m"}
	workloads, err := n.cluster.MustKubectl(ctx, "", "--namespace="+namespace, "get", "deployments,daemonsets", "-o", "name")
	if err != nil {
		return err
	}
	for _, workload := range strings.Fields(workloads) {
		if _, err := n.cluster.MustKubectl(ctx, "", append(args, workload)...); err != nil {
			return err
		}
	}
	return nil
}

// drain ends everything in the machine but its pid 1: with the machine goes the link that
// has the API server's address, and without it connections to the API server never end.
func (n *Node) drain() error {
	return n.script(n.inside("sh", "-c", "kill -KILL -1"))
}

// stop ends the machine, and waits until all of it is gone.
func (n *Node) stop() error {
	err := n.script([]string{"stop", n.Name, strconv.Itoa(n.machine.cmd.Process.Pid)})
	if err != nil {
		return err
	}
	<-n.machine.Exited()
	return nil
}

func (n *Node) script(args []string) error {
	if out, err := exec.Command(n.cluster.machineScript(), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("machine.sh %s: %w: %s", args[0], err, out)
	}
	return nil
}
