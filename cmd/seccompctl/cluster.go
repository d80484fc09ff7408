// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seccompgate/seccompgate/inventory"
)

// clusterOptions say where to read what is known of a cluster: from its API server, or
// from a file that stands for it.
type clusterOptions struct {
	kubeconfig string
	context    string
	inventory  string
}

// addFlags adds the flags of a command that reads a cluster.
func (o *clusterOptions) addFlags(c *cobra.Command) {
	flags := c.Flags()
	nameFlag(flags, &o.inventory, "inventory", "", "`FILE` with what is known of a cluster, or - for standard input, in place of asking it")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`FILE` that says how to reach the cluster (default $KUBECONFIG or ~/.kube/config)")
	flags.StringVar(&o.context, "context", "", "`NAME` of the context in it")
}

// loader finds the cluster as kubectl does.
func (o *clusterOptions) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context})
}

// connect says how to reach the API server.
func (o *clusterOptions) connect() (*rest.Config, error) {
	config, err := o.loader().ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w; name a file with --kubeconfig, or what is known of it with --inventory", err)
	}
	config.UserAgent = "seccompctl/" + version()
	config.QPS = -1 // the API server shares itself out
	return config, nil
}

// read reads the nodes, and of a file the labels of its namespaces, too.
func (o *clusterOptions) read(ctx context.Context, s streams) (facts, error) {
	if o.inventory != "" {
		if o.kubeconfig != "" || o.context != "" {
			return facts{}, errors.New("--inventory stands for a cluster, which --kubeconfig and --context name; give one or the other")
		}
		return readFacts(o.inventory, "", s.in)
	}
	config, err := o.connect()
	if err != nil {
		return facts{}, err
	}
	objects, err := inventory.ReadCluster(ctx, config, logr.Discard())
	if err != nil {
		return facts{}, fmt.Errorf("%w; see that the cluster can be reached, has seccompgate, and lets you read its nodes", err)
	}
	return facts{index: inventory.NewIndex(objects)}, nil
}
