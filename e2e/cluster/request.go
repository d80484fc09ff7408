// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/restmapper"
)

// User is whom a request comes from; the zero one is a member of system:masters.
type User struct {
	Name   string   `json:"name,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// Request is one write to the API server.
type Request struct {
	User        User
	Object      *unstructured.Unstructured
	Namespace   string
	Subresource string
	DryRun      bool
	// Patch is sent in place of Object, which it is for; otherwise Object is created.
	Patch any
}

// Answer is what the API server says, with all that client-go hides.
type Answer struct {
	// Code is the HTTP status.
	Code int
	// Message is empty when the request succeeded.
	Message  string
	Warnings []string
	// Object as it was stored.
	Object *unstructured.Unstructured
	// AuditID finds the request in the audit log.
	AuditID string
}

// Allowed says that the request succeeded.
func (a *Answer) Allowed() bool { return a.Code < http.StatusBadRequest }

// Discover learns which kinds the API server has: after new ones came, and before Send.
func (c *Cluster) Discover() error {
	groups, err := restmapper.GetAPIGroupResources(c.Client.Discovery())
	if err != nil {
		return fmt.Errorf("discover kinds: %w", err)
	}
	c.mapper = restmapper.NewDiscoveryRESTMapper(groups)
	return nil
}

// Send sends the request. An answer that says no is no error.
func (c *Cluster) Send(ctx context.Context, r Request) (*Answer, error) {
	url, err := c.url(r)
	if err != nil {
		return nil, err
	}
	method, contentType, content := http.MethodPost, "application/json", any(r.Object)
	if r.Patch != nil {
		method, contentType, content = http.MethodPatch, "application/strategic-merge-patch+json", r.Patch
		if r.Object.GroupVersionKind().Group == "seccompgate.io" {
			contentType = "application/merge-patch+json" // the only one that custom resources have
		}
	}
	body, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	if r.User.Name != "" {
		req.Header.Set("Impersonate-User", r.User.Name)
		req.Header["Impersonate-Group"] = r.User.Groups
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return newAnswer(resp, text)
}

func newAnswer(resp *http.Response, text []byte) (*Answer, error) {
	a := &Answer{Code: resp.StatusCode, AuditID: resp.Header.Get("Audit-Id"), Object: &unstructured.Unstructured{}}
	warnings, errs := utilnet.ParseWarningHeaders(resp.Header["Warning"])
	if len(errs) > 0 {
		return nil, fmt.Errorf("read warnings: %v", errs)
	}
	for _, w := range warnings {
		a.Warnings = append(a.Warnings, w.Text)
	}
	if a.Allowed() {
		if err := a.Object.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("decode answer: %w", err)
		}
		return a, nil
	}
	var status metav1.Status
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, fmt.Errorf("decode answer %q: %w", text, err)
	}
	a.Message = status.Message
	return a, nil
}

func (c *Cluster) url(r Request) (string, error) {
	gvk := r.Object.GroupVersionKind()
	resource, namespaced := "pods", true // a Binding is one of a pod
	prefix := path.Join("/api", gvk.Version)
	if gvk.Group != "" {
		prefix = path.Join("/apis", gvk.Group, gvk.Version)
	}
	if r.Subresource != "binding" {
		mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			return "", fmt.Errorf("find resource: %w", err)
		}
		resource, namespaced = mapping.Resource.Resource, mapping.Scope.Name() == "namespace"
	}
	elements := []string{prefix}
	if namespaced {
		elements = append(elements, "namespaces", r.Namespace)
	}
	elements = append(elements, resource)
	if r.Subresource != "" || r.Patch != nil {
		elements = append(elements, r.Object.GetName(), r.Subresource)
	}
	url := strings.TrimSuffix(c.Config.Host, "/") + path.Join(elements...)
	if r.DryRun {
		url += "?dryRun=All"
	}
	return url, nil
}

// auditEvent is the part of an audit event that admission adds to.
type auditEvent struct {
	AuditID     string            `json:"auditID"`
	Annotations map[string]string `json:"annotations"`
}

// Audited returns the audit annotations of a request, which the API server writes when
// the request is over.
func (c *Cluster) Audited(ctx context.Context, auditID string) (annotations map[string]string, err error) {
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		event, found, err := c.findAudit(auditID)
		annotations = event.Annotations
		return found, err
	})
	if err != nil {
		return nil, fmt.Errorf("find %s in the audit log %s: %w", auditID, c.AuditLog(), err)
	}
	return annotations, nil
}

func (c *Cluster) findAudit(auditID string) (event auditEvent, found bool, err error) {
	f, err := os.Open(c.AuditLog())
	if err != nil {
		return event, false, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return event, false, nil // a line that is being written comes next time
		}
		if !bytes.Contains(line, []byte(auditID)) {
			continue
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return event, false, fmt.Errorf("decode audit event: %w", err)
		}
		if event.AuditID == auditID {
			return event, true, nil
		}
	}
}

// Profiles are the seccomp profiles of a pod by their place.
func Profiles(o *unstructured.Unstructured) map[string]string {
	out := map[string]string{}
	add := func(place string, holder map[string]any) {
		kind, found, _ := unstructured.NestedString(holder, "securityContext", "seccompProfile", "type")
		if !found {
			return
		}
		file, _, _ := unstructured.NestedString(holder, "securityContext", "seccompProfile", "localhostProfile")
		out[place] = strings.TrimSpace(kind + " " + file)
	}
	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	add("pod", spec)
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		items, _, _ := unstructured.NestedSlice(spec, list)
		for _, item := range items {
			if container, ok := item.(map[string]any); ok {
				add(fmt.Sprintf("%s[%v]", list, container["name"]), container)
			}
		}
	}
	return out
}
