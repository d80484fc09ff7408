// SPDX-License-Identifier: Apache-2.0

// Command demo shows the main job on this machine. On a control plane whose nodes are
// objects only, it applies examples/ and prints what was injected, what was denied and why.
// On a node whose kubelet, container runtime and kernel are real, it makes the three
// experiments of examples/tutorial.
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
	keep := flag.Bool("keep", false, "leave the cluster with the node running, and print how to use and how to stop it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, *keep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, keep bool) error {
	start := time.Now()
	if err := decisions(ctx); err != nil {
		return err
	}
	kept, err := experiments(ctx, keep)
	if err != nil {
		return err
	}
	fmt.Printf("\nDone in %s.\n", seconds(time.Since(start)))
	if kept != nil {
		printStay(kept)
	}
	return nil
}

// decisions applies the objects of examples/.
func decisions(ctx context.Context) (err error) {
	examples, err := cluster.Examples()
	if err != nil {
		return err
	}
	setting, err := cluster.ExampleSetting()
	if err != nil {
		return err
	}
	fmt.Println("seccompgate on a real API server, installed from manifests/, with the objects of examples/")
	fmt.Println()
	c, err := start(ctx, "start etcd, kube-apiserver and kube-controller-manager", cluster.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
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
	return nil
}

func start(ctx context.Context, what string, o cluster.Options) (c *cluster.Cluster, err error) {
	if o.Dir, err = os.MkdirTemp("", "seccompgate-demo-"); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	o.Progress = os.Stderr
	err = step(what, func() (err error) {
		c, err = cluster.Start(ctx, o)
		return err
	})
	return c, err
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

func heading(text string) { fmt.Printf("\n%s\n%s\n", text, strings.Repeat("-", len(text))) }
