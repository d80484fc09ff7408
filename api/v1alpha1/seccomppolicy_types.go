// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SeccompPolicy is a user's rules, their parameters, and exceptions from any rule.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=scp,categories=seccompgate
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SeccompPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   SeccompPolicySpec   `json:"spec"`
	Status SeccompPolicyStatus `json:"status,omitempty"`
}

// SeccompPolicyList is a list of SeccompPolicy.
//
// +kubebuilder:object:root=true
type SeccompPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SeccompPolicy `json:"items"`
}

// SeccompPolicySpec is what the user supplies.
type SeccompPolicySpec struct {
	// Rules are Rego modules; each is one rule or a library. Those of one policy compile
	// without those of others; packages are not shared. While they do not compile, those
	// that the policy had before stay in use.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Rules []RegoModule `json:"rules,omitempty"`
	// Parameters are seen by the rules of all policies as input.parameters. A name belongs
	// to one policy.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, size(key) <= 63 && size(self[key]) <= 4096)",message="a parameter's name has at most 63 characters and its value at most 4096"
	Parameters map[string]string `json:"parameters,omitempty"`
	// Exceptions excuse findings. An excused finding is shown as such, never dropped.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Exceptions []PolicyException `json:"exceptions,omitempty"`
}

// RegoModule is one file of Rego.
type RegoModule struct {
	// Name of the file, for messages; it ends in ".rego".
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?\.rego$`
	Name string `json:"name"`
	// Rego is the text of the module.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	Rego string `json:"rego"`
}

// PolicyException excuses the findings of some rules for some pods, for a time.
type PolicyException struct {
	// Rules are the ids of the rules whose findings are excused.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Rules []string `json:"rules"`
	// Namespaces that the exception is for; empty means all.
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces,omitempty"`
	// PodSelector chooses pods by label; empty means all. Whoever makes a pod chooses its
	// labels: who may use the exception is said by namespaces.
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
	// Reason is shown with every excused finding, in one line.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason"`
	// Expires is when the exception ends by itself. Pods that run then go on running.
	Expires metav1.Time `json:"expires"`
}

// SeccompPolicyStatus is what became of the rules.
type SeccompPolicyStatus struct {
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
