// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads says which fields of the input loaded rules read. What no rule reads is left
// out of the evaluated document.
type reads struct {
	// top are the top-level fields.
	top map[string]bool
	// nested are the names of fields below containers, profiles and nodes, wherever
	// they stand.
	nested map[string]bool
	// annotations are prefixes of the keys that rules look for; nil when any may matter.
	annotations []string
}

// toValue builds the document by hand: going through JSON or maps costs more than the
// evaluation itself.
func (in *Input) toValue(r reads, parameters *ast.Term) (ast.Value, error) {
	b := builder{reads: r, terms: make([]ast.Term, 0, 24+28*len(in.Containers)+24*len(in.Profiles))}
	fields := make([][2]*ast.Term, 0, 20)
	add := func(name string, value func() *ast.Term) {
		if r.top[name] {
			fields = append(fields, [2]*ast.Term{key(name), value()})
		}
	}
	add("version", func() *ast.Term { return b.str(in.Version) })
	add("kind", func() *ast.Term { return b.str(in.Kind) })
	add("operation", func() *ast.Term { return b.str(in.Operation) })
	add("mirror", func() *ast.Term { return boolean(in.Mirror) })
	add("namespace", func() *ast.Term {
		return b.object(kv("name", b.str(in.Namespace.Name)), kv("labels", b.stringMap(in.Namespace.Labels)))
	})
	add("user", func() *ast.Term {
		return b.object(kv("name", b.str(in.User.Name)), kv("groups", b.strings(in.User.Groups)))
	})
	add("labels", func() *ast.Term { return b.stringMap(in.Labels) })
	add("annotations", func() *ast.Term { return b.annotations(in.Annotations) })
	add("os", func() *ast.Term { return b.str(in.OS) })
	add("runtimeClass", func() *ast.Term { return b.str(in.RuntimeClass) })
	if in.Recording != nil {
		add("recording", func() *ast.Term {
			return b.object(kv("name", b.str(in.Recording.Name)), kv("until", b.str(in.Recording.Until)))
		})
	}
	add("hostPaths", func() *ast.Term { return list(&b, in.HostPaths, (*builder).hostPath) })
	add("pod", func() *ast.Term { return b.object(kv("profile", b.declared(&in.Pod.Profile))) })
	add("containers", func() *ast.Term { return list(&b, in.Containers, (*builder).container) })
	add("profiles", func() *ast.Term { return b.profiles(in.Profiles) })
	add("nodes", func() *ast.Term { return b.nodes(&in.Nodes) })

	add("parameters", func() *ast.Term { return parameters })
	if r.top["object"] && len(in.Object) > 0 {
		v, err := ast.ValueFromReader(bytes.NewReader(in.Object))
		if err != nil {
			return nil, fmt.Errorf("read object: %w", err)
		}
		fields = append(fields, [2]*ast.Term{key("object"), ast.NewTerm(v)})
	}
	return ast.NewObject(fields...), nil
}

// builder hands out terms from one block of memory and makes equal parts once:
// containers mostly share the pod's profile.
type builder struct {
	reads reads
	terms []ast.Term

	recent        [8]*ast.Term // strings, newest overwriting oldest
	next          int
	lastInteger   int // above those that OPA shares; 0 for none
	integerTerm   *ast.Term
	lastDeclared  *Declared
	declaredTerm  *ast.Term
	lastProfile   *Effective
	profileTerm   *ast.Term
	lastRequested *Requested
	requestedTerm *ast.Term
	lastNodes     *ProfileNodes
	nodesTerm     *ast.Term
}

func (b *builder) term(v ast.Value) *ast.Term {
	b.terms = append(b.terms, ast.Term{Value: v})
	return &b.terms[len(b.terms)-1]
}

// str is the term of s, a shared one where s is a word that every document has.
func (b *builder) str(s string) *ast.Term {
	if t, ok := vocabulary[s]; ok {
		return t
	}
	for _, t := range b.recent {
		if t != nil && string(t.Value.(ast.String)) == s {
			return t
		}
	}
	t := b.term(ast.String(s))
	b.recent[b.next%len(b.recent)] = t
	b.next++
	return t
}

func (b *builder) object(fields ...[2]*ast.Term) *ast.Term {
	return b.term(ast.NewObject(fields...))
}

// optional appends a field that is absent when it is empty.
func (b *builder) optional(fields [][2]*ast.Term, name, value string) [][2]*ast.Term {
	if value == "" {
		return fields
	}
	return append(fields, kv(name, b.str(value)))
}

func (b *builder) stringMap(m map[string]string) *ast.Term {
	if len(m) == 0 {
		return emptyObject
	}
	o := ast.NewObjectWithCapacity(len(m))
	for k, v := range m {
		o.Insert(b.str(k), b.str(v))
	}
	return b.term(o)
}

func (b *builder) annotations(m map[string]string) *ast.Term {
	if b.reads.annotations == nil {
		return b.stringMap(m)
	}
	var listed map[string]string
	for k, v := range m {
		if !hasPrefix(k, b.reads.annotations) {
			continue
		}
		if listed == nil {
			listed = make(map[string]string, 1)
		}
		listed[k] = v
	}
	return b.stringMap(listed)
}

func (b *builder) strings(s []string) *ast.Term {
	if len(s) == 0 {
		return emptyArray
	}
	terms := make([]*ast.Term, len(s))
	for i := range s {
		terms[i] = b.str(s[i])
	}
	return b.term(ast.NewArray(terms...))
}

func list[T any](b *builder, items []T, one func(*builder, *T) *ast.Term) *ast.Term {
	if len(items) == 0 {
		return emptyArray
	}
	terms := make([]*ast.Term, len(items))
	for i := range items {
		terms[i] = one(b, &items[i])
	}
	return b.term(ast.NewArray(terms...))
}

func (b *builder) hostPath(h *HostPath) *ast.Term {
	return b.object(
		kv("path", b.str(h.Path)),
		kv("container", b.str(h.Container)),
		kv("readOnly", boolean(h.ReadOnly)),
		kv("recursiveReadOnly", boolean(h.RecursiveReadOnly)),
		kv("subPath", b.str(h.SubPath)),
		kv("volume", b.str(h.Volume)),
		kv("field", b.str(h.Field)),
	)
}

func (b *builder) declared(d *Declared) *ast.Term {
	if b.lastDeclared == nil || *b.lastDeclared != *d {
		fields := [5][2]*ast.Term{
			kv("type", b.str(d.Type)),
			kv("localhostProfile", b.str(d.LocalhostProfile)),
			kv("origin", b.str(d.Origin)),
			kv("field", b.str(d.Field)),
		}
		b.lastDeclared, b.declaredTerm = d, b.object(b.optional(fields[:4], "typeFault", d.TypeFault)...)
	}
	return b.declaredTerm
}

func (b *builder) profile(e *Effective) *ast.Term {
	if b.lastProfile == nil || *b.lastProfile != *e {
		fields := [4][2]*ast.Term{
			kv("type", b.str(e.Type)),
			kv("localhostProfile", b.str(e.LocalhostProfile)),
			kv("origin", b.str(e.Origin)),
		}
		b.lastProfile, b.profileTerm = e, b.object(b.optional(fields[:3], "pathFault", e.PathFault)...)
	}
	return b.profileTerm
}

func (b *builder) requested(r *Requested) *ast.Term {
	if b.lastRequested != r {
		fields := [9][2]*ast.Term{
			kv("name", b.str(r.Name)),
			kv("source", b.str(r.Source)),
			kv("field", b.str(r.Field)),
			kv("known", boolean(r.Known)),
			kv("type", b.str(r.Type)),
			kv("path", b.str(r.Path)),
			kv("inEffect", boolean(r.InEffect)),
			kv("nearest", b.strings(r.Nearest)),
		}
		b.lastRequested, b.requestedTerm = r, b.object(b.optional(fields[:8], "pathFault", r.PathFault)...)
	}
	return b.requestedTerm
}

func (b *builder) container(c *Container) *ast.Term {
	var room [11][2]*ast.Term
	fields := append(room[:0],
		kv("name", b.str(c.Name)),
		kv("field", b.str(c.Field)),
		kv("privileged", boolean(c.Privileged)),
		kv("declared", b.declared(&c.Declared)),
		kv("profile", b.profile(&c.Profile)),
	)
	read := b.reads.nested
	if read["index"] {
		fields = append(fields, kv("index", b.integer(c.Index)))
	}
	if read["kind"] {
		fields = append(fields, kv("kind", b.str(c.Kind)))
	}
	if read["image"] {
		fields = append(fields, kv("image", b.str(c.Image)))
	}
	if read["allowPrivilegeEscalation"] {
		fields = append(fields, kv("allowPrivilegeEscalation", boolean(c.AllowPrivilegeEscalation)))
	}
	if read["capabilities"] {
		fields = append(fields, kv("capabilities", b.capabilities(&c.Capabilities)))
	}
	if c.Requested != nil {
		fields = append(fields, kv("requested", b.requested(c.Requested)))
	}
	return b.object(fields...)
}

func (b *builder) capabilities(c *Capabilities) *ast.Term {
	if len(c.Add) == 0 && len(c.Drop) == 0 {
		return emptyCapabilities
	}
	return b.object(kv("add", b.strings(c.Add)), kv("drop", b.strings(c.Drop)))
}

func (b *builder) profiles(m map[string]*Profile) *ast.Term {
	if len(m) == 0 {
		return emptyObject
	}
	o := ast.NewObjectWithCapacity(len(m))
	for path, p := range m {
		o.Insert(b.str(path), b.facts(p))
	}
	return b.term(o)
}

func (b *builder) facts(p *Profile) *ast.Term {
	var room [15][2]*ast.Term
	fields := append(room[:0],
		kv("valid", boolean(p.Valid)),
		kv("reason", b.str(p.Reason)),
		kv("expectedDigest", b.str(p.ExpectedDigest)),
		kv("defaultAction", b.str(p.DefaultAction)),
		kv("permissive", boolean(p.Permissive)),
		kv("nodes", b.profileNodes(&p.Nodes)),
		kv("nearest", b.strings(p.Nearest)),
	)
	read := b.reads.nested
	if read["digests"] {
		fields = append(fields, kv("digests", b.strings(p.Digests)))
	}
	if read["drift"] {
		fields = append(fields, kv("drift", b.str(p.Drift)))
	}
	if read["grade"] {
		fields = append(fields, kv("grade", b.str(p.Grade)))
	}
	if read["dangerous"] {
		fields = append(fields, kv("dangerous", b.strings(p.Dangerous)))
	}
	if read["architectures"] {
		fields = append(fields, kv("architectures", b.strings(p.Architectures)))
	}
	if read["missingArchitectures"] {
		fields = append(fields, kv("missingArchitectures", b.strings(p.MissingArchitectures)))
	}
	if read["beyondDefault"] {
		fields = append(fields, kv("beyondDefault", list(b, p.BeyondDefault, func(b *builder, d *BeyondDefault) *ast.Term {
			return b.object(kv("syscall", b.str(d.Syscall)), kv("unlessCapability", b.strings(d.UnlessCapability)))
		})))
	}
	if read["missingToStart"] {
		fields = append(fields, kv("missingToStart", list(b, p.MissingToStart, func(b *builder, m *MissingToStart) *ast.Term {
			return b.object(
				kv("runtime", b.str(m.Runtime)),
				kv("noNewPrivileges", boolean(m.NoNewPrivileges)),
				kv("syscalls", b.strings(m.Syscalls)),
			)
		})))
	}
	return b.object(fields...)
}

func (b *builder) profileNodes(n *ProfileNodes) *ast.Term {
	last := b.lastNodes
	if last == nil || last.Eligible != n.Eligible || last.Have != n.Have || n.Have != n.Eligible {
		b.lastNodes, b.nodesTerm = n, b.object(
			kv("eligible", b.integer(n.Eligible)),
			kv("have", b.integer(n.Have)),
			kv("missing", b.group(&n.Missing)),
			kv("unknown", b.group(&n.Unknown)),
		)
	}
	return b.nodesTerm
}

func (b *builder) group(g *Group) *ast.Term {
	if g.Count == 0 && len(g.Examples) == 0 {
		return emptyGroup
	}
	return b.object(kv("count", b.integer(g.Count)), kv("examples", b.strings(g.Examples)))
}

func (b *builder) nodes(n *Nodes) *ast.Term {
	var room [6][2]*ast.Term
	fields := append(room[:0],
		kv("eligible", b.integer(n.Eligible)),
		kv("seccompDefault", b.count(n.SeccompDefault)),
		kv("seccompRoots", b.strings(n.SeccompRoots)),
	)
	if b.reads.nested["architectures"] {
		fields = append(fields, kv("architectures", b.strings(n.Architectures)))
	}
	if b.reads.nested["runtimes"] {
		fields = append(fields, kv("runtimes", b.strings(n.Runtimes)))
	}
	if b.reads.nested["appliesSeccomp"] {
		fields = append(fields, kv("appliesSeccomp", boolean(n.AppliesSeccomp)))
	}
	return b.object(fields...)
}

func (b *builder) count(c Count) *ast.Term {
	if c.Count == 0 {
		return emptyCount
	}
	return b.object(kv("count", b.integer(c.Count)))
}

func kv(name string, value *ast.Term) [2]*ast.Term {
	return [2]*ast.Term{key(name), value}
}

// key is the term of a field's name. Every name is in the vocabulary; a test walks
// Input and fails for one that is not.
func key(name string) *ast.Term {
	return vocabulary[name]
}

func boolean(v bool) *ast.Term { return ast.InternedTerm(v) }

func integer(n int) *ast.Term { return ast.InternedTerm(n) }

// integer makes counts of nodes once: several of one document are mostly equal.
func (b *builder) integer(n int) *ast.Term {
	if ast.HasInternedIntNumberTerm(n) {
		return integer(n)
	}
	if b.lastInteger != n || b.integerTerm == nil {
		b.lastInteger, b.integerTerm = n, integer(n)
	}
	return b.integerTerm
}

// Terms that never change, shared by all documents.
var (
	emptyArray        = ast.NewTerm(ast.NewArray())
	emptyObject       = ast.NewTerm(ast.NewObject())
	emptyCapabilities = ast.NewTerm(ast.NewObject(kv("add", emptyArray), kv("drop", emptyArray)))
	emptyCount        = ast.NewTerm(ast.NewObject(kv("count", integer(0))))
	emptyGroup        = ast.NewTerm(ast.NewObject(kv("count", integer(0)), kv("examples", emptyArray)))
	vocabulary        = words()
)

// words are the names of all fields and the values that most documents have.
func words() map[string]*ast.Term {
	terms := make(map[string]*ast.Term)
	for _, w := range strings.Fields(`
		version kind operation mirror namespace user labels annotations os runtimeClass recording
		hostPaths pod containers profiles nodes parameters object
		name groups until path container readOnly recursiveReadOnly subPath volume field profile
		index image privileged allowPrivilegeEscalation capabilities declared requested add drop
		type localhostProfile origin pathFault typeFault source known inEffect nearest
		valid reason digests expectedDigest drift grade defaultAction permissive dangerous architectures missingArchitectures
		beyondDefault missingToStart syscall unlessCapability runtime noNewPrivileges syscalls
		eligible have missing unknown count examples seccompDefault runtimes seccompRoots appliesSeccomp

		v1 CREATE UPDATE linux windows label unset init sidecar ephemeral
		Pod Binding Deployment ReplicaSet ReplicationController StatefulSet DaemonSet Job CronJob PodTemplate
		Unconfined RuntimeDefault Localhost
		SCMP_ACT_ERRNO SCMP_ACT_LOG SCMP_ACT_ALLOW SCMP_ACT_KILL_PROCESS
		spec.securityContext.seccompProfile /var/lib/kubelet/seccomp
	`) {
		terms[w] = ast.StringTerm(w)
	}
	for _, w := range []string{"", "pod label", "container label", "pod annotation", "namespace label", "configured default"} {
		terms[w] = ast.StringTerm(w)
	}
	for i := range 10 {
		for _, list := range []string{"spec.containers", "spec.initContainers"} {
			field := list + "[" + strconv.Itoa(i) + "]"
			terms[field] = ast.StringTerm(field)
			field += ".securityContext.seccompProfile"
			terms[field] = ast.StringTerm(field)
		}
	}
	return terms
}
