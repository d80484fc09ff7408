// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Keys of a Secret whose certificate is being replaced: the next one and its key, which
// nobody serves before Promote.
const (
	NextCertificateFile = "next.crt"
	NextKeyFile         = "next.key"
)

// Stage returns the data of a Secret with all in it that has to be there now, and whether
// they differ from the existing data (nil for no Secret). Where Check complains, the next
// certificate is beside the one that is served, and its CA is in the bundle. Other keys of
// the Secret stay.
//
// A CA leaves the bundle when it has expired and not before: a replica may serve what it
// has read for as long as that is valid, and a CA made here ends with the one certificate
// that it signed. Keeping it trusted costs nothing, since its key was thrown away.
//
// trusted are CAs that clients trust whatever the Secret says, as PEM. They join the
// bundle when the Secret has no certificate that can be served, as after somebody deleted
// it: replicas go on serving what they have read.
func Stage(existing map[string][]byte, trusted []byte, opts Options) (data map[string][]byte, changed bool, err error) {
	opts, err = opts.complete()
	if err != nil {
		return nil, false, err
	}
	data = maps.Clone(existing)
	if data == nil {
		data = make(map[string][]byte)
	}
	before, _ := parseCertificates(existing[CAFile]) // what cannot be read is replaced
	cas := unexpired(before, opts.Now())
	leaf, err := opts.load(existing, CertificateFile, KeyFile)
	switch {
	case err == nil && !opts.due(leaf):
		delete(data, NextCertificateFile)
		delete(data, NextKeyFile)
	case opts.good(existing, NextCertificateFile, NextKeyFile):
	default:
		made, makeErr := SelfSigned(opts)
		if makeErr != nil {
			return nil, false, makeErr
		}
		if err != nil {
			more, _ := parseCertificates(trusted)
			cas = append(cas, unexpired(more, opts.Now())...)
		}
		ca, makeErr := parseCertificates(made.CA)
		if makeErr != nil {
			return nil, false, fmt.Errorf("parse CA certificate: %w", makeErr)
		}
		cas = append(ca, cas...)
		data[NextCertificateFile], data[NextKeyFile] = made.Certificate, made.Key
	}
	if cas = distinct(cas); !slices.EqualFunc(before, cas, (*x509.Certificate).Equal) {
		data[CAFile] = encodeCertificates(cas)
	}
	// The type kubernetes.io/tls wants both, be they empty.
	for _, name := range []string{CertificateFile, KeyFile} {
		if data[name] == nil {
			data[name] = []byte{}
		}
	}
	return data, !maps.EqualFunc(existing, data, bytes.Equal), nil
}

// Staged says whether the Secret holds a certificate that waits for Promote.
func Staged(data map[string][]byte) bool { return len(data[NextCertificateFile]) > 0 }

// Promote returns the data of a Secret whose next certificate is served from now on. That
// is safe once every client trusts its bundle.
func Promote(data map[string][]byte) map[string][]byte {
	data = maps.Clone(data)
	data[CertificateFile], data[KeyFile] = data[NextCertificateFile], data[NextKeyFile]
	delete(data, NextCertificateFile)
	delete(data, NextKeyFile)
	return data
}

// Check says why Stage would put another certificate beside the one that is served:
// something is missing, does not belong together, is not valid for one of the names, or is
// due to be renewed.
func Check(data map[string][]byte, opts Options) error {
	opts, err := opts.complete()
	if err != nil {
		return err
	}
	leaf, err := opts.load(data, CertificateFile, KeyFile)
	if err != nil {
		return err
	}
	if opts.due(leaf) {
		return fmt.Errorf("%s is due to be renewed since %s", CertificateFile, opts.renewal(leaf).UTC().Format(time.RFC3339))
	}
	return nil
}

// CheckServed says why the certificate cannot be served, whatever its age.
func CheckServed(data map[string][]byte, opts Options) error {
	_, err := served(data, opts)
	return err
}

// served returns the certificate that is served, or why none can be.
func served(data map[string][]byte, opts Options) (*x509.Certificate, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	return opts.load(data, CertificateFile, KeyFile)
}

// NextChange is when Stage would change data that it has just returned: the certificate is
// due, or a CA of the bundle has expired. Zero when there is no certificate.
func NextChange(data map[string][]byte, opts Options) time.Time {
	leaf, err := served(data, opts)
	if err != nil {
		return time.Time{}
	}
	next := opts.renewal(leaf)
	cas, _ := parseCertificates(data[CAFile]) // the load above did the same
	for _, ca := range cas {
		if ca.NotAfter.Before(next) {
			next = ca.NotAfter
		}
	}
	return next
}

// Covers says that every certificate of a bundle is in another one, too.
func Covers(all, some []byte) bool {
	have, err := parseCertificates(all)
	if err != nil {
		return false
	}
	want, err := parseCertificates(some)
	if err != nil {
		return false
	}
	for _, ca := range want {
		if !slices.ContainsFunc(have, ca.Equal) {
			return false
		}
	}
	return true
}

// Expiry is when the certificate that is served ends, and when the CA does that signed it;
// zero for one that is not there.
func Expiry(data map[string][]byte) (leaf, ca time.Time) {
	chain, err := parseCertificates(data[CertificateFile])
	if err != nil {
		return time.Time{}, time.Time{}
	}
	cas, _ := parseCertificates(data[CAFile]) // then there is none
	for _, c := range cas {
		// Renewed with the same key, an issuer's CA is there twice: the later one counts.
		if chain[len(chain)-1].CheckSignatureFrom(c) == nil && c.NotAfter.After(ca) {
			ca = c.NotAfter
		}
	}
	return chain[0].NotAfter, ca
}

// Trusts says whether the PEM text holds any CA that has not expired.
func Trusts(text []byte, now time.Time) bool {
	cas, _ := parseCertificates(text) // nobody trusts what cannot be read
	return len(unexpired(cas, now)) > 0
}

// load returns a certificate that could be served now, whatever its age, or what is wrong
// with it. The options have their defaults.
func (o Options) load(data map[string][]byte, certificate, key string) (*x509.Certificate, error) {
	for _, name := range []string{CAFile, certificate, key} {
		if len(data[name]) == 0 {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	pair, err := tls.X509KeyPair(data[certificate], data[key])
	if err != nil {
		return nil, fmt.Errorf("load %s with %s: %w", certificate, key, err)
	}
	for _, name := range o.names() {
		if err := Verify(data[certificate], data[CAFile], name, o.Now()); err != nil {
			return nil, err
		}
	}
	return pair.Leaf, nil
}

// good says whether a certificate could be served now and for long enough. RenewAfter does
// not count: one that waits must not be made anew before its turn comes.
func (o Options) good(data map[string][]byte, certificate, key string) bool {
	leaf, err := o.load(data, certificate, key)
	o.RenewAfter = 0
	return err == nil && !o.due(leaf)
}

// renewal is when a certificate is due. Its life begins when it was made, not at the
// earlier time from which it is valid.
func (o Options) renewal(leaf *x509.Certificate) time.Time {
	made := leaf.NotBefore.Add(clockSkew)
	after := leaf.NotAfter.Sub(made) / 3 * 2
	if o.RenewAfter > 0 {
		after = min(after, o.RenewAfter)
	}
	return made.Add(after)
}

func (o Options) due(leaf *x509.Certificate) bool { return !o.Now().Before(o.renewal(leaf)) }

func unexpired(cas []*x509.Certificate, now time.Time) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(cas), func(ca *x509.Certificate) bool { return now.After(ca.NotAfter) })
}

// distinct keeps the first of equal certificates.
func distinct(cas []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, ca := range cas {
		if !slices.ContainsFunc(out, ca.Equal) {
			out = append(out, ca)
		}
	}
	return out
}

func encodeCertificates(certificates []*x509.Certificate) []byte {
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw})...)
	}
	return text
}
