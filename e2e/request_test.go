// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// send sends a request, whatever the answer is.
func (s *suite) send(t *testing.T, r cluster.Request) *cluster.Answer {
	t.Helper()
	a, err := s.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// create sends an object of YAML to a namespace.
func (s *suite) create(t *testing.T, namespace, object string) *cluster.Answer {
	t.Helper()
	return s.send(t, cluster.Request{Object: parse(t, object), Namespace: namespace})
}

// try is create without anything left behind.
func (s *suite) try(t *testing.T, namespace, object string) *cluster.Answer {
	t.Helper()
	return s.send(t, cluster.Request{Object: parse(t, object), Namespace: namespace, DryRun: true})
}

// audited returns the audit annotations of a request.
func (s *suite) audited(t *testing.T, a *cluster.Answer) map[string]string {
	t.Helper()
	annotations, err := s.Audited(t.Context(), a.AuditID)
	if err != nil {
		t.Fatal(err)
	}
	return annotations
}

// parse reads one object of YAML.
func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("parse object: %v", err)
	}
	return o
}
