// SPDX-License-Identifier: Apache-2.0

// Under the race detector sync.Pool drops what it is given at random.
//go:build !race

package inventory

import (
	"testing"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// TestLookupAllocations holds the number of allocations on the way of every request.
func TestLookupAllocations(t *testing.T) {
	x := largeIndex()
	want := map[string]float64{
		// Of each that finds nodes without the file or without facts, two lists of examples.
		"plain": 2, "nodeSelector": 2, "affinity": 2, "tolerating": 2, "bound": 1,
	}
	for _, pod := range benchPods() {
		got := testing.AllocsPerRun(100, func() { ask(x, &pod.Placement, askedPath) })
		if got > want[pod.name] {
			t.Errorf("%s pod: %.0f allocations, want at most %.0f", pod.name, got, want[pod.name])
		}
	}
	everywhere := NewIndex(Objects{
		Nodes: nodesNamed("a1", "a2"), SeccompNodes: []*v1alpha1.SeccompNode{reports("a1", fileAt("x.json", "1")), reports("a2", fileAt("x.json", "1"))},
	})
	if got := testing.AllocsPerRun(100, func() { ask(everywhere, &Placement{}, "x.json") }); got != 0 {
		t.Errorf("plain pod, all nodes have the file: %.0f allocations, want none", got)
	}
}
