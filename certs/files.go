// SPDX-License-Identifier: Apache-2.0

// Package certs gives the serving certificate: from files that may be replaced
// at any time, and, where no issuer writes such files, made by ourselves. All
// keys made here are ECDSA P-256: a handshake with RSA 2048 costs the server
// three to four times as much, and API servers open many connections after a
// restart.
//
// The rotation is our own. github.com/open-policy-agent/cert-controller writes a new CA
// and what it signed in one step and then replaces the CA bundle, so that API servers
// refuse every replica which has not loaded the new files yet, or has too early; and it
// keeps the CA's key in the Secret that the replicas mount.
package certs

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Names of the files in a certificate directory, and of the keys in a Secret of
// type kubernetes.io/tls.
const (
	CAFile          = "ca.crt"
	CertificateFile = "tls.crt"
	KeyFile         = "tls.key"
)

// FilesOptions configures Files.
type FilesOptions struct {
	// Interval after which the files are read again even when the kernel reports no
	// change, as on network file systems. Defaults to ten seconds.
	Interval time.Duration
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// Files serves the certificate of two files and follows their changes, also
// those that the kubelet makes to a mounted Secret by swapping a symbolic link.
// When the new files cannot be used, the old certificate goes on being served
// and Healthy says why.
type Files struct {
	certificateFile, keyFile string
	watcher                  *certwatcher.CertWatcher
	now                      func() time.Time
}

// NewFiles reads both files. The error tells which cannot be used.
func NewFiles(certificateFile, keyFile string, opts FilesOptions) (*Files, error) {
	watcher, err := certwatcher.New(certificateFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s with key %s: %w", certificateFile, keyFile, err)
	}
	if opts.Interval > 0 {
		watcher.WithWatchInterval(opts.Interval)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Files{certificateFile: certificateFile, keyFile: keyFile, watcher: watcher, now: opts.Now}, nil
}

// Start follows the files until the context ends. It blocks.
func (f *Files) Start(ctx context.Context) error {
	if err := f.watcher.Start(ctx); err != nil {
		return fmt.Errorf("watch certificate %s: %w", f.certificateFile, err)
	}
	return nil
}

// NeedLeaderElection is false: every replica serves.
func (f *Files) NeedLeaderElection() bool { return false }

// GetCertificate is for tls.Config.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// Healthy reads the files anew and says what is wrong with them or with the
// certificate that is being served.
func (f *Files) Healthy() error {
	if err := f.read(); err != nil {
		return fmt.Errorf("read certificate %s with key %s: %w; the certificate read before goes on being served", f.certificateFile, f.keyFile, err)
	}
	leaf, err := f.leaf()
	if err != nil {
		return err
	}
	return checkTime(f.certificateFile, leaf, f.now())
}

// read reads both files. They are replaced together but read one after the
// other, so that a mismatch gets a second look.
func (f *Files) read() error {
	if err := f.watcher.ReadCertificate(); err == nil {
		return nil
	}
	return f.watcher.ReadCertificate()
}

// NotAfter is the end of the served certificate's validity, for a metric.
func (f *Files) NotAfter() time.Time {
	leaf, err := f.leaf()
	if err != nil {
		return time.Time{}
	}
	return leaf.NotAfter
}

// Note is advice about the served certificate, empty when there is none.
func (f *Files) Note() string {
	leaf, err := f.leaf()
	if err != nil {
		return ""
	}
	key, ok := leaf.PublicKey.(*rsa.PublicKey)
	if !ok {
		return ""
	}
	return fmt.Sprintf("certificate %s has an RSA key of %d bits, with which a handshake costs three to four times as much as with ECDSA P-256; have the issuer make an ECDSA key",
		f.certificateFile, key.N.BitLen())
}

// Verify says why a client that trusts the CA bundle (PEM, as in a webhook
// configuration) would not accept the served certificate for the DNS name.
func (f *Files) Verify(caBundle []byte, dnsName string) error {
	served, err := f.watcher.GetCertificate(nil)
	if err != nil {
		return err
	}
	chain := make([]*x509.Certificate, 0, len(served.Certificate))
	for _, der := range served.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("parse certificate %s: %w", f.certificateFile, err)
		}
		chain = append(chain, certificate)
	}
	return verify(chain, caBundle, dnsName, f.now())
}

func (f *Files) leaf() (*x509.Certificate, error) {
	served, err := f.watcher.GetCertificate(nil)
	if err != nil {
		return nil, err
	}
	if served == nil || served.Leaf == nil {
		return nil, errors.New("no certificate is being served; see the log for why " + f.certificateFile + " was not read")
	}
	return served.Leaf, nil
}

// checkTime says why a certificate is not valid at a time; name is what a message
// calls it.
func checkTime(name string, certificate *x509.Certificate, now time.Time) error {
	switch {
	case now.After(certificate.NotAfter):
		return fmt.Errorf("certificate %s expired at %s; renew it", name, certificate.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(certificate.NotBefore):
		return fmt.Errorf("certificate %s is not valid before %s; compare the clocks of the issuer and of this machine",
			name, certificate.NotBefore.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}

// ServerTLS returns how the webhook serves: TLS 1.2 or newer, HTTP/1.1 only (API
// servers speak nothing else to webhooks, and what is not offered cannot be
// abused), with the certificate of the files.
func ServerTLS(f *Files) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	ConfigureTLS(c, f)
	return c
}

// ConfigureTLS is ServerTLS for a server that makes its own tls.Config.
func ConfigureTLS(c *tls.Config, f *Files) {
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.NextProtos = []string{"http/1.1"}
	c.GetCertificate = f.GetCertificate
}
