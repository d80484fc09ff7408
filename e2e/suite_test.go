// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// overlay is what the shared cluster has installed, unless a test says otherwise.
const overlay cluster.Overlay = "self-signed"

// Names in the shipped manifests.
const (
	ownNamespace = "seccompgate"
	registration = "seccompgate"
	ownAccount   = "system:serviceaccount:seccompgate:seccomp-webhook"
)

// Labels of namespaces.
const (
	enforceLabel = "seccompgate.io/enforce"
	warnLabel    = "seccompgate.io/warn"
	auditLabel   = "seccompgate.io/audit"
	profileLabel = "seccompgate.io/profile"
)

// patience is how long anything that is watched for may take, on two busy cores.
const patience = time.Minute

// Pods as short as they can be.
const (
	plainPod      = `{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {containers: [{name: app, image: app}]}}`
	unconfinedPod = `{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: app, image: app}]}}`
	// restrictedPod passes Pod Security Admission's level restricted, which our own
	// namespace enforces.
	restrictedPod = `{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: app, image: app, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}`
	defaultPod    = `{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [{name: app, image: app}]}}`
)

// unconfinedDenial is what is said about unconfinedPod at the level baseline.
const unconfinedDenial = `admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [unconfined] container "app": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost`

// suite is the cluster with seccompgate on it.
type suite struct {
	*cluster.Cluster

	// webhook is the service behind the registered webhooks.
	webhook *cluster.Service

	root string
}

func newSuite(c *cluster.Cluster) (*suite, error) {
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	return &suite{Cluster: c, root: root}, nil
}

// install applies an overlay and learns which kinds there are then.
func (s *suite) install(ctx context.Context, o cluster.Overlay) error {
	webhook, err := s.Install(ctx, o)
	if err != nil {
		return err
	}
	s.webhook = webhook
	return s.Discover()
}

// uninstall deletes an overlay, as the README says.
func (s *suite) uninstall(ctx context.Context, o cluster.Overlay) error {
	err := errors.Join(s.webhook.Stop(), s.StopControllers())
	_, deleted := s.MustKubectl(ctx, "", "delete", "-k", filepath.Join(s.root, "manifests", "overlays", string(o)))
	return errors.Join(err, deleted)
}

// switchTo replaces one overlay by another, as far as they differ.
func (s *suite) switchTo(ctx context.Context, o cluster.Overlay) error {
	if err := s.webhook.Stop(); err != nil {
		return err
	}
	if _, err := s.MustKubectl(ctx, "", "delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", registration, "--ignore-not-found"); err != nil {
		return err
	}
	if err := s.StopControllers(); err != nil {
		return err
	}
	return s.install(ctx, o)
}

// withOverlay gives the test another overlay than the shared one.
func (s *suite) withOverlay(t *testing.T, o cluster.Overlay) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.switchTo(context.Background(), overlay); err != nil { // the test's own context is over
			t.Fatal(err)
		}
	})
	if err := s.switchTo(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// withoutController keeps the controller from putting right what the test puts wrong.
func withoutController(t *testing.T) {
	t.Helper()
	if err := shared.StopControllers(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.StartControllers(context.Background(), ownNamespace, "seccomp-webhook"); err != nil {
			t.Fatal(err)
		}
	})
}

// useNodes makes the cluster's nodes, and what is known of them, those of
// testdata/nodes.yaml, and no others.
func useNodes(t *testing.T) {
	t.Helper()
	clearNodes(t)
	shared.load(t, "testdata/nodes.yaml")
	// A fresh replica is not ready before it has read all of it.
	if _, err := shared.webhook.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// clearNodes deletes all nodes, what is known of them and what runtimes they may have.
func clearNodes(t *testing.T) {
	t.Helper()
	shared.mustKubectl(t, "", "delete", "nodes,seccompnodes,profilesets,localhostprofiles,runtimeclasses", "--all")
}

// load creates the objects of a file, with their status.
func (s *suite) load(t *testing.T, file string) {
	t.Helper()
	objects, err := cluster.ReadObjects(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if _, err := s.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// namespace makes a namespace that takes pods.
func (s *suite) namespace(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	_, err := s.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create Namespace: %v", err)
	}
	if err := s.WaitForServiceAccount(t.Context(), name, "default"); err != nil {
		t.Fatal(err)
	}
	return name
}

// label adds labels to a namespace and waits until the API server and the webhook have
// both heard of them.
func (s *suite) label(t *testing.T, namespace string, labels map[string]string) {
	t.Helper()
	if len(labels) == 0 {
		return
	}
	if labels[enforceLabel] == "" {
		t.Fatalf("namespace %s gets labels that nobody can see the effect of: add %s", namespace, enforceLabel)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatalf("label Namespace: %v", err)
	}
	probe := parse(t, unconfinedPod)
	probe.SetName("probe")
	s.eventually(t, "the labels have an effect", func() (bool, string) {
		a := s.send(t, cluster.Request{Object: probe, Namespace: namespace, DryRun: true})
		return !a.Allowed(), "an Unconfined pod is admitted"
	})
}

// eventually waits until done says so; what it says otherwise is the test's failure.
func (s *suite) eventually(t *testing.T, what string, done func() (ok bool, state string)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is not so that %s: %s", patience, what, state)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// eventuallySays waits for a denial with exactly this message, or an admission if it is
// empty.
func (s *suite) eventuallySays(t *testing.T, namespace, object, want string) {
	t.Helper()
	s.eventually(t, fmt.Sprintf("namespace %s answers %q", namespace, want), func() (bool, string) {
		a := s.try(t, namespace, object)
		return a.Message == want, fmt.Sprintf("it answers %q", a.Message)
	})
}

// kubectl runs kubectl, whatever it says.
func (s *suite) kubectl(t *testing.T, stdin string, args ...string) cluster.Result {
	t.Helper()
	r, err := s.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustKubectl runs a kubectl that has to succeed.
func (s *suite) mustKubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := s.MustKubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}
