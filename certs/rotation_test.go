// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
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

// stage returns what Stage made, nil when it kept what there was.
func stage(t *testing.T, existing map[string][]byte, trusted []byte, opts Options) map[string][]byte {
	t.Helper()
	before := maps.Clone(existing)
	data, changed, err := Stage(existing, trusted, opts)
	must(t, err)
	if d := cmp.Diff(before, existing); d != "" {
		t.Errorf("what there was is changed (-before +after):\n%s", d)
	}
	if again, changed, err := Stage(data, trusted, opts); changed || err != nil {
		t.Errorf("what was staged just now changes again, %v (-before +after):\n%s", err, cmp.Diff(data, again))
	}
	if !changed {
		if d := cmp.Diff(existing, data); d != "" {
			t.Errorf("nothing changed, yet (-before +after):\n%s", d)
		}
		return nil
	}
	return data
}

// bundle returns the CAs of a Secret.
func bundle(t *testing.T, data map[string][]byte) [][]byte {
	t.Helper()
	var out [][]byte
	for _, ca := range parsed(t, data[CAFile]) {
		out = append(out, ca.Raw)
	}
	return out
}

// wantBundle compares the CAs of a Secret with those of certificates.
func wantBundle(t *testing.T, data map[string][]byte, of ...[]byte) {
	t.Helper()
	want := bundle(t, map[string][]byte{CAFile: bytes.Join(of, nil)})
	if d := cmp.Diff(want, bundle(t, data)); d != "" {
		t.Errorf("bundle (-want +got):\n%s", d)
	}
}

func TestStageMakesACertificate(t *testing.T) {
	for name, existing := range map[string]map[string][]byte{
		"no Secret":     nil,
		"empty Secret":  {},
		"empty values":  {CertificateFile: {}, KeyFile: {}},
		"another's key": {"keystore.p12": []byte("x")},
	} {
		t.Run(name, func(t *testing.T) {
			opts := serviceOptions(start)
			data := stage(t, existing, nil, opts)
			if !Staged(data) || len(data[CertificateFile]) > 0 || data[CertificateFile] == nil || data[KeyFile] == nil {
				t.Fatalf("staged: %v; a Secret for TLS has %s and %s, empty until the promotion", Staged(data), CertificateFile, KeyFile)
			}
			data = Promote(data)
			if Staged(data) || data[NextKeyFile] != nil {
				t.Error("the next certificate is still there")
			}
			for _, name := range opts.DNSNames {
				wantError(t, Verify(data[CertificateFile], data[CAFile], name, start), "")
			}
			wantError(t, Check(data, opts), "")
			if again := stage(t, data, nil, opts); again != nil {
				t.Error("the certificate just made is made anew")
			}
			if d := cmp.Diff(existing["keystore.p12"], data["keystore.p12"]); d != "" {
				t.Errorf("another's key (-want +got):\n%s", d)
			}
		})
	}
}

// TestCheck says of each Secret why another certificate is made, and sees that it is.
func TestCheck(t *testing.T) {
	good := selfSigned(t, serviceOptions(start))
	other := selfSigned(t, serviceOptions(start))
	// Not of the life that the hour before the start belongs to.
	twoThirds := start.Add(365 * day / 3 * 2)
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
		{name: "a second before two thirds of its life", data: secret(good), now: twoThirds.Add(-time.Second)},
		{
			name: "two thirds of its life", data: secret(good), now: twoThirds,
			want: "tls.crt is due to be renewed since 2026-09-01T08:00:00Z",
		},
		{name: "a second before an age of 30 days", data: secret(good), now: start.Add(30*day - time.Second), opts: Options{RenewAfter: 30 * day}},
		{
			name: "an age of 30 days", data: secret(good), now: start.Add(30 * day), opts: Options{RenewAfter: 30 * day},
			want: "tls.crt is due to be renewed since 2026-01-31T00:00:00Z",
		},
		{name: "an age after two thirds", data: secret(good), now: twoThirds, opts: Options{RenewAfter: 364 * day}, want: "tls.crt is due to be renewed since 2026-09-01T08:00:00Z"},
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
				tc.opts.DNSNames = serviceOptions().DNSNames
			}
			tc.opts.Now = at(tc.now)
			wantError(t, Check(tc.data, tc.opts), tc.want)
			data := stage(t, tc.data, nil, tc.opts)
			if Staged(data) != (tc.want != "") {
				t.Errorf("a new certificate was made: %v", Staged(data))
			}
			if data == nil {
				return
			}
			if !bytes.Equal(data[CertificateFile], tc.data[CertificateFile]) {
				t.Error("what is served changes before the promotion")
			}
			wantError(t, Check(Promote(data), tc.opts), "")
		})
	}
}

// TestRotation goes through the life of a Secret: at every moment the bundle holds the CA
// of whatever a replica may serve.
func TestRotation(t *testing.T) {
	opts := func(now time.Time) Options { return serviceOptions(now) }
	first := selfSigned(t, opts(start))
	renewal := start.Add(365 * day / 3 * 2)

	data := stage(t, secret(first), nil, opts(renewal))
	second := PEM{CA: encodeCertificates(parsed(t, data[CAFile])[:1]), Certificate: data[NextCertificateFile], Key: data[NextKeyFile]}
	wantBundle(t, data, second.CA, first.CA)
	wantError(t, Verify(first.Certificate, data[CAFile], serviceName, renewal), "")
	wantError(t, Verify(second.Certificate, data[CAFile], serviceName, renewal), "")
	if !bytes.Equal(data[CertificateFile], first.Certificate) || !bytes.Equal(data[KeyFile], first.Key) {
		t.Error("staging changes what is served")
	}
	// Staged is staged, for as long as it takes, whatever the age to renew it at.
	later := opts(renewal.Add(day))
	later.RenewAfter = time.Hour
	if again := stage(t, data, nil, later); again != nil {
		t.Error("what is staged is made anew")
	}

	data = Promote(data)
	if d := cmp.Diff(map[string][]byte{CAFile: slices.Concat(second.CA, first.CA), CertificateFile: second.Certificate, KeyFile: second.Key}, data); d != "" {
		t.Errorf("promoted (-want +got):\n%s", d)
	}
	end := start.Add(365 * day)
	if d := cmp.Diff(end, NextChange(data, opts(renewal))); d != "" {
		t.Errorf("next change (-want +got):\n%s", d)
	}

	// A replica that never read the second one can serve the first one up to its end.
	if again := stage(t, data, nil, opts(end)); again != nil {
		t.Error("the bundle changes while the first certificate is valid")
	}
	wantError(t, Verify(first.Certificate, data[CAFile], serviceName, end), "")
	data = stage(t, data, nil, opts(end.Add(time.Second)))
	wantBundle(t, data, second.CA)
	if d := cmp.Diff(renewal.Add(365*day/3*2), NextChange(data, opts(end.Add(time.Second)))); d != "" {
		t.Errorf("next change (-want +got):\n%s", d)
	}
}

// TestStageInAHurry renews again and again before anything has expired.
func TestStageInAHurry(t *testing.T) {
	data := secret(selfSigned(t, serviceOptions(start)))
	want := [][]byte{data[CAFile]}
	for i := range 5 {
		opts := serviceOptions(start.Add(time.Duration(i+1) * day))
		opts.RenewAfter = day
		data = Promote(stage(t, data, nil, opts))
		want = slices.Insert(want, 0, encodeCertificates(parsed(t, data[CAFile])[:1]))
	}
	wantBundle(t, data, want...)
}

func TestStageTrusts(t *testing.T) {
	first, registered := selfSigned(t, serviceOptions(start)), selfSigned(t, serviceOptions(start))
	expired := selfSigned(t, serviceOptions(start.Add(-400*day)))
	trusted := slices.Concat(registered.CA, first.CA, expired.CA)
	due := start.Add(300 * day)
	for _, tc := range []struct {
		name     string
		existing map[string][]byte
		now      time.Time
		keep     [][]byte
	}{
		{"the Secret's own when it has a certificate", secret(first), due, [][]byte{first.CA}},
		{"the registered ones after the Secret was deleted", nil, due, [][]byte{registered.CA, first.CA}},
		{"the registered ones after the certificate was broken", secret(PEM{CA: first.CA, Certificate: []byte("x"), Key: first.Key}), due, [][]byte{first.CA, registered.CA}},
		{"the registered ones after the CA was broken", secret(PEM{CA: []byte("x"), Certificate: first.Certificate, Key: first.Key}), due, [][]byte{registered.CA, first.CA}},
		{"none that has expired", secret(first), start.Add(366 * day), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := stage(t, tc.existing, trusted, serviceOptions(tc.now))
			if !Staged(data) {
				t.Fatal("nothing was made")
			}
			wantBundle(t, data, slices.Insert(tc.keep, 0, encodeCertificates(parsed(t, data[CAFile])[:1]))...)
		})
	}
}

// TestStageMakesTheNextOneAnew: one that was staged, and could not be served now.
func TestStageMakesTheNextOneAnew(t *testing.T) {
	due := start.Add(300 * day)
	staged := stage(t, secret(selfSigned(t, serviceOptions(start))), nil, serviceOptions(due))
	other := selfSigned(t, serviceOptions(due))
	for _, tc := range []struct {
		name   string
		change func(map[string][]byte)
		now    time.Time
	}{
		{"of another CA", func(d map[string][]byte) { d[NextCertificateFile], d[NextKeyFile] = other.Certificate, other.Key }, due},
		{"with another's key", func(d map[string][]byte) { d[NextKeyFile] = other.Key }, due},
		{"without key", func(d map[string][]byte) { delete(d, NextKeyFile) }, due},
		{"due itself", func(map[string][]byte) {}, due.Add(300 * day)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := maps.Clone(staged)
			tc.change(before)
			data := stage(t, before, nil, serviceOptions(tc.now))
			if bytes.Equal(data[NextCertificateFile], before[NextCertificateFile]) {
				t.Fatal("it is kept")
			}
			wantError(t, Check(Promote(data), serviceOptions(tc.now)), "")
		})
	}
	t.Run("not wanted any more", func(t *testing.T) {
		before := maps.Clone(staged)
		before[CAFile], before[CertificateFile], before[KeyFile] = slices.Concat(other.CA, staged[CAFile]), other.Certificate, other.Key
		data := stage(t, before, nil, serviceOptions(due))
		if Staged(data) || data[NextKeyFile] != nil {
			t.Error("it is kept")
		}
	})
}

func TestExpiry(t *testing.T) {
	first := selfSigned(t, serviceOptions(start))
	second := selfSigned(t, serviceOptions(start.Add(day)))
	for _, tc := range []struct {
		name     string
		data     map[string][]byte
		leaf, ca time.Time
	}{
		{"the CA that signed it", secret(PEM{CA: slices.Concat(second.CA, first.CA), Certificate: first.Certificate}), start.Add(365 * day), start.Add(365 * day)},
		{"another's CA", secret(PEM{CA: second.CA, Certificate: first.Certificate}), start.Add(365 * day), time.Time{}},
		{"no CA", secret(PEM{Certificate: first.Certificate}), start.Add(365 * day), time.Time{}},
		{"nothing", nil, time.Time{}, time.Time{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leaf, ca := Expiry(tc.data)
			if d := cmp.Diff([]time.Time{tc.leaf, tc.ca}, []time.Time{leaf, ca}); d != "" {
				t.Errorf("Expiry (-want +got):\n%s", d)
			}
		})
	}
}

func TestTrusts(t *testing.T) {
	p := selfSigned(t, serviceOptions(start))
	for _, tc := range []struct {
		name string
		text []byte
		now  time.Time
		want bool
	}{
		{"valid", p.CA, start, true},
		{"valid up to its end", p.CA, start.Add(365 * day), true},
		{"expired", p.CA, start.Add(365*day + time.Second), false},
		{"nothing", nil, start, false},
		{"corrupt", []byte("x"), start, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Trusts(tc.text, tc.now); got != tc.want {
				t.Errorf("Trusts is %v, want %v", got, tc.want)
			}
		})
	}
}

// parsed are the certificates of a bundle.
func parsed(t *testing.T, text []byte) []*x509.Certificate {
	t.Helper()
	cas, err := parseCertificates(text)
	must(t, err)
	return cas
}

func TestCovers(t *testing.T) {
	one, two := selfSigned(t, serviceOptions()).CA, selfSigned(t, serviceOptions()).CA
	both := append(append([]byte{}, one...), two...)
	for _, tc := range []struct {
		name      string
		all, some []byte
		want      bool
	}{
		{"the same", both, both, true},
		{"less", both, two, true},
		{"more", one, both, false},
		{"another", one, two, false},
		{"what cannot be read", one, []byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), false},
	} {
		if got := Covers(tc.all, tc.some); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
