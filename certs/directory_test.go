// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func localOptions() Options {
	return Options{DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Now: at(start)}
}

// listing is the names of a directory with their permissions.
func listing(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	out := make(map[string]fs.FileMode)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		out[e.Name()] = info.Mode()
	}
	return out
}

func TestWriteFilesIntoAnEmptyDirectory(t *testing.T) {
	for name, dir := range map[string]string{"empty": t.TempDir(), "missing": filepath.Join(t.TempDir(), "a", "b")} {
		t.Run(name, func(t *testing.T) {
			p, err := WriteFiles(dir, localOptions())
			must(t, err)
			if d := cmp.Diff(map[string]fs.FileMode{CAFile: 0o644, CertificateFile: 0o644, KeyFile: 0o600}, listing(t, dir)); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
			there, err := readDirectory(dir)
			must(t, err)
			if d := cmp.Diff(p, there); d != "" {
				t.Errorf("content (-returned +written):\n%s", d)
			}
			parse(t, p)
			wantError(t, Verify(p.Certificate, p.CA, "localhost", start), "")
			wantError(t, Verify(p.Certificate, p.CA, "127.0.0.1", start), "")

			again, err := WriteFiles(dir, localOptions())
			must(t, err)
			if d := cmp.Diff(p, again); d != "" {
				t.Errorf("the second call does not keep the files (-first +second):\n%s", d)
			}
		})
	}
}

// TestWriteFilesOverExistingOnes writes nothing, whatever it says.
func TestWriteFilesOverExistingOnes(t *testing.T) {
	good, other, own := selfSigned(t, localOptions()), selfSigned(t, localOptions()), selfSigned(t, serviceOptions(start))
	late := localOptions()
	late.Now = at(start.Add(366 * day))
	early := localOptions()
	early.Now = at(start.Add(-day))
	for _, tc := range []struct {
		name string
		p    PEM
		opts *Options
		want string
	}{
		{name: "pair with CA", p: good},
		{name: "pair without CA", p: PEM{Certificate: good.Certificate, Key: good.Key}},
		{name: "pair of other names", p: own},
		{
			name: "CA alone", p: PEM{CA: good.CA},
			want: "certificate directory DIR is incomplete: it has ca.crt; remove what is there, or add what is missing of tls.crt and tls.key",
		},
		{
			name: "no key", p: PEM{CA: good.CA, Certificate: good.Certificate},
			want: "certificate directory DIR is incomplete: it has ca.crt and tls.crt; remove what is there, or add what is missing of tls.crt and tls.key",
		},
		{
			name: "key alone", p: PEM{Key: good.Key},
			want: "certificate directory DIR is incomplete: it has tls.key; remove what is there, or add what is missing of tls.crt and tls.key",
		},
		{
			name: "mismatch", p: PEM{CA: good.CA, Certificate: good.Certificate, Key: other.Key},
			want: "load certificate DIR/tls.crt with key DIR/tls.key: tls: private key does not match public key; replace both, or remove them to have new ones made",
		},
		{
			name: "empty files", p: PEM{Certificate: []byte{}, Key: []byte{}},
			want: "load certificate DIR/tls.crt with key DIR/tls.key: tls: failed to find any PEM data in certificate input; replace both, or remove them to have new ones made",
		},
		{
			name: "expired", p: good, opts: &late,
			want: "certificate DIR/tls.crt expired at 2027-01-01T00:00:00Z; renew it, or remove ca.crt, tls.crt and tls.key from its directory to have new ones made",
		},
		{
			name: "not valid yet", p: good, opts: &early,
			want: "certificate DIR/tls.crt is not valid before 2025-12-31T23:00:00Z; compare the clocks of the issuer and of this machine, or remove ca.crt, tls.crt and tls.key from its directory to have new ones made",
		},
		{
			name: "another's CA", p: PEM{CA: other.CA, Certificate: good.Certificate, Key: good.Key},
			want: `compare DIR/ca.crt with DIR/tls.crt: verify serving certificate: x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "seccompgate CA"); put the CA into it that signed the certificate`,
		},
		{
			name: "empty CA", p: PEM{CA: []byte{}, Certificate: good.Certificate, Key: good.Key},
			want: "compare DIR/ca.crt with DIR/tls.crt: CA bundle is empty; put the CA that signed the serving certificate into it; put the CA into it that signed the certificate",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			writePEM(t, dir, tc.p)
			opts := localOptions()
			if tc.opts != nil {
				opts = *tc.opts
			}
			p, err := WriteFiles(dir, opts)
			wantError(t, err, strings.ReplaceAll(tc.want, "DIR", dir))
			if d := cmp.Diff(tc.p, p); tc.want == "" && d != "" {
				t.Errorf("returned (-there +returned):\n%s", d)
			}
			there, err := readDirectory(dir)
			must(t, err)
			if d := cmp.Diff(tc.p, there); d != "" {
				t.Errorf("the files changed (-before +after):\n%s", d)
			}
		})
	}
}

func TestWriteFilesWhereItCannot(t *testing.T) {
	const remedy = "; name a directory that this process may write to"
	for _, tc := range []struct {
		name string
		make func(t *testing.T, dir string)
		want string
	}{
		{
			name: "a file in the directory's place",
			make: func(t *testing.T, dir string) {
				must(t, os.Remove(dir))
				must(t, os.WriteFile(dir, nil, 0o600))
			},
			want: "make certificate directory: mkdir DIR: not a directory" + remedy,
		},
		{
			name: "the parent may not be written to",
			make: func(t *testing.T, dir string) {
				must(t, os.Remove(dir))
				must(t, os.Chmod(filepath.Dir(dir), 0o555))
			},
			want: "make certificate directory: mkdir DIR: permission denied" + remedy,
		},
		{
			name: "the directory may not be written to",
			make: func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o555)) },
			want: "write certificate directory: open DIR/.ca.crt-N: permission denied" + remedy,
		},
		{
			name: "a file may not be read",
			make: func(t *testing.T, dir string) {
				must(t, os.WriteFile(filepath.Join(dir, KeyFile), []byte("x"), 0o000))
				must(t, os.Chmod(dir, 0o555))
			},
			want: "read certificate directory: open DIR/tls.key: permission denied",
		},
		{
			name: "a directory in a file's place",
			make: func(t *testing.T, dir string) {
				must(t, os.Mkdir(filepath.Join(dir, CAFile), 0o700))
				must(t, os.Chmod(filepath.Join(dir, CAFile), 0o755))
			},
			want: "read certificate directory: read DIR/ca.crt: is a directory",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parent := t.TempDir()
			// Others have to reach it, too.
			must(t, os.Chmod(filepath.Dir(parent), 0o755))
			dir := filepath.Join(parent, "tls")
			must(t, os.Mkdir(dir, 0o755))
			tc.make(t, dir)
			t.Cleanup(func() { must(t, os.Chmod(parent, 0o700)) })
			var err error
			withoutPrivileges(func() { _, err = WriteFiles(dir, localOptions()) })
			got := ""
			if err != nil {
				got = err.Error()
			}
			// Temporary names have random digits.
			if at := strings.Index(got, ".ca.crt-"); at >= 0 {
				at += len(".ca.crt-")
				got = got[:at] + "N" + strings.TrimLeft(got[at:], "0123456789")
			}
			if want := strings.ReplaceAll(tc.want, "DIR", dir); got != want {
				t.Errorf("error:\n got %q\nwant %q", got, want)
			}
		})
	}
}

// withoutPrivileges runs a function as a user for whom the permissions of files count,
// even if these tests are run by root. The thread ends with it.
func withoutPrivileges(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		syscall.Setfsuid(65534)
		do()
	}()
	<-done
}

// TestWriteFileLeavesNoTemporaryFile has a directory in the file's place.
func TestWriteFileLeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, CertificateFile), 0o700))
	if err := writeFile(filepath.Join(dir, CertificateFile), []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	if d := cmp.Diff(map[string]fs.FileMode{CertificateFile: fs.ModeDir | 0o700}, listing(t, dir)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}
