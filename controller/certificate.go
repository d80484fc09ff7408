// SPDX-License-Identifier: Apache-2.0

// Package controller is what writes to the cluster: one file per loop.
package controller

import (
	"bytes"
	"context"
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
		return fmt.Errorf("ensure secret %s/%s: %w", c.Config.Secret.Namespace, c.Config.Secret.Name, err)
	}
	if err := c.injectValidating(ctx, bundle); err != nil {
		return fmt.Errorf("write CA bundle to validating webhook configuration %s: %w", c.Config.Registration, err)
	}
	if err := c.injectMutating(ctx, bundle); err != nil {
		return fmt.Errorf("write CA bundle to mutating webhook configuration %s: %w", c.Config.Registration, err)
	}
	return nil
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

func (c *Certificate) injectValidating(ctx context.Context, bundle []byte) error {
	api := c.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		config, err := api.Get(ctx, c.Config.Registration, metav1.GetOptions{})
		if err != nil {
			return err
		}
		changed := false
		for i := range config.Webhooks {
			changed = c.inject(&config.Webhooks[i].ClientConfig, bundle) || changed
		}
		if !changed {
			return nil
		}
		_, err = api.Update(ctx, config, metav1.UpdateOptions{})
		return err
	})
}

func (c *Certificate) injectMutating(ctx context.Context, bundle []byte) error {
	api := c.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		config, err := api.Get(ctx, c.Config.Registration, metav1.GetOptions{})
		if err != nil {
			return err
		}
		changed := false
		for i := range config.Webhooks {
			changed = c.inject(&config.Webhooks[i].ClientConfig, bundle) || changed
		}
		if !changed {
			return nil
		}
		_, err = api.Update(ctx, config, metav1.UpdateOptions{})
		return err
	})
}

// inject sets the bundle of a webhook that calls our Service, and says whether that
// changed anything.
func (c *Certificate) inject(client *admissionregistrationv1.WebhookClientConfig, bundle []byte) bool {
	s := client.Service
	if s == nil || s.Name != c.Config.Service.Name || s.Namespace != c.Config.Service.Namespace || bytes.Equal(client.CABundle, bundle) {
		return false
	}
	client.CABundle = bundle
	return true
}
