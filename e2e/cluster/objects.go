// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// ReadObjects reads the objects of a file, or of every .yaml file below a directory, in
// lexical order.
func ReadObjects(root string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			o := &unstructured.Unstructured{}
			if err := documents.Decode(&o.Object); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("parse %s: %w", path, err)
			}
			if len(o.Object) > 0 { // else a comment
				all = append(all, o)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return all, nil
}

// Create makes an object in its own namespace, with its status, which no client could
// write in one request. It must be allowed.
func (c *Cluster) Create(ctx context.Context, o *unstructured.Unstructured) (*Answer, error) {
	a, err := c.Send(ctx, Request{Object: o, Namespace: o.GetNamespace()})
	if err != nil {
		return nil, err
	}
	if !a.Allowed() {
		return nil, fmt.Errorf("create %s %s: %s", o.GetKind(), o.GetName(), a.Message)
	}
	status, found := o.Object["status"]
	if !found {
		return a, nil
	}
	written, err := c.Send(ctx, Request{Object: o, Namespace: o.GetNamespace(), Subresource: "status", Patch: map[string]any{"status": status}})
	if err != nil {
		return nil, err
	}
	if !written.Allowed() {
		return nil, fmt.Errorf("write status of %s %s: %s", o.GetKind(), o.GetName(), written.Message)
	}
	return a, nil
}

// Title names an object as people do.
func Title(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")
}
