// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Verify says why a client that trusts the CA bundle would not accept the serving
// certificate for the DNS name (or IP; none stands for any) at that time, nil when it
// would. Both are PEM; intermediate certificates may follow the serving one.
func Verify(certificate, caBundle []byte, dnsName string, now time.Time) error {
	chain, err := parseCertificates(certificate)
	if err != nil {
		return fmt.Errorf("parse serving certificate: %w", err)
	}
	return verify(chain, caBundle, dnsName, now)
}

func verify(chain []*x509.Certificate, caBundle []byte, dnsName string, now time.Time) error {
	// An API server would fall back to the system's roots; nobody means that.
	if len(caBundle) == 0 {
		return errors.New("CA bundle is empty; put the CA that signed the serving certificate into it")
	}
	cas, err := parseCertificates(caBundle)
	if err != nil {
		return fmt.Errorf("parse CA bundle: %w", err)
	}
	if err := checkTime("that is served", chain[0], now); err != nil {
		return err
	}
	opts := x509.VerifyOptions{
		DNSName:       dnsName,
		CurrentTime:   now,
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, ca := range cas {
		opts.Roots.AddCert(ca)
	}
	for _, intermediate := range chain[1:] {
		opts.Intermediates.AddCert(intermediate)
	}
	_, err = chain[0].Verify(opts)
	switch {
	case err == nil:
		return nil
	case dnsName == "":
		return fmt.Errorf("verify serving certificate: %w", err)
	default:
		return fmt.Errorf("verify serving certificate for %s: %w", dnsName, err)
	}
}

// parseCertificates reads all certificates of a PEM text, at least one.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("PEM block %q is no certificate; remove it", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, certificate)
	}
	if len(out) == 0 {
		return nil, errors.New("no PEM certificate in it; write one that begins with -----BEGIN CERTIFICATE-----")
	}
	return out, nil
}
