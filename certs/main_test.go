// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails when a watcher of files outlives its test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when the certificates of most tests are made.
var start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

const (
	day         = 24 * time.Hour
	serviceName = "seccomp-webhook.seccompgate.svc"
)

// serviceOptions are for a certificate of a Service, made now or at another time.
func serviceOptions(now ...time.Time) Options {
	o := Options{DNSNames: []string{serviceName, serviceName + ".cluster.local"}}
	if len(now) > 0 {
		o.Now = at(now[0])
	}
	return o
}

func selfSigned(t *testing.T, o Options) PEM {
	t.Helper()
	p, err := SelfSigned(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// parse returns the leaf of a pair that belongs together.
func parse(t *testing.T, p PEM) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

// volume is a Secret as the kubelet mounts it: the files are links through ..data,
// which is a link to a directory. A change makes another directory, renames a new link
// over ..data and removes the directory before.
type volume struct {
	dir     string
	version int
}

func newVolume(t *testing.T, p PEM) *volume {
	t.Helper()
	v := &volume{dir: t.TempDir()}
	v.write(t, p)
	for _, name := range []string{CAFile, CertificateFile, KeyFile} {
		must(t, os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)))
	}
	return v
}

func (v *volume) write(t *testing.T, p PEM) {
	t.Helper()
	before := filepath.Join(v.dir, "..v"+strconv.Itoa(v.version))
	v.version++
	now := "..v" + strconv.Itoa(v.version)
	must(t, os.Mkdir(filepath.Join(v.dir, now), 0o700))
	writePEM(t, filepath.Join(v.dir, now), p)
	must(t, os.Symlink(now, filepath.Join(v.dir, "..data_tmp")))
	must(t, os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")))
	must(t, os.RemoveAll(before))
}

func (v *volume) certificate() string { return filepath.Join(v.dir, CertificateFile) }
func (v *volume) key() string         { return filepath.Join(v.dir, KeyFile) }

// writePEM writes those of the three files that have a text.
func writePEM(t *testing.T, dir string, p PEM) {
	t.Helper()
	for name, text := range map[string][]byte{CAFile: p.CA, CertificateFile: p.Certificate, KeyFile: p.Key} {
		if text != nil {
			must(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
		}
	}
}

// wantError compares a message verbatim; an empty one means no error.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error:\n got %q\nwant %q", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
