// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"maps"
	"time"
)

// renewalShare is the part of its life that a certificate must have left, or it is
// made anew: a third, as issuers do it, so that a bootstrap that fails has time to
// be noticed.
const renewalShare = 3

// Ensure returns the data of a Secret that is good for serving, and whether it
// differs from the existing data (nil for no Secret). What is good is kept;
// otherwise see Check, everything is made anew. The CA bundle then keeps the CA
// before, as long as the certificate that it signed may still be served by
// replicas that have not read the new one yet. Other keys of the Secret stay.
func Ensure(existing map[string][]byte, opts Options) (data map[string][]byte, changed bool, err error) {
	opts, err = opts.complete()
	if err != nil {
		return nil, false, err
	}
	if Check(existing, opts) == nil {
		return existing, false, nil
	}
	made, err := SelfSigned(opts)
	if err != nil {
		return nil, false, err
	}
	data = maps.Clone(existing)
	if data == nil {
		data = make(map[string][]byte)
	}
	data[CAFile] = append(made.CA, signerOf(existing, opts.Now())...)
	data[CertificateFile] = made.Certificate
	data[KeyFile] = made.Key
	return data, true, nil
}

// Check says why Ensure would make the data anew: something is missing, does not
// belong together, is not valid for one of the names, or is within the last third
// of its life.
func Check(data map[string][]byte, opts Options) error {
	opts, err := opts.complete()
	if err != nil {
		return err
	}
	for _, name := range []string{CAFile, CertificateFile, KeyFile} {
		if len(data[name]) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
	}
	pair, err := tls.X509KeyPair(data[CertificateFile], data[KeyFile])
	if err != nil {
		return fmt.Errorf("load %s with %s: %w", CertificateFile, KeyFile, err)
	}
	now := opts.Now()
	for _, name := range opts.names() {
		if err := Verify(data[CertificateFile], data[CAFile], name, now); err != nil {
			return err
		}
	}
	life := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore)
	if left := pair.Leaf.NotAfter.Sub(now); left < life/renewalShare {
		return fmt.Errorf("%s has %s of %s left, less than a third", CertificateFile, left.Round(time.Minute), life.Round(time.Minute))
	}
	return nil
}

// signerOf returns the CA certificate, as PEM, that signed the existing serving
// certificate, nothing unless that can still be served.
func signerOf(data map[string][]byte, now time.Time) []byte {
	chain, err := parseCertificates(data[CertificateFile])
	if err != nil {
		return nil
	}
	cas, err := parseCertificates(data[CAFile])
	if err != nil {
		return nil
	}
	for _, ca := range cas {
		text := pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: ca.Raw})
		// Without a name: replicas serve it whatever the new options say.
		if verify(chain, text, "", now) == nil {
			return text
		}
	}
	return nil
}
