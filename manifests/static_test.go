// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission/plugin/manifest"
	policyloader "k8s.io/apiserver/pkg/admission/plugin/policy/manifest/loader"
	webhookloader "k8s.io/apiserver/pkg/admission/plugin/webhook/manifest/loader"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the files of static/ that are made from the others")

// staticHeader begins every file that is made.
const staticHeader = "# Made by go test ./manifests -run TestGuardRow58Files -update.\n"

// static are the overlays whose registration API servers can read from their disks, by
// the directory of static/ that has it.
func static() map[string]string {
	return map[string]string{"opt-in": "self-signed", "cluster-wide": "cluster-wide"}
}

// TestGuardRow58Files: what API servers read from their disks is what is installed
// otherwise, but for the names and for the way to the webhook.
func TestGuardRow58Files(t *testing.T) {
	want := map[string]string{}
	for dir, overlay := range static() {
		in := build(t, overlay)
		validating := one[*admissionregistrationv1.ValidatingWebhookConfiguration](t, in, "seccompgate")
		validating.Name += manifest.StaticConfigSuffix
		for i := range validating.Webhooks {
			validating.Webhooks[i].ClientConfig = byURL(t, in, validating.Webhooks[i].ClientConfig)
		}
		want[dir+"/validating/seccompgate.yaml"] = staticText(t, validating)
		mutating := one[*admissionregistrationv1.MutatingWebhookConfiguration](t, in, "seccompgate")
		mutating.Name += manifest.StaticConfigSuffix
		for i := range mutating.Webhooks {
			mutating.Webhooks[i].ClientConfig = byURL(t, in, mutating.Webhooks[i].ClientConfig)
		}
		want[dir+"/mutating/seccompgate.yaml"] = staticText(t, mutating)
	}
	for component, name := range guards() {
		in := guarded(t, component)
		policy := one[*admissionregistrationv1.ValidatingAdmissionPolicy](t, in, name)
		binding := one[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, in, name)
		policy.Name += manifest.StaticConfigSuffix
		binding.Name += manifest.StaticConfigSuffix
		binding.Spec.PolicyName += manifest.StaticConfigSuffix
		want["policies/"+component+".yaml"] = staticText(t, policy, binding)
	}
	if *update {
		for name, text := range want {
			name = filepath.Join("static", name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[string]string{}
	err := fs.WalkDir(os.DirFS("static"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "admission.yaml" {
			return err
		}
		text, err := os.ReadFile(filepath.Join("static", name))
		got[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("static/ is not what is installed; %s (-want +got):\n%s", strings.Trim(staticHeader, "# \n"), d)
	}
}

// placeholder is what stands for the CA bundle until somebody fills it in.
const placeholder = "placeholder"

// byURL is the way to the same webhook for an API server that cannot look up Services. The
// name is one that the certificate has.
func byURL(t *testing.T, in install, c admissionregistrationv1.WebhookClientConfig) admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	s := one[*corev1.Service](t, in, c.Service.Name)
	url := fmt.Sprintf("https://%s.%s.svc:%d%s", s.Name, s.Namespace, s.Spec.Ports[0].Port, *c.Service.Path)
	return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: []byte(placeholder)}
}

// staticText is a file with these objects, with empty CA bundles.
func staticText(t *testing.T, objects ...runtime.Object) string {
	t.Helper()
	var documents [][]byte
	for _, o := range objects {
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			t.Fatal(err)
		}
		delete(u, "status")
		text, err := yaml.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, text)
	}
	text := staticHeader + string(bytes.Join(documents, []byte("---\n")))
	return strings.ReplaceAll(text, "caBundle: cGxhY2Vob2xkZXI=", `caBundle: ""`)
}

// TestGuardRow58Load has the API server's own loaders read the directories that
// static/admission.yaml names.
func TestGuardRow58Load(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for dir := range static() {
		validating, _, err := webhookloader.LoadManifests(filepath.Join("static", dir, "validating"), decoder, accept[*admissionregistrationv1.ValidatingWebhookConfiguration])
		if err != nil || len(validating) != 1 {
			t.Errorf("%s: load validating webhooks: %d, %v", dir, len(validating), err)
		}
		mutating, _, err := webhookloader.LoadManifests(filepath.Join("static", dir, "mutating"), decoder, accept[*admissionregistrationv1.MutatingWebhookConfiguration])
		if err != nil || len(mutating) != 1 {
			t.Errorf("%s: load mutating webhooks: %d, %v", dir, len(mutating), err)
		}
	}
	policies, bindings, _, err := policyloader.LoadPolicyManifests(filepath.Join("static", "policies"), decoder,
		accept[*admissionregistrationv1.ValidatingAdmissionPolicy], accept[*admissionregistrationv1.ValidatingAdmissionPolicyBinding],
		func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) string { return b.Spec.PolicyName })
	if err != nil || len(policies) != len(guards()) || len(bindings) != len(guards()) {
		t.Errorf("load policies: %d, bindings: %d, %v", len(policies), len(bindings), err)
	}
}

func accept[T runtime.Object](o runtime.Object) ([]T, error) {
	if o, ok := o.(T); ok {
		return []T{o}, nil
	}
	return nil, policyloader.ErrUnrecognizedType
}

// TestGuardRow58Component: on a cluster whose API servers read static/, the API keeps one
// entry, for the CA bundle, and asks about no pod.
func TestGuardRow58Component(t *testing.T) {
	for _, in := range combinations(t) {
		if !isStatic(in) {
			continue
		}
		var names []string
		for _, e := range entries(t, in) {
			names = append(names, e.GetName())
		}
		if d := cmp.Diff([]string{"kinds.seccompgate.io"}, names); d != "" {
			t.Errorf("%s: entries (-want +got):\n%s", in.name, d)
		}
		args := templates(in)[webhookName].Spec.Containers[0].Args
		found := false
		for _, a := range args {
			found = found || a == "--registration="
		}
		if !found {
			t.Errorf("%s: the webhook waits for its registration: %v", in.name, args)
		}
	}
}

// isStatic says that an install leaves the registration to the disks of API servers.
func isStatic(in install) bool { return strings.Contains(in.name+"+", "+static-manifest+") }
