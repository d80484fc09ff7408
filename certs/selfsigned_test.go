// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSelfSigned(t *testing.T) {
	p := selfSigned(t, Options{DNSNames: []string{"a.example", "b.example"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Validity: 400 * day, Now: at(start)})
	leaf := parse(t, p)
	cas, err := parseCertificates(p.CA)
	must(t, err)
	if len(cas) != 1 {
		t.Fatalf("%d CAs, want 1", len(cas))
	}
	ca := cas[0]
	type properties struct {
		Subject, Issuer     string
		DNSNames            []string
		IPs                 string
		NotBefore, NotAfter time.Time
		IsCA                bool
		KeyUsage            x509.KeyUsage
		ExtKeyUsage         []x509.ExtKeyUsage
		P256                bool
	}
	of := func(c *x509.Certificate) properties {
		p := properties{
			Subject: c.Subject.String(), Issuer: c.Issuer.String(), DNSNames: c.DNSNames, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
			IsCA: c.IsCA, KeyUsage: c.KeyUsage, ExtKeyUsage: c.ExtKeyUsage,
		}
		for _, ip := range c.IPAddresses {
			p.IPs += ip.String()
		}
		key, ok := c.PublicKey.(*ecdsa.PublicKey)
		p.P256 = ok && key.Curve == elliptic.P256()
		return p
	}
	if d := cmp.Diff(properties{
		Subject: "CN=a.example", Issuer: "CN=seccompgate CA", DNSNames: []string{"a.example", "b.example"}, IPs: "127.0.0.1",
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(400 * day),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, P256: true,
	}, of(leaf)); d != "" {
		t.Errorf("leaf (-want +got):\n%s", d)
	}
	if d := cmp.Diff(properties{
		Subject: "CN=seccompgate CA", Issuer: "CN=seccompgate CA", NotBefore: start.Add(-time.Hour), NotAfter: start.Add(400 * day),
		IsCA: true, KeyUsage: x509.KeyUsageCertSign, P256: true,
	}, of(ca)); d != "" {
		t.Errorf("CA (-want +got):\n%s", d)
	}
	if !ca.MaxPathLenZero {
		t.Error("the CA may sign further CAs")
	}
	again := selfSigned(t, Options{DNSNames: []string{"a.example"}, Now: at(start)})
	if bytes.Equal(again.Key, p.Key) || bytes.Equal(again.CA, p.CA) || leaf.SerialNumber.Cmp(parse(t, again).SerialNumber) == 0 {
		t.Error("two certificates have something in common")
	}
}

func TestSelfSignedCommonName(t *testing.T) {
	long := strings.Repeat("n", 63)
	for _, tc := range []struct {
		name string
		opts Options
		want string
	}{
		{"given", Options{CommonName: "webhook", DNSNames: []string{"a.example"}}, "webhook"},
		{"first name", Options{DNSNames: []string{"a.example", "b.example"}}, "a.example"},
		{"first name of 64 bytes", Options{DNSNames: []string{long + "."}}, long + "."},
		{"first name is too long", Options{DNSNames: []string{long + ".a"}}, "seccompgate"},
		{"IP only", Options{IPs: []net.IP{net.IPv6loopback}}, "seccompgate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := parse(t, selfSigned(t, tc.opts)).Subject.CommonName; got != tc.want {
				t.Errorf("common name is %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSelfSignedRefusesOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts Options
		want string
	}{
		{"no name", Options{}, "certificate options have neither DNS names nor IPs; give one that clients use"},
		{
			"common name too long",
			Options{CommonName: strings.Repeat("n", 65), DNSNames: []string{"a"}},
			`common name "` + strings.Repeat("n", 65) + `" has 65 bytes; use at most 64`,
		},
		{
			"negative validity",
			Options{DNSNames: []string{"a"}, Validity: -time.Hour},
			"validity -1h0m0s and renewal after 0s do not fit; neither may be negative",
		},
		{
			"negative age",
			Options{DNSNames: []string{"a"}, RenewAfter: -time.Hour},
			"validity 8760h0m0s and renewal after -1h0m0s do not fit; neither may be negative",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := SelfSigned(tc.opts)
			wantError(t, err, tc.want)
			_, _, err = Stage(nil, nil, tc.opts)
			wantError(t, err, tc.want)
			wantError(t, Check(nil, tc.opts), tc.want)
			_, err = WriteFiles(t.TempDir(), tc.opts)
			wantError(t, err, tc.want)
		})
	}
}
