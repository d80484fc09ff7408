// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"

	"github.com/seccompgate/seccompgate/webhook/review"
)

// scan reads an AdmissionReview, or says that the library has to. It fills the same
// fields as the tags of the types say; a test fills every field of them to compare.
func scan(body []byte) (admissionReview, bool) {
	s := scanner{data: body}
	var r admissionReview
	for name := range s.members {
		switch string(name) {
		case "apiVersion":
			r.APIVersion = s.string()
		case "kind":
			r.Kind = s.string()
		case "request":
			r.Request = pointer(&s, (*scanner).request)
		default:
			s.skip()
		}
	}
	return r, s.end()
}

// bytesString is the text of bytes that never change again.
func bytesString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// pointer reads what may be null.
func pointer[T any](s *scanner, read func(*scanner, *T)) *T {
	if s.null() {
		return nil
	}
	v := new(T)
	read(s, v)
	return v
}

// items reads an array of what read reads.
func items[T any](s *scanner, read func(*scanner, *T)) []T {
	if s.null() {
		return nil
	}
	all := make([]T, 0, 4)
	for range s.elements {
		var v T
		all = append(all, v)
		read(s, &all[len(all)-1])
	}
	return all
}

func (s *scanner) text(v *string) { *v = s.string() }

func (s *scanner) strings() []string { return items(s, (*scanner).text) }

func (s *scanner) truth(v *bool) { *v = s.boolean() }

func (s *scanner) stringMap() map[string]string {
	if s.null() {
		return nil
	}
	m := make(map[string]string)
	for name := range s.members {
		if bytes.IndexByte(name, '\\') >= 0 {
			s.giveUp()
			break
		}
		key := bytesString(s.copy(name))
		m[key] = s.string()
	}
	return m
}

func (s *scanner) request(r *request) {
	for name := range s.members {
		switch string(name) {
		case "uid":
			r.UID = s.string()
		case "kind":
			s.groupName("kind", &r.Kind.Group, &r.Kind.Kind)
		case "resource":
			s.groupName("resource", &r.Resource.Group, &r.Resource.Resource)
		case "subResource":
			r.Sub = s.string()
		case "name":
			r.Name = s.string()
		case "namespace":
			r.Namespace = s.string()
		case "operation":
			r.Operation = s.string()
		case "userInfo":
			for name := range s.members {
				switch string(name) {
				case "username":
					r.UserInfo.Username = s.string()
				case "groups":
					r.UserInfo.Groups = s.strings()
				default:
					s.skip()
				}
			}
		case "dryRun":
			r.DryRun = s.boolean()
		case "object":
			s.reviewed(&r.Object)
		case "oldObject":
			s.reviewed(&r.OldObject)
		default:
			s.skip()
		}
	}
}

// groupName reads a group and what is called by the name within it.
func (s *scanner) groupName(what string, group, name *string) {
	for n := range s.members {
		switch string(n) {
		case "group":
			*group = s.string()
		case what:
			*name = s.string()
		default:
			s.skip()
		}
	}
}

func (s *scanner) reviewed(o *object) {
	if s.null() {
		return
	}
	o.present, o.start = true, int64(s.pos)
	for name := range s.members {
		switch string(name) {
		case "kind":
			o.value.Kind = s.string()
		case "metadata":
			s.metadata(&o.value.Metadata)
		case "spec":
			s.spec(&o.value.Spec)
		case "template":
			o.value.Template = pointer(s, (*scanner).template)
		default:
			s.skip()
		}
	}
	o.end = int64(s.pos)
}

func (s *scanner) metadata(m *review.Metadata) {
	for name := range s.members {
		switch string(name) {
		case "name":
			m.Name = s.string()
		case "generateName":
			m.GenerateName = s.string()
		case "namespace":
			m.Namespace = s.string()
		case "labels":
			m.Labels = s.stringMap()
		case "annotations":
			m.Annotations = s.stringMap()
		default:
			s.skip()
		}
	}
}

func (s *scanner) spec(p *review.Spec) {
	for name := range s.members {
		switch string(name) {
		case "template":
			p.Template = pointer(s, (*scanner).template)
		case "jobTemplate":
			// Once in a CronJob: not worth a method.
			s.decode(&p.JobTemplate)
		default:
			s.podField(name, &p.PodSpec)
		}
	}
}

func (s *scanner) template(t *review.Template) {
	for name := range s.members {
		switch string(name) {
		case "metadata":
			s.metadata(&t.Metadata)
		case "spec":
			for name := range s.members {
				s.podField(name, &t.Spec)
			}
		default:
			s.skip()
		}
	}
}

// podField reads a field of a pod's spec.
func (s *scanner) podField(name []byte, p *review.PodSpec) {
	switch string(name) {
	case "initContainers":
		p.InitContainers = items(s, (*scanner).container)
	case "containers":
		p.Containers = items(s, (*scanner).container)
	case "ephemeralContainers":
		p.EphemeralContainers = items(s, (*scanner).container)
	case "securityContext":
		p.SecurityContext = pointer(s, (*scanner).podSecurityContext)
	case "os":
		s.decode(&p.OS)
	case "runtimeClassName":
		p.RuntimeClassName = s.string()
	case "volumes":
		p.Volumes = items(s, (*scanner).volume)
	case "nodeName":
		p.NodeName = s.string()
	case "nodeSelector":
		p.NodeSelector = s.stringMap()
	case "affinity":
		s.decode(&p.Affinity)
	case "tolerations":
		p.Tolerations = items(s, (*scanner).toleration)
	default:
		s.skip()
	}
}

// decode leaves to the library what few pods have.
func (s *scanner) decode(v any) {
	text := s.value()
	if !s.unsure && json.Unmarshal(text, v) != nil {
		s.giveUp()
	}
}

func (s *scanner) container(c *review.Container) {
	for name := range s.members {
		switch string(name) {
		case "name":
			c.Name = s.string()
		case "image":
			c.Image = s.string()
		case "restartPolicy":
			c.RestartPolicy = s.string()
		case "securityContext":
			c.SecurityContext = pointer(s, (*scanner).securityContext)
		case "volumeMounts":
			c.VolumeMounts = jsontext.Value(s.copy(s.value()))
		default:
			s.skip()
		}
	}
}

func (s *scanner) securityContext(c *review.SecurityContext) {
	for name := range s.members {
		switch string(name) {
		case "seccompProfile":
			c.SeccompProfile = pointer(s, (*scanner).seccompProfile)
		case "privileged":
			c.Privileged = s.boolean()
		case "allowPrivilegeEscalation":
			c.AllowPrivilegeEscalation = pointer(s, (*scanner).truth)
		case "capabilities":
			c.Capabilities = pointer(s, (*scanner).capabilities)
		default:
			s.skip()
		}
	}
}

func (s *scanner) capabilities(c *review.Capabilities) {
	for name := range s.members {
		switch string(name) {
		case "add":
			c.Add = s.strings()
		case "drop":
			c.Drop = s.strings()
		default:
			s.skip()
		}
	}
}

func (s *scanner) podSecurityContext(c *review.PodSecurityContext) {
	for name := range s.members {
		switch string(name) {
		case "seccompProfile":
			c.SeccompProfile = pointer(s, (*scanner).seccompProfile)
		default:
			s.skip()
		}
	}
}

func (s *scanner) seccompProfile(p *review.SeccompProfile) {
	for name := range s.members {
		switch string(name) {
		case "type":
			p.Type = s.string()
		case "localhostProfile":
			p.LocalhostProfile = s.string()
		default:
			s.skip()
		}
	}
}

func (s *scanner) volume(v *review.Volume) {
	for name := range s.members {
		switch string(name) {
		case "name":
			v.Name = s.string()
		case "hostPath":
			s.decode(&v.HostPath)
		default:
			s.skip()
		}
	}
}

func (s *scanner) toleration(t *corev1.Toleration) {
	for name := range s.members {
		switch string(name) {
		case "key":
			t.Key = s.string()
		case "operator":
			t.Operator = corev1.TolerationOperator(s.string())
		case "value":
			t.Value = s.string()
		case "effect":
			t.Effect = corev1.TaintEffect(s.string())
		case "tolerationSeconds":
			t.TolerationSeconds = pointer(s, func(s *scanner, v *int64) { *v = s.integer() })
		default:
			s.skip()
		}
	}
}
