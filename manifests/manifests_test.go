// SPDX-License-Identifier: Apache-2.0

// Package manifests holds what is applied to a cluster; these tests render all of it as
// kubectl apply -k does, and ask the API server's own code what it would make of it.
package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const (
	ownNamespace = "seccompgate"
	webhookName  = "seccomp-webhook"
	// controllerName is of what the overlays bring that make their own certificate.
	controllerName = "seccomp-controller"
	agentName      = "seccomp-agent"
)

// overlays are the directories under overlays/; there must be no other.
func overlays() []string {
	return []string{"audit-only", "cert-manager", "cluster-wide", "self-signed"}
}

// components are the directories under components/ for overlays of somebody's own; there
// must be no other but agentGuard.
func components() []string {
	return []string{"cluster-wide", "host-network", "kubeadm-node", "label-guard", "network-policy", "port", "static-manifest", "status-annotations"}
}

// agentGuard is the component that every overlay has.
const agentGuard = "agent-identity"

// install is an overlay with components on it, rendered.
type install struct {
	name    string
	objects []client.Object
}

// kustomize is the program that tools.mod names.
var kustomize = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-modfile=../tools.mod", "-n", "kustomize").Output()
	return strings.TrimSpace(string(out)), err
})

var rendered sync.Map // name of an install -> []byte

// build renders an overlay with components on it.
func build(t *testing.T, overlay string, with ...string) install {
	t.Helper()
	in := install{name: strings.Join(append([]string{overlay}, with...), "+")}
	text, ok := rendered.Load(in.name)
	if !ok {
		text = render(t, overlay, with)
		rendered.Store(in.name, text)
	}
	in.objects = decode(t, in.name, text.([]byte))
	return in
}

func render(t *testing.T, overlay string, with []string) []byte {
	t.Helper()
	program, err := kustomize()
	if err != nil {
		t.Fatalf("find kustomize: %v", err)
	}
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// An overlay of somebody's, as the README has it; kustomize takes relative paths only.
	up, err := filepath.Rel(resolved(t, dir), resolved(t, here))
	if err != nil {
		t.Fatal(err)
	}
	file := "resources: [" + filepath.Join(up, "overlays", overlay) + "]\ncomponents:\n"
	for _, c := range with {
		file += "- " + filepath.Join(up, "components", c) + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "build", dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %s with %v: %v\n%s", overlay, with, err, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("build %s with %v complains:\n%s", overlay, with, &stderr)
	}
	return out
}

func resolved(t *testing.T, dir string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// decode reads objects as strictly as an API server does that is asked to: a field that
// does not exist is an error. Kinds of cert-manager stay without types.
func decode(t *testing.T, name string, text []byte) []client.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []client.Object
	for r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := r.Read()
		if errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		u := new(unstructured.Unstructured)
		if err := yaml.UnmarshalStrict(document, &u.Object); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document)
		}
		kind := u.GroupVersionKind()
		if kind.Group == "cert-manager.io" {
			objects = append(objects, u)
			continue
		}
		into, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document)
		}
		o, ok := into.(client.Object)
		if !ok {
			t.Fatalf("%s: a %s is no object with a name", name, kind)
		}
		o.GetObjectKind().SetGroupVersionKind(kind)
		objects = append(objects, o)
	}
}

// one returns the only object of its type with this name.
func one[T client.Object](t *testing.T, in install, name string) T {
	t.Helper()
	var found []T
	for _, o := range all[T](in) {
		if o.GetName() == name {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d objects %T %s, want 1", in.name, len(found), *new(T), name)
	}
	return found[0]
}

func all[T client.Object](in install) []T {
	var found []T
	for _, o := range in.objects {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// combinations are all overlays, plain and with every component on them that they do not
// have, each alone and all together.
func combinations(t *testing.T) []install {
	t.Helper()
	var ins []install
	for _, o := range overlays() {
		var with []string
		for _, c := range components() {
			if c != "cluster-wide" || o == "cert-manager" || o == "self-signed" {
				with = append(with, c)
			}
		}
		ins = append(ins, build(t, o), build(t, o, with...))
		for _, c := range with {
			ins = append(ins, build(t, o, c))
		}
	}
	return ins
}

// TestNothingElse: what is added here is tested here.
func TestNothingElse(t *testing.T) {
	for dir, want := range map[string][]string{"overlays": overlays(), "components": append([]string{agentGuard}, components()...), "base": {"agent", "controller", "crd", "rbac", "webhook"}} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", dir, d)
		}
	}
}

// TestObjects lists what each overlay brings, in the order in which it is applied: a
// namespace before what is in it, and the registrations last.
func TestObjects(t *testing.T) {
	base := []string{
		"Namespace seccompgate",
		"CustomResourceDefinition localhostprofiles.seccompgate.io",
		"CustomResourceDefinition profilesets.seccompgate.io",
		"CustomResourceDefinition seccompnodes.seccompgate.io",
		"CustomResourceDefinition seccomppolicies.seccompgate.io",
		"CustomResourceDefinition syscallrecordings.seccompgate.io",
		"ServiceAccount seccompgate/seccomp-webhook",
		"Role seccompgate/seccomp-webhook",
		"ClusterRole seccompgate-webhook",
		"RoleBinding seccompgate/seccomp-webhook",
		"ClusterRoleBinding seccompgate-webhook",
		"ServiceAccount seccompgate/seccomp-agent",
		"ClusterRole seccompgate-agent",
		"ClusterRoleBinding seccompgate-agent",
		"DaemonSet seccompgate/seccomp-agent",
		"ValidatingAdmissionPolicy seccompgate-agent-identity",
		"ValidatingAdmissionPolicyBinding seccompgate-agent-identity",
		"ConfigMap seccompgate/seccomp-webhook",
		"Service seccompgate/seccomp-webhook",
		"Deployment seccompgate/seccomp-webhook",
		"PodDisruptionBudget seccompgate/seccomp-webhook",
		"MutatingWebhookConfiguration seccompgate",
		"ValidatingWebhookConfiguration seccompgate",
	}
	controller := []string{
		"ServiceAccount seccompgate/seccomp-controller",
		"Role seccompgate/seccomp-controller",
		"ClusterRole seccompgate-controller",
		"RoleBinding seccompgate/seccomp-controller",
		"ClusterRoleBinding seccompgate-controller",
		"ConfigMap seccompgate/seccomp-controller",
		"Deployment seccompgate/seccomp-controller",
		"PodDisruptionBudget seccompgate/seccomp-controller",
	}
	certificate := []string{
		"Certificate seccompgate/seccomp-webhook",
		"Certificate seccompgate/seccompgate-ca",
		"Issuer seccompgate/seccompgate-ca",
		"Issuer seccompgate/seccompgate-self-signed",
	}
	added := []string{
		"ClusterRole seccompgate-namespace-labels",
		"NetworkPolicy seccompgate/seccomp-webhook",
		"ValidatingAdmissionPolicy seccompgate-label-guard",
		"ValidatingAdmissionPolicy seccompgate-status-annotations",
		"ValidatingAdmissionPolicyBinding seccompgate-label-guard",
		"ValidatingAdmissionPolicyBinding seccompgate-status-annotations",
	}
	for _, tc := range []struct {
		in   install
		more []string
	}{
		{build(t, "self-signed"), controller},
		{build(t, "cert-manager"), certificate},
		{build(t, "cluster-wide"), controller},
		{build(t, "audit-only"), controller},
		{build(t, "cert-manager", components()...), append(added, certificate...)},
	} {
		t.Run(tc.in.name, func(t *testing.T) {
			got := make([]string, 0, len(tc.in.objects))
			for _, o := range tc.in.objects {
				kind := o.GetObjectKind().GroupVersionKind().Kind
				got = append(got, fmt.Sprintf("%s %s", kind, strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")))
			}
			if got[0] != base[0] {
				t.Errorf("%s comes first, want %s", got[0], base[0])
			}
			if d := cmp.Diff(base[len(base)-2:], got[len(got)-2:]); d != "" {
				t.Errorf("what comes last (-want +got):\n%s", d)
			}
			want := slices.Concat(base, tc.more)
			slices.Sort(want)
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("objects (-want +got):\n%s", d)
			}
		})
	}
}

// TestEverythingIsOurs: what is in a namespace is in ours, and images are those that the
// Dockerfile makes.
func TestEverythingIsOurs(t *testing.T) {
	for _, in := range combinations(t) {
		for _, o := range in.objects {
			if ns := o.GetNamespace(); ns != "" && ns != ownNamespace {
				t.Errorf("%s: %s is in namespace %s", in.name, o.GetName(), ns)
			}
		}
		for name, template := range templates(in) {
			want := map[string]string{
				webhookName:    "seccompgate/seccomp-webhook:v0.1.0",
				controllerName: "seccompgate/seccomp-controller:v0.1.0",
				agentName:      "seccompgate/seccomp-agent:v0.1.0",
			}[name]
			if got := template.Spec.Containers[0].Image; got != want {
				t.Errorf("%s: image of %s is %s, want %s", in.name, name, got, want)
			}
		}
	}
}

// templates are the pods that an install makes, by the name of what makes them.
func templates(in install) map[string]*corev1.PodTemplateSpec {
	found := make(map[string]*corev1.PodTemplateSpec)
	for _, d := range all[*appsv1.Deployment](in) {
		found[d.Name] = &d.Spec.Template
	}
	for _, d := range all[*appsv1.DaemonSet](in) {
		found[d.Name] = &d.Spec.Template
	}
	return found
}
