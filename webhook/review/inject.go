// SPDX-License-Identifier: Apache-2.0

package review

import (
	"fmt"
	"strings"

	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/seccomp"
)

// Injection is one seccompProfile that the mutation writes.
type Injection struct {
	// Path of the securityContext in the object, such as
	// "spec.containers[0].securityContext".
	Path string
	// HasContext says that the securityContext is there already.
	HasContext bool
	// Container is empty for the pod's own.
	Container string
	Profile   SeccompProfile
	// Source is what asked for it, such as "pod label".
	Source string

	pod       *PodSpec
	container *Container
}

// Pointer returns Path as a JSON pointer.
func (i *Injection) Pointer() string { return pointer(i.Path) }

// pointer makes a JSON pointer of the path of a field.
func pointer(path string) string {
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(path)
}

// apply does in memory what the mutation does to the object.
func (i *Injection) apply() {
	profile := i.Profile
	if i.container == nil {
		if i.pod.SecurityContext == nil {
			i.pod.SecurityContext = &PodSecurityContext{}
		}
		i.pod.SecurityContext.SeccompProfile = &profile
		return
	}
	if i.container.SecurityContext == nil {
		i.container.SecurityContext = &SecurityContext{}
	}
	i.container.SecurityContext.SeccompProfile = &profile
}

// injections are what the requests of c write into a pod: into the container for its own
// label, into the pod for everything else, and never over a field that is set. A request
// that cannot be granted leaves the whole pod as it is, and a rule answers.
//
// With fresh, only those ephemeral containers are written to: the pod itself is older and
// cannot be changed.
func injections(w Workload, c *choice, fresh func(*Container) bool) []Injection {
	if w.Spec.os() == windows || !c.grantable(w.Spec) {
		return nil
	}
	var out []Injection
	inherit := c.pod != nil && w.Spec.seccompProfile() == nil
	if inherit && fresh == nil {
		out = append(out, Injection{
			Path: w.spec + ".securityContext", HasContext: w.Spec.SecurityContext != nil,
			Profile: profileOf(c.pod), Source: c.pod.Source, pod: w.Spec,
		})
	}
	for _, list := range w.Spec.lists() {
		for i := range list.containers {
			container := &list.containers[i]
			if fresh != nil && (list.kind != kindEphemeral || !fresh(container)) {
				continue
			}
			r := c.containers[container.Name]
			if r == nil && inherit && fresh != nil {
				r = c.pod
			}
			if r == nil || container.seccompProfile() != nil {
				continue
			}
			out = append(out, Injection{
				Path:       element(w.spec, list.name, i) + ".securityContext",
				HasContext: container.SecurityContext != nil,
				Container:  container.Name, Profile: profileOf(r), Source: r.Source, pod: w.Spec, container: container,
			})
		}
	}
	return out
}

func profileOf(r *policies.Requested) SeccompProfile {
	return SeccompProfile{Type: r.Type, LocalhostProfile: r.Path}
}

// grantable says that every request that concerns the pod can be written.
func (c *choice) grantable(s *PodSpec) bool {
	if c.pod != nil && !usable(c.pod) {
		return false
	}
	for _, list := range s.lists() {
		for i := range list.containers {
			if r := c.containers[list.containers[i].Name]; r != nil && !usable(r) {
				return false
			}
		}
	}
	return true
}

// contradictions are the labels that an explicit field overrules, and those for a
// container that the pod does not have.
func contradictions(w Workload, c *choice) []string {
	var out []string
	say := func(r *policies.Requested, where string, p *SeccompProfile) {
		if usable(r) && p != nil && !grants(r, p) {
			out = append(out, fmt.Sprintf("%s asks for profile %q, but %s says %s, which wins; remove one of them", r.Field, r.Name, where, p))
		}
	}
	if c.pod != nil && c.pod.Source != sourceNamespace && c.pod.Source != sourceDefault {
		say(c.pod, w.spec+".securityContext.seccompProfile", w.Spec.seccompProfile())
	}
	if len(c.containers) == 0 {
		return out
	}
	found := make(map[string]bool, len(c.containers))
	for _, list := range w.Spec.lists() {
		for i := range list.containers {
			container := &list.containers[i]
			if r := c.containers[container.Name]; r != nil {
				found[container.Name] = true
				say(r, element(w.spec, list.name, i)+".securityContext.seccompProfile", container.seccompProfile())
			}
		}
	}
	for _, name := range c.sortedContainers() {
		if !found[name] {
			out = append(out, fmt.Sprintf("%s names container %q, which the pod does not have; correct the label", c.containers[name].Field, name))
		}
	}
	return out
}

// String shows a profile as messages do.
func (p *SeccompProfile) String() string {
	if p.Type == string(seccomp.Localhost) {
		return fmt.Sprintf("%s %q", p.Type, p.LocalhostProfile)
	}
	return p.Type
}
