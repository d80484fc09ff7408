// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/controller"
)

// leaseName is the Lease whose holder works; other replicas wait.
const leaseName = "seccomp-controller"

// Retries of a loop that fails: soon, since a wiped CA bundle must be back within seconds,
// and then no more often than the cluster is looked at anyway.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Minute
)

// serve runs the loops until the context ends.
func (o *options) serve(ctx context.Context, config *rest.Config, namespace string, settings *v1alpha1.ControllerConfig, log logr.Logger) error {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	ready := &readiness{clients: clients, namespace: namespace}
	lock, err := newLock(clients, namespace)
	if err != nil {
		return err
	}
	ready.identity = lock.Identity()
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	m, err := manager.New(config, manager.Options{
		Scheme:                              scheme,
		Logger:                              log,
		Cache:                               cacheOptions(settings),
		LeaderElection:                      true,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true, // this process ends then
		Metrics: metricsserver.Options{
			BindAddress: net.JoinHostPort(o.bindAddress, strconv.Itoa(o.port)),
			ExtraHandlers: map[string]http.Handler{
				"/healthz": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }),
				"/readyz":  ready,
			},
		},
	})
	if err != nil {
		return fmt.Errorf("make manager: %w", err)
	}
	ready.elected = m.Elected()
	if settings.Certificate != nil {
		certificate := &controller.Certificate{Client: clients, Config: *settings.Certificate, Log: log}
		ready.working = certificate.Ensured
		if err := ctrlmetrics.Registry.Register(expiryMetric{certificate}); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
		if err := addCertificate(m, certificate); err != nil {
			return fmt.Errorf("add the certificate's loop: %w", err)
		}
	}
	if err := addPolicies(m); err != nil {
		return fmt.Errorf("add the loop of policies: %w", err)
	}
	if err := addNodes(m, clients, namespace, settings, log); err != nil {
		return fmt.Errorf("add the loops about nodes: %w", err)
	}
	if err := m.Start(ctx); err != nil {
		var listening *net.OpError
		if errors.As(err, &listening) && listening.Op == "listen" {
			return fmt.Errorf("%w; choose another --port or --bind-address", err)
		}
		return err
	}
	return nil
}

// newLock makes a lock that writes no events: the log says who leads.
func newLock(clients kubernetes.Interface, namespace string) (resourcelock.Interface, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find host name: %w", err)
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, leaseName, clients.CoreV1(), clients.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: host + "_" + rand.Text()})
	if err != nil {
		return nil, fmt.Errorf("make lock: %w", err)
	}
	return lock, nil
}

// cacheOptions narrows every watch to the one object that it is for: so are the rights.
func cacheOptions(settings *v1alpha1.ControllerConfig) cache.Options {
	if settings.Certificate == nil {
		return cache.Options{}
	}
	named := func(name string) fields.Selector { return fields.OneTermEqualSelector(metav1.ObjectNameField, name) }
	c := settings.Certificate
	return cache.Options{ByObject: map[client.Object]cache.ByObject{
		&corev1.Secret{}: {Namespaces: map[string]cache.Config{c.Secret.Namespace: {FieldSelector: named(c.Secret.Name)}}},
		&admissionregistrationv1.ValidatingWebhookConfiguration{}: {Field: named(c.Registration)},
		&admissionregistrationv1.MutatingWebhookConfiguration{}:   {Field: named(c.Registration)},
	}}
}

// addCertificate runs the loop whenever one of its objects changes. Only their metadata
// are watched: keys do not belong into a cache.
func addCertificate(m manager.Manager, c *controller.Certificate) error {
	one := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{}}
	})
	return builder.ControllerManagedBy(m).Named("certificate").
		Watches(&corev1.Secret{}, one, builder.OnlyMetadata).
		Watches(&admissionregistrationv1.ValidatingWebhookConfiguration{}, one, builder.OnlyMetadata).
		Watches(&admissionregistrationv1.MutatingWebhookConfiguration{}, one, builder.OnlyMetadata).
		WithOptions(ctrlcontroller.Options{
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
		}).
		Complete(c)
}

// readiness serves the readiness probe. A replica is ready once somebody leads and, if that
// is this one, once its work has been done for the first time; it stays ready.
type readiness struct {
	clients   kubernetes.Interface
	namespace string
	// identity of this replica as a holder of the lease.
	identity string
	elected  <-chan struct{}
	// working is nil when there is no work.
	working func() bool
	ready   atomic.Bool
}

// ServeHTTP answers the probe.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !r.ready.Load() {
		if err := r.test(req.Context()); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		r.ready.Store(true)
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (r *readiness) test(ctx context.Context) error {
	select {
	case <-r.elected:
		if r.working != nil && !r.working() {
			return errors.New("the certificate is not in order yet; see the log")
		}
		return nil
	default:
	}
	lease, err := r.clients.CoordinationV1().Leases(r.namespace).Get(ctx, leaseName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("find out who leads: %w", err)
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return fmt.Errorf("nobody leads: lease %s/%s has no holder", r.namespace, leaseName)
	}
	// It has the lease a moment before it knows.
	if *lease.Spec.HolderIdentity == r.identity {
		return errors.New("this replica leads and has not begun yet")
	}
	return nil
}

// expiryMetric is what is in the Secret; only the replica that leads knows.
type expiryMetric struct{ certificate *controller.Certificate }

// Describe implements prometheus.Collector.
func (m expiryMetric) Describe(descs chan<- *prometheus.Desc) { descs <- m.desc() }

// Collect implements prometheus.Collector.
func (m expiryMetric) Collect(metrics chan<- prometheus.Metric) {
	leaf, ca := m.certificate.Expiry()
	for kind, at := range map[string]time.Time{"leaf": leaf, "ca": ca} {
		if !at.IsZero() {
			metrics <- prometheus.MustNewConstMetric(m.desc(), prometheus.GaugeValue, float64(at.Unix()), kind)
		}
	}
}

func (expiryMetric) desc() *prometheus.Desc {
	return prometheus.NewDesc("seccompgate_certificate_expiry_timestamp_seconds",
		"When the webhook's certificate and its CA expire, in seconds since 1970.", []string{"certificate"}, nil)
}
