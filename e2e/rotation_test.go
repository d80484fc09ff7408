// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// rotations is how many certificates are renewed under load. One takes the controller some
// three seconds, and cert-manager less than one.
var rotations = flag.Int("rotations", 40, "certificates that TestCertificateRotation and TestCertManager renew")

// TestCertificateRotation renews the certificate again and again under requests that fail
// when the API server does not trust it: none may fail.
func TestCertificateRotation(t *testing.T) {
	useNodes(t)
	renewOften(t)
	l := startLoad(t, shared.namespace(t, "rotation", map[string]string{enforceLabel: "baseline"}))
	for n := range *rotations {
		l.waitRenewed(t, n+1)
	}
	l.end(t)
}

// load is what API servers do while certificates are renewed: 50 requests a second. What
// the API server keeps of connections hides much of what goes wrong, so that new ones are
// made beside it, 20 a second.
type load struct {
	stop                         func()
	requests, handshakes, failed atomic.Int64
	served                       atomic.Int64 // different certificates
}

func startLoad(t *testing.T, namespace string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	l := &load{stop: func() { cancel(); wg.Wait() }}
	t.Cleanup(l.stop)
	every := func(interval time.Duration, do func()) {
		wg.Go(func() {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					do()
				}
			}
		})
	}
	replica := shared.webhook.Replicas()[0]
	// What kubelets do within two minutes is done at once.
	every(100*time.Millisecond, func() {
		if err := replica.SyncVolumes(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("bring the certificate to the replica: %v", err)
		}
	})
	fail := func(format string, args ...any) {
		if ctx.Err() == nil && l.failed.Add(1) <= 5 {
			t.Errorf(format, args...)
		}
	}
	pod := parse(t, defaultPod)
	every(20*time.Millisecond, func() {
		wg.Go(func() {
			a, err := shared.Send(ctx, cluster.Request{Object: pod.DeepCopy(), Namespace: namespace, DryRun: true})
			switch {
			case err != nil:
				fail("request: %v", err)
			case !a.Allowed():
				fail("request: %s", a.Message)
			}
			l.requests.Add(1)
		})
	})
	served := make(map[string]bool)
	every(50*time.Millisecond, func() {
		leaf, err := handshake(ctx, net.JoinHostPort(replica.IP, "9443"))
		if err != nil {
			fail("handshake: %v", err)
			return
		}
		l.handshakes.Add(1)
		served[leaf.SerialNumber.String()] = true
		l.served.Store(int64(len(served)))
	})
	return l
}

// waitRenewed waits until so many certificates have been served after the first, and until
// there have been requests enough to prove something about each.
func (l *load) waitRenewed(t *testing.T, n int) {
	t.Helper()
	shared.eventually(t, fmt.Sprintf("certificate %d is renewed and used", n), func() (bool, string) {
		served, requests := l.served.Load(), l.requests.Load()
		return served > int64(n) && requests >= int64(30*n), fmt.Sprintf("%d have been served, to %d requests", served, requests)
	})
}

// end ends the load and tells how much it was.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	t.Logf("%d certificates served; %d requests and %d handshakes, %d failed", l.served.Load(), l.requests.Load(), l.handshakes.Load(), l.failed.Load())
}

// handshake connects as the API server does, which trusts what the registration says now.
func handshake(ctx context.Context, address string) (*x509.Certificate, error) {
	config, err := shared.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, registration, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(config.Webhooks[0].ClientConfig.CABundle)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "seccomp-webhook.seccompgate.svc"}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// renewOften has the controller renew the certificate every few seconds.
func renewOften(t *testing.T) {
	t.Helper()
	const name, key = "seccomp-controller", "config.yaml"
	api := shared.Client.CoreV1().ConfigMaps(ownNamespace)
	config, err := api.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// As after an installation, there is nothing that anybody has to be patient about.
	t.Cleanup(func() {
		ctx := context.Background()
		if err := shared.StopControllers(); err != nil { // or it would make another at once
			t.Error(err)
		}
		if err := shared.Client.CoreV1().Secrets(ownNamespace).Delete(ctx, "seccomp-webhook-tls", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if err := shared.switchTo(ctx, overlay); err != nil {
			t.Fatal(err)
		}
	})
	config.Data[key] = strings.TrimRight(config.Data[key], "\n") + "\n  validity: 40s\n  renewAfter: 1s\n"
	if _, err := api.Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := shared.StopControllers(); err != nil {
		t.Fatal(err)
	}
	if err := shared.StartControllers(t.Context(), ownNamespace, "seccomp-webhook"); err != nil {
		t.Fatal(err)
	}
}

// TestBundleRestored: somebody wipes what the API server trusts.
func TestBundleRestored(t *testing.T) {
	useNodes(t)
	wipeBundle(t, shared.namespace(t, "wiped", map[string]string{enforceLabel: "baseline"}))
}

// wipeBundle takes the CA bundle from every webhook: it has to come back soon.
func wipeBundle(t *testing.T, namespace string) {
	t.Helper()
	before := setBundle(t.Context(), t, nil)
	wiped := time.Now()
	shared.eventually(t, "the CA bundle is back in every webhook", func() (bool, string) {
		for name, bundle := range bundles(t) {
			if string(bundle) != string(before) {
				return false, name + " has another"
			}
		}
		return true, ""
	})
	took := time.Since(wiped)
	t.Logf("back after %s", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("it took %s, want at most 10s", took)
	}
	shared.eventuallySays(t, namespace, unconfinedPod, unconfinedDenial)
}

// bundles are the CA bundles of all webhooks.
func bundles(t *testing.T) map[string][]byte {
	t.Helper()
	api := shared.Client.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, w := range validating.Webhooks {
		all[w.Name] = w.ClientConfig.CABundle
	}
	for _, w := range mutating.Webhooks {
		all[w.Name] = w.ClientConfig.CABundle
	}
	return all
}
