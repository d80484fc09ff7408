// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// certManagerOverlay leaves certificates and the CA bundle to cert-manager.
const certManagerOverlay cluster.Overlay = "cert-manager"

// TestCertManager: with cert-manager's own controllers and its CA injector the overlay
// enforces, whether it takes the place of another or is the first, a CA bundle that somebody
// wipes comes back, and certificates are renewed without a request that fails.
func TestCertManager(t *testing.T) {
	startCertManager(t)
	useNodes(t)
	t.Run("switched", switchToCertManager)

	if err := deleteCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := shared.switchTo(t.Context(), certManagerOverlay); err != nil {
		t.Fatal(err)
	}
	namespace := shared.namespace(t, "cert-manager-user", map[string]string{enforceLabel: "baseline"})
	t.Run("installed", func(t *testing.T) {
		shared.mustKubectl(t, "", "-n", ownNamespace, "wait", "--for=condition=Ready", "issuers,certificates", "--all", "--timeout=20s")
		checkInjected(t)
		shared.eventuallySays(t, namespace, unconfinedPod, unconfinedDenial)
		if a := shared.try(t, namespace, defaultPod); !a.Allowed() {
			t.Errorf("a good pod is denied: %s", a.Message)
		}
	})
	t.Run("wiped", func(t *testing.T) { wipeBundle(t, namespace) })
	t.Run("renewed", func(t *testing.T) { renewUnderLoad(t, namespace) })
}

// startCertManager gives the cluster a cert-manager until the end of the test, and then the
// shared overlay again. Its kinds stay: an API server may take minutes to delete young ones.
func startCertManager(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	p, err := shared.StartCertManager(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("cert-manager says:\n%s", p.Tail())
		}
		if err := errors.Join(deleteCertificates(ctx), p.Stop()); err != nil {
			t.Error(err)
		}
		if err := shared.switchTo(ctx, overlay); err != nil {
			t.Fatal(err)
		}
	})
}

// deleteCertificates deletes what cert-manager knows of us, and what it has made of it,
// which the garbage collector takes half a minute to find.
func deleteCertificates(ctx context.Context) error {
	for _, what := range []string{"certificates,certificaterequests,issuers --all", "secrets seccomp-webhook-tls seccompgate-ca --ignore-not-found"} {
		if _, err := shared.MustKubectl(ctx, "", append([]string{"--namespace=" + ownNamespace, "delete"}, strings.Fields(what)...)...); err != nil {
			return err
		}
	}
	return nil
}

// switchToCertManager does what the README says. The CA before stays in the bundle, so that
// replicas which have not heard of the new certificate go on.
func switchToCertManager(t *testing.T) {
	const command = "kubectl -n seccompgate delete deployment,pdb seccomp-controller"
	readme, err := os.ReadFile(filepath.Join(shared.root, "README.md"))
	if err != nil || !strings.Contains(string(readme), "`"+command+"`") {
		t.Fatalf("the README does not have the command %q: %v", command, err)
	}
	namespace := shared.namespace(t, "switched", map[string]string{enforceLabel: "baseline"})
	before := secret(t, "seccomp-webhook-tls")
	shared.mustKubectl(t, "", strings.Fields(command)[1:]...)
	if err := shared.StopControllers(); err != nil {
		t.Fatal(err)
	}
	shared.mustKubectl(t, "", "apply", "-k", filepath.Join(shared.root, "manifests", "overlays", string(certManagerOverlay)))
	shared.eventually(t, "every webhook trusts the CA before and that of cert-manager", func() (bool, string) {
		want := string(before["ca.crt"]) + string(secret(t, "seccomp-webhook-tls")["ca.crt"])
		for name, bundle := range bundles(t) {
			if string(bundle) != want {
				return false, name + " does not"
			}
		}
		return true, ""
	})
	shared.eventuallySays(t, namespace, unconfinedPod, unconfinedDenial)

	replica := shared.webhook.Replicas()[0]
	if err := replica.SyncVolumes(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := secret(t, "seccomp-webhook-tls")
	waitServed(t, replica.IP, after[corev1.TLSCertKey])
	if err := shared.webhook.Publish(replica); err != nil { // what there is of connections was trusted when it was made
		t.Fatal(err)
	}
	shared.eventuallySays(t, namespace, unconfinedPod, unconfinedDenial)
	if issuer := certificate(t, after[corev1.TLSCertKey]).Issuer.CommonName; issuer != "seccompgate CA" {
		t.Errorf("the certificate is issued by %q, want the CA of the overlay", issuer)
	}
}

// checkInjected checks that every webhook has the CA of the Certificate from the CA injector.
func checkInjected(t *testing.T) {
	t.Helper()
	want := string(secret(t, "seccomp-webhook-tls")["ca.crt"])
	for name, bundle := range bundles(t) {
		if string(bundle) != want {
			t.Errorf("%s trusts\n%s\nwant\n%s", name, bundle, want)
		}
	}
	for _, kind := range []string{"validatingwebhookconfiguration", "mutatingwebhookconfiguration"} {
		managers := shared.mustKubectl(t, "", "get", kind, registration, "--show-managed-fields", "--output=jsonpath={.metadata.managedFields[*].manager}")
		if !slices.Contains(strings.Fields(managers), "cert-manager-cainjector") {
			t.Errorf("%s is written by %s, want the CA injector among them", kind, managers)
		}
	}
}

// renewUnderLoad renews the certificate, and every tenth time the CA before it. A replica
// and an API server hear of each of them in no order that anybody could promise, so that
// everything that was ever served has to be trusted with every CA.
func renewUnderLoad(t *testing.T, namespace string) {
	var leaves, authorities []*x509.Certificate
	look := func() {
		data := secret(t, "seccomp-webhook-tls")
		leaves = append(leaves, certificate(t, data[corev1.TLSCertKey]))
		authorities = append(authorities, certificate(t, data["ca.crt"]))
	}
	look()
	l := startLoad(t, namespace)
	for n := range *rotations {
		if n%10 == 5 {
			before := secret(t, "seccompgate-ca")
			renew(t, "seccompgate-ca")
			shared.eventually(t, "the CA is renewed", func() (bool, string) {
				return string(secret(t, "seccompgate-ca")[corev1.TLSCertKey]) != string(before[corev1.TLSCertKey]), "it is the one before"
			})
		}
		renew(t, "seccomp-webhook")
		l.waitRenewed(t, n+1)
		look()
	}
	l.end(t)

	var untrusted []string
	different := make(map[string]bool)
	for _, ca := range authorities {
		different[ca.SerialNumber.String()] = true
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		for _, leaf := range leaves {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "seccomp-webhook.seccompgate.svc"}); err != nil {
				untrusted = append(untrusted, err.Error())
			}
		}
	}
	t.Logf("%d certificates, %d CAs", len(leaves), len(different))
	if want := 1 + (*rotations+4)/10; len(different) != want {
		t.Errorf("%d CAs, want %d", len(different), want)
	}
	if len(untrusted) > 0 {
		t.Errorf("%d times a certificate is not trusted with a CA: %s", len(untrusted), untrusted[0])
	}
}

// renew asks for a new certificate as "cmctl renew" does, once there is none on its way.
func renew(t *testing.T, name string) {
	t.Helper()
	client, err := dynamic.NewForConfig(shared.Config)
	if err != nil {
		t.Fatal(err)
	}
	kind := schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificates"}
	api := client.Resource(kind).Namespace(ownNamespace)
	shared.eventually(t, "certificate "+name+" is at rest", func() (bool, string) {
		o, err := api.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		issuing := slices.ContainsFunc(conditions, func(c any) bool { return c.(map[string]any)["type"] == "Issuing" })
		return len(conditions) > 0 && !issuing, fmt.Sprint(conditions)
	})
	_, err = api.ApplyStatus(t.Context(), name, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kind.GroupVersion().String(), "kind": "Certificate", "metadata": map[string]any{"name": name},
		"status": map[string]any{"conditions": []any{map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "Certificate re-issuance manually triggered",
		}}},
	}}, metav1.ApplyOptions{FieldManager: "e2e", Force: true})
	if err != nil {
		t.Fatal(err)
	}
}

// secret is the data of a Secret of ours.
func secret(t *testing.T, name string) map[string][]byte {
	t.Helper()
	s, err := shared.Client.CoreV1().Secrets(ownNamespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Data
}

// certificate is the first one of a PEM file.
func certificate(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM: %q", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
