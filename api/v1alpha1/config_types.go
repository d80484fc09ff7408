// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WebhookConfig is the file that seccomp-webhook --config names.
type WebhookConfig struct {
	metav1.TypeMeta `json:",inline"`

	// Defaults are the levels of namespaces without labels of ours: privileged,
	// baseline, restricted or strict.
	Defaults ModeDefaults `json:"defaults,omitempty"`
	// DefaultProfile is the name of the profile injected into pods that name none, in
	// namespaces that name none: runtime-default or that of a LocalhostProfile. Empty
	// injects nothing.
	DefaultProfile string `json:"defaultProfile,omitempty"`
	// Exemptions are neither changed nor judged.
	Exemptions Exemptions `json:"exemptions,omitempty"`
	// DryRun makes the whole product observe only: no pod, workload or namespace is denied
	// or changed. Objects of our own kinds are checked all the same. It does not change
	// failurePolicy; the audit-only overlay does.
	DryRun bool `json:"dryRun,omitempty"`
	// MissingProfile says when a profile counts as missing: "any" eligible node lacks it
	// (the default), or "all" do.
	MissingProfile MissingProfile `json:"missingProfile,omitempty"`
	// UnknownNodes says what follows where what a rule asks of the nodes, such as whether a
	// profile is there, is not known: "warn" (the default) or "deny".
	UnknownNodes UnknownNodes `json:"unknownNodes,omitempty"`
	// SteerPods adds the nodeSelector of the LocalhostProfiles that a pod runs under to what
	// the pod requires of nodes, so that it goes to a node that is to have them, and is not
	// refused because others lack them.
	SteerPods bool `json:"steerPods,omitempty"`
	// Limits bound the work.
	Limits Limits `json:"limits,omitempty"`
}

// ModeDefaults are levels by mode; empty means privileged.
type ModeDefaults struct {
	Enforce Level `json:"enforce,omitempty"`
	Warn    Level `json:"warn,omitempty"`
	Audit   Level `json:"audit,omitempty"`
}

// Exemptions name what is exempt, exactly: there are no patterns.
type Exemptions struct {
	// Namespaces by name. The registration's namespaceSelector must list the same.
	Namespaces []string `json:"namespaces,omitempty"`
	// Usernames as the API server authenticated them. Not those of the controllers
	// that make pods for everybody, of nodes or of groups.
	Usernames []string `json:"usernames,omitempty"`
	// RuntimeClasses by name.
	RuntimeClasses []string `json:"runtimeClasses,omitempty"`
}

// MissingProfile is when a profile counts as missing.
type MissingProfile string

// The values of MissingProfile.
const (
	MissingOnAny MissingProfile = "any"
	MissingOnAll MissingProfile = "all"
)

// UnknownNodes is what follows from nodes without facts.
type UnknownNodes string

// The values of UnknownNodes.
const (
	UnknownWarn UnknownNodes = "warn"
	UnknownDeny UnknownNodes = "deny"
)

// Bounds and defaults of Limits.
const (
	// MaxConcurrentRequests is far above what helps: a request in work uses one processor.
	MaxConcurrentRequests = 10_000
	// MaxWaitingRequests keeps what waits, at most 3 MiB each and mostly some KiB, within
	// the memory of a container.
	MaxWaitingRequests     = 100_000
	DefaultWaitingRequests = 1024
	// MinTimeout leaves time for an evaluation, and MaxTimeout is the longest that the
	// API server waits for a webhook.
	MinTimeout     = 100 * time.Millisecond
	MaxTimeout     = 30 * time.Second
	DefaultTimeout = 2500 * time.Millisecond
	// MaxRememberedDecisions takes some hundreds of MiB, with pods of a few containers.
	MaxRememberedDecisions     = 100_000
	DefaultRememberedDecisions = 4096
)

// Limits bound the work of a replica. Zero means the default.
type Limits struct {
	// ConcurrentRequests in work, up to 10000; more wait. Defaults to twice the number
	// of processors.
	ConcurrentRequests int `json:"concurrentRequests,omitempty"`
	// WaitingRequests is how many may wait, up to 100000; further ones are refused at
	// once. Defaults to 1024.
	WaitingRequests int `json:"waitingRequests,omitempty"`
	// Timeout of a request that names none, 100ms to 30s. Defaults to 2500ms: the
	// registration's three seconds less what an answer needs to arrive.
	Timeout metav1.Duration `json:"timeout,omitempty"`
	// RememberedDecisions is how many answers of the rules are kept for pods that look the
	// same to them, up to 100000: one takes 1 to 16 KiB. Absent means 4096, 0 none.
	RememberedDecisions *int `json:"rememberedDecisions,omitempty"`
}

// ControllerConfig is the file that seccomp-controller --config names.
type ControllerConfig struct {
	metav1.TypeMeta `json:",inline"`

	// Certificate is the serving certificate that the controller makes for the webhook,
	// in the flavour that has no other issuer. Absent means that it makes none.
	Certificate *SelfSignedCertificate `json:"certificate,omitempty"`
	// ProfileSetAge is how old a ProfileSet is at least that is removed because no node
	// refers to it, 10s or more. Defaults to 1h. Agents refer to what they make within
	// seconds; less than some minutes is for trials.
	ProfileSetAge metav1.Duration `json:"profileSetAge,omitempty"`
}

// Bounds and defaults of ControllerConfig.
const (
	MinProfileSetAge     = 10 * time.Second
	DefaultProfileSetAge = time.Hour
)

// SelfSignedCertificate says where a self-signed certificate goes.
type SelfSignedCertificate struct {
	// Secret that holds the certificate, as namespace and name.
	Secret ObjectName `json:"secret"`
	// Service that the certificate is for.
	Service ObjectName `json:"service"`
	// Registration is the name of the ValidatingWebhookConfiguration and of the
	// MutatingWebhookConfiguration that get the CA bundle.
	Registration string `json:"registration"`
	// Validity of a certificate, 10s or more. Defaults to 8760h, a year. Less than an hour
	// is for trials: kubelets take up to two minutes to bring a new one to the replicas.
	Validity metav1.Duration `json:"validity,omitempty"`
	// RenewAfter is the age at which a certificate is renewed, 1s or more. Defaults to two
	// thirds of its validity; more would leave too little time to notice that a renewal
	// fails.
	RenewAfter metav1.Duration `json:"renewAfter,omitempty"`
}

// Bounds and defaults of SelfSignedCertificate.
const (
	MinCertificateValidity     = 10 * time.Second
	DefaultCertificateValidity = 365 * 24 * time.Hour
	MinCertificateRenewAfter   = time.Second
)

// ObjectName names an object in a namespace.
type ObjectName struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// AgentConfig is the file that seccomp-agent --config names.
type AgentConfig struct {
	metav1.TypeMeta `json:",inline"`

	// Root is where the host's "/" is mounted. Defaults to "/".
	Root string `json:"root,omitempty"`
	// NodeName is the name of the Node object that the agent runs on. Empty when the
	// command line says it.
	NodeName string `json:"nodeName,omitempty"`
	// Rehash is how often every file is read anew, whatever the file system told, 5s or
	// more. Defaults to 10m.
	Rehash metav1.Duration `json:"rehash,omitempty"`
	// Sweep is how often the pods of the node are asked for the files that no
	// LocalhostProfile wants any more, 10s or more; the first time after a twelfth to a
	// sixth of it. Defaults to 1h.
	Sweep metav1.Duration `json:"sweep,omitempty"`
}

// Bounds and defaults of AgentConfig.
const (
	MinRehash     = 5 * time.Second
	DefaultRehash = 10 * time.Minute
	MinSweep      = 10 * time.Second
	DefaultSweep  = time.Hour
)
