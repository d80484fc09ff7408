// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

func TestAppliesSeccomp(t *testing.T) {
	var o Objects
	for name, runtimes := range map[string][]v1alpha1.Runtime{
		"both":   {{Handler: "", LowLevel: "runc"}, {Handler: "crun", LowLevel: "crun"}},
		"crun":   {{Handler: "crun", LowLevel: "crun"}, {Handler: "gvisor", LowLevel: "runsc"}},
		"silent": nil,
	} {
		o.Nodes = append(o.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}})
		o.SeccompNodes = append(o.SeccompNodes, &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Facts: v1alpha1.NodeFacts{Runtimes: runtimes}})
	}
	x := NewIndex(o)
	for _, tc := range []struct {
		name, node, handler string
		want                bool
	}{
		{"on every node that reports", "", "crun", true},
		{"on one of two", "", "gvisor", false},
		{"a runtime with a kernel of its own", "crun", "gvisor", false},
		{"the default handler", "both", "", true},
		{"not there", "both", "kata", false},
		{"nothing is reported", "silent", "crun", false},
		{"no such node", "none", "crun", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := Placement{}
			if tc.node != "" {
				p.NodeSelector = map[string]string{"name": tc.node}
			}
			set := x.Eligible(&p)
			defer set.Release()
			if got := x.AppliesSeccomp(set, tc.handler); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
