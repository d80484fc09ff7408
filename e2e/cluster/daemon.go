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

// Daemon is a pod of a DaemonSet that is to run.
type Daemon struct {
	// Namespace and Name of the DaemonSet.
	Namespace, Name string
	// Node is the node that the pod is for, and Root the directory that is its "/".
	Node, Root string
	// Server is what the pod takes for the API server, an https URL; empty for itself.
	Server string
	// Args are further arguments.
	Args []string
}

// StartDaemon runs the pod that the DaemonSet's controller made for a node: it is bound
// to the node as a scheduler would do it, and gets the token that a kubelet would request.
// That it is ready is not told to the API server before SetReady does.
func (c *Cluster) StartDaemon(ctx context.Context, d Daemon) (*Pod, error) {
	p, err := c.startDaemon(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("run daemon %s/%s on node %s: %w", d.Namespace, d.Name, d.Node, err)
	}
	return p, nil
}

func (c *Cluster) startDaemon(ctx context.Context, d Daemon) (*Pod, error) {
	object, err := c.daemonPod(ctx, d)
	if err != nil {
		return nil, err
	}
	if object.Spec.NodeName == "" {
		binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: object.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: d.Node}}
		if err := c.Client.CoreV1().Pods(d.Namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	p := &Pod{
		IP: c.podIP(), cluster: c, name: object.Name, namespace: d.Namespace, spec: object.Spec, object: object, server: d.Server,
		dir: filepath.Join(c.Dir, "pods", object.Name),
	}
	p.spec.NodeName = d.Node
	// The directories that the template mounts lie below the one that stands for the node.
	return p, p.start(ctx, append([]string{"--root=" + d.Root}, d.Args...))
}

// daemonPod waits for the pod that the controller makes for the node.
func (c *Cluster) daemonPod(ctx context.Context, d Daemon) (*corev1.Pod, error) {
	set, err := c.Client.AppsV1().DaemonSets(d.Namespace).Get(ctx, d.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var object *corev1.Pod
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		list, err := c.Client.CoreV1().Pods(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(set.Spec.Selector)})
		if err != nil {
			return false, err
		}
		for i := range list.Items {
			if p := &list.Items[i]; p.DeletionTimestamp == nil && isFor(p, d.Node) {
				object = p
			}
		}
		return object != nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for the pod of the DaemonSet: %w", err)
	}
	return object, nil
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
