// SPDX-License-Identifier: Apache-2.0

package review

import (
	"path"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"

	"github.com/seccompgate/seccompgate/seccomp"
)

// Object is the part of any reviewed object that a decision rests on. One type serves
// all kinds, so that an AdmissionReview is decoded in one pass before its kind is known;
// fields that a kind does not have stay empty.
type Object struct {
	Kind     string   `json:"kind"`
	Metadata Metadata `json:"metadata"`
	Spec     Spec     `json:"spec"`
	// Template is that of a PodTemplate.
	Template *Template `json:"template"`
}

// Metadata of an object or of a pod template.
type Metadata struct {
	Name         string            `json:"name"`
	GenerateName string            `json:"generateName"`
	Namespace    string            `json:"namespace"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
}

// Spec is a pod's own, or that of a workload, which holds a template.
type Spec struct {
	PodSpec
	// Template of every workload kind but CronJob.
	Template *Template `json:"template"`
	// JobTemplate of a CronJob.
	JobTemplate *struct {
		Spec struct {
			Template *Template `json:"template"`
		} `json:"spec"`
	} `json:"jobTemplate"`
}

// Template is a pod template.
type Template struct {
	Metadata Metadata `json:"metadata"`
	Spec     PodSpec  `json:"spec"`
}

// PodSpec is the part of a pod that decides on its profiles and on its nodes.
type PodSpec struct {
	InitContainers      []Container         `json:"initContainers"`
	Containers          []Container         `json:"containers"`
	EphemeralContainers []Container         `json:"ephemeralContainers"`
	SecurityContext     *PodSecurityContext `json:"securityContext"`
	OS                  *OS                 `json:"os"`
	RuntimeClassName    string              `json:"runtimeClassName"`
	Volumes             []Volume            `json:"volumes"`
	NodeName            string              `json:"nodeName"`
	NodeSelector        map[string]string   `json:"nodeSelector"`
	Affinity            *Affinity           `json:"affinity"`
	Tolerations         []corev1.Toleration `json:"tolerations"`
}

// Container of any of the three lists.
type Container struct {
	Name            string           `json:"name"`
	Image           string           `json:"image"`
	RestartPolicy   string           `json:"restartPolicy"`
	SecurityContext *SecurityContext `json:"securityContext"`
	// VolumeMounts are decoded only for a pod that has a hostPath volume.
	VolumeMounts jsontext.Value `json:"volumeMounts"`
}

// SecurityContext of a container.
type SecurityContext struct {
	SeccompProfile           *SeccompProfile `json:"seccompProfile"`
	Privileged               bool            `json:"privileged"`
	AllowPrivilegeEscalation *bool           `json:"allowPrivilegeEscalation"`
	Capabilities             *Capabilities   `json:"capabilities"`
}

// Capabilities that a container adds and drops.
type Capabilities struct {
	Add  []string `json:"add"`
	Drop []string `json:"drop"`
}

// PodSecurityContext is the pod's own.
type PodSecurityContext struct {
	SeccompProfile *SeccompProfile `json:"seccompProfile"`
}

// SeccompProfile is the field that everything is about.
type SeccompProfile struct {
	Type             string `json:"type"`
	LocalhostProfile string `json:"localhostProfile"`
}

// OS is spec.os.
type OS struct {
	Name string `json:"name"`
}

// Volume of a pod; only hostPath is of interest.
type Volume struct {
	Name     string `json:"name"`
	HostPath *struct {
		Path string `json:"path"`
	} `json:"hostPath"`
}

// Affinity of a pod; only what is required of nodes is of interest.
type Affinity struct {
	NodeAffinity *NodeAffinity `json:"nodeAffinity"`
}

// NodeAffinity is what a pod asks of nodes.
type NodeAffinity struct {
	Required *corev1.NodeSelector `json:"requiredDuringSchedulingIgnoredDuringExecution"`
}

// volumeMount of a container.
type volumeMount struct {
	Name              string `json:"name"`
	MountPath         string `json:"mountPath"`
	ReadOnly          bool   `json:"readOnly"`
	RecursiveReadOnly string `json:"recursiveReadOnly"`
	SubPath           string `json:"subPath"`
}

// Kinds of objects that are or make pods, and the bindings that annotate them.
const (
	kindPod     = "Pod"
	kindBinding = "Binding"
)

// Workload is the pod that an object is or would make.
type Workload struct {
	// Kind of the object that it came from.
	Kind string
	Meta *Metadata
	Spec *PodSpec
	// meta and spec are the paths of Meta and Spec in the object.
	meta, spec string
}

// WorkloadKinds are the kinds that make pods, by API group and resource. The
// registration lists the same ones; a test compares them.
func WorkloadKinds() []GroupResource {
	return []GroupResource{
		{"", "podtemplates", "PodTemplate"},
		{"", "replicationcontrollers", "ReplicationController"},
		{"apps", "daemonsets", "DaemonSet"},
		{"apps", "deployments", "Deployment"},
		{"apps", "replicasets", "ReplicaSet"},
		{"apps", "statefulsets", "StatefulSet"},
		{"batch", "cronjobs", "CronJob"},
		{"batch", "jobs", "Job"},
	}
}

// GroupResource names a kind.
type GroupResource struct{ Group, Resource, Kind string }

// Extract finds the pod in an object of the kind. It is false for a kind that makes no
// pods, and for a workload without a template.
func Extract(kind string, o *Object) (Workload, bool) {
	if o == nil {
		return Workload{}, false
	}
	of := func(t *Template, field string) (Workload, bool) {
		if t == nil {
			return Workload{}, false
		}
		return Workload{Kind: kind, Meta: &t.Metadata, Spec: &t.Spec, meta: field + ".metadata", spec: field + ".spec"}, true
	}
	switch kind {
	case kindPod:
		return Workload{Kind: kind, Meta: &o.Metadata, Spec: &o.Spec.PodSpec, meta: "metadata", spec: "spec"}, true
	case "PodTemplate":
		return of(o.Template, "template")
	case "Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job":
		return of(o.Spec.Template, "spec.template")
	case "CronJob":
		if o.Spec.JobTemplate == nil {
			return Workload{}, false
		}
		return of(o.Spec.JobTemplate.Spec.Template, "spec.jobTemplate.spec.template")
	default:
		return Workload{}, false
	}
}

// DisplayName is what a person would call the object: generateName stands where the API
// server has not made a name yet.
func (m *Metadata) DisplayName() string {
	if m.Name == "" && m.GenerateName != "" {
		return m.GenerateName + "*"
	}
	return m.Name
}

func (w *Workload) name() string {
	if w.Meta == nil {
		return ""
	}
	return w.Meta.DisplayName()
}

func (s *PodSpec) os() string {
	if s.OS == nil {
		return ""
	}
	return s.OS.Name
}

func (s *PodSpec) seccompProfile() *SeccompProfile {
	if s.SecurityContext == nil {
		return nil
	}
	return s.SecurityContext.SeccompProfile
}

func (s *PodSpec) requiredAffinity() *corev1.NodeSelector {
	if s.Affinity == nil || s.Affinity.NodeAffinity == nil {
		return nil
	}
	return s.Affinity.NodeAffinity.Required
}

func (c *Container) seccompProfile() *SeccompProfile {
	if c.SecurityContext == nil {
		return nil
	}
	return c.SecurityContext.SeccompProfile
}

func (c *Container) privileged() bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged
}

// containerList is one of the three lists of containers of a pod.
type containerList struct {
	name       string
	kind       string
	containers []Container
}

// lists are the containers in the order in which findings are shown.
func (s *PodSpec) lists() [3]containerList {
	return [3]containerList{
		{"initContainers", "init", s.InitContainers},
		{"containers", "container", s.Containers},
		{"ephemeralContainers", "ephemeral", s.EphemeralContainers},
	}
}

// element is the path of an item of a list in the spec. Those of pods are made once.
func element(spec, list string, i int) string {
	if spec == "spec" {
		if known := podElements[list]; i < len(known) {
			return known[i]
		}
	}
	return spec + "." + list + "[" + strconv.Itoa(i) + "]"
}

var podElements = func() map[string][]string {
	m := make(map[string][]string)
	for _, list := range []string{"containers", "initContainers"} {
		for i := range 32 {
			m[list] = append(m[list], "spec."+list+"["+strconv.Itoa(i)+"]")
		}
	}
	return m
}()

// mounted is where a mount of a host path really leads.
func mounted(hostPath, subPath string) string {
	return path.Join("/", hostPath, subPath)
}

// LocalhostProfiles are the paths that containers of the pod will run under, in order and
// with repetitions.
func (w *Workload) LocalhostProfiles() []string {
	var paths []string
	for _, list := range w.Spec.lists() {
		for i := range list.containers {
			c := &list.containers[i]
			effective := seccomp.Resolve(w.Spec.seccompProfile().ref(), c.seccompProfile().ref(), c.privileged())
			if effective.Ref.Type == seccomp.Localhost {
				paths = append(paths, effective.Ref.Path)
			}
		}
	}
	return paths
}
