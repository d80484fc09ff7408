// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// webhookDown runs f while the webhook's Service has no endpoint.
func webhookDown(t *testing.T, f func()) {
	t.Helper()
	pods := shared.webhook.Replicas()
	if err := shared.webhook.Publish(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := shared.webhook.Publish(pods...); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// opened says that a webhook failed and its failure policy let the request through.
func opened(t *testing.T, a *cluster.Answer, webhook string) bool {
	t.Helper()
	for key, value := range maps.All(shared.audited(t, a)) {
		if strings.HasPrefix(key, "failed-open.") && strings.HasSuffix(value, webhook) {
			return true
		}
	}
	return false
}

// TestRow53WebhookDown: what happens without any replica, in every kind of namespace.
func TestRow53WebhookDown(t *testing.T) {
	useNodes(t)
	for name, labels := range map[string]map[string]string{
		"down-enforce":    {enforceLabel: "baseline", warnLabel: "restricted"},
		"down-warn":       {warnLabel: "restricted"},
		"down-audit":      {auditLabel: "restricted"},
		"down-profile":    {profileLabel: "web"},
		"down-privileged": {enforceLabel: "privileged"},
		"down-without":    nil,
	} {
		shared.namespace(t, name, labels)
	}
	webhookDown(t, func() {
		a := shared.create(t, "down-enforce", defaultPod)
		const want = `Internal error occurred: failed calling webhook "enforce.seccompgate.io": failed to call webhook: Post "https://seccomp-webhook.seccompgate.svc:443/validate?timeout=3s": `
		// What follows is the network's word for a Service without endpoints.
		if !strings.HasPrefix(a.Message, want) {
			t.Errorf("enforce answers %q, want %q and a reason", a.Message, want)
		}
		for namespace, webhook := range map[string]string{
			"down-warn": "warn.seccompgate.io", "down-audit": "audit.seccompgate.io",
			"down-profile": "", "down-privileged": "", "down-without": "", "kube-system": "", "kube-node-lease": "", ownNamespace: "",
		} {
			pod := plainPod
			if namespace == ownNamespace {
				pod = restrictedPod
			}
			a := shared.try(t, namespace, pod)
			if !a.Allowed() {
				t.Errorf("namespace %s answers %q, want admission", namespace, a.Message)
			}
			if webhook != "" && !opened(t, a, webhook) {
				t.Errorf("namespace %s: the audit log does not say that %s failed open", namespace, webhook)
			}
		}
		deployment := `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: app}]}}}}`
		if a := shared.try(t, "down-enforce", deployment); !a.Allowed() {
			t.Errorf("a Deployment is denied: %s", a.Message)
		}
		if a := shared.create(t, "", `{apiVersion: v1, kind: Namespace, metadata: {name: down-new, labels: {seccompgate.io/enforce: baseline}}}`); !a.Allowed() {
			t.Errorf("a namespace is denied: %s", a.Message)
		}
	})
	if a := shared.try(t, "down-enforce", defaultPod); !a.Allowed() {
		t.Errorf("after the outage: %s", a.Message)
	}
}

// TestRow54WebhookHangs: a replica that takes connections and never answers. What one request
// waits for stays far below the 34 seconds after which the API server gives it up, whatever
// the failure policies say.
func TestRow54WebhookHangs(t *testing.T) {
	useNodes(t)
	shared.namespace(t, "hangs-enforce", map[string]string{enforceLabel: "baseline"})
	shared.namespace(t, "hangs-warn", map[string]string{warnLabel: "baseline"})
	replica := shared.webhook.Replicas()[0]
	if err := replica.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := replica.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}()
	var wait sync.WaitGroup
	wait.Go(func() {
		a, err := shared.Send(t.Context(), cluster.Request{Object: parse(t, defaultPod), Namespace: "hangs-enforce", DryRun: true})
		const want = `Internal error occurred: failed calling webhook "enforce.seccompgate.io": failed to call webhook: Post "https://seccomp-webhook.seccompgate.svc:443/validate?timeout=3s": context deadline exceeded`
		if err != nil || a.Message != want {
			t.Errorf("enforce answers %+v, %v, want %q", a, err, want)
		}
	})
	start := time.Now()
	a := shared.try(t, "hangs-warn", unconfinedPod)
	if !a.Allowed() || !opened(t, a, "warn.seccompgate.io") {
		t.Errorf("warn answers %q, want admission that the audit log calls failed open", a.Message)
	}
	// One mutating and one validating webhook, of three seconds each.
	if took := time.Since(start); took > 12*time.Second {
		t.Errorf("warn answers after %s", took)
	}
	wait.Wait()
}
