// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
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

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/certs"
)

// What the real API server makes of all this is tested in e2e. Here are the moments that
// cannot be had there: another one writes between our reading and our writing.

const (
	namespace    = "seccompgate"
	secretName   = "seccomp-webhook-tls"
	registration = "seccompgate"
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
		},
		Now: func() time.Time { return now },
		Log: testr.New(t),
	}
}

// existing is a Secret whose certificate was made at a time.
func existing(t *testing.T, made time.Time) *corev1.Secret {
	t.Helper()
	data, _, err := certs.Ensure(nil, certs.Options{DNSNames: names(), Now: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
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

func TestEnsureMakesWhatIsMissingAndThenNothing(t *testing.T) {
	client := newClient()
	if err := newCertificate(t, client, start).Ensure(t.Context()); err != nil {
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
	if err := newCertificate(t, client, start.Add(24*time.Hour)).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string(nil), writes(client)); d != "" {
		t.Errorf("writes of the second run (-want +got):\n%s", d)
	}
}

func TestEnsureRenews(t *testing.T) {
	before := existing(t, start)
	before.Labels = map[string]string{"kept": "yes"}
	client := newClient(before.DeepCopy())
	now := start.Add(300 * 24 * time.Hour)
	if err := newCertificate(t, client, now).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret := secretOf(t, client, now)
	if bytes.Equal(secret.Data[certs.CertificateFile], before.Data[certs.CertificateFile]) {
		t.Error("the certificate is the one before")
	}
	if d := cmp.Diff(before.ObjectMeta.Labels, secret.ObjectMeta.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	bundle := secret.Data[certs.CAFile]
	if !bytes.HasSuffix(bundle, before.Data[certs.CAFile]) {
		t.Error("the bundle lacks the CA of the certificate that replicas still serve")
	}
	wantBundle(t, client, bundle)
}

// TestEnsureAcceptsAnothersCertificate: another Job was faster, between our reading and
// our writing.
func TestEnsureAcceptsAnothersCertificate(t *testing.T) {
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
			name: "renewed", before: []runtime.Object{existing(t, start.Add(-300*24*time.Hour))}, verb: "update",
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
			if err := newCertificate(t, client, start).Ensure(t.Context()); err != nil {
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
	if err := newCertificate(t, client, start).Ensure(t.Context()); err != nil {
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

func TestEnsureSaysWhatIsWrong(t *testing.T) {
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
			err := c.Ensure(t.Context())
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
	if err := newCertificate(t, client, start).Ensure(t.Context()); err == nil {
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
