// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// follow opens the files of a volume and follows them until the end of the test.
func follow(t *testing.T, v *volume, opts FilesOptions) *Files {
	t.Helper()
	files, err := NewFiles(v.certificate(), v.key(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- files.Start(ctx) }()
	// Nothing tells when the watch has begun; on a busy machine it takes its time.
	time.Sleep(time.Second)
	t.Cleanup(func() {
		cancel()
		// A test may end, with its files gone, before the watch has begun.
		if err := <-ended; err != nil && !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Error(err)
		}
	})
	return files
}

// serve answers requests with the files' certificate, as the webhook does.
func serve(t *testing.T, files *Files) (address string) {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(tls.NewListener(plain, ServerTLS(files))) }()
	t.Cleanup(func() {
		must(t, server.Close())
		<-ended
	})
	return plain.Addr().String()
}

// leafAt shakes hands and returns the certificate that the server shows.
func leafAt(address string, p PEM) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.CA)
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: serviceName})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// TestFilesFollowSecretVolume renews the certificate twenty times as the kubelet does,
// without the help of periodic reading, while clients connect all the time.
func TestFilesFollowSecretVolume(t *testing.T) {
	p := selfSigned(t, serviceOptions())
	v := newVolume(t, p)
	address := serve(t, follow(t, v, FilesOptions{Interval: time.Hour}))

	var handshakes atomic.Int64
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Which CA is the right one changes all the time: others verify.
			conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				failed <- err
				return
			}
			handshakes.Add(1)
			conn.Close()
		}
	}()
	for swap := range 20 {
		p = selfSigned(t, serviceOptions())
		v.write(t, p)
		var err error
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, err = leafAt(address, p); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("swap %d: the new certificate is not served: %v", swap+1, err)
			}
		}
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Errorf("a client could not connect: %v", err)
	}
	if handshakes.Load() == 0 {
		t.Error("no client connected")
	}
}

// TestFilesAreReadPeriodically covers file systems whose changes the kernel does not
// report. Here the watch is on a file that the change does not touch.
func TestFilesAreReadPeriodically(t *testing.T) {
	dir := t.TempDir()
	p := selfSigned(t, serviceOptions())
	for _, name := range []string{"old", "new"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	writePEM(t, filepath.Join(dir, "old"), p)
	p = selfSigned(t, serviceOptions())
	writePEM(t, filepath.Join(dir, "new"), p)
	v := &volume{dir: filepath.Join(dir, "current")}
	must(t, os.Symlink("old", v.dir))
	files := follow(t, v, FilesOptions{Interval: 20 * time.Millisecond})

	must(t, os.Symlink("new", filepath.Join(dir, "next")))
	must(t, os.Rename(filepath.Join(dir, "next"), v.dir))
	want := parse(t, p)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got, err := files.leaf()
		must(t, err)
		if got.Equal(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not served")
		}
	}
}

func TestFilesKeepServingWhenTheNewOnesAreBad(t *testing.T) {
	good, other := selfSigned(t, serviceOptions()), selfSigned(t, serviceOptions())
	const rest = "; the certificate read before goes on being served"
	for _, tc := range []struct {
		name string
		bad  PEM
		want string
	}{
		{
			name: "certificate is no PEM",
			bad:  PEM{CA: good.CA, Certificate: []byte("garbage"), Key: good.Key},
			want: "tls: failed to find any PEM data in certificate input",
		},
		{
			name: "certificate is torn",
			bad:  PEM{CA: good.CA, Certificate: good.Certificate[:len(good.Certificate)/2], Key: good.Key},
			want: "tls: failed to find any PEM data in certificate input",
		},
		{
			name: "certificate is empty",
			bad:  PEM{CA: good.CA, Certificate: []byte{}, Key: good.Key},
			want: "tls: failed to find any PEM data in certificate input",
		},
		{
			name: "certificate and key are exchanged",
			bad:  PEM{CA: good.CA, Certificate: good.Key, Key: good.Certificate},
			want: `tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched`,
		},
		{
			name: "key is no PEM",
			bad:  PEM{CA: good.CA, Certificate: good.Certificate, Key: []byte("garbage")},
			want: "tls: failed to find any PEM data in key input",
		},
		{
			name: "key of another certificate",
			bad:  PEM{CA: other.CA, Certificate: other.Certificate, Key: good.Key},
			want: "tls: private key does not match public key",
		},
		{
			name: "no certificate",
			bad:  PEM{Key: good.Key},
			want: "open DIR/tls.crt: no such file or directory",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := newVolume(t, good)
			files := follow(t, v, FilesOptions{Interval: 10 * time.Millisecond})
			address := serve(t, files)
			wantError(t, files.Healthy(), "")

			v.write(t, tc.bad)
			want := "read certificate DIR/tls.crt with key DIR/tls.key: " + tc.want + rest
			wantError(t, files.Healthy(), strings.ReplaceAll(want, "DIR", v.dir))
			if _, err := leafAt(address, good); err != nil {
				t.Errorf("the certificate before is not served any more: %v", err)
			}

			v.write(t, other)
			wantError(t, files.Healthy(), "")
			if _, err := leafAt(address, other); err != nil {
				t.Errorf("the repaired certificate is not served: %v", err)
			}
		})
	}
}

func TestNewFilesRefusesWhatCannotBeServed(t *testing.T) {
	p := selfSigned(t, serviceOptions())
	for _, tc := range []struct {
		name string
		p    PEM
		want string
	}{
		{"no files", PEM{}, "open DIR/tls.crt: no such file or directory"},
		{"no key", PEM{Certificate: p.Certificate}, "open DIR/tls.key: no such file or directory"},
		{"mismatch", PEM{Certificate: p.Certificate, Key: selfSigned(t, serviceOptions()).Key}, "tls: private key does not match public key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			writePEM(t, dir, tc.p)
			_, err := NewFiles(filepath.Join(dir, CertificateFile), filepath.Join(dir, KeyFile), FilesOptions{})
			wantError(t, err, strings.ReplaceAll("load certificate DIR/tls.crt with key DIR/tls.key: "+tc.want, "DIR", dir))
		})
	}
}

func TestFilesWatchEndsWithAnErrorWhenTheyAreGone(t *testing.T) {
	v := newVolume(t, selfSigned(t, serviceOptions()))
	files, err := NewFiles(v.certificate(), v.key(), FilesOptions{})
	must(t, err)
	must(t, os.RemoveAll(v.dir))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = files.Start(ctx)
	want := "watch certificate " + v.certificate() + ": "
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("error is %v, want one that begins with %q and says that there is no such file", err, want)
	}
	// Only a watch that began gives its descriptor back.
	must(t, os.Mkdir(v.dir, 0o700))
	writePEM(t, v.dir, selfSigned(t, serviceOptions()))
	must(t, files.Start(ctx))
}

func TestFilesHealthyKnowsTheTime(t *testing.T) {
	var now atomic.Pointer[time.Time]
	set := func(at time.Time) { now.Store(&at) }
	set(start)
	v := newVolume(t, selfSigned(t, serviceOptions(start)))
	files := follow(t, v, FilesOptions{Now: func() time.Time { return *now.Load() }})
	if got, want := files.NotAfter(), start.Add(365*day); !got.Equal(want) {
		t.Errorf("NotAfter is %s, want %s", got, want)
	}
	for _, tc := range []struct {
		name string
		now  time.Time
		want string
	}{
		{"new", start, ""},
		{"clock behind by what is allowed", start.Add(-time.Hour), ""},
		{"clock further behind", start.Add(-time.Hour - time.Second), "certificate FILE is not valid before 2025-12-31T23:00:00Z; compare the clocks of the issuer and of this machine"},
		{"last second", start.Add(365 * day), ""},
		{"over", start.Add(365*day + time.Second), "certificate FILE expired at 2027-01-01T00:00:00Z; renew it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set(tc.now)
			wantError(t, files.Healthy(), strings.ReplaceAll(tc.want, "FILE", v.certificate()))
		})
	}
}

func TestFilesNote(t *testing.T) {
	ecdsaPair := selfSigned(t, serviceOptions())
	if _, ok := parse(t, ecdsaPair).PublicKey.(*ecdsa.PublicKey); !ok {
		t.Error("the key made here is not ECDSA")
	}
	v := newVolume(t, ecdsaPair)
	files := follow(t, v, FilesOptions{Interval: time.Hour})
	if note := files.Note(); note != "" {
		t.Errorf("note of an ECDSA key: %q, want none", note)
	}
	v.write(t, rsaPair(t))
	must(t, files.Healthy())
	want := "certificate " + v.certificate() + " has an RSA key of 2048 bits, with which a handshake costs three to four times as much as with ECDSA P-256; have the issuer make an ECDSA key"
	if got := files.Note(); got != want {
		t.Errorf("note:\n got %q\nwant %q", got, want)
	}
}

// rsaPair makes what many issuers make by default.
func rsaPair(t *testing.T) PEM {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{serviceName}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})
	return PEM{CA: text, Certificate: text, Key: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})}
}

func TestServerSpeaksHTTP1Only(t *testing.T) {
	p := selfSigned(t, serviceOptions())
	address := serve(t, follow(t, newVolume(t, p), FilesOptions{}))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.CA)

	t.Run("client that can do both", func(t *testing.T) {
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: serviceName}}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get("https://" + address)
		must(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		if got := string(body); got != "HTTP/1.1" || response.Proto != "HTTP/1.1" || response.TLS.NegotiatedProtocol != "http/1.1" {
			t.Errorf("the server speaks %s, the client %s, and %s was negotiated; want HTTP/1.1", got, response.Proto, response.TLS.NegotiatedProtocol)
		}
	})
	for _, tc := range []struct {
		name   string
		change func(*tls.Config)
		want   string
	}{
		{"client of HTTP/2 alone", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "remote error: tls: no application protocol"},
		{"client of TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "remote error: tls: protocol version not supported"},
		{"client of TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ""},
		{"client without ALPN", func(*tls.Config) {}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := &tls.Config{RootCAs: roots, ServerName: serviceName}
			tc.change(config)
			conn, err := tls.Dial("tcp", address, config)
			wantError(t, err, tc.want)
			if err == nil {
				conn.Close()
			}
		})
	}
}

// TestConfigureTLSOutranksTheServersOwn: servers come with HTTP/2 and versions of their
// own in the configuration.
func TestConfigureTLSOutranksTheServersOwn(t *testing.T) {
	c := &tls.Config{NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13}
	ConfigureTLS(c, &Files{})
	if len(c.NextProtos) != 1 || c.NextProtos[0] != "http/1.1" {
		t.Errorf("protocols are %q, want http/1.1 alone", c.NextProtos)
	}
	if c.MinVersion != tls.VersionTLS13 {
		t.Errorf("the oldest version is %s, want the server's TLS 1.3", tls.VersionName(c.MinVersion))
	}
}

func TestFilesVerify(t *testing.T) {
	p := selfSigned(t, serviceOptions(start))
	v := newVolume(t, p)
	files := follow(t, v, FilesOptions{Interval: time.Hour, Now: at(start)})
	wantError(t, files.Verify(p.CA, serviceName), "")
	other := selfSigned(t, serviceOptions(start))
	wantError(t, files.Verify(other.CA, serviceName), "verify serving certificate for "+serviceName+
		`: x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "seccompgate CA")`)
	// What counts is what is served now.
	v.write(t, other)
	must(t, files.Healthy())
	wantError(t, files.Verify(other.CA, serviceName), "")
	if files.NeedLeaderElection() {
		t.Error("only the leader would serve")
	}
}
