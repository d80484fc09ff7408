// SPDX-License-Identifier: Apache-2.0

package review

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/seccomp"
)

// Sources of a request, as messages call them.
const (
	sourceContainer  = "container label"
	sourcePod        = "pod label"
	sourceAnnotation = "pod annotation"
	sourceNamespace  = "namespace label"
	sourceDefault    = "configured default"
)

// nearestNames is how many names a message about an unknown one offers.
const nearestNames = 3

// names resolves the name of a profile to the path that injection writes.
type names interface {
	PathOf(name string) (path string, known bool)
	NearestNames(name string) []string
}

// wellFormed stands for names where nothing is known about the cluster: every name that
// a LocalhostProfile could have is one.
type wellFormed struct{}

func (wellFormed) PathOf(name string) (string, bool) {
	if seccomp.ParseName(name) != nil {
		return "", false
	}
	return seccomp.PlainPath(name), true
}

func (wellFormed) NearestNames(string) []string { return nil }

// choice is what labels and annotations ask of a pod.
type choice struct {
	// pod is the request that acts at the pod's level; nil when there is none.
	pod *policies.Requested
	// containers are the requests of container labels, by container name.
	containers map[string]*policies.Requested
}

// choose reads the requests of a pod, highest first: container label, pod label, pod
// annotation, namespace label, configured default.
func choose(w Workload, namespace map[string]string, fallback string, known names) choice {
	var c choice
	labels, annotations := w.Meta.Labels, w.Meta.Annotations
	for key, name := range labels {
		container, ok := strings.CutPrefix(key, v1alpha1.ContainerProfilePrefix)
		if !ok {
			continue
		}
		if c.containers == nil {
			c.containers = make(map[string]*policies.Requested)
		}
		c.containers[container] = request(name, sourceContainer, w.meta+".labels["+key+"]", known)
	}

	if name, ok := labels[v1alpha1.ProfileLabel]; ok {
		c.pod = request(name, sourcePod, w.meta+".labels["+v1alpha1.ProfileLabel+"]", known)
	} else if path, ok := annotations[v1alpha1.LocalhostProfileAnnotation]; ok {
		c.pod = &policies.Requested{
			Name: path, Source: sourceAnnotation, Field: w.meta + ".annotations[" + v1alpha1.LocalhostProfileAnnotation + "]",
			Known: true, Type: string(seccomp.Localhost), Path: path,
		}
		if err := seccomp.CheckPath(path); err != nil {
			c.pod.PathFault = err.Error()
		}
	} else if name, ok := namespace[v1alpha1.ProfileLabel]; ok {
		c.pod = request(name, sourceNamespace, "namespace metadata.labels["+v1alpha1.ProfileLabel+"]", known)
	} else if fallback != "" {
		c.pod = request(fallback, sourceDefault, "defaultProfile", known)
	}
	return c
}

func request(name, source, field string, known names) *policies.Requested {
	r := &policies.Requested{Name: name, Source: source, Field: field}
	if name == v1alpha1.RuntimeDefaultName {
		r.Known, r.Type = true, string(seccomp.RuntimeDefault)
		return r
	}
	if seccomp.ParseName(name) == nil {
		if path, ok := known.PathOf(name); ok {
			r.Known, r.Type, r.Path = true, string(seccomp.Localhost), path
			return r
		}
	}
	r.Nearest = known.NearestNames(name)
	if len(r.Nearest) > nearestNames {
		r.Nearest = r.Nearest[:nearestNames]
	}
	return r
}

// of is the request for one container, nil when there is none.
func (c *choice) of(container string) *policies.Requested {
	if r, ok := c.containers[container]; ok {
		return r
	}
	return c.pod
}

// usable says that the request can be injected.
func usable(r *policies.Requested) bool {
	return r != nil && r.Known && r.PathFault == ""
}

// grants says that a profile is what the request asks for. A LocalhostProfile has a file
// for each of its generations: any of them is, so that a roll-out between the mutation
// and the validation denies nothing.
func grants(r *policies.Requested, p *SeccompProfile) bool {
	if p == nil || p.Type != r.Type {
		return false
	}
	if p.Type != string(seccomp.Localhost) || p.LocalhostProfile == r.Path {
		return true
	}
	if r.Source == sourceAnnotation {
		return false
	}
	if p.LocalhostProfile == seccomp.PlainPath(r.Name) {
		return true
	}
	digest, ok := strings.CutPrefix(p.LocalhostProfile, strings.TrimSuffix(seccomp.PlainPath(r.Name), "json"))
	digest, isJSON := strings.CutSuffix(digest, ".json")
	return ok && isJSON && len(digest) == digestDigits && strings.Trim(digest, "0123456789abcdef") == ""
}

// digestDigits is how much of a digest stands in the name of a generation's file.
const digestDigits = 12

// sortedContainers are the containers that labels name.
func (c *choice) sortedContainers() []string { return slices.Sorted(maps.Keys(c.containers)) }

func nearest(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; nearest: " + strings.Join(names, ", ")
}

// Annotations that fields replaced in Kubernetes 1.19. The API server still compares them
// with the fields, and refuses a pod in which both are set and differ.
const (
	alphaPodAnnotation       = "seccomp.security.alpha.kubernetes.io/pod"
	alphaContainerAnnotation = "container.seccomp.security.alpha.kubernetes.io/"
)

// staleAnnotation says why an injection would make the API server refuse the pod, with a
// message that names neither the label nor us; empty when it would not.
func staleAnnotation(w Workload, c *choice) string {
	conflict := func(key string, r *policies.Requested) string {
		value, ok := w.Meta.Annotations[key]
		if !ok || !usable(r) || value == alphaValue(r) {
			return ""
		}
		// The remedy stands first: a warning is cut at its end.
		return fmt.Sprintf("remove the annotation %s (%q): profile %q of %s is not injected, because the API server refuses a pod whose annotation differs from its field", key, value, r.Name, r.Field)
	}
	if w.Spec.seccompProfile() == nil && c.pod != nil {
		if s := conflict(alphaPodAnnotation, c.pod); s != "" {
			return s
		}
	}
	for _, name := range c.sortedContainers() {
		if s := conflict(alphaContainerAnnotation+name, c.containers[name]); s != "" {
			return s
		}
	}
	return ""
}

// alphaValue is what the old annotation says for a request.
func alphaValue(r *policies.Requested) string {
	if r.Type == string(seccomp.RuntimeDefault) {
		return "runtime/default"
	}
	return "localhost/" + r.Path
}
