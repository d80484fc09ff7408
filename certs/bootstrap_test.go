// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// secret is the data of a Secret with the certificate.
func secret(p PEM) map[string][]byte {
	return map[string][]byte{CAFile: p.CA, CertificateFile: p.Certificate, KeyFile: p.Key}
}

// ensure returns what Ensure made, nil when it kept what there was.
func ensure(t *testing.T, existing map[string][]byte, opts Options) *PEM {
	t.Helper()
	before := maps.Clone(existing)
	data, changed, err := Ensure(existing, opts)
	must(t, err)
	if d := cmp.Diff(before, existing); d != "" {
		t.Errorf("what there was is changed (-before +after):\n%s", d)
	}
	if !changed {
		if d := cmp.Diff(existing, data); d != "" {
			t.Errorf("nothing changed, yet (-before +after):\n%s", d)
		}
		return nil
	}
	if err := Check(data, opts); err != nil {
		t.Errorf("what was made is not good: %v", err)
	}
	return &PEM{CA: data[CAFile], Certificate: data[CertificateFile], Key: data[KeyFile]}
}

func TestEnsureMakesACertificate(t *testing.T) {
	for name, existing := range map[string]map[string][]byte{
		"no Secret":    nil,
		"empty Secret": {},
		"empty values": {CertificateFile: {}, KeyFile: {}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := serviceOptions(start)
			made := ensure(t, existing, opts)
			if made == nil {
				t.Fatal("nothing was made")
			}
			for _, name := range opts.DNSNames {
				wantError(t, Verify(made.Certificate, made.CA, name, start), "")
			}
			if again := ensure(t, secret(*made), opts); again != nil {
				t.Error("the certificate just made is made anew")
			}
		})
	}
}

// TestCheck says of each Secret why it is made anew, and sees that it is.
func TestCheck(t *testing.T) {
	good := selfSigned(t, serviceOptions(start))
	other := selfSigned(t, serviceOptions(start))
	// The life is a year and the hour before.
	const life = 365*day + time.Hour
	third := start.Add(365*day - life/3)
	without := func(key string) map[string][]byte {
		data := secret(good)
		delete(data, key)
		return data
	}
	for _, tc := range []struct {
		name string
		data map[string][]byte
		now  time.Time
		opts Options
		want string
	}{
		{name: "good", data: secret(good), now: start},
		{name: "a third of its life left", data: secret(good), now: third},
		{
			name: "in the last third", data: secret(good), now: third.Add(time.Minute),
			want: "tls.crt has 2920h19m0s of 8761h0m0s left, less than a third",
		},
		{
			name: "expired", data: secret(good), now: start.Add(366 * day),
			want: "certificate that is served expired at 2027-01-01T00:00:00Z; renew it",
		},
		{name: "no CA", data: without(CAFile), now: start, want: "ca.crt is missing"},
		{name: "no certificate", data: without(CertificateFile), now: start, want: "tls.crt is missing"},
		{name: "no key", data: without(KeyFile), now: start, want: "tls.key is missing"},
		{
			name: "another's key", data: secret(PEM{CA: good.CA, Certificate: good.Certificate, Key: other.Key}), now: start,
			want: "load tls.crt with tls.key: tls: private key does not match public key",
		},
		{
			name: "corrupt", data: secret(PEM{CA: good.CA, Certificate: []byte("x"), Key: good.Key}), now: start,
			want: "load tls.crt with tls.key: tls: failed to find any PEM data in certificate input",
		},
		{
			name: "another's CA", data: secret(PEM{CA: other.CA, Certificate: good.Certificate, Key: good.Key}), now: start,
			want: "verify serving certificate for " + serviceName + `: x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "seccompgate CA")`,
		},
		{
			name: "a name more", data: secret(good), now: start, opts: Options{DNSNames: []string{serviceName, "webhook.example.com"}},
			want: "verify serving certificate for webhook.example.com: x509: certificate is valid for " + serviceName + ", " + serviceName + ".cluster.local, not webhook.example.com",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if len(tc.opts.DNSNames) == 0 {
				tc.opts = serviceOptions()
			}
			tc.opts.Now = at(tc.now)
			wantError(t, Check(tc.data, tc.opts), tc.want)
			if made := ensure(t, tc.data, tc.opts); (made != nil) != (tc.want != "") {
				t.Errorf("a new certificate was made: %v", made != nil)
			}
		})
	}
}

// TestEnsureKeepsTheCABefore: replicas serve the certificate before until they have read
// the new one, and clients must trust both.
func TestEnsureKeepsTheCABefore(t *testing.T) {
	first := selfSigned(t, serviceOptions(start))
	renewal := start.Add(300 * day)
	second := ensure(t, secret(first), serviceOptions(renewal))
	if second == nil {
		t.Fatal("nothing was made in the last third")
	}
	if bytes.Equal(second.Certificate, first.Certificate) {
		t.Fatal("the certificate is the one before")
	}
	wantError(t, Verify(first.Certificate, second.CA, serviceName, renewal), "")
	wantError(t, Verify(second.Certificate, second.CA, serviceName, renewal), "")

	// At the next renewal the first one cannot be served any more.
	renewal = renewal.Add(300 * day)
	third := ensure(t, secret(*second), serviceOptions(renewal))
	if third == nil {
		t.Fatal("nothing was made in the last third")
	}
	cas, err := parseCertificates(third.CA)
	must(t, err)
	if len(cas) != 2 {
		t.Errorf("the bundle has %d CAs, want the new one and the one before", len(cas))
	}
	wantError(t, Verify(second.Certificate, third.CA, serviceName, renewal), "")
	if bytes.Contains(third.CA, first.CA) {
		t.Error("the bundle still has the first CA")
	}
}

func TestEnsureTrustsNobodyElse(t *testing.T) {
	first, stranger := selfSigned(t, serviceOptions(start)), selfSigned(t, serviceOptions(start))
	for _, tc := range []struct {
		name     string
		existing map[string][]byte
		now      time.Time
		keep     []byte
	}{
		{"a CA that signed nothing is dropped", secret(PEM{CA: slices.Concat(stranger.CA, first.CA), Certificate: first.Certificate, Key: first.Key}), start.Add(300 * day), first.CA},
		{"nothing of an expired certificate is kept", secret(first), start.Add(366 * day), nil},
		{"nothing of a corrupt certificate is kept", secret(PEM{CA: first.CA, Certificate: []byte("x"), Key: first.Key}), start, nil},
		{"nothing of a corrupt CA is kept", secret(PEM{CA: []byte("x"), Certificate: first.Certificate, Key: first.Key}), start, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			made := ensure(t, tc.existing, serviceOptions(tc.now))
			if made == nil {
				t.Fatal("nothing was made")
			}
			cas, err := parseCertificates(made.CA)
			must(t, err)
			if want := 1 + bytes.Count(tc.keep, []byte("BEGIN")); len(cas) != want {
				t.Errorf("the bundle has %d CAs, want %d", len(cas), want)
			}
			if !bytes.HasSuffix(made.CA, tc.keep) {
				t.Error("the bundle lacks the CA before")
			}
		})
	}
}

func TestEnsureLeavesOtherKeys(t *testing.T) {
	data, changed, err := Ensure(map[string][]byte{"keystore.p12": []byte("x")}, serviceOptions())
	must(t, err)
	if got := string(data["keystore.p12"]); !changed || got != "x" {
		t.Errorf("changed is %v and the other key holds %q; want true and x", changed, got)
	}
}
