// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/certs"
)

// What the real API server makes of all this is tested in e2e. Here are the moments that
// cannot be had there: another one writes between our reading and our writing.

const (
	namespace    = "seccompgate"
	secretName   = "seccomp-webhook-tls"
	registration = "seccompgate"

	day  = 24 * time.Hour
	year = 365 * day
)

// start is when the certificates of these tests are made.
var start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func names() []string {
	return []string{"seccomp-webhook.seccompgate.svc", "seccomp-webhook.seccompgate.svc.cluster.local", "seccomp-webhook.seccompgate"}
}

func newCertificate(t *testing.T, client kubernetes.Interface, now time.Time) *Certificate {
	return &Certificate{
		Client: client,
		Config: v1alpha1.SelfSignedCertificate{
			Secret:       v1alpha1.ObjectName{Namespace: namespace, Name: secretName},
			Service:      v1alpha1.ObjectName{Namespace: namespace, Name: "seccomp-webhook"},
			Registration: registration,
			Validity:     metav1.Duration{Duration: year},
		},
		Now: func() time.Time { return now },
		Log: testr.New(t),
	}
}

// existing is a Secret whose certificate was made at a time.
func existing(t *testing.T, made time.Time) *corev1.Secret {
	t.Helper()
	data, _, err := certs.Stage(nil, nil, certs.Options{DNSNames: names(), Now: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
	data = certs.Promote(data)
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secretName, Namespace: namespace}, Type: corev1.SecretTypeTLS, Data: data}
}

func toService(namespace, name string, bundle string) admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{
		Service:  &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: name},
		CABundle: []byte(bundle),
	}
}

func toURL(bundle string) admissionregistrationv1.WebhookClientConfig {
	url := "https://seccomp-webhook.seccompgate.svc/validate"
	return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: []byte(bundle)}
}

// registered are both configurations, with webhooks of ours and of others.
func registered() (*admissionregistrationv1.ValidatingWebhookConfiguration, *admissionregistrationv1.MutatingWebhookConfiguration) {
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: registration, Labels: map[string]string{"kept": "yes"}},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{
			{Name: "enforce.seccompgate.io", ClientConfig: toService(namespace, "seccomp-webhook", "")},
			{Name: "url.example.com", ClientConfig: toURL("theirs")},
			{Name: "service.example.com", ClientConfig: toService(namespace, "other", "theirs")},
			{Name: "namespace.example.com", ClientConfig: toService("other", "seccomp-webhook", "theirs")},
			{Name: "warn.seccompgate.io", ClientConfig: toService(namespace, "seccomp-webhook", "stale")},
		},
	}
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: registration},
		Webhooks: []admissionregistrationv1.MutatingWebhook{
			{Name: "url.example.com", ClientConfig: toURL("theirs")},
			{Name: "enforce.seccompgate.io", ClientConfig: toService(namespace, "seccomp-webhook", "")},
		},
	}
	return validating, mutating
}

func newClient(more ...runtime.Object) *fake.Clientset {
	validating, mutating := registered()
	return fake.NewClientset(append(more, validating, mutating)...)
}

// wipe empties every CA bundle.
func wipe(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	api := client.AdmissionregistrationV1()
	validating, mutating := registered()
	if _, err := api.ValidatingWebhookConfigurations().Update(t.Context(), validating, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.MutatingWebhookConfigurations().Update(t.Context(), mutating, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// secretData returns what the Secret holds.
func secretData(t *testing.T, client kubernetes.Interface) map[string][]byte {
	t.Helper()
	secret, err := client.CoreV1().Secrets(namespace).Get(t.Context(), secretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

// secretOf returns the Secret, whose certificate must be good at that time.
func secretOf(t *testing.T, client kubernetes.Interface, now time.Time) *corev1.Secret {
	t.Helper()
	secret, err := client.CoreV1().Secrets(namespace).Get(t.Context(), secretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Check(secret.Data, certs.Options{DNSNames: names(), Now: func() time.Time { return now }}); err != nil {
		t.Errorf("the certificate is not good: %v", err)
	}
	return secret
}

// wantBundle compares both configurations with what they were, but for our own bundles.
func wantBundle(t *testing.T, client kubernetes.Interface, bundle []byte) {
	t.Helper()
	wantValidating, wantMutating := registered()
	for _, i := range []int{0, 4} {
		wantValidating.Webhooks[i].ClientConfig.CABundle = bundle
	}
	wantMutating.Webhooks[1].ClientConfig.CABundle = bundle
	validating, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantValidating.Webhooks, validating.Webhooks); d != "" {
		t.Errorf("validating webhooks (-want +got):\n%s", d)
	}
	if d := cmp.Diff(wantValidating.Labels, validating.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	mutating, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantMutating.Webhooks, mutating.Webhooks); d != "" {
		t.Errorf("mutating webhooks (-want +got):\n%s", d)
	}
}

// writes are the requests that change something, as verb and resource.
func writes(client *fake.Clientset) (out []string) {
	for _, a := range client.Actions() {
		if a.GetVerb() != "get" {
			out = append(out, a.GetVerb()+" "+a.GetResource().Resource)
		}
	}
	return out
}

func TestOnceMakesWhatIsMissingAndThenNothing(t *testing.T) {
	client := newClient()
	if err := newCertificate(t, client, start).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret := secretOf(t, client, start)
	if secret.Type != corev1.SecretTypeTLS {
		t.Errorf("the Secret has the type %s", secret.Type)
	}
	wantBundle(t, client, secret.Data[certs.CAFile])
	want := []string{"create secrets", "update validatingwebhookconfigurations", "update mutatingwebhookconfigurations"}
	if d := cmp.Diff(want, writes(client)); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}
	client.ClearActions()
	if err := newCertificate(t, client, start.Add(24*time.Hour)).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string(nil), writes(client)); d != "" {
		t.Errorf("writes of the second run (-want +got):\n%s", d)
	}
}

// TestRotation goes through a year: what is written, in which order, and when.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			renewal = year / 3 * 2
			settles = 30 * time.Second
		)
		client := newClient()
		c := newCertificate(t, client, time.Time{})
		c.Now = nil
		begin := time.Now()
		// pass reconciles at an age of the first certificate and returns what was written.
		pass := func(age time.Duration) []string {
			t.Helper()
			time.Sleep(time.Until(begin.Add(age)))
			client.ClearActions()
			result, err := c.Reconcile(t.Context(), reconcile.Request{})
			if err != nil {
				t.Fatal(err)
			}
			if after := result.RequeueAfter; after <= 0 || after > time.Minute {
				t.Errorf("at an age of %s the next look is after %s", age, after)
			}
			return writes(client)
		}
		bundles := []string{"update validatingwebhookconfigurations", "update mutatingwebhookconfigurations"}
		secret := []string{"update secrets"}
		served := func() string {
			data := secretData(t, client)
			return string(data[certs.CertificateFile])
		}

		if d := cmp.Diff(append([]string{"create secrets"}, bundles...), pass(0)); d != "" {
			t.Errorf("first pass (-want +got):\n%s", d)
		}
		first := secretData(t, client)
		wantBundle(t, client, first[certs.CAFile])
		if d := cmp.Diff([]string(nil), pass(renewal-time.Second)); d != "" {
			t.Errorf("before two thirds (-want +got):\n%s", d)
		}

		if d := cmp.Diff(slices.Concat(secret, bundles), pass(renewal)); d != "" {
			t.Errorf("at two thirds (-want +got):\n%s", d)
		}
		both := secretData(t, client)[certs.CAFile]
		if !bytes.HasSuffix(both, first[certs.CAFile]) || len(both) == len(first[certs.CAFile]) {
			t.Errorf("the bundle is not the new CA and the one before: %s", both)
		}
		wantBundle(t, client, both)
		if d := cmp.Diff([]string(nil), pass(renewal+settles-time.Second)); d != "" || served() != string(first[certs.CertificateFile]) {
			t.Errorf("before the bundle has settled (-want +got):\n%s", d)
		}

		if d := cmp.Diff(secret, pass(renewal+settles)); d != "" || served() == string(first[certs.CertificateFile]) {
			t.Errorf("when the bundle has settled (-want +got):\n%s", d)
		}
		wantBundle(t, client, both)

		if d := cmp.Diff([]string(nil), pass(year)); d != "" {
			t.Errorf("at the end of the first certificate (-want +got):\n%s", d)
		}
		if d := cmp.Diff(slices.Concat(secret, bundles), pass(year+time.Second)); d != "" {
			t.Errorf("after its end (-want +got):\n%s", d)
		}
		alone := secretData(t, client)[certs.CAFile]
		if !bytes.HasPrefix(both, alone) || len(alone) == len(both) {
			t.Errorf("the bundle is not the new CA alone: %s", alone)
		}
		wantBundle(t, client, alone)
	})
}

// TestSettlingBeginsAnew: the time begins again when a webhook turns out not to have had
// the bundle, and for a controller that has not seen it.
func TestSettlingBeginsAnew(t *testing.T) {
	for name, disturb := range map[string]func(*testing.T, *fake.Clientset, *Certificate){
		"wiped": func(t *testing.T, client *fake.Clientset, c *Certificate) { wipe(t, client) },
		"no API server": func(t *testing.T, client *fake.Clientset, c *Certificate) {
			once := true
			client.PrependReactor("get", "mutatingwebhookconfigurations", func(clienttesting.Action) (bool, runtime.Object, error) {
				defer func() { once = false }()
				return once, nil, errors.New("connection refused")
			})
			if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err == nil {
				t.Error("no API server is no error")
			}
		},
		"another leader": func(t *testing.T, client *fake.Clientset, c *Certificate) {
			c.settling, c.since = nil, time.Time{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(existing(t, time.Now().Add(-300*day)))
				c := newCertificate(t, client, time.Time{})
				c.Now = nil
				pass := func() {
					t.Helper()
					if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err != nil {
						t.Fatal(err)
					}
				}
				pass()
				time.Sleep(29 * time.Second)
				disturb(t, client, c)
				pass()
				time.Sleep(29 * time.Second)
				pass()
				if !certs.Staged(secretData(t, client)) {
					t.Error("the next certificate is served 29 seconds after the disturbance")
				}
				time.Sleep(time.Second)
				pass()
				if certs.Staged(secretData(t, client)) {
					t.Error("the next certificate is not served 30 seconds after the disturbance")
				}
				secretOf(t, client, time.Now())
			})
		})
	}
}

// TestCAsThatLeaveDoNotDelay: a CA expires while the next certificate waits, which is no
// reason to wait anew.
func TestCAsThatLeaveDoNotDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := existing(t, time.Now().Add(-300*day))
		leaving := existing(t, time.Now().Add(-year+10*time.Second)).Data[certs.CAFile]
		secret.Data[certs.CAFile] = slices.Concat(secret.Data[certs.CAFile], leaving)
		client := newClient(secret)
		c := newCertificate(t, client, time.Time{})
		c.Now = nil
		pass := func() {
			t.Helper()
			if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err != nil {
				t.Fatal(err)
			}
		}
		pass()
		if bundle := secretData(t, client)[certs.CAFile]; !bytes.Contains(bundle, bytes.TrimSpace(leaving)) {
			t.Fatal("the CA has left before it expired")
		}
		time.Sleep(15 * time.Second)
		pass()
		bundle := secretData(t, client)[certs.CAFile]
		if bytes.Contains(bundle, bytes.TrimSpace(leaving)) || !certs.Staged(secretData(t, client)) {
			t.Fatal("the CA is still there, or nothing waits")
		}
		wantBundle(t, client, bundle)
		time.Sleep(15 * time.Second)
		pass()
		if certs.Staged(secretData(t, client)) {
			t.Error("the next certificate is not served 30 seconds after its CA has come")
		}
	})
}

// TestServesOnlyWhatIsTrusted: another controller stages a certificate of its own when the
// one before could be served; nobody trusts its CA yet.
func TestServesOnlyWhatIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := existing(t, time.Now().Add(-300*day))
		client := newClient(old.DeepCopy())
		c := newCertificate(t, client, time.Time{})
		c.Now = nil
		if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		theirs := old.DeepCopy()
		var err error
		if theirs.Data, _, err = certs.Stage(old.Data, nil, c.options()); err != nil {
			t.Fatal(err)
		}
		client.PrependReactor("get", "mutatingwebhookconfigurations", func(clienttesting.Action) (bool, runtime.Object, error) {
			if err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), theirs, namespace); err != nil {
				t.Error(err)
			}
			return false, nil, nil
		})
		if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(theirs.Data, secretData(t, client)); d != "" {
			t.Errorf("their Secret is changed (-theirs +got):\n%s", d)
		}
	})
}

// TestOnceWaits: the command ends when the new certificate is served.
func TestOnceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := existing(t, time.Now().Add(-300*day))
		before.Labels = map[string]string{"kept": "yes"}
		client := newClient(before.DeepCopy())
		begin := time.Now()
		c := newCertificate(t, client, time.Time{})
		c.Now = nil
		if err := c.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("it took %s", took)
		}
		secret := secretOf(t, client, time.Now())
		if bytes.Equal(secret.Data[certs.CertificateFile], before.Data[certs.CertificateFile]) || certs.Staged(secret.Data) {
			t.Error("the certificate is the one before")
		}
		if d := cmp.Diff(before.ObjectMeta.Labels, secret.ObjectMeta.Labels); d != "" {
			t.Errorf("labels (-want +got):\n%s", d)
		}
	})
}

// TestSecretIsDeleted: replicas go on serving what they have read, and stay trusted.
func TestSecretIsDeleted(t *testing.T) {
	before := existing(t, start)
	client := newClient(before)
	c := newCertificate(t, client, start)
	if err := c.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Secrets(namespace).Delete(t.Context(), secretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err != nil {
		t.Fatal(err)
	}
	data := secretData(t, client)
	if !certs.Staged(data) || len(data[certs.CertificateFile]) > 0 {
		t.Error("the new certificate is served before its CA is trusted")
	}
	if !bytes.HasSuffix(data[certs.CAFile], before.Data[certs.CAFile]) {
		t.Error("the bundle lacks the CA of the certificate that replicas still serve")
	}
	wantBundle(t, client, data[certs.CAFile])
}

// TestBundleIsWiped: it is written again, and nothing else.
func TestBundleIsWiped(t *testing.T) {
	client := newClient(existing(t, start))
	c := newCertificate(t, client, start)
	if err := c.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	wipe(t, client)
	client.ClearActions()
	if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"update validatingwebhookconfigurations", "update mutatingwebhookconfigurations"}, writes(client)); d != "" {
		t.Errorf("writes (-want +got):\n%s", d)
	}
	wantBundle(t, client, secretData(t, client)[certs.CAFile])
}

// TestRegistrationIsMissing: a configuration that does not exist is an error, and keeps no
// certificate from being renewed.
func TestRegistrationIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient(existing(t, time.Now().Add(-300*day)))
		group := admissionregistrationv1.SchemeGroupVersion
		if err := client.Tracker().Delete(group.WithResource("mutatingwebhookconfigurations"), "", registration); err != nil {
			t.Fatal(err)
		}
		c := newCertificate(t, client, time.Time{})
		c.Now = nil
		for range 2 {
			if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err == nil {
				t.Error("a missing configuration is no error")
			}
			time.Sleep(time.Minute)
		}
		if secret := secretOf(t, client, time.Now()); certs.Staged(secret.Data) || c.Ensured() {
			t.Errorf("staged: %v, ensured: %v; want neither", certs.Staged(secret.Data), c.Ensured())
		}
	})
}

func TestExpiry(t *testing.T) {
	client := newClient()
	c := newCertificate(t, client, start)
	if leaf, ca := c.Expiry(); !leaf.IsZero() || !ca.IsZero() || c.Ensured() {
		t.Errorf("before the first look: %s, %s, ensured: %v", leaf, ca, c.Ensured())
	}
	if err := c.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	leaf, ca := c.Expiry()
	if d := cmp.Diff([]time.Time{start.Add(year), start.Add(year)}, []time.Time{leaf, ca}); d != "" || !c.Ensured() {
		t.Errorf("ensured: %v, expiry (-want +got):\n%s", c.Ensured(), d)
	}
}

// TestOnceAcceptsAnothersCertificate: another controller was faster, between our reading and
// our writing.
func TestOnceAcceptsAnothersCertificate(t *testing.T) {
	secrets := corev1.SchemeGroupVersion.WithResource("secrets")
	for _, tc := range []struct {
		name   string
		before []runtime.Object
		verb   string
		answer error
		wants  []string
	}{
		{
			name: "made", verb: "create", answer: apierrors.NewAlreadyExists(secrets.GroupResource(), secretName),
			wants: []string{"create secrets"},
		},
		{
			name: "renewed", before: []runtime.Object{existing(t, start.Add(-300*day))}, verb: "update",
			answer: apierrors.NewConflict(secrets.GroupResource(), secretName, errors.New("the object has been modified")),
			wants:  []string{"update secrets"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			theirs := existing(t, start)
			client := newClient(tc.before...)
			once := true
			client.PrependReactor(tc.verb, "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				if !once {
					return false, nil, nil
				}
				once = false
				write := client.Tracker().Create
				if tc.verb == "update" {
					write = func(gvr schema.GroupVersionResource, o runtime.Object, ns string, _ ...metav1.CreateOptions) error {
						return client.Tracker().Update(gvr, o, ns)
					}
				}
				if err := write(secrets, theirs.DeepCopy(), namespace); err != nil {
					t.Error(err)
				}
				return true, nil, tc.answer
			})
			if err := newCertificate(t, client, start).Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(theirs.Data, secretOf(t, client, start).Data); d != "" {
				t.Errorf("their certificate is not kept (-theirs +got):\n%s", d)
			}
			wantBundle(t, client, theirs.Data[certs.CAFile])
			tc.wants = append(tc.wants, "update validatingwebhookconfigurations", "update mutatingwebhookconfigurations")
			if d := cmp.Diff(tc.wants, writes(client)); d != "" {
				t.Errorf("writes (-want +got):\n%s", d)
			}
		})
	}
}

// TestInjectKeepsWhatOthersChange: a field of another's webhook changes between our
// reading and our writing, in both configurations.
func TestInjectKeepsWhatOthersChange(t *testing.T) {
	client := newClient(existing(t, start))
	group := admissionregistrationv1.SchemeGroupVersion
	conflicts := 0
	for _, resource := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
		once := true
		client.PrependReactor("update", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			if !once {
				return false, nil, nil
			}
			once = false
			conflicts++
			gvr := group.WithResource(resource)
			o, err := client.Tracker().Get(gvr, "", registration)
			if err != nil {
				t.Error(err)
			}
			switch config := o.(type) {
			case *admissionregistrationv1.ValidatingWebhookConfiguration:
				config.Webhooks[1].ClientConfig.CABundle = []byte("renewed by them")
			case *admissionregistrationv1.MutatingWebhookConfiguration:
				config.Webhooks[0].ClientConfig.CABundle = []byte("renewed by them")
			}
			if err := client.Tracker().Update(gvr, o, ""); err != nil {
				t.Error(err)
			}
			return true, nil, apierrors.NewConflict(gvr.GroupResource(), registration, errors.New("the object has been modified"))
		})
	}
	if err := newCertificate(t, client, start).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if conflicts != 2 {
		t.Errorf("%d conflicts, want one per configuration", conflicts)
	}
	bundle := string(secretOf(t, client, start).Data[certs.CAFile])
	api := client.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, client := range append(validatingClients(validating), mutatingClients(mutating)...) {
		got = append(got, string(client.CABundle))
	}
	if d := cmp.Diff([]string{bundle, "renewed by them", "theirs", "theirs", bundle, "renewed by them", bundle}, got); d != "" {
		t.Errorf("bundles (-want +got):\n%s", d)
	}
}

func TestOnceSaysWhatIsWrong(t *testing.T) {
	group := admissionregistrationv1.SchemeGroupVersion
	const kept = "Operation cannot be fulfilled on %s: the object has been modified"
	// always answers a verb on a resource.
	always := func(verb, resource string, err error) func(*fake.Clientset) {
		return func(c *fake.Clientset) {
			c.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
		}
	}
	remove := func(resource string) func(*fake.Clientset) {
		return func(c *fake.Clientset) {
			if err := c.Tracker().Delete(group.WithResource(resource), "", registration); err != nil {
				panic(err)
			}
		}
	}
	for _, tc := range []struct {
		name    string
		prepare []func(*fake.Clientset)
		change  func(*Certificate)
		want    string
	}{
		{
			name:    "no validating configuration",
			prepare: []func(*fake.Clientset){remove("validatingwebhookconfigurations")},
			want: `write CA bundle to validating webhook configuration seccompgate: validatingwebhookconfigurations.admissionregistration.k8s.io "seccompgate" not found` +
				"; install the manifests first, or correct the configuration",
		},
		{
			name:    "no configuration at all",
			prepare: []func(*fake.Clientset){remove("validatingwebhookconfigurations"), remove("mutatingwebhookconfigurations")},
			want: `write CA bundle to validating webhook configuration seccompgate: validatingwebhookconfigurations.admissionregistration.k8s.io "seccompgate" not found` +
				"; install the manifests first, or correct the configuration\n" +
				`write CA bundle to mutating webhook configuration seccompgate: mutatingwebhookconfigurations.admissionregistration.k8s.io "seccompgate" not found` +
				"; install the manifests first, or correct the configuration",
		},
		{
			name:   "another Service",
			change: func(c *Certificate) { c.Config.Service.Name = "webhook" },
			want:   "write CA bundle: no webhook of the configurations seccompgate calls the service seccompgate/webhook; correct certificate.service or certificate.registration",
		},
		{
			name: "Secrets are forbidden",
			prepare: []func(*fake.Clientset){always("get", "secrets", apierrors.NewForbidden(corev1.Resource("secrets"), secretName,
				errors.New(`User "system:serviceaccount:seccompgate:seccomp-controller" cannot get resource "secrets" in API group "" in the namespace "seccompgate"`)))},
			want: `ensure secret seccompgate/seccomp-webhook-tls: secrets "seccomp-webhook-tls" is forbidden: User "system:serviceaccount:seccompgate:seccomp-controller" cannot get resource "secrets" in API group "" in the namespace "seccompgate"` +
				"; allow it as manifests/base/controller/rbac.yaml does",
		},
		{
			name:    "no namespace",
			prepare: []func(*fake.Clientset){always("create", "secrets", apierrors.NewNotFound(corev1.Resource("namespaces"), namespace))},
			want:    `ensure secret seccompgate/seccomp-webhook-tls: namespaces "seccompgate" not found; install the manifests first, or correct the configuration`,
		},
		{
			name: "somebody always wins",
			prepare: []func(*fake.Clientset){always("update", "mutatingwebhookconfigurations",
				apierrors.NewConflict(group.WithResource("mutatingwebhookconfigurations").GroupResource(), registration, errors.New("the object has been modified")))},
			want: "write CA bundle to mutating webhook configuration seccompgate: " + fmt.Sprintf(kept, `mutatingwebhookconfigurations.admissionregistration.k8s.io "seccompgate"`) +
				"; find out who else keeps changing it, and try again",
		},
		{
			name:    "no API server",
			prepare: []func(*fake.Clientset){always("get", "secrets", errors.New("dial tcp 10.0.0.1:443: connect: connection refused"))},
			want:    "ensure secret seccompgate/seccomp-webhook-tls: dial tcp 10.0.0.1:443: connect: connection refused",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := newClient()
			for _, prepare := range tc.prepare {
				prepare(client)
			}
			c := newCertificate(t, client, start)
			if tc.change != nil {
				tc.change(c)
			}
			err := c.Once(t.Context())
			if err == nil || err.Error() != tc.want {
				t.Errorf("error:\n got %v\nwant %s", err, tc.want)
			}
		})
	}
}

// TestInjectGoesOnWithTheOtherConfiguration: what can be trusted is, whatever is wrong
// with the other one.
func TestInjectGoesOnWithTheOtherConfiguration(t *testing.T) {
	client := newClient(existing(t, start))
	api := client.AdmissionregistrationV1()
	if err := api.ValidatingWebhookConfigurations().Delete(context.Background(), registration, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := newCertificate(t, client, start).Once(t.Context()); err == nil {
		t.Error("that the validating configuration is missing is no error")
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mutating.Webhooks[1].ClientConfig.CABundle, secretOf(t, client, start).Data[certs.CAFile]; !bytes.Equal(got, want) {
		t.Errorf("the mutating webhook's bundle is %q", got)
	}
}
