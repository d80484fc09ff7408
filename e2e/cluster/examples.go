// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Example is a file of examples/ that is applied to a namespace of examples/.
type Example struct {
	Namespace string
	File      string
	Object    *unstructured.Unstructured
}

// Examples are what the demo shows and the tests check, in this order.
func Examples() ([]Example, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	examples := []Example{
		{Namespace: "shop", File: "tutorial/audit-pod.yaml"},
		{Namespace: "shop", File: "tutorial/violation-pod.yaml"},
		{Namespace: "shop", File: "tutorial/finegrained-pod.yaml"},
		{Namespace: "shop", File: "labelled-pod.yaml"},
		{Namespace: "shop", File: "unconfined-pod.yaml"},
		{Namespace: "shop", File: "deployment.yaml"},
		{Namespace: "staging", File: "tutorial/audit-pod.yaml"},
		{Namespace: "legacy", File: "unconfined-pod.yaml"},
		{Namespace: "tools", File: "deployment.yaml"},
	}
	for i := range examples {
		e := &examples[i]
		objects, err := ReadObjects(filepath.Join(root, "examples", e.File))
		if err != nil {
			return nil, err
		}
		if len(objects) != 1 {
			return nil, fmt.Errorf("read example %s: it has %d objects, want 1", e.File, len(objects))
		}
		e.Object = objects[0]
	}
	return examples, nil
}

// ExampleSetting returns the namespaces, nodes and profiles of examples/.
func ExampleSetting() ([]*unstructured.Unstructured, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for _, file := range []string{"namespaces.yaml", "nodes.yaml", "localhostprofile.yaml"} {
		objects, err := ReadObjects(filepath.Join(root, "examples", file))
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// ApplySetting makes the namespaces, nodes and profiles of examples/, and waits until the
// service knows them.
func (c *Cluster) ApplySetting(ctx context.Context, service *Service, setting []*unstructured.Unstructured) error {
	if err := c.Discover(); err != nil {
		return err
	}
	for _, o := range setting {
		if _, err := c.Create(ctx, o); err != nil {
			return err
		}
		if o.GetKind() == "Namespace" {
			if err := c.WaitForServiceAccount(ctx, o.GetName(), "default"); err != nil {
				return err
			}
		}
	}
	// A replica that starts now is ready only when it has read all of it.
	_, err := service.Replace(ctx)
	return err
}
