// SPDX-License-Identifier: Apache-2.0

// Package cluster runs a real Kubernetes control plane on this machine's loopback
// addresses, with seccompgate installed from the manifests that are shipped.
//
// etcd, kube-apiserver and kube-controller-manager are real, so that Deployments
// make pods, ServiceAccounts exist and RBAC decides. A cluster has a real node (node.go),
// or none, as most tests need none and are faster so: then Node and SeccompNode objects
// are made by hand, and no pod ever starts. What a node does for our own pods is done here:
// a container of a shipped pod template is run as a local process with that template's
// arguments, environment, volumes and service account (pod.go), and its Service is a TCP
// forwarder on the ClusterIP (proxy.go).
// That needs no network set-up, as the cluster's Service addresses are loopback
// addresses themselves: all of 127.0.0.0/8 is there on every Linux machine.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// Options say what kind of cluster to start.
type Options struct {
	// Dir holds everything that the cluster writes: data, certificates, logs and
	// the kubeconfig. It must not exist or be empty. Stop removes it.
	Dir string
	// Detached lets the cluster outlive this process: see Cluster.StopScript.
	// Otherwise the kernel ends it with us, as it does with pods that run as processes
	// of this machine.
	Detached bool
	// Runtime is what the cluster's node runs containers with. Without one, there is no
	// node.
	Runtime *Runtime
	// Progress is told what takes long.
	Progress io.Writer
}

// Cluster is a running control plane.
type Cluster struct {
	// Dir holds everything that the cluster wrote.
	Dir string
	// Kubeconfig is the file for a member of system:masters.
	Kubeconfig string
	// Config and Client are the same for Go.
	Config *rest.Config
	Client *kubernetes.Clientset
	// Node is nil in a cluster without one.
	Node *Node

	http        *http.Client
	mapper      meta.RESTMapper
	binaries    Binaries
	detached    bool
	octet       int // the second one of the cluster's addresses: 127.<octet>.0.0/16
	pods        int // local pods so far: each has an address of its own
	env         *envtest.Environment
	manager     *Process
	scheduler   *Process
	services    []*Service
	controllers []*Pod
}

// Start builds what is missing and starts a control plane, and a node if it is to have one.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	log.SetLogger(zap.New(zap.WriteTo(io.Discard))) // envtest's, which complains when there is none
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	binaries, err := Build(ctx, o.Progress)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster: %w", err), os.RemoveAll(o.Dir))
	}
	var images []Image
	if o.Runtime != nil {
		if images, err = BuildImages(ctx, binaries, o.Progress); err != nil {
			return nil, errors.Join(fmt.Errorf("start cluster: %w", err), os.RemoveAll(o.Dir))
		}
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("start cluster: %w", err)
	}
	c := &Cluster{
		Dir:        o.Dir,
		Kubeconfig: filepath.Join(o.Dir, "kubeconfig"),
		binaries:   binaries,
		detached:   o.Detached,
		// Clusters that run at the same time on one machine keep out of each
		// other's way by chance; the low octets are left to other software.
		octet: 64 + rand.IntN(128),
	}
	if err := c.run(ctx, o.Runtime, images); err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster: %w", err), c.Stop())
	}
	return c, nil
}

func (c *Cluster) run(ctx context.Context, runtime *Runtime, images []Image) error {
	// The API server would ask a proxy for the webhook's address.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"} {
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("clear %s: %w", name, err)
		}
	}
	if runtime != nil {
		if err := c.startMachine(ctx, runtime); err != nil {
			return err
		}
	}
	if err := c.startControlPlane(); err != nil {
		return err
	}
	if err := os.WriteFile(c.Kubeconfig, c.env.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	var err error
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if c.http, err = rest.HTTPClientFor(c.Config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := c.startControllerManager(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.manager.Exited(): // it would be waited for in vain
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := c.WaitForServiceAccount(ctx, "default", "default"); err != nil {
		return fmt.Errorf("kube-controller-manager does not work: %w\n%s", err, tail(c.manager.Log))
	}
	if c.Node != nil {
		if err := c.startNode(ctx, images); err != nil {
			return err
		}
	}
	return c.writeStopScript()
}

func (c *Cluster) startControlPlane() error {
	etcd, err := c.launcher(filepath.Join(c.binaries.Kubernetes, "etcd"))
	if err != nil {
		return err
	}
	apiserver, err := c.launcher(filepath.Join(c.binaries.Kubernetes, "kube-apiserver"))
	if err != nil {
		return err
	}
	etcdLog, err := c.openLog("etcd")
	if err != nil {
		return err
	}
	defer etcdLog.Close()
	apiserverLog, err := c.openLog("kube-apiserver")
	if err != nil {
		return err
	}
	defer apiserverLog.Close()
	policy := filepath.Join(c.Dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o644); err != nil {
		return fmt.Errorf("write audit policy: %w", err)
	}

	c.env = &envtest.Environment{
		ControlPlaneStartTimeout: 2 * time.Minute, // two busy cores
		ControlPlaneStopTimeout:  stopTimeout,
	}
	c.env.ControlPlane.Etcd = &envtest.Etcd{Path: etcd, Out: etcdLog, Err: etcdLog, DataDir: filepath.Join(c.Dir, "etcd")}
	server := c.env.ControlPlane.GetAPIServer()
	server.Path, server.Out, server.Err = apiserver, apiserverLog, apiserverLog
	server.CertDir = filepath.Join(c.Dir, "apiserver")
	if err := os.MkdirAll(server.CertDir, 0o755); err != nil {
		return fmt.Errorf("make certificate directory: %w", err)
	}
	flags := server.Configure().
		Disable("disable-admission-plugins"). // envtest's default leaves ServiceAccount out
		Set("audit-policy-file", policy).
		Set("audit-log-path", c.AuditLog())
	if c.Node == nil {
		flags.
			Set("service-cluster-ip-range", fmt.Sprintf("127.%d.0.0/17", c.octet)).
			// Only written into an Endpoints object; loopback is refused there. This
			// one is for documentation (RFC 5737).
			Set("advertise-address", "192.0.2.1")
	} else {
		server.Address, server.Port = c.apiAddress(), "443"
		flags.
			Set("service-cluster-ip-range", c.serviceRange()).
			Set("authorization-mode", "Node", "RBAC").
			Set("enable-admission-plugins", "NodeRestriction").
			Set("kubelet-preferred-address-types", "InternalIP").
			Set("enable-aggregator-routing", "true")
	}
	if c.Config, err = c.env.Start(); err != nil {
		return fmt.Errorf("start etcd and kube-apiserver: %w\n%s", err, tail(apiserverLog.Name()))
	}
	c.Config.WarningHandler = rest.NoWarnings{} // they are part of an answer, and not for our output
	return nil
}

// auditPolicy logs what admission webhooks may annotate, once it is decided.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [create, update, patch]
  resources:
  - group: ""
    resources: [pods, pods/ephemeralcontainers, pods/binding, bindings, namespaces, replicationcontrollers, podtemplates]
  - group: apps
  - group: batch
  - group: seccompgate.io
`

// AuditLog is the file that the API server writes its audit events to, one JSON
// object a line.
func (c *Cluster) AuditLog() string { return filepath.Join(c.Dir, "log", "audit.jsonl") }

func (c *Cluster) startControllerManager() error {
	certs := c.env.ControlPlane.GetAPIServer().CertDir
	controllers := "*,-node-ipam-controller"
	if c.Node == nil { // nothing that judges nodes or removes pods: ours have no kubelet
		controllers += ",-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller"
	}
	var err error
	c.manager, err = c.start("kube-controller-manager", filepath.Join(c.binaries.Kubernetes, "kube-controller-manager"), nil, []string{
		"--kubeconfig=" + c.Kubeconfig,
		"--secure-port=0",
		"--leader-elect=false",
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + filepath.Join(certs, "sa-signer.key"),
		"--root-ca-file=" + filepath.Join(certs, "apiserver.crt"),
		"--controllers=" + controllers,
	})
	return err
}

// WaitForServiceAccount waits until the controller manager has made an account;
// before that the namespace takes no pod.
func (c *Cluster) WaitForServiceAccount(ctx context.Context, namespace, name string) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := c.Client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("wait for service account %s/%s: %w", namespace, name, err)
	}
	return nil
}

// StopScript ends a cluster that outlived the process which started it.
func (c *Cluster) StopScript() string { return filepath.Join(c.Dir, "stop") }

func (c *Cluster) writeStopScript() error {
	drain, machine, stop := "", "none", ""
	if n := c.Node; n != nil {
		machine = strconv.Itoa(n.machine.cmd.Process.Pid)
		drain = fmt.Sprintf("%s run %s %s sh -c 'kill -KILL -1'", quote(c.machineScript()), n.Name, n.pid)
		stop = fmt.Sprintf("%s stop %s %s", quote(c.machineScript()), n.Name, machine)
	}
	script := fmt.Sprintf(`#!/bin/sh
# Ends the programs that run in this directory, and removes it.
%[3]s
for pid in $(tac %[1]s); do
	[ "$pid" != %[4]s ] || continue
	kill "$pid" 2>/dev/null
	while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
done
%[5]s
rm -rf %[2]s
`, quote(c.pidFile()), quote(c.Dir), drain, machine, stop)
	if err := os.WriteFile(c.StopScript(), []byte(script), 0o755); err != nil {
		return fmt.Errorf("write stop script: %w", err)
	}
	return nil
}

// Stop ends the cluster and removes its directory.
func (c *Cluster) Stop() error {
	var errs []error
	for _, s := range c.services {
		errs = append(errs, s.Stop())
	}
	errs = append(errs, c.StopControllers())
	if c.Node != nil {
		errs = append(errs, c.Node.drain())
	}
	if c.scheduler != nil {
		errs = append(errs, c.scheduler.Stop())
	}
	if c.manager != nil {
		errs = append(errs, c.manager.Stop())
	}
	if c.env != nil {
		errs = append(errs, c.env.Stop())
	}
	if c.Node != nil {
		errs = append(errs, c.Node.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(c.Dir))...)
}
