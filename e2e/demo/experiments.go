// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/seccompgate/seccompgate/e2e/cluster"
	"github.com/seccompgate/seccompgate/e2e/tutorial"
)

// experiments makes those of the tutorial, and returns the cluster if it is to be kept.
func experiments(ctx context.Context, keep bool) (kept *cluster.Cluster, err error) {
	runtime, err := cluster.CurrentRuntime(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	heading("The tutorial's three experiments, on a real node")
	c, err := start(ctx, "start such a cluster with a node: "+runtime.Name, cluster.Options{Runtime: runtime, Detached: keep})
	if err != nil {
		return nil, err
	}
	defer func() {
		if !keep || err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if err := step("kubectl apply -k manifests/overlays/self-signed, pods ready", func() error { return c.Node.Install(ctx, "self-signed") }); err != nil {
		return nil, err
	}
	var t *tutorial.Tutorial
	err = step("copy the profiles to the node, whose agent reports", func() (err error) {
		t, err = tutorial.Prepare(ctx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, experiment := range []func(context.Context, *tutorial.Tutorial) error{printAuditing, printViolation, printFineGrained} {
		fmt.Println()
		if err := experiment(ctx, t); err != nil {
			return nil, err
		}
	}
	if !keep {
		return nil, nil
	}
	return c, nil
}

func printAuditing(ctx context.Context, t *tutorial.Tutorial) error {
	a, err := t.Audit(ctx)
	if err != nil {
		return err
	}
	printAdmitted("1 audit", a.Admitted)
	say("nginx", "answers with its page of "+fmt.Sprint(len(a.Page))+" bytes")
	var calls []string
	for _, c := range a.Calls {
		calls = append(calls, c.String())
	}
	say("kernel", "logged these calls of /usr/sbin/nginx meanwhile: "+strings.Join(calls, " "))
	return nil
}

func printViolation(ctx context.Context, t *tutorial.Tutorial) error {
	v, err := t.Violation(ctx)
	if err != nil {
		return err
	}
	printAdmitted("2 block", v.Admitted)
	say("kubelet", fmt.Sprintf("CrashLoopBackOff after %s: %s", v.Reason, v.Message))
	return nil
}

func printFineGrained(ctx context.Context, t *tutorial.Tutorial) error {
	f, err := t.FineGrained(ctx)
	if err != nil {
		return err
	}
	printAdmitted("3 allow", f.Admitted)
	say("program", "answers: "+f.Page)
	say("outside", "a call that the profile does not name: "+f.Outside)
	return nil
}

func printAdmitted(title string, a tutorial.Admitted) {
	fmt.Printf("%-10s  pod %s\n", title, a.Pod.GetName())
	for place, profile := range cluster.Profiles(a.Pod) {
		say("asks for", fmt.Sprintf("%s (%s)", profile, place))
	}
	for _, w := range a.Warnings {
		say("warning", strings.TrimPrefix(w, "seccompgate: "))
	}
}

func printStay(c *cluster.Cluster) {
	fmt.Printf(`
The cluster with the node goes on running. To use it:

  export KUBECONFIG=%s
  alias kubectl=%s
  kubectl get seccompnodes,localhostprofiles
  kubectl --namespace=tutorial get pods

To stop it:

  %s
`, c.Kubeconfig, c.KubectlPath(), c.StopScript())
}
