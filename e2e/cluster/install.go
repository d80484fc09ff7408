// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Overlay is a directory under manifests/overlays.
type Overlay string

// Install does what the README says: it applies an overlay as it is shipped. Then
// it does what nodes would do: it runs one replica of every Deployment, the one behind
// the registered webhooks last, whose Service it returns.
func (c *Cluster) Install(ctx context.Context, overlay Overlay) (*Service, error) {
	s, err := c.install(ctx, overlay)
	if err != nil {
		return nil, fmt.Errorf("install overlay %s: %w", overlay, err)
	}
	return s, nil
}

func (c *Cluster) install(ctx context.Context, overlay Overlay) (*Service, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	if _, err := c.MustKubectl(ctx, "", "apply", "-k", filepath.Join(root, "manifests", "overlays", string(overlay))); err != nil {
		return nil, err
	}
	namespace, name, err := c.webhookService(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.StartControllers(ctx, namespace, name); err != nil {
		return nil, err
	}
	s, err := c.newService(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	c.services = append(c.services, s)
	if _, err := s.AddReplica(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, c.waitRegistered(ctx)
}

// webhookService finds the Service that the registered webhooks name; they must
// agree on it.
func (c *Cluster) webhookService(ctx context.Context) (namespace, name string, err error) {
	configs, err := c.registrations(ctx)
	if err != nil {
		return "", "", err
	}
	found := map[[2]string]bool{}
	for _, config := range configs {
		if s := config.Service; s != nil {
			found[[2]string{s.Namespace, s.Name}] = true
		}
	}
	if len(found) != 1 {
		return "", "", fmt.Errorf("webhooks are registered for %d services, want 1", len(found))
	}
	for s := range maps.Keys(found) {
		namespace, name = s[0], s[1]
	}
	return namespace, name, nil
}

// registrations lists how every registered admission webhook is reached.
func (c *Cluster) registrations(ctx context.Context) ([]admissionregistrationv1.WebhookClientConfig, error) {
	api := c.Client.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	mutating, err := api.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	var all []admissionregistrationv1.WebhookClientConfig
	for _, config := range validating.Items {
		for _, w := range config.Webhooks {
			all = append(all, w.ClientConfig)
		}
	}
	for _, config := range mutating.Items {
		for _, w := range config.Webhooks {
			all = append(all, w.ClientConfig)
		}
	}
	return all, nil
}

// waitRegistered waits until every registration carries a CA, and until the API
// server acts on them: it reads them through a cache.
func (c *Cluster) waitRegistered(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		configs, err := c.registrations(ctx)
		if err != nil {
			return false, err
		}
		for _, config := range configs {
			if len(config.CABundle) == 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait for a CA in every webhook registration: %w", err)
	}
	return nil
}

// StartControllers runs one replica of each Deployment of the namespace that is not behind
// the Service: what the others wait for.
func (c *Cluster) StartControllers(ctx context.Context, namespace, service string) error {
	behind, err := c.Client.CoreV1().Services(namespace).Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get service: %w", err)
	}
	selector := labels.SelectorFromSet(behind.Spec.Selector)
	deployments, err := c.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list deployments: %w", err)
	}
	for _, d := range deployments.Items {
		if selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			continue
		}
		pod, err := c.startPod(ctx, namespace, d.Name, d.Spec.Template.Spec)
		if err != nil {
			return err
		}
		c.controllers = append(c.controllers, pod)
		if err := pod.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Controllers are the running ones.
func (c *Cluster) Controllers() []*Pod { return c.controllers }

// StopControllers ends them.
func (c *Cluster) StopControllers() error {
	var errs []error
	for _, p := range c.controllers {
		errs = append(errs, p.Stop())
	}
	c.controllers = nil
	return errors.Join(errs...)
}

// Service is a Service of ours with its replicas.
type Service struct {
	Namespace, Name string

	cluster    *Cluster
	spec       corev1.ServiceSpec
	template   corev1.PodSpec
	forwarders []*Forwarder // one for each port of spec
	replicas   []*Pod
}

func (c *Cluster) newService(ctx context.Context, namespace, name string) (*Service, error) {
	service, err := c.Client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get service: %w", err)
	}
	s := &Service{Namespace: namespace, Name: name, cluster: c, spec: service.Spec}
	deployments, err := c.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	for _, d := range deployments.Items {
		if selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			s.template = d.Spec.Template.Spec
		}
	}
	if len(s.template.Containers) == 0 {
		return nil, fmt.Errorf("service %s/%s selects the pods of no deployment", namespace, name)
	}
	for _, port := range service.Spec.Ports {
		f, err := Forward(net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port.Port))))
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
		s.forwarders = append(s.forwarders, f)
	}
	return s, nil
}

// AddReplica runs one more replica and, once it is ready, sends it connections.
func (s *Service) AddReplica(ctx context.Context, extra ...string) (*Pod, error) {
	pod, err := s.StartReplica(ctx, extra...)
	if err != nil {
		return nil, err
	}
	if err := pod.WaitReady(ctx); err != nil {
		return nil, err
	}
	return pod, s.publish(s.replicas...)
}

// StartReplica runs one more replica, which gets no connections before Publish.
func (s *Service) StartReplica(ctx context.Context, extra ...string) (*Pod, error) {
	pod, err := s.cluster.startPod(ctx, s.Namespace, s.Name, s.template, extra...)
	if err != nil {
		return nil, err
	}
	s.replicas = append(s.replicas, pod)
	return pod, nil
}

// Replace runs a fresh replica, sends it all connections once it is ready, and ends
// the ones before it.
func (s *Service) Replace(ctx context.Context, extra ...string) (*Pod, error) {
	before := s.replicas
	pod, err := s.StartReplica(ctx, extra...)
	if err != nil {
		return nil, err
	}
	if err := pod.WaitReady(ctx); err != nil {
		return nil, err
	}
	if err := s.Publish(pod); err != nil {
		return nil, err
	}
	return pod, s.Remove(before...)
}

// Remove ends replicas. They should get no connections any more.
func (s *Service) Remove(pods ...*Pod) error {
	var errs []error
	for _, pod := range pods {
		errs = append(errs, pod.Stop())
		s.replicas = slices.DeleteFunc(slices.Clone(s.replicas), func(p *Pod) bool { return p == pod })
	}
	return errors.Join(errs...)
}

// Replicas are the running ones, oldest first.
func (s *Service) Replicas() []*Pod { return s.replicas }

// Publish sends new connections to these pods, ready or not, and cuts the ones
// there are.
func (s *Service) Publish(pods ...*Pod) error {
	if err := s.publish(pods...); err != nil {
		return err
	}
	for _, f := range s.forwarders {
		f.Disconnect()
	}
	return nil
}

func (s *Service) publish(pods ...*Pod) error {
	for i, f := range s.forwarders {
		var addresses []string
		for _, pod := range pods {
			port, err := pod.Port(s.spec.Ports[i].TargetPort.String())
			if err != nil {
				return err
			}
			addresses = append(addresses, net.JoinHostPort(pod.IP, strconv.Itoa(port)))
		}
		f.SetBackends(addresses...)
	}
	return nil
}

// Stop ends the forwarders and the replicas.
func (s *Service) Stop() error {
	var errs []error
	for _, f := range s.forwarders {
		errs = append(errs, f.Close())
	}
	for _, pod := range s.replicas {
		errs = append(errs, pod.Stop())
	}
	s.forwarders, s.replicas = nil, nil
	return errors.Join(errs...)
}
