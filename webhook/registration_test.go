// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/seccompgate/seccompgate/certs"
)

func TestRegistration(t *testing.T) {
	dir := t.TempDir()
	ours, err := certs.WriteFiles(dir, certs.Options{DNSNames: []string{"seccomp-webhook.seccompgate.svc"}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := certs.NewFiles(dir+"/"+certs.CertificateFile, dir+"/"+certs.KeyFile, certs.FilesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	others, err := certs.SelfSigned(certs.Options{DNSNames: []string{"seccomp-webhook.seccompgate.svc"}})
	if err != nil {
		t.Fatal(err)
	}
	reached := func(service string, bundle []byte) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{
			Service: &admissionregistrationv1.ServiceReference{Namespace: "seccompgate", Name: service}, CABundle: bundle,
		}
	}
	excluding := func(names ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: names},
			{Key: "seccompgate.io/enforce", Operator: metav1.LabelSelectorOpExists},
		}}
	}
	configurations := func(validating, mutating admissionregistrationv1.WebhookClientConfig, selector *metav1.LabelSelector) []runtime.Object {
		meta := metav1.ObjectMeta{Name: "seccompgate"}
		return []runtime.Object{
			&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{
				{Name: "enforce.seccompgate.io", ClientConfig: validating, NamespaceSelector: selector},
			}},
			&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{
				{Name: "inject.seccompgate.io", ClientConfig: mutating, NamespaceSelector: selector},
			}},
		}
	}
	byURL := "https://example.com"
	good := reached("seccomp-webhook", ours.CA)
	for _, tc := range []struct {
		name    string
		objects []runtime.Object
		want    string
		logged  string
	}{
		{"both as they should be", configurations(good, good, excluding("kube-system", "seccompgate")), "", ""},
		{"another order of the exempt", configurations(good, good, excluding("seccompgate", "kube-system")), "", ""},
		{"no selector", configurations(good, good, nil), "", ""},
		{
			"other namespaces are exempt", configurations(good, good, excluding("kube-system")), "",
			`"level"=0 "msg"="Exempt namespaces differ between the registration and the configuration file; write the same list to both" "webhook"="enforce.seccompgate.io" "registration"="kube-system" "config"="kube-system,seccompgate"`,
		},
		{"by URL, under another certificate", configurations(admissionregistrationv1.WebhookClientConfig{URL: &byURL}, good, nil), "", ""},
		{
			"nothing is there", nil,
			`read validating webhook configuration: validatingwebhookconfigurations.admissionregistration.k8s.io "seccompgate" not found; apply the manifests, or name another with --registration`, "",
		},
		{
			"one is not there", configurations(good, good, nil)[:1],
			`read mutating webhook configuration: mutatingwebhookconfigurations.admissionregistration.k8s.io "seccompgate" not found; apply the manifests, or name another with --registration`, "",
		},
		{"no CA bundle", configurations(good, reached("seccomp-webhook", nil), nil), "webhook inject.seccompgate.io: CA bundle is empty; put the CA that signed the serving certificate into it", ""},
		{"the CA of somebody else", configurations(reached("seccomp-webhook", others.CA), good, nil), `webhook enforce.seccompgate.io: verify serving certificate for seccomp-webhook.seccompgate.svc: x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "seccompgate CA")`, ""},
		{"another name", configurations(reached("other", ours.CA), good, nil), "webhook enforce.seccompgate.io: verify serving certificate for other.seccompgate.svc: x509: certificate is valid for seccomp-webhook.seccompgate.svc, not other.seccompgate.svc", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var logged []string
			r := &Registration{
				Client: fake.NewClientset(tc.objects...).AdmissionregistrationV1(), Name: "seccompgate", Verify: files.Verify,
				Exempt: []string{"seccompgate", "kube-system"},
				Log:    funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{}),
			}
			for range 2 { // it is logged once
				if got := fmt.Sprint(r.Test(t.Context())); got != tc.want && (tc.want != "" || got != "<nil>") {
					t.Errorf("got  %s\nwant %s", got, tc.want)
				}
			}
			if got := strings.Join(logged, "\n"); got != tc.logged {
				t.Errorf("logged %s\nwant %s", got, tc.logged)
			}
		})
	}
}
