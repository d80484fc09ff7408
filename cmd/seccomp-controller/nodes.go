// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/controller"
	"github.com/seccompgate/seccompgate/inventory"
)

// newScheme knows the kinds of Kubernetes and ours.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// addNodes adds what follows from the reports of nodes. The replica that leads reads them,
// as the webhook does; the others need no memory for them.
func addNodes(m manager.Manager, clients kubernetes.Interface, namespace string, settings *v1alpha1.ControllerConfig, log logr.Logger) error {
	facts := &inventory.Store{}
	watch := manager.RunnableFunc(func(ctx context.Context) error {
		return inventory.Watch(ctx, m.GetConfig(), namespace, facts, log.WithName("inventory"))
	})
	direct, err := client.New(m.GetConfig(), client.Options{HTTPClient: m.GetHTTPClient(), Scheme: m.GetScheme(), Mapper: m.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	return errors.Join(
		m.Add(watch),
		m.Add(&controller.ProfileStatus{Client: m.GetClient(), Facts: facts, Log: log.WithName("profile-status")}),
		m.Add(&controller.ProfileSets{Client: direct, After: settings.ProfileSetAge.Duration, Log: log.WithName("profile-sets")}),
		m.Add(&controller.StartupTaint{
			Client: clients, Facts: facts, Events: m.GetEventRecorder("seccomp-controller"), Log: log.WithName("startup-taint"),
		}),
	)
}
