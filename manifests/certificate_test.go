// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestCertManager: a CA of its own signs the certificate that the webhook mounts, for the
// name that API servers call, and comes into both registrations.
func TestCertManager(t *testing.T) {
	in := build(t, "cert-manager")
	got := make(map[string]any)
	for _, u := range all[*unstructured.Unstructured](in) {
		got[u.GetKind()+" "+u.GetName()] = u.Object["spec"]
	}
	const spec = `
Issuer seccompgate-self-signed:
  selfSigned: {}
Certificate seccompgate-ca:
  isCA: true
  commonName: seccompgate CA
  secretName: seccompgate-ca
  duration: 87600h
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Never}
  issuerRef: {kind: Issuer, name: seccompgate-self-signed}
Issuer seccompgate-ca:
  ca: {secretName: seccompgate-ca}
Certificate seccomp-webhook:
  secretName: seccomp-webhook-tls
  dnsNames: [seccomp-webhook.seccompgate.svc, seccomp-webhook.seccompgate.svc.cluster.local]
  duration: 2160h
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  usages: [digital signature, server auth]
  issuerRef: {kind: Issuer, name: seccompgate-ca}
`
	var want map[string]any
	if err := yaml.UnmarshalStrict([]byte(spec), &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("certificates (-want +got):\n%s", d)
	}
	for _, in := range combinations(t) {
		for _, annotations := range []map[string]string{
			one[*admissionregistrationv1.ValidatingWebhookConfiguration](t, in, "seccompgate").Annotations,
			one[*admissionregistrationv1.MutatingWebhookConfiguration](t, in, "seccompgate").Annotations,
		} {
			var want map[string]string
			if len(all[*unstructured.Unstructured](in)) > 0 {
				want = map[string]string{"cert-manager.io/inject-ca-from": "seccompgate/seccomp-webhook"}
			}
			if d := cmp.Diff(want, annotations); d != "" {
				t.Errorf("%s: annotations (-want +got):\n%s", in.name, d)
			}
		}
	}
}
