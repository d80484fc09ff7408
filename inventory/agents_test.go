// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// agentOn is the pod of an agent; one without a node has not been scheduled.
func agentOn(name, node string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "seccompgate", Name: name},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// TestWatchAgents: a node is known as long as its agent is ready, and half a minute longer.
func TestWatchAgents(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		for _, n := range nodesNamed("a1", "a2", "a3") {
			s.nodes.Add(n)
			s.seccompNodes.Add(reports(n.Name))
		}
		s.start(t)
		defer s.end(t)
		unknown := func(want int, when string) {
			t.Helper()
			if got := s.store.Index().Unknown(); got != want {
				t.Errorf("%s: %d nodes are unknown, want %d", when, got, want)
			}
		}
		settle(time.Minute)
		unknown(0, "without any agent")

		s.agents.Add(agentOn("p0", "", corev1.ConditionFalse))
		settle(time.Minute)
		unknown(0, "with an agent that runs nowhere")

		s.agents.Add(agentOn("p1", "a1", corev1.ConditionTrue))
		settle(time.Second)
		unknown(2, "with an agent on one node, and nothing ready on the others before")
		s.agents.Add(agentOn("p2", "a2", corev1.ConditionFalse))
		settle(time.Second)
		unknown(2, "with one that is not ready yet")
		s.agents.Modify(agentOn("p2", "a2", corev1.ConditionTrue))
		s.agents.Add(agentOn("p3", "a3", corev1.ConditionTrue))
		settle(time.Second)
		unknown(0, "with an agent on every node")

		// For hours nothing happens.
		settle(3 * time.Hour)
		s.agents.Modify(agentOn("p2", "a2", corev1.ConditionFalse))
		s.agents.Delete(agentOn("p3", "a3", corev1.ConditionTrue))
		settle(29 * time.Second)
		unknown(0, "29s after two agents were lost")
		settle(2 * time.Second)
		unknown(2, "31s after two agents were lost")
		if got := len(s.logged(`"msg"="Nodes without a ready agent are unknown" "nodes"=2`)); got != 2 {
			t.Errorf("it is logged %d times that two nodes are unknown, want 2", got)
		}

		// A new agent starts beside one that is about to go.
		s.agents.Add(agentOn("p4", "a3", corev1.ConditionFalse))
		s.agents.Modify(agentOn("p2", "a2", corev1.ConditionTrue))
		settle(time.Second)
		unknown(1, "after one agent came back")
		s.agents.Modify(agentOn("p4", "a3", corev1.ConditionTrue))
		s.agents.Add(agentOn("p5", "a3", corev1.ConditionFalse))
		settle(time.Second)
		unknown(0, "with a ready agent and one that is not on the same node")

		// A short absence is none.
		s.agents.Delete(agentOn("p4", "a3", corev1.ConditionTrue))
		settle(20 * time.Second)
		s.agents.Modify(agentOn("p5", "a3", corev1.ConditionTrue))
		settle(time.Minute)
		unknown(0, "after a roll-out")

		for _, p := range []*corev1.Pod{agentOn("p1", "a1", ""), agentOn("p2", "a2", ""), agentOn("p5", "a3", "")} {
			s.agents.Delete(p)
		}
		settle(time.Hour)
		unknown(0, "after all agents were taken away")
	})
}

// TestAgentsOfOneNode: one ready agent is enough, in whatever order they are seen.
func TestAgentsOfOneNode(t *testing.T) {
	yes, no := agentOn("p1", "a1", corev1.ConditionTrue), agentOn("p2", "a1", corev1.ConditionFalse)
	for _, pods := range [][]*corev1.Pod{{yes, no}, {no, yes}} {
		var a agents
		a.look(pods, time.Now())
		if !a.ready["a1"] {
			t.Errorf("with %s last, the node has no ready agent", pods[1].Name)
		}
	}
}

// TestWatchAgentsQuietly: what else changes of an agent's pod changes nothing here.
func TestWatchAgentsQuietly(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		s.nodes.Add(nodesNamed("a1")[0])
		s.seccompNodes.Add(reports("a1"))
		s.agents.Add(agentOn("p1", "a1", corev1.ConditionTrue))
		s.start(t)
		defer s.end(t)
		settle(10 * time.Second)
		before := s.builds()
		p := agentOn("p1", "a1", corev1.ConditionTrue)
		p.Status.PodIP, p.Labels = "192.0.2.1", map[string]string{"a": "b"}
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse})
		s.agents.Modify(p)
		settle(time.Minute)
		if got := s.builds() - before; got != 0 {
			t.Errorf("%d builds for what is not kept", got)
		}
	})
}

func TestStrippedPod(t *testing.T) {
	p := agentOn("p1", "a1", corev1.ConditionTrue)
	p.Spec.Containers = []corev1.Container{{Name: "agent"}}
	p.Status.PodIP, p.Generation, p.Labels = "192.0.2.1", 3, map[string]string{"a": "b"}
	got, err := stripPod(p)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(any(agentOn("p1", "a1", corev1.ConditionTrue)), got); d != "" {
		t.Errorf("kept (-want +got):\n%s", d)
	}
	got, err = stripPod(agentOn("p1", "a1", corev1.ConditionUnknown))
	want := agentOn("p1", "a1", "")
	want.Status = corev1.PodStatus{}
	if d := cmp.Diff(any(want), got); d != "" || err != nil {
		t.Errorf("kept of one that is not ready (-want +got):\n%s%v", d, err)
	}
}
