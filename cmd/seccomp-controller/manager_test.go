// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/controller"
)

func lease(holder *string) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: leaseName, Namespace: "seccompgate"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: holder},
	}
}

func TestReadiness(t *testing.T) {
	somebody, nobody, itself := "seccomp-controller-1", "", "seccomp-controller-2"
	elected := make(chan struct{})
	close(elected)
	for _, tc := range []struct {
		name    string
		objects []runtime.Object
		elected <-chan struct{}
		working func() bool
		want    string // "" for ready
	}{
		{name: "waits for who leads", objects: []runtime.Object{lease(&somebody)}, working: func() bool { return false }},
		{
			name: "nobody has ever led",
			want: `not ready: find out who leads: leases.coordination.k8s.io "seccomp-controller" not found`,
		},
		{
			name: "nobody leads", objects: []runtime.Object{lease(nil)},
			want: "not ready: nobody leads: lease seccompgate/seccomp-controller has no holder",
		},
		{
			name: "the lease was released", objects: []runtime.Object{lease(&nobody)},
			want: "not ready: nobody leads: lease seccompgate/seccomp-controller has no holder",
		},
		{
			name: "leads and does not know it yet", objects: []runtime.Object{lease(&itself)}, working: func() bool { return false },
			want: "not ready: this replica leads and has not begun yet",
		},
		{
			name: "leads and has not worked yet", elected: elected, working: func() bool { return false },
			want: "not ready: the certificate is not in order yet; see the log",
		},
		{name: "leads and has worked", elected: elected, working: func() bool { return true }},
		{name: "leads without work", elected: elected},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := fake.NewClientset(tc.objects...)
			r := &readiness{clients: client, namespace: "seccompgate", identity: itself, elected: tc.elected, working: tc.working}
			if got := probe(t, r); got != tc.want {
				t.Errorf("readiness:\n got %q\nwant %q", got, tc.want)
			}
			// What was proven once stays.
			client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("connection refused")
			})
			r.working = func() bool { return false }
			if got := probe(t, r); (got == "") != (tc.want == "") {
				t.Errorf("afterwards: %q", got)
			}
		})
	}
}

// probe returns why the replica is not ready.
func probe(t *testing.T, r http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
	text := strings.TrimSpace(w.Body.String())
	switch {
	case w.Code == http.StatusOK && text == "ok":
		return ""
	case w.Code == http.StatusServiceUnavailable:
		return text
	default:
		t.Fatalf("HTTP %d: %s", w.Code, text)
		return ""
	}
}

func TestExpiryMetric(t *testing.T) {
	registration := metav1.ObjectMeta{Name: "seccompgate"}
	client := fake.NewClientset(
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: registration, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "seccompgate", Name: "seccomp-webhook"}},
		}}},
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: registration},
	)
	config, err := v1alpha1.LoadControllerConfig([]byte(`
apiVersion: seccompgate.io/v1alpha1
kind: ControllerConfig
certificate:
  secret: {namespace: seccompgate, name: seccomp-webhook-tls}
  service: {namespace: seccompgate, name: seccomp-webhook}
  registration: seccompgate
`), "config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	certificate := &controller.Certificate{Client: client, Config: *config.Certificate, Log: testr.New(t), Now: at2026}
	m := expiryMetric{certificate}
	if n := testutil.CollectAndCount(m); n != 0 {
		t.Errorf("%d values before the first look, want none", n)
	}
	if err := certificate.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := testutil.CollectAndCompare(m, strings.NewReader(`
# HELP seccompgate_certificate_expiry_timestamp_seconds When the webhook's certificate and its CA expire, in seconds since 1970.
# TYPE seccompgate_certificate_expiry_timestamp_seconds gauge
seccompgate_certificate_expiry_timestamp_seconds{certificate="ca"} 1.7987616e+09
seccompgate_certificate_expiry_timestamp_seconds{certificate="leaf"} 1.7987616e+09
`)); err != nil {
		t.Error(err)
	}
}

// at2026 is a clock that stands still, a year before 2027-01-01.
func at2026() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }
