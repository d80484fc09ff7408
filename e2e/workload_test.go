// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRow21Row37PodsOfWorkloads: workloads are admitted, the pods that the real controllers make for
// them are denied, and the controllers' events say why.
func TestRow21Row37PodsOfWorkloads(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "workloads", map[string]string{enforceLabel: "baseline"})
	const template = `template: {metadata: {labels: {app: web}}, spec: {%s securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app, image: app}]}}`
	const selector = `selector: {matchLabels: {app: web}}, `
	pod := fmt.Sprintf(template, "")
	for _, tc := range []struct {
		name, apiVersion, kind, spec string
		// by is the kind that makes the pods.
		by string
	}{
		{"deployment", "apps/v1", "Deployment", selector + pod, "ReplicaSet"},
		{"replicaset", "apps/v1", "ReplicaSet", selector + pod, "ReplicaSet"},
		{"replicationcontroller", "v1", "ReplicationController", "selector: {app: web}, " + pod, "ReplicationController"},
		{"statefulset", "apps/v1", "StatefulSet", "serviceName: web, " + selector + pod, "StatefulSet"},
		{"daemonset", "apps/v1", "DaemonSet", selector + fmt.Sprintf(template, "tolerations: [{operator: Exists}],"), "DaemonSet"},
		{"job", "batch/v1", "Job", fmt.Sprintf(template, "restartPolicy: Never,"), "Job"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := shared.create(t, namespace, fmt.Sprintf(`{apiVersion: %s, kind: %s, metadata: {name: %s}, spec: {%s}}`, tc.apiVersion, tc.kind, tc.name, tc.spec))
			if !a.Allowed() {
				t.Fatalf("the workload is denied: %s", a.Message)
			}
			shared.eventually(t, "an event tells of the denial", func() (bool, string) {
				events, err := shared.Client.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				var seen []string
				for _, e := range events.Items {
					seen = append(seen, e.InvolvedObject.Kind+" "+e.InvolvedObject.Name+" "+e.Reason+": "+e.Message)
					if e.Reason == "FailedCreate" && e.InvolvedObject.Kind == tc.by && strings.HasPrefix(e.InvolvedObject.Name, tc.name) && strings.Contains(e.Message, unconfinedDenial) {
						return true, ""
					}
				}
				return false, fmt.Sprintf("the events are %q", seen)
			})
		})
	}
	pods, err := shared.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 0 {
		t.Errorf("%d pods were admitted, want none", len(pods.Items))
	}
}

// TestRow62LabelledDeployment: the label of a template reaches the pods.
func TestRow62LabelledDeployment(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "labelled-deployment", map[string]string{enforceLabel: "restricted"})
	shared.create(t, namespace, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, seccompgate.io/profile: web}}, spec: {containers: [{name: app, image: app}]}}}}`)
	shared.eventually(t, "two pods are there", func() (bool, string) {
		pods, err := shared.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			if p := pod.Spec.SecurityContext.SeccompProfile; p == nil || p.LocalhostProfile == nil || *p.LocalhostProfile != "seccompgate/web.cc14aa6ba10f.json" {
				t.Fatalf("pod %s has the profile %v", pod.Name, p)
			}
		}
		return len(pods.Items) == 2, fmt.Sprintf("there are %d", len(pods.Items))
	})
}
