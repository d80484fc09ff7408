// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// defaultValidity is a year, as of the certificates that other webhooks make for
	// themselves.
	defaultValidity = 365 * 24 * time.Hour
	// clockSkew is how far behind a client's clock may be when a certificate is new.
	clockSkew = time.Hour
	// maxCommonName is the bound of X.509 (ub-common-name), in bytes.
	maxCommonName = 64

	pemCertificate = "CERTIFICATE"
	pemPrivateKey  = "PRIVATE KEY"
)

// Options says which certificate to make.
type Options struct {
	// CommonName of the leaf, for people; clients look at the names below. Defaults
	// to the first DNS name. At most 64 bytes.
	CommonName string
	// DNSNames and IPs are what clients may call the server: at least one in all.
	DNSNames []string
	IPs      []net.IP
	// Validity of both certificates, from now on. Defaults to 365 days. The CA need not
	// last longer: its key is thrown away, so that it signs nothing later.
	Validity time.Duration
	// RenewAfter is the age at which a certificate is due to be renewed. Defaults to two
	// thirds of its life, so that a renewal that fails has time to be noticed; a larger
	// one counts as two thirds.
	RenewAfter time.Duration
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// complete returns the options with their defaults, or what is wrong with them.
func (o Options) complete() (Options, error) {
	if len(o.DNSNames)+len(o.IPs) == 0 {
		return o, errors.New("certificate options have neither DNS names nor IPs; give one that clients use")
	}
	if o.CommonName == "" {
		if len(o.DNSNames) > 0 && len(o.DNSNames[0]) <= maxCommonName {
			o.CommonName = o.DNSNames[0]
		} else {
			o.CommonName = "seccompgate"
		}
	}
	if len(o.CommonName) > maxCommonName {
		return o, fmt.Errorf("common name %q has %d bytes; use at most %d", o.CommonName, len(o.CommonName), maxCommonName)
	}
	if o.Validity == 0 {
		o.Validity = defaultValidity
	}
	if o.Validity < 0 || o.RenewAfter < 0 {
		return o, fmt.Errorf("validity %s and renewal after %s do not fit; neither may be negative", o.Validity, o.RenewAfter)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// names returns all names that the certificate must be good for.
func (o Options) names() []string {
	names := append([]string(nil), o.DNSNames...)
	for _, ip := range o.IPs {
		names = append(names, ip.String())
	}
	return names
}

// PEM is a CA certificate and the serving certificate that it signed, with the
// key of the latter.
type PEM struct {
	CA, Certificate, Key []byte
}

// SelfSigned makes a CA and with it a serving certificate, both ECDSA P-256 and
// valid from one hour ago. The CA's key is not kept.
func SelfSigned(opts Options) (PEM, error) {
	opts, err := opts.complete()
	if err != nil {
		return PEM{}, err
	}
	now := opts.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return PEM{}, fmt.Errorf("make CA key: %w", err)
	}
	// No serial numbers: x509 draws random ones.
	ca := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "seccompgate CA"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(opts.Validity),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return PEM{}, fmt.Errorf("make CA certificate: %w", err)
	}
	// Parsed again for the key identifier that the leaf refers to.
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return PEM{}, fmt.Errorf("parse CA certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return PEM{}, fmt.Errorf("make key: %w", err)
	}
	leaf := &x509.Certificate{
		Subject:               pkix.Name{CommonName: opts.CommonName},
		DNSNames:              opts.DNSNames,
		IPAddresses:           opts.IPs,
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(opts.Validity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return PEM{}, fmt.Errorf("make certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return PEM{}, fmt.Errorf("encode key: %w", err)
	}
	return PEM{
		CA:          pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: caDER}),
		Certificate: pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: leafDER}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: keyDER}),
	}, nil
}
