// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"
)

func TestVerify(t *testing.T) {
	p := selfSigned(t, Options{DNSNames: []string{serviceName}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Now: at(start)})
	other := selfSigned(t, serviceOptions(start))
	const stranger = `: x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "seccompgate CA")`
	for _, tc := range []struct {
		name        string
		certificate []byte
		bundle      []byte
		dnsName     string
		now         time.Time
		want        string
	}{
		{name: "good"},
		{name: "IP", dnsName: "127.0.0.1"},
		{name: "any name", dnsName: "-"},
		{name: "CA among others", bundle: slices.Concat(other.CA, p.CA)},
		{name: "text around the CA", bundle: slices.Concat([]byte("# ours\n"), p.CA, []byte("\n"))},
		{
			name: "wrong name", dnsName: "webhook.example.com",
			want: "verify serving certificate for webhook.example.com: x509: certificate is valid for seccomp-webhook.seccompgate.svc, not webhook.example.com",
		},
		{
			name: "wrong IP", dnsName: "127.0.0.2",
			want: "verify serving certificate for 127.0.0.2: x509: certificate is valid for 127.0.0.1, not 127.0.0.2",
		},
		{name: "wrong CA", bundle: other.CA, want: "verify serving certificate for " + serviceName + stranger},
		{name: "wrong CA for any name", bundle: other.CA, dnsName: "-", want: "verify serving certificate" + stranger},
		{
			name: "expired", now: start.Add(365*day + time.Second),
			want: "certificate that is served expired at 2027-01-01T00:00:00Z; renew it",
		},
		{
			name: "not valid yet", now: start.Add(-2 * time.Hour),
			want: "certificate that is served is not valid before 2025-12-31T23:00:00Z; compare the clocks of the issuer and of this machine",
		},
		{name: "empty bundle", bundle: []byte{}, want: "CA bundle is empty; put the CA that signed the serving certificate into it"},
		{
			name: "bundle is no PEM", bundle: []byte("garbage"),
			want: "parse CA bundle: no PEM certificate in it; write one that begins with -----BEGIN CERTIFICATE-----",
		},
		{name: "bundle with a key", bundle: slices.Concat(p.CA, p.Key), want: `parse CA bundle: PEM block "PRIVATE KEY" is no certificate; remove it`},
		{
			name: "bundle with garbage in PEM", bundle: pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: []byte("x")}),
			want: "parse CA bundle: x509: malformed certificate",
		},
		{
			name: "certificate is no PEM", certificate: []byte("garbage"),
			want: "parse serving certificate: no PEM certificate in it; write one that begins with -----BEGIN CERTIFICATE-----",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.certificate == nil {
				tc.certificate = p.Certificate
			}
			if tc.bundle == nil {
				tc.bundle = p.CA
			}
			switch tc.dnsName {
			case "":
				tc.dnsName = serviceName
			case "-":
				tc.dnsName = ""
			}
			if tc.now.IsZero() {
				tc.now = start
			}
			wantError(t, Verify(tc.certificate, tc.bundle, tc.dnsName, tc.now), tc.want)
		})
	}
}

// TestVerifyOfAnIssuersChain has a root in the bundle and an intermediate certificate
// in the file, as issuers write them, and a certificate that is for clients.
func TestVerifyOfAnIssuersChain(t *testing.T) {
	root := signed(t, nil, x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	intermediate := signed(t, &root, x509.Certificate{Subject: pkix.Name{CommonName: "intermediate"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	serving := x509.Certificate{DNSNames: []string{serviceName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leaf := signed(t, &intermediate, serving)
	wantError(t, Verify(slices.Concat(leaf.pem, intermediate.pem), root.pem, serviceName, start), "")
	wantError(t, Verify(leaf.pem, root.pem, serviceName, start), "verify serving certificate for "+serviceName+": x509: certificate signed by unknown authority")
	serving.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	forClients := signed(t, &root, serving)
	wantError(t, Verify(forClients.pem, root.pem, serviceName, start), "verify serving certificate for "+serviceName+": x509: certificate specifies an incompatible key usage")
}

type issued struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// signed makes a certificate, signed by itself when there is no signer.
func signed(t *testing.T, signer *issued, template x509.Certificate) issued {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = start.Add(-time.Hour), start.Add(day)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	if signer == nil {
		signer = &issued{certificate: &template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, signer.certificate, key.Public(), signer.key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return issued{certificate: certificate, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})}
}
