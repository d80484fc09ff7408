// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"encoding/binary"
	"maps"
	"slices"
)

// appendKey appends what evaluation sees of the input, in a form in which only equal
// documents are equal: each value after its length, each list after its number of items,
// nothing that the rules do not read. It goes the way of toValue, and a test holds the
// two together.
func (in *Input) appendKey(b []byte, r reads) []byte {
	k := keyWriter{b: b, reads: r}
	add := func(name string, write func()) {
		if r.top[name] {
			write()
		}
	}
	add("version", func() { k.str(in.Version) })
	add("kind", func() { k.str(in.Kind) })
	add("operation", func() { k.str(in.Operation) })
	add("mirror", func() { k.boolean(in.Mirror) })
	add("namespace", func() { k.str(in.Namespace.Name); k.stringMap(in.Namespace.Labels) })
	add("user", func() { k.str(in.User.Name); k.strings(in.User.Groups) })
	add("labels", func() { k.stringMap(in.Labels) })
	add("annotations", func() { k.annotations(in.Annotations) })
	add("os", func() { k.str(in.OS) })
	add("runtimeClass", func() { k.str(in.RuntimeClass) })
	add("recording", func() {
		k.boolean(in.Recording != nil)
		if in.Recording != nil {
			k.str(in.Recording.Name)
			k.str(in.Recording.Until)
		}
	})
	add("hostPaths", func() {
		k.integer(len(in.HostPaths))
		for i := range in.HostPaths {
			h := &in.HostPaths[i]
			k.str(h.Path)
			k.str(h.Container)
			k.boolean(h.ReadOnly)
			k.boolean(h.RecursiveReadOnly)
			k.str(h.SubPath)
			k.str(h.Volume)
			k.str(h.Field)
		}
	})
	add("pod", func() { k.declared(&in.Pod.Profile) })
	// Findings have the index of their container, so that the list is always part.
	k.integer(len(in.Containers))
	for i := range in.Containers {
		k.container(&in.Containers[i])
	}
	add("profiles", func() { k.profiles(in.Profiles) })
	add("nodes", func() { k.nodes(&in.Nodes) })
	return k.b
}

type keyWriter struct {
	b     []byte
	reads reads
}

func (k *keyWriter) integer(n int) { k.b = binary.AppendVarint(k.b, int64(n)) }

func (k *keyWriter) boolean(v bool) {
	if v {
		k.b = append(k.b, 1)
	} else {
		k.b = append(k.b, 0)
	}
}

func (k *keyWriter) str(s string) {
	k.b = binary.AppendUvarint(k.b, uint64(len(s)))
	k.b = append(k.b, s...)
}

func (k *keyWriter) strings(s []string) {
	k.integer(len(s))
	for i := range s {
		k.str(s[i])
	}
}

func (k *keyWriter) stringMap(m map[string]string) {
	k.integer(len(m))
	if len(m) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		k.str(name)
		k.str(m[name])
	}
}

func (k *keyWriter) annotations(m map[string]string) {
	if k.reads.annotations == nil {
		k.stringMap(m)
		return
	}
	var listed []string
	for name := range m {
		if hasPrefix(name, k.reads.annotations) {
			listed = append(listed, name)
		}
	}
	slices.Sort(listed)
	k.integer(len(listed))
	for _, name := range listed {
		k.str(name)
		k.str(m[name])
	}
}

func (k *keyWriter) declared(d *Declared) {
	k.str(d.Type)
	k.str(d.TypeFault)
	k.str(d.LocalhostProfile)
	k.str(d.Origin)
	k.str(d.Field)
}

func (k *keyWriter) container(c *Container) {
	k.str(c.Name)
	k.integer(c.Index)
	if !k.reads.top["containers"] {
		return
	}
	k.str(c.Field)
	k.boolean(c.Privileged)
	k.declared(&c.Declared)
	k.str(c.Profile.Type)
	k.str(c.Profile.LocalhostProfile)
	k.str(c.Profile.Origin)
	k.str(c.Profile.PathFault)
	read := k.reads.nested
	if read["kind"] {
		k.str(c.Kind)
	}
	if read["image"] {
		k.str(c.Image)
	}
	if read["allowPrivilegeEscalation"] {
		k.boolean(c.AllowPrivilegeEscalation)
	}
	if read["capabilities"] {
		k.strings(c.Capabilities.Add)
		k.strings(c.Capabilities.Drop)
	}
	r := c.Requested
	k.boolean(r != nil)
	if r == nil {
		return
	}
	k.str(r.Name)
	k.str(r.Source)
	k.str(r.Field)
	k.boolean(r.Known)
	k.str(r.Type)
	k.str(r.Path)
	k.boolean(r.InEffect)
	k.strings(r.Nearest)
	k.str(r.PathFault)
}

func (k *keyWriter) profiles(m map[string]*Profile) {
	k.integer(len(m))
	if len(m) == 1 { // no need to sort
		for path, p := range m {
			k.str(path)
			k.profile(p)
		}
		return
	}
	for _, path := range slices.Sorted(maps.Keys(m)) {
		k.str(path)
		k.profile(m[path])
	}
}

func (k *keyWriter) profile(p *Profile) {
	k.boolean(p.Valid)
	k.str(p.Reason)
	k.str(p.ExpectedDigest)
	k.str(p.DefaultAction)
	k.boolean(p.Permissive)
	k.integer(p.Nodes.Eligible)
	k.integer(p.Nodes.Have)
	k.group(&p.Nodes.Missing)
	k.group(&p.Nodes.Unknown)
	k.strings(p.Nearest)
	read := k.reads.nested
	if read["digests"] {
		k.strings(p.Digests)
	}
	if read["drift"] {
		k.str(p.Drift)
	}
	if read["grade"] {
		k.str(p.Grade)
	}
	if read["dangerous"] {
		k.strings(p.Dangerous)
	}
	if read["architectures"] {
		k.strings(p.Architectures)
	}
	if read["missingArchitectures"] {
		k.strings(p.MissingArchitectures)
	}
	if read["beyondDefault"] {
		k.integer(len(p.BeyondDefault))
		for i := range p.BeyondDefault {
			k.str(p.BeyondDefault[i].Syscall)
			k.strings(p.BeyondDefault[i].UnlessCapability)
		}
	}
	if read["missingToStart"] {
		k.integer(len(p.MissingToStart))
		for i := range p.MissingToStart {
			k.str(p.MissingToStart[i].Runtime)
			k.boolean(p.MissingToStart[i].NoNewPrivileges)
			k.strings(p.MissingToStart[i].Syscalls)
		}
	}
}

func (k *keyWriter) group(g *Group) {
	k.integer(g.Count)
	k.strings(g.Examples)
}

func (k *keyWriter) nodes(n *Nodes) {
	k.integer(n.Eligible)
	k.integer(n.SeccompDefault.Count)
	k.strings(n.SeccompRoots)
	read := k.reads.nested
	if read["architectures"] {
		k.strings(n.Architectures)
	}
	if read["runtimes"] {
		k.strings(n.Runtimes)
	}
	if read["appliesSeccomp"] {
		k.boolean(n.AppliesSeccomp)
	}
}
