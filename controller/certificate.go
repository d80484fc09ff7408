// SPDX-License-Identifier: Apache-2.0

// Package controller is what writes to the cluster: one file per loop.
package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/certs"
)

// Certificate keeps the serving certificate of the webhook in a Secret, and its CA in the
// registered webhooks.
type Certificate struct {
	Client kubernetes.Interface
	Config v1alpha1.SelfSignedCertificate
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	Log logr.Logger
}

// Ensure makes or renews the certificate where that is needed, and then brings the CA
// bundle to every webhook that calls the Service.
func (c *Certificate) Ensure(ctx context.Context) error {
	bundle, err := c.ensureSecret(ctx)
	if err != nil {
		return fmt.Errorf("ensure secret %s/%s: %w", c.Config.Secret.Namespace, c.Config.Secret.Name, withRemedy(err))
	}
	api := c.Client.AdmissionregistrationV1()
	validating, err := inject(ctx, c, "validating", api.ValidatingWebhookConfigurations(), validatingClients, bundle)
	mutating, mutatingErr := inject(ctx, c, "mutating", api.MutatingWebhookConfigurations(), mutatingClients, bundle)
	if err := errors.Join(err, mutatingErr); err != nil {
		return err
	}
	if validating+mutating == 0 {
		return fmt.Errorf("write CA bundle: no webhook of the configurations %s calls the service %s/%s; correct certificate.service or certificate.registration",
			c.Config.Registration, c.Config.Service.Namespace, c.Config.Service.Name)
	}
	return nil
}

// withRemedy says what to do about an answer of the API server.
func withRemedy(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w; install the manifests first, or correct the configuration", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; allow it as manifests/base/controller/rbac.yaml does", err)
	case apierrors.IsConflict(err):
		return fmt.Errorf("%w; find out who else keeps changing it, and try again", err)
	default:
		return err
	}
}

func (c *Certificate) options() certs.Options {
	service := c.Config.Service
	name := service.Name + "." + service.Namespace
	return certs.Options{DNSNames: []string{name + ".svc", name + ".svc.cluster.local", name}, Now: c.Now}
}

// ensureSecret returns the CA bundle of a Secret that is good for serving. Somebody who
// was faster is not overwritten: what they made is looked at in turn.
func (c *Certificate) ensureSecret(ctx context.Context) (bundle []byte, err error) {
	secrets := c.Client.CoreV1().Secrets(c.Config.Secret.Namespace)
	lost := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err = retry.OnError(retry.DefaultRetry, lost, func() error {
		secret, err := secrets.Get(ctx, c.Config.Secret.Name, metav1.GetOptions{})
		missing := apierrors.IsNotFound(err)
		if err != nil && !missing {
			return err
		}
		if missing {
			secret = &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: c.Config.Secret.Name, Namespace: c.Config.Secret.Namespace},
				Type:       corev1.SecretTypeTLS,
			}
		}
		data, changed, err := certs.Ensure(secret.Data, c.options())
		if err != nil {
			return err
		}
		bundle = data[certs.CAFile]
		if !changed {
			return nil
		}
		secret.Data = data
		if missing {
			_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		} else {
			_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		}
		if err == nil {
			c.Log.Info("Certificate was made", "secret", c.Config.Secret.Namespace+"/"+c.Config.Secret.Name)
		}
		return err
	})
	return bundle, err
}

// registrations are the webhook configurations of one kind.
type registrations[T any] interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*T, error)
	Update(ctx context.Context, config *T, opts metav1.UpdateOptions) (*T, error)
}

// inject brings the bundle to every webhook of a configuration that calls our Service and
// has another bundle, and returns how many call it. A webhook that calls a URL or another
// Service is not ours. A configuration that somebody else changes meanwhile is read again,
// so that nothing of theirs is lost.
func inject[T any](ctx context.Context, c *Certificate, kind string, api registrations[T], clients func(*T) []*admissionregistrationv1.WebhookClientConfig, bundle []byte) (ours int, err error) {
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		config, err := api.Get(ctx, c.Config.Registration, metav1.GetOptions{})
		if err != nil {
			return err
		}
		changed := 0
		ours = 0
		for _, client := range clients(config) {
			s := client.Service
			if s == nil || s.Name != c.Config.Service.Name || s.Namespace != c.Config.Service.Namespace {
				continue
			}
			ours++
			if !bytes.Equal(client.CABundle, bundle) {
				client.CABundle = bundle
				changed++
			}
		}
		if changed == 0 {
			return nil
		}
		if _, err = api.Update(ctx, config, metav1.UpdateOptions{}); err == nil {
			c.Log.Info("CA bundle was written", "kind", kind, "registration", c.Config.Registration, "webhooks", changed)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write CA bundle to %s webhook configuration %s: %w", kind, c.Config.Registration, withRemedy(err))
	}
	return ours, nil
}

func validatingClients(config *admissionregistrationv1.ValidatingWebhookConfiguration) (clients []*admissionregistrationv1.WebhookClientConfig) {
	for i := range config.Webhooks {
		clients = append(clients, &config.Webhooks[i].ClientConfig)
	}
	return clients
}

func mutatingClients(config *admissionregistrationv1.MutatingWebhookConfiguration) (clients []*admissionregistrationv1.WebhookClientConfig) {
	for i := range config.Webhooks {
		clients = append(clients, &config.Webhooks[i].ClientConfig)
	}
	return clients
}
