// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
)

// kind of pods that are sent. Each but the first is a text in the pod whose digits are
// counted up.
type kind string

const (
	seenBefore kind = "seen before"
	newNames   kind = "new"
	unlikeAny  kind = "unlike any before"
	// Here the rules find something. The answer is remembered, or they run.
	warnedBefore kind = "warned of before"
	warnedAnew   kind = "warned of, unlike any before"

	// container is the name of the first container.
	container = "worker-000000000"
	// capability is one that it drops, to no effect.
	capability = "CAP_000000000"
)

func (k kind) warned() bool { return k == warnedBefore || k == warnedAnew }

// digits are the places in the request that are counted up.
func (k kind) digits(request []byte) [][]byte {
	text := map[kind]string{newNames: container, unlikeAny: capability, warnedAnew: capability}[k]
	if text == "" {
		return nil
	}
	var all [][]byte
	for {
		_, after, found := bytes.Cut(request, []byte(text))
		if !found {
			return all
		}
		end := len(request) - len(after)
		all = append(all, request[end-len("000000000"):end])
		request = after
	}
}

// namespaces are one in which both servers enforce their strictest level, and one in which
// they warn at it.
var namespaces = map[string]map[string]string{
	"shop": {"pod-security.kubernetes.io/enforce": "restricted", "seccompgate.io/enforce": "strict"},
	"lab":  {"pod-security.kubernetes.io/warn": "restricted", "seccompgate.io/warn": "strict"},
}

const serviceAccount = "checkout"

// review is the request to create a pod that both servers allow, as the API server sends
// it: the pod is what the server makes of it, with its defaults, its token volume and its
// managed fields.
func review(ctx context.Context, client kubernetes.Interface, containers int, of kind) ([]byte, error) {
	namespace, profile := "shop", &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("profiles/shared-1.json")}
	if of.warned() {
		namespace, profile = "lab", nil
	}
	pod, err := client.CoreV1().Pods(namespace).Create(ctx, podOf(containers, profile), metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: "kube-controller-manager",
	})
	if err != nil {
		return nil, fmt.Errorf("make a pod: %w", err)
	}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	kind := metav1.GroupVersionKind(pod.GroupVersionKind())
	resource := metav1.GroupVersionResource(corev1.SchemeGroupVersion.WithResource("pods"))
	no := false
	return json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: uuid.NewUUID(), Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
			Name: pod.Name, Namespace: namespace, Operation: admissionv1.Create, DryRun: &no,
			UserInfo: authenticationv1.UserInfo{
				Username: "system:serviceaccount:kube-system:replicaset-controller", UID: string(uuid.NewUUID()),
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
				Extra:  map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=" + string(uuid.NewUUID())}},
			},
			Object:  runtime.RawExtension{Object: pod},
			Options: runtime.RawExtension{Object: &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "CreateOptions"}}},
		},
	})
}

// podOf is what a ReplicaSet makes. With one container it is as plain as the level
// restricted lets a pod be, which is where a server has least to read. Of four containers
// one is a sidecar and one an init container, and they have what such pods mostly have.
func podOf(containers int, profile *corev1.SeccompProfile) *corev1.Pod {
	yes, no, always := true, false, corev1.ContainerRestartPolicyAlways
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "checkout-7d9c5b8f6d-",
			Labels:       map[string]string{"app.kubernetes.io/name": "checkout", "pod-template-hash": "7d9c5b8f6d", "team": "payments"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "checkout-7d9c5b8f6d", UID: uuid.NewUUID(), Controller: &yes, BlockOwnerDeletion: &yes,
			}},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: serviceAccount, NodeSelector: map[string]string{"pool": "3"},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: profile},
		},
	}
	for i := range containers {
		c := corev1.Container{
			Name: fmt.Sprintf("helper-%d", i), Image: "registry.example/payments/checkout:4.7.1",
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		}
		if containers > 1 {
			c.Args = []string{"--config=/etc/checkout/config.yaml", "--listen=:8080"}
			c.Env = []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "DATABASE_URL", Value: "postgres://checkout.payments.svc.cluster.local:5432/checkout?sslmode=verify-full"}}
			c.VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/etc/checkout", ReadOnly: true}}
		}
		list := &pod.Spec.Containers
		switch i {
		case 0:
			c.Name, c.SecurityContext.Capabilities.Drop = container, append(c.SecurityContext.Capabilities.Drop, capability)
		case 1:
			c.RestartPolicy, list = &always, &pod.Spec.InitContainers
		case 2:
			list = &pod.Spec.InitContainers
		}
		*list = append(*list, c)
	}
	if containers > 1 {
		pod.Annotations = map[string]string{"prometheus.io/scrape": "true", "checksum/config": strings.Repeat("0f", 32)}
		pod.Spec.Volumes = []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "checkout"}}}}}
	}
	return pod
}
