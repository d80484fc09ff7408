// SPDX-License-Identifier: Apache-2.0

package review

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	corev1 "k8s.io/api/core/v1"

	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/seccomp"
)

// windows is spec.os.name of a pod that seccomp does not concern.
const windows = "windows"

// Kinds of containers, in the input's spelling.
const (
	kindInit      = "init"
	kindSidecar   = "sidecar"
	kindContainer = "container"
	kindEphemeral = "ephemeral"
)

// podInput is the part of the input that the pod itself determines. With fresh, only
// those containers are judged.
func podInput(in *policies.Input, w Workload, c *choice, fresh func(*Container) bool) {
	s := w.Spec
	in.Labels, in.Annotations = w.Meta.Labels, w.Meta.Annotations
	in.OS, in.RuntimeClass = s.os(), s.RuntimeClassName
	in.Pod.Profile = declared(s.seccompProfile(), nil, w.spec+".securityContext.seccompProfile", "")
	if grantedBy(c.pod, s.seccompProfile()) {
		in.Pod.Profile.Origin = string(seccomp.OriginLabel)
	}
	if fresh != nil {
		// The pod is older than the container that is judged, and cannot be changed: what
		// it is at fault for itself must not keep its debuggers out.
		in.Pod.Profile = policies.Declared{Field: in.Pod.Profile.Field}
		in.Annotations, in.RuntimeClass = nil, ""
	}

	lists := s.lists()
	in.Containers = make([]policies.Container, 0, len(lists[0].containers)+len(lists[1].containers)+len(lists[2].containers))
	shared := requests{of: c, blocked: !c.grantable(s)}
	hasHostPath := s.hasHostPath()
	for _, list := range lists {
		for i := range list.containers {
			container := &list.containers[i]
			if fresh != nil && (list.kind != kindEphemeral || !fresh(container)) {
				continue
			}
			field := element(w.spec, list.name, i)
			in.Containers = append(in.Containers, judged(container, s, list.kind, field, in.Pod.Profile.Field, len(in.Containers), &shared))
			if hasHostPath {
				in.HostPaths = append(in.HostPaths, hostPaths(container, s, field)...)
			}
		}
	}
}

func judged(container *Container, s *PodSpec, kind, field, podField string, index int, shared *requests) policies.Container {
	out := policies.Container{
		Name: container.Name, Index: index, Kind: kind, Field: field, Image: container.Image,
		Privileged: container.privileged(), AllowPrivilegeEscalation: true,
	}
	if kind == kindInit && container.RestartPolicy == "Always" {
		out.Kind = kindSidecar
	}
	if sc := container.SecurityContext; sc != nil {
		if sc.AllowPrivilegeEscalation != nil {
			out.AllowPrivilegeEscalation = *sc.AllowPrivilegeEscalation
		}
		if sc.Capabilities != nil {
			out.Capabilities = policies.Capabilities{Add: sc.Capabilities.Add, Drop: sc.Capabilities.Drop}
		}
	}
	decisive := container.seccompProfile()
	if decisive == nil {
		decisive = s.seccompProfile()
	}
	out.Declared = declared(s.seccompProfile(), container.seccompProfile(), podField, field)
	r := shared.of.of(container.Name)
	inEffect := grantedBy(r, decisive)
	if inEffect {
		out.Declared.Origin = string(seccomp.OriginLabel)
	}
	out.Requested = shared.get(r, inEffect)

	out.Profile = policies.Effective{Type: out.Declared.Type, Origin: out.Declared.Origin}
	switch {
	case out.Privileged:
		out.Profile = policies.Effective{Type: string(seccomp.Unconfined), Origin: string(seccomp.OriginPrivileged)}
	case out.Profile.Type == string(seccomp.Localhost):
		out.Profile.LocalhostProfile = out.Declared.LocalhostProfile
		if err := seccomp.CheckPath(out.Profile.LocalhostProfile); err != nil {
			out.Profile.PathFault = err.Error()
		}
	}
	return out
}

// declared is the profile that the fields say; container is nil for the pod's own.
func declared(pod, container *SeccompProfile, podField, containerField string) policies.Declared {
	effective := seccomp.Resolve(pod.ref(), container.ref(), false)
	d := policies.Declared{
		Type: string(effective.Ref.Type), LocalhostProfile: effective.Ref.Path,
		Origin: string(effective.Origin), Field: podField,
	}
	switch effective.Ref.Type {
	case "", seccomp.Unconfined, seccomp.RuntimeDefault, seccomp.Localhost:
	default:
		d.Type, d.TypeFault = string(seccomp.Unconfined), fmt.Sprintf("type %q does not exist", d.Type)
	}
	switch {
	case effective.Origin == seccomp.OriginContainer:
		d.Field = containerField + ".securityContext.seccompProfile"
	case effective.Origin == seccomp.OriginUnset && containerField != "":
		d.Field = containerField + ".securityContext.seccompProfile"
	}
	return d
}

func (p *SeccompProfile) ref() *seccomp.Ref {
	if p == nil {
		return nil
	}
	return &seccomp.Ref{Type: seccomp.Type(p.Type), Path: p.LocalhostProfile}
}

func grantedBy(r *policies.Requested, p *SeccompProfile) bool {
	return usable(r) && grants(r, p)
}

// requests hands out at most two copies of each request, one in effect and one not:
// most containers share the pod's.
type requests struct {
	of *choice
	// blocked says that some request of the pod cannot be granted, so that nothing was
	// injected at all: that one is at fault, not the others.
	blocked bool

	last     *policies.Requested
	inEffect *policies.Requested
	pending  *policies.Requested
}

func (s *requests) get(r *policies.Requested, inEffect bool) *policies.Requested {
	if r == nil || s.blocked && usable(r) && !inEffect {
		return nil
	}
	if s.last != r {
		*s = requests{of: s.of, blocked: s.blocked, last: r}
	}
	copied := &s.pending
	if inEffect {
		copied = &s.inEffect
	}
	if *copied == nil {
		state := *r
		state.InEffect = inEffect
		*copied = &state
	}
	return *copied
}

func (s *PodSpec) hasHostPath() bool {
	for i := range s.Volumes {
		if s.Volumes[i].HostPath != nil {
			return true
		}
	}
	return false
}

// hostPaths are the host directories that a container mounts. Mounts that cannot be read
// are those of an object that the API server refuses.
func hostPaths(container *Container, s *PodSpec, field string) []policies.HostPath {
	var mounts []volumeMount
	if len(container.VolumeMounts) == 0 || json.Unmarshal(container.VolumeMounts, &mounts) != nil {
		return nil
	}
	var out []policies.HostPath
	for i, m := range mounts {
		for j := range s.Volumes {
			v := &s.Volumes[j]
			if v.HostPath == nil || v.Name != m.Name {
				continue
			}
			out = append(out, policies.HostPath{
				Path: mounted(v.HostPath.Path, m.SubPath), Container: container.Name, ReadOnly: m.ReadOnly,
				// IfPossible promises nothing.
				RecursiveReadOnly: m.RecursiveReadOnly == string(corev1.RecursiveReadOnlyEnabled),
				SubPath:           m.SubPath, Volume: v.Name, Field: element(field, "volumeMounts", i),
			})
		}
	}
	return out
}

func (s *PodSpec) placement() inventory.Placement {
	return inventory.Placement{
		NodeName: s.NodeName, NodeSelector: s.NodeSelector, Affinity: s.requiredAffinity(),
		Tolerations: s.Tolerations, OS: s.os(),
	}
}

// nodeInput is the part of the input that the nodes determine: what those that the pod
// may use have at the paths that its containers run under.
func nodeInput(ctx context.Context, in *policies.Input, s *PodSpec, index *inventory.Index) {
	placement := s.placement()
	set := index.Eligible(&placement)
	defer set.Release()
	summary := index.Summary(set)
	in.Nodes = policies.Nodes{
		Eligible: summary.Eligible, SeccompDefault: policies.Count{Count: summary.SeccompDefault},
		Architectures: summary.Architectures, Runtimes: summary.Runtimes, SeccompRoots: summary.SeccompRoots,
		// No RuntimeClass is read: its handler mostly has its name.
		AppliesSeccomp: s.RuntimeClassName == "" || index.AppliesSeccomp(set, s.RuntimeClassName),
	}
	for i := range in.Containers {
		p := &in.Containers[i].Profile
		if p.Type != string(seccomp.Localhost) || p.PathFault != "" {
			continue
		}
		if _, done := in.Profiles[p.LocalhostProfile]; done {
			continue
		}
		// A pod may name thousands of paths, and what resembles a missing one takes a while.
		// That the time is over is noticed, and answered, where the rules are asked.
		if ctx.Err() != nil {
			return
		}
		if in.Profiles == nil {
			in.Profiles = make(map[string]*policies.Profile, 1)
		}
		facts := index.Profile(set, p.LocalhostProfile, &placement)
		in.Profiles[p.LocalhostProfile] = profileInput(&facts, in.Nodes.Architectures)
	}
}

func profileInput(f *inventory.ProfileFacts, nodes []string) *policies.Profile {
	p := &policies.Profile{
		Valid: f.Valid, Reason: f.Reason, Digests: f.Digests, ExpectedDigest: f.ExpectedDigest,
		Grade: f.Grade, DefaultAction: f.DefaultAction, Permissive: f.Permissive,
		Dangerous: f.Dangerous, Architectures: f.Architectures, Nearest: f.Nearest,
		Nodes: policies.ProfileNodes{
			Eligible: f.Nodes.Eligible, Have: f.Nodes.Have,
			Missing: policies.Group(f.Nodes.Missing), Unknown: policies.Group(f.Nodes.Unknown),
		},
	}
	switch {
	case len(f.Digests) > 1:
		p.Drift = "nodes"
	case len(f.Digests) == 1 && f.ExpectedDigest != "" && f.Digests[0] != f.ExpectedDigest:
		p.Drift = "profile"
	}
	for _, arch := range nodes {
		// A profile that lists none covers the node's own.
		if len(f.Architectures) > 0 && !slices.Contains(f.Architectures, arch) {
			p.MissingArchitectures = append(p.MissingArchitectures, arch)
		}
	}
	for _, b := range f.BeyondDefault {
		p.BeyondDefault = append(p.BeyondDefault, policies.BeyondDefault(b))
	}
	for _, m := range f.MissingToStart {
		p.MissingToStart = append(p.MissingToStart, policies.MissingToStart(m))
	}
	return p
}
