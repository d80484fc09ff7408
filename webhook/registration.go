// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
)

// Registration checks how the API server is told to call this webhook.
type Registration struct {
	// Client reads the two configurations.
	Client admissionregistrationclient.AdmissionregistrationV1Interface
	// Name of both configurations.
	Name string
	// Verify says why a client that trusts the CA bundle would not accept the certificate
	// that is served now.
	Verify func(caBundle []byte, dnsName string) error
	// Exempt are the namespaces that the configuration file exempts.
	Exempt []string
	Log    logr.Logger

	compared sync.Once
}

// entry is one webhook of either configuration.
type entry struct {
	name     string
	client   admissionregistrationv1.WebhookClientConfig
	selector *metav1.LabelSelector
}

// Test says why the API server could not call the webhook: a configuration does not
// exist, or an entry of it has no CA bundle, or one that did not sign the certificate. It
// looks at the live objects and dials nobody.
func (r *Registration) Test(ctx context.Context) error {
	entries, err := r.entries(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		s := e.client.Service
		if s == nil {
			continue // reached by URL, under a certificate of somebody's choice
		}
		if err := r.Verify(e.client.CABundle, s.Name+"."+s.Namespace+".svc"); err != nil {
			errs = append(errs, fmt.Errorf("webhook %s: %w", e.name, err))
		}
	}
	r.compared.Do(func() { r.compareExemptions(entries) })
	return errors.Join(errs...)
}

func (r *Registration) entries(ctx context.Context) ([]entry, error) {
	const remedy = "apply the manifests, or name another with --registration"
	validating, err := r.Client.ValidatingWebhookConfigurations().Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read validating webhook configuration: %w; %s", err, remedy)
	}
	mutating, err := r.Client.MutatingWebhookConfigurations().Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read mutating webhook configuration: %w; %s", err, remedy)
	}
	var entries []entry
	for _, w := range validating.Webhooks {
		entries = append(entries, entry{w.Name, w.ClientConfig, w.NamespaceSelector})
	}
	for _, w := range mutating.Webhooks {
		entries = append(entries, entry{w.Name, w.ClientConfig, w.NamespaceSelector})
	}
	return entries, nil
}

// compareExemptions warns when the registration and the configuration file exempt
// different namespaces: one of the two lists is then not what somebody believes.
func (r *Registration) compareExemptions(entries []entry) {
	configured := slices.Sorted(slices.Values(r.Exempt))
	for _, e := range entries {
		if e.selector == nil {
			continue
		}
		excluded := make(map[string]bool)
		for _, x := range e.selector.MatchExpressions {
			if x.Key == "kubernetes.io/metadata.name" && x.Operator == metav1.LabelSelectorOpNotIn {
				for _, v := range x.Values {
					excluded[v] = true
				}
			}
		}
		registered := slices.Sorted(maps.Keys(excluded))
		if len(excluded) > 0 && !slices.Equal(registered, configured) {
			r.Log.Info("Exempt namespaces differ between the registration and the configuration file; write the same list to both",
				"webhook", e.name, "registration", strings.Join(registered, ","), "config", strings.Join(configured, ","))
			return
		}
	}
}
