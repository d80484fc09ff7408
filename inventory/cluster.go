// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// ReadCluster reads once what [Watch] follows, apart from namespaces. Objects that are not
// valid count as they do there, and are logged.
func ReadCluster(ctx context.Context, config *rest.Config, log logr.Logger) (Objects, error) {
	return read(ctx, config, log, metav1.ListOptions{})
}

// ReadNode reads what [ReadCluster] reads, but of all nodes only one.
func ReadNode(ctx context.Context, config *rest.Config, log logr.Logger, name string) (Objects, error) {
	return read(ctx, config, log, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()})
}

func read(ctx context.Context, config *rest.Config, log logr.Logger, nodes metav1.ListOptions) (o Objects, err error) {
	from, err := apiSources(config, metav1.NamespaceAll)
	if err != nil {
		return o, fmt.Errorf("read inventory: %w", err)
	}
	w := &watcher{log: log}
	if err := readAll(ctx, "nodes", from.nodes, nodes, stripNode, &o.Nodes); err != nil {
		return o, err
	}
	if err := readAll(ctx, "seccompnodes", from.seccompNodes, nodes, w.seccompNode, &o.SeccompNodes); err != nil {
		return o, err
	}
	var pods []*corev1.Pod
	// Who may not read pods takes for true what was reported last.
	if err := readAll(ctx, "pods", from.agents, metav1.ListOptions{}, stripPod, &pods); err != nil && !apierrors.IsForbidden(err) {
		return o, err
	}
	var agents agents
	agents.look(pods, time.Now())
	o.SeccompNodes, _ = agents.current(o.SeccompNodes, time.Now())
	sets := metav1.ListOptions{}
	if nodes.FieldSelector != "" && len(o.SeccompNodes) == 1 {
		sets.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, o.SeccompNodes[0].Facts.ProfileSet).String()
	}
	if err := readAll(ctx, "profilesets", from.profileSets, sets, w.profileSet, &o.ProfileSets); err != nil {
		return o, err
	}
	return o, readAll(ctx, "localhostprofiles", from.localhostProfiles, metav1.ListOptions{}, w.localhostProfile, &o.LocalhostProfiles)
}

// readAll lists one kind.
func readAll[T any](ctx context.Context, resource string, from cache.ListerWatcher, which metav1.ListOptions, keep cache.TransformFunc, into *[]*T) error {
	list, err := cache.ToListerWatcherWithContext(from).ListWithContext(ctx, which)
	if err != nil {
		return fmt.Errorf("list %s: %w", resource, err)
	}
	err = meta.EachListItem(list, func(item runtime.Object) error {
		kept, err := keep(item)
		if o, ok := kept.(*T); ok {
			*into = append(*into, o)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", resource, err)
	}
	return nil
}
