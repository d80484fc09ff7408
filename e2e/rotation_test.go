// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// rotations is how many certificates are renewed under load; one takes some three seconds.
var rotations = flag.Int("rotations", 40, "certificates that TestCertificateRotation renews")

// TestCertificateRotation renews the certificate again and again under requests that fail
// when the API server does not trust it: none may fail. What the API server keeps of
// connections hides much of that, so that new ones are made beside it.
func TestCertificateRotation(t *testing.T) {
	useNodes(t)
	namespace := shared.namespace(t, "rotation", map[string]string{enforceLabel: "baseline"})
	renewOften(t)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
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
	var requests, handshakes, failed atomic.Int64
	fail := func(format string, args ...any) {
		if ctx.Err() == nil && failed.Add(1) <= 5 {
			t.Errorf(format, args...)
		}
	}
	pod := parse(t, defaultPod)
	every(20*time.Millisecond, func() { // 50 a second
		wg.Go(func() {
			a, err := shared.Send(ctx, cluster.Request{Object: pod.DeepCopy(), Namespace: namespace, DryRun: true})
			switch {
			case err != nil:
				fail("request: %v", err)
			case !a.Allowed():
				fail("request: %s", a.Message)
			}
			requests.Add(1)
		})
	})
	served := make(map[string]bool)
	every(50*time.Millisecond, func() {
		leaf, err := handshake(ctx, net.JoinHostPort(replica.IP, "9443"))
		if err != nil {
			fail("handshake: %v", err)
			return
		}
		handshakes.Add(1)
		served[leaf.SerialNumber.String()] = true
		if len(served) > *rotations {
			cancel()
		}
	})
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute + time.Duration(*rotations)*10*time.Second):
		t.Error("the certificate is not renewed any more")
	}
	cancel()
	wg.Wait()
	t.Logf("%d certificates served; %d requests and %d handshakes, %d failed", len(served), requests.Load(), handshakes.Load(), failed.Load())
	if requests.Load() < int64(30**rotations) {
		t.Errorf("%d requests: too few to prove anything", requests.Load())
	}
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
	namespace := shared.namespace(t, "wiped", map[string]string{enforceLabel: "baseline"})
	before := setBundle(t.Context(), t, nil)
	wiped := time.Now()
	shared.eventually(t, "the CA bundle is back in every webhook", func() (bool, string) {
		config, err := shared.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), registration, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		for _, w := range config.Webhooks {
			if string(w.ClientConfig.CABundle) != string(before) {
				return false, w.Name + " has another"
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
