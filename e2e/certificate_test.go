// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// authority is a certificate authority of a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// sign makes a serving certificate, as PEM.
func (a *authority) sign(t *testing.T, notAfter time.Time, names []string, ips ...net.IP) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: names, IPAddresses: ips,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: notAfter,
	}, a.certificate, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})
}

// setBundle writes the CA bundle of every registered webhook and returns the one before.
func setBundle(ctx context.Context, t *testing.T, bundle []byte) (before []byte) {
	t.Helper()
	api := shared.Client.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(ctx, registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range validating.Webhooks {
		before = validating.Webhooks[i].ClientConfig.CABundle
		validating.Webhooks[i].ClientConfig.CABundle = bundle
	}
	if _, err := api.ValidatingWebhookConfigurations().Update(ctx, validating, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(ctx, registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].ClientConfig.CABundle = bundle
	}
	if _, err := api.MutatingWebhookConfigurations().Update(ctx, mutating, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return before
}

// TestReadinessNeedsBundle: no replica gets requests before the API server can trust it.
func TestReadinessNeedsBundle(t *testing.T) {
	useNodes(t)
	withoutController(t)
	for _, tc := range []struct {
		name   string
		bundle []byte
		want   string
	}{
		{"empty", nil, "registration: webhook "},
		{"foreign", newAuthority(t, "foreign").pem, "certificate signed by unknown authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := setBundle(t.Context(), t, tc.bundle)
			restored := false
			restore := func(ctx context.Context) {
				if !restored {
					setBundle(ctx, t, before)
					restored = true
				}
			}
			defer restore(context.Background())
			replica, err := shared.webhook.StartReplica(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := shared.webhook.Remove(replica); err != nil {
					t.Error(err)
				}
			}()
			shared.eventually(t, "the replica says that the CA bundle is at fault", func() (bool, string) {
				err := replica.Ready(t.Context())
				return err != nil && strings.Contains(err.Error(), tc.want) && !strings.Contains(err.Error(), "inventory:"), fmt.Sprint(err)
			})
			restore(t.Context())
			if err := replica.WaitReady(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRow60UntrustedCertificate: enforcing namespaces deny, all others admit, and the replicas
// stay ready: taking them all away would make nothing better.
func TestRow60UntrustedCertificate(t *testing.T) {
	useNodes(t)
	withoutController(t)
	shared.namespace(t, "tls-enforce", map[string]string{enforceLabel: "baseline"})
	shared.namespace(t, "tls-warn", map[string]string{warnLabel: "baseline"})
	ours := newAuthority(t, "ours")
	names := []string{"seccomp-webhook.seccompgate.svc"}
	for _, tc := range []struct {
		name     string
		notAfter time.Time
		names    []string
		bundle   []byte
		want     string
	}{
		{"expired", time.Now().Add(-time.Hour), names, ours.pem, "x509: certificate has expired or is not yet valid"},
		{"foreign", time.Now().Add(time.Hour), names, newAuthority(t, "theirs").pem, "x509: certificate signed by unknown authority"},
		{"another service's", time.Now().Add(time.Hour), []string{"seccomp-webhook.shop.svc"}, ours.pem, "x509: certificate is valid for seccomp-webhook.shop.svc, not seccomp-webhook.seccompgate.svc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			certificate, key := ours.sign(t, tc.notAfter, tc.names)
			serve(t, certificate, key, tc.bundle)
			shared.eventually(t, "the API server refuses the certificate", func() (bool, string) {
				a := shared.try(t, "tls-enforce", defaultPod)
				return strings.HasPrefix(a.Message, `Internal error occurred: failed calling webhook "enforce.seccompgate.io": failed to call webhook: Post "https://seccomp-webhook.seccompgate.svc:443/validate?timeout=3s": tls: failed to verify certificate: `+tc.want), a.Message
			})
			if a := shared.try(t, "tls-warn", unconfinedPod); !a.Allowed() || !opened(t, a, "warn.seccompgate.io") {
				t.Errorf("warn answers %q, want admission that the audit log calls failed open", a.Message)
			}
			if err := shared.webhook.Replicas()[0].Ready(t.Context()); err != nil {
				t.Errorf("the replica is not ready any more: %v", err)
			}
		})
	}
	t.Run("renewed", func(t *testing.T) {
		certificate, key := ours.sign(t, time.Now().Add(time.Hour), names)
		serve(t, certificate, key, ours.pem)
		shared.eventuallySays(t, "tls-enforce", unconfinedPod, unconfinedDenial)
	})
}

// serve makes the running replica serve a certificate, and the API server trust a bundle,
// until the end of the test.
func serve(t *testing.T, certificate, key, bundle []byte) {
	t.Helper()
	api := shared.Client.CoreV1().Secrets(ownNamespace)
	secret, err := api.Get(t.Context(), "seccomp-webhook-tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	original := secret.DeepCopy().Data
	write := func(ctx context.Context, data map[string][]byte) {
		secret, err := api.Get(ctx, "seccomp-webhook-tls", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		secret.Data = data
		if _, err := api.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		replica := shared.webhook.Replicas()[0]
		if err := replica.SyncVolumes(ctx); err != nil {
			t.Fatal(err)
		}
		waitServed(t, replica.IP, data[corev1.TLSCertKey])
	}
	write(t.Context(), map[string][]byte{"ca.crt": bundle, corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key})
	before := setBundle(t.Context(), t, bundle)
	// Connections that the API server holds were verified when they were made.
	if err := shared.webhook.Publish(shared.webhook.Replicas()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		setBundle(context.Background(), t, before)
		write(context.Background(), original)
		if err := shared.webhook.Publish(shared.webhook.Replicas()...); err != nil {
			t.Error(err)
		}
	})
}

// waitServed waits until the replica has noticed its new certificate.
func waitServed(t *testing.T, ip string, certificate []byte) {
	t.Helper()
	block, _ := pem.Decode(certificate)
	shared.eventually(t, "the new certificate is served", func() (bool, string) {
		conn, err := tls.Dial("tcp", net.JoinHostPort(ip, "9443"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return false, err.Error()
		}
		defer conn.Close()
		return bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, block.Bytes), "it is the one before"
	})
}
