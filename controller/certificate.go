// SPDX-License-Identifier: Apache-2.0

// Package controller is what writes to the cluster: one file per loop.
package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/certs"
)

const (
	// settleTime is how long a CA is in every webhook before a certificate of it may be
	// served. API servers hear of a change through a watch, mostly at once; half a minute
	// is enough for one whose watch broke and is made anew.
	settleTime = 30 * time.Second
	// settleShare of the validity is enough for certificates that end soon.
	settleShare = 20
	// pollInterval is when everything is looked at again though no watch has told of a
	// change.
	pollInterval = time.Minute
)

// Certificate keeps the serving certificate of the webhook in a Secret, and its CA in the
// registered webhooks. A certificate is replaced in steps, so that whatever a replica
// serves is trusted by whoever calls it:
//
//  1. The next certificate is put beside the one that is served, and its CA into the
//     bundle of the Secret, with the CAs before it.
//  2. The bundle is written to every webhook.
//  3. Once it has been there for the settling time, the next certificate takes the place
//     of the one before. Kubelets bring it to the replicas within two minutes or so.
//  4. A CA leaves the bundle when it has expired, and with it what a replica could serve
//     that has heard nothing.
//
// Each step follows from what is in the cluster: a controller that dies leaves nothing to
// clean up, and another one goes on where it stopped.
type Certificate struct {
	Client kubernetes.Interface
	// Config has its defaults.
	Config v1alpha1.SelfSignedCertificate
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	Log logr.Logger

	// settling is the bundle that has been in every webhook since then.
	settling []byte
	since    time.Time

	ensured atomic.Bool
	expiry  atomic.Pointer[[2]time.Time]
}

// Reconcile does what there is to do now; the request says nothing.
func (c *Certificate) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	after, _, err := c.ensure(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: after}, nil
}

// Once does what there is to do now, to the end: when a certificate is due it waits until
// the next one may be served.
func (c *Certificate) Once(ctx context.Context) error {
	for {
		after, staged, err := c.ensure(ctx)
		if err != nil || !staged {
			return err
		}
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Ensured says whether everything has been in order at some time.
func (c *Certificate) Ensured() bool { return c.ensured.Load() }

// Expiry is when the certificate in the Secret ends, and when its CA does; zero before
// the first look, and for what is not there.
func (c *Certificate) Expiry() (leaf, ca time.Time) {
	if e := c.expiry.Load(); e != nil {
		return e[0], e[1]
	}
	return time.Time{}, time.Time{}
}

// ensure goes one step further where one is due, and returns after which time to come
// back, and whether a certificate waits for that.
func (c *Certificate) ensure(ctx context.Context) (after time.Duration, staged bool, err error) {
	data, err := c.change(ctx, func(existing map[string][]byte) (map[string][]byte, error) {
		return c.stage(ctx, existing)
	})
	if err != nil {
		return 0, false, err
	}
	bundle := data[certs.CAFile]
	// When a CA leaves because it has expired, those that stay have been there all the
	// time: waiting anew for each that leaves could have no end.
	if !bytes.Equal(c.settling, bundle) && certs.Covers(c.settling, bundle) {
		changed, _, err := c.inject(ctx, c.settling)
		if err == nil && !changed { // all the time indeed
			_, _, err = c.inject(ctx, bundle)
			c.settling = bundle
		}
		if err != nil {
			c.settling = nil
			return 0, false, err
		}
	}
	changed, missing, err := c.inject(ctx, bundle)
	if err != nil {
		c.settling = nil
		return 0, false, err
	}
	if changed || !bytes.Equal(c.settling, bundle) {
		c.settling, c.since = bundle, c.now()
	}
	if certs.Staged(data) {
		if left := c.settleTime() - c.now().Sub(c.since); left > 0 {
			c.note(data)
			return left, true, missing
		}
		data, err = c.change(ctx, func(existing map[string][]byte) (map[string][]byte, error) {
			if !certs.Staged(existing) || !bytes.Equal(existing[certs.CAFile], bundle) {
				return existing, nil // somebody else has gone on meanwhile
			}
			return certs.Promote(existing), nil
		})
		if err != nil {
			return 0, false, err
		}
	}
	c.note(data)
	if missing == nil {
		c.ensured.Store(true)
	}
	// Not at once: a clock that is a little behind would come back again and again.
	left := certs.NextChange(data, c.options()).Sub(c.now())
	return min(max(left, time.Second), pollInterval), certs.Staged(data), missing
}

// note keeps what the metric says.
func (c *Certificate) note(data map[string][]byte) {
	leaf, ca := certs.Expiry(data)
	c.expiry.Store(&[2]time.Time{leaf, ca})
}

func (c *Certificate) settleTime() time.Duration {
	return min(settleTime, c.Config.Validity.Duration/settleShare)
}

func (c *Certificate) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Certificate) options() certs.Options {
	service := c.Config.Service
	name := service.Name + "." + service.Namespace
	return certs.Options{
		DNSNames: []string{name + ".svc", name + ".svc.cluster.local", name},
		Validity: c.Config.Validity.Duration, RenewAfter: c.Config.RenewAfter.Duration, Now: c.now,
	}
}

// stage returns what the data of the Secret have to be. Where no API server trusts
// anything, as at the installation, there is nothing to wait for.
func (c *Certificate) stage(ctx context.Context, existing map[string][]byte) (map[string][]byte, error) {
	opts := c.options()
	var trusted []byte
	broken := certs.CheckServed(existing, opts) != nil
	if broken {
		var err error
		if trusted, err = c.trusted(ctx); err != nil {
			return nil, err
		}
	}
	data, _, err := certs.Stage(existing, trusted, opts)
	if err != nil {
		return nil, err
	}
	if broken && !certs.Trusts(trusted, c.now()) {
		data = certs.Promote(data)
	}
	return data, nil
}

// change brings what f makes of the Secret's data to the Secret. Somebody who was faster
// is not overwritten: what they made is looked at in turn.
func (c *Certificate) change(ctx context.Context, f func(existing map[string][]byte) (map[string][]byte, error)) (data map[string][]byte, err error) {
	name := c.Config.Secret
	secrets := c.Client.CoreV1().Secrets(name.Namespace)
	lost := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err = retry.OnError(retry.DefaultRetry, lost, func() error {
		secret, err := secrets.Get(ctx, name.Name, metav1.GetOptions{})
		missing := apierrors.IsNotFound(err)
		if err != nil && !missing {
			return err
		}
		if missing {
			secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name.Name, Namespace: name.Namespace}, Type: corev1.SecretTypeTLS}
		}
		if data, err = f(secret.Data); err != nil {
			return err
		}
		if maps.EqualFunc(secret.Data, data, bytes.Equal) {
			return nil
		}
		secret.Data = data
		if missing {
			_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		} else {
			_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		}
		if err == nil {
			c.Log.Info("Certificate was written", "secret", name.Namespace+"/"+name.Name, "next", certs.Staged(data))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ensure secret %s/%s: %w", name.Namespace, name.Name, withRemedy(err))
	}
	return data, nil
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

// inject brings the bundle to every webhook that calls the Service, and says whether any
// had another one. missing tells of a configuration that does not exist, or that nobody
// calls the Service: to be corrected, but nothing that a certificate has to wait for.
func (c *Certificate) inject(ctx context.Context, bundle []byte) (changed bool, missing, err error) {
	var absent, errs []error
	ours := 0
	add := func(called, written int, err error) {
		ours += called
		changed = changed || written > 0
		if apierrors.IsNotFound(err) {
			absent = append(absent, err)
		} else {
			errs = append(errs, err)
		}
	}
	api := c.Client.AdmissionregistrationV1()
	add(inject(ctx, c, "validating", api.ValidatingWebhookConfigurations(), validatingClients, bundle))
	add(inject(ctx, c, "mutating", api.MutatingWebhookConfigurations(), mutatingClients, bundle))
	if err := errors.Join(errs...); err != nil {
		return changed, nil, errors.Join(append(absent, err)...)
	}
	if ours == 0 && len(absent) == 0 {
		absent = append(absent, fmt.Errorf("write CA bundle: no webhook of the configurations %s calls the service %s/%s; correct certificate.service or certificate.registration",
			c.Config.Registration, c.Config.Service.Namespace, c.Config.Service.Name))
	}
	return changed, errors.Join(absent...), nil
}

// trusted are the bundles of the webhooks that call the Service, one after the other.
func (c *Certificate) trusted(ctx context.Context) ([]byte, error) {
	var bundles []byte
	api := c.Client.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(ctx, c.Config.Registration, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read validating webhook configuration %s: %w", c.Config.Registration, err)
	}
	if err == nil {
		bundles = append(bundles, c.bundles(validatingClients(validating))...)
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(ctx, c.Config.Registration, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read mutating webhook configuration %s: %w", c.Config.Registration, err)
	}
	if err == nil {
		bundles = append(bundles, c.bundles(mutatingClients(mutating))...)
	}
	return bundles, nil
}

// bundles joins the bundles of those clients that call the Service.
func (c *Certificate) bundles(clients []*admissionregistrationv1.WebhookClientConfig) []byte {
	var all []byte
	for _, client := range clients {
		if c.calls(client) {
			all = append(append(all, client.CABundle...), '\n')
		}
	}
	return all
}

// calls says whether a webhook calls the Service. One that calls a URL or another Service
// is not ours.
func (c *Certificate) calls(client *admissionregistrationv1.WebhookClientConfig) bool {
	s := client.Service
	return s != nil && s.Name == c.Config.Service.Name && s.Namespace == c.Config.Service.Namespace
}

// registrations are the webhook configurations of one kind.
type registrations[T any] interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*T, error)
	Update(ctx context.Context, config *T, opts metav1.UpdateOptions) (*T, error)
}

// inject brings the bundle to every webhook of a configuration that calls the Service and
// has another bundle, and returns how many call it and how many had another. A
// configuration that somebody else changes meanwhile is read again, so that nothing of
// theirs is lost.
func inject[T any](ctx context.Context, c *Certificate, kind string, api registrations[T], clients func(*T) []*admissionregistrationv1.WebhookClientConfig, bundle []byte) (ours, changed int, err error) {
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		config, err := api.Get(ctx, c.Config.Registration, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ours, changed = 0, 0
		for _, client := range clients(config) {
			if !c.calls(client) {
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
		return 0, 0, fmt.Errorf("write CA bundle to %s webhook configuration %s: %w", kind, c.Config.Registration, withRemedy(err))
	}
	return ours, changed, nil
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
