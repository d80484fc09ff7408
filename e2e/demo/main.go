// SPDX-License-Identifier: Apache-2.0

// Command demo shows the main job: it starts a real control plane on this machine,
// installs seccompgate from the shipped manifests, applies examples/, and prints what was
// injected, what was denied and why.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "forward" { // started by cluster.Detach
		end(forward(os.Args[2:]))
	}
	keep := flag.Bool("keep", false, "leave the cluster running, and print how to use and how to stop it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, *keep)
	stop()
	end(err)
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func forward(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return cluster.RunForwarder(ctx, args)
}

func run(ctx context.Context, keep bool) (err error) {
	start := time.Now()
	examples, err := cluster.Examples()
	if err != nil {
		return err
	}
	setting, err := cluster.ExampleSetting()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "seccompgate-demo-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}

	fmt.Println("seccompgate on a real API server, installed from manifests/, with the objects of examples/")
	fmt.Println()
	var c *cluster.Cluster
	err = step("start etcd, kube-apiserver and kube-controller-manager", func() error {
		var err error
		c, err = cluster.Start(ctx, cluster.Options{Dir: dir, Detached: keep, Progress: os.Stderr})
		return err
	})
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped && (!keep || err != nil) {
			err = errors.Join(err, c.Stop())
		}
	}()
	d := demo{cluster: c, examples: examples}
	if err := d.prepare(ctx, setting); err != nil {
		return err
	}
	if err := d.judge(ctx); err != nil {
		return err
	}
	if err := d.printAudit(ctx); err != nil {
		return err
	}
	d.printCount()
	fmt.Printf("\nDone in %s.\n", seconds(time.Since(start)))
	if keep {
		return d.stay(ctx)
	}
	stopped = true
	return c.Stop()
}

// step runs one step of the preparation and prints how long it took.
func step(what string, f func() error) error {
	start := time.Now()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Printf("  %-62s %6s\n", what, seconds(time.Since(start)))
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// demo is a cluster with the objects of examples/.
type demo struct {
	cluster *cluster.Cluster
	// examples are the pods and workloads, and answers what became of them.
	examples []cluster.Example
	answers  []*cluster.Answer
	// profiles are those that namespaces name.
	profiles map[string]string
}

// prepare makes everything that is no pod.
func (d *demo) prepare(ctx context.Context, setting []*unstructured.Unstructured) error {
	const overlay = "self-signed"
	var service *cluster.Service
	err := step("kubectl apply -k manifests/overlays/"+overlay, func() error {
		var err error
		service, err = d.cluster.Install(ctx, overlay)
		return err
	})
	if err != nil {
		return err
	}
	kinds := map[string]int{}
	d.profiles = map[string]string{}
	for _, o := range setting {
		kinds[o.GetKind()]++
		if o.GetKind() == "Namespace" {
			d.profiles[o.GetName()] = o.GetLabels()["seccompgate.io/profile"]
		}
	}
	err = step(fmt.Sprintf("create from examples/: nodes %d, profiles %d, namespaces %d", kinds["Node"], kinds["LocalhostProfile"], kinds["Namespace"]), func() error {
		return d.cluster.ApplySetting(ctx, service, setting)
	})
	if err != nil {
		return err
	}
	return d.printSetting(setting)
}

// judge makes the pods and workloads, and prints what became of each.
func (d *demo) judge(ctx context.Context) error {
	heading("What became of the pods and workloads")
	for i, e := range d.examples {
		if i > 0 {
			fmt.Println()
		}
		a, err := d.cluster.Send(ctx, cluster.Request{Object: e.Object, Namespace: e.Namespace})
		if err != nil {
			return err
		}
		d.answers = append(d.answers, a)
		d.printDecision(e, a)
		if a.Allowed() && e.Object.GetKind() == "Deployment" {
			if err := d.printPods(ctx, e, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// stay leaves the cluster to the user.
func (d *demo) stay(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := d.cluster.Detach(ctx, program); err != nil {
		return err
	}
	fmt.Printf(`
The cluster goes on running. To use it:

  export KUBECONFIG=%s
  alias kubectl=%s
  kubectl get localhostprofiles,seccompnodes
  kubectl --namespace=shop run again --image=nginx --labels=seccompgate.io/profile=runtime-default

To stop it:

  %s
`, d.cluster.Kubeconfig, d.cluster.KubectlPath(), d.cluster.StopScript())
	return nil
}

func heading(text string) { fmt.Printf("\n%s\n%s\n", text, strings.Repeat("-", len(text))) }
