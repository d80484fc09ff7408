// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// StartDaemon runs the pod of a DaemonSet for a node, whose "/" is the directory root. The
// pod is that which the DaemonSet's controller made: it is bound to the node as a scheduler
// would, and gets the token that a kubelet would request. Its readiness is not told to the
// API server before SetReady does.
func (c *Cluster) StartDaemon(ctx context.Context, namespace, name, node, root string, extra ...string) (*Pod, error) {
	p, err := c.startDaemon(ctx, namespace, name, node, root, extra)
	if err != nil {
		return nil, fmt.Errorf("run daemon %s/%s on node %s: %w", namespace, name, node, err)
	}
	return p, nil
}

func (c *Cluster) startDaemon(ctx context.Context, namespace, name, node, root string, extra []string) (*Pod, error) {
	set, err := c.Client.AppsV1().DaemonSets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pods := c.Client.CoreV1().Pods(namespace)
	var object *corev1.Pod
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(set.Spec.Selector)})
		if err != nil {
			return false, err
		}
		for i := range list.Items {
			if p := &list.Items[i]; p.DeletionTimestamp == nil && isFor(p, node) {
				object = p
			}
		}
		return object != nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for the pod of the DaemonSet: %w", err)
	}
	if object.Spec.NodeName == "" {
		binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: object.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
		if err := pods.Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	c.pods++
	p := &Pod{
		IP:      fmt.Sprintf("127.%d.%d.%d", c.octet, 128+c.pods/250, 1+c.pods%250),
		cluster: c, name: object.Name, namespace: namespace, spec: object.Spec, object: object,
		dir: filepath.Join(c.Dir, "pods", object.Name),
	}
	p.spec.NodeName = node
	// What the template mounts below one directory is all that there is of a node.
	return p, p.start(ctx, append([]string{"--root=" + root}, extra...))
}

// isFor says whether the DaemonSet's controller means the pod for a node.
func isFor(p *corev1.Pod, node string) bool {
	if p.Spec.NodeName != "" {
		return p.Spec.NodeName == node
	}
	if p.Spec.Affinity == nil || p.Spec.Affinity.NodeAffinity == nil || p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	for _, term := range p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if f.Key == metav1.ObjectNameField && len(f.Values) == 1 && f.Values[0] == node {
				return true
			}
		}
	}
	return false
}

// SetReady tells the API server what a kubelet would of the pod's readiness probe.
func (p *Pod) SetReady(ctx context.Context, ready bool) error {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pods := p.cluster.Client.CoreV1().Pods(p.namespace)
	object, err := pods.Get(ctx, p.name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("tell that pod %s is ready: %w", p.name, err)
	}
	object.Status.Phase = corev1.PodRunning
	object.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()}}
	if _, err := pods.UpdateStatus(ctx, object, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("tell that pod %s is ready: %w", p.name, err)
	}
	return nil
}

// Delete ends the program and deletes the Pod, which no kubelet would confirm.
func (p *Pod) Delete(ctx context.Context) error {
	now := int64(0)
	return errors.Join(p.Stop(), p.cluster.Client.CoreV1().Pods(p.namespace).Delete(ctx, p.name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
}
