// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SyscallRecording says which pods of its namespace have their syscalls recorded,
// until when, and what was seen.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=scr,categories=seccompgate
// +kubebuilder:printcolumn:name="Until",type=string,JSONPath=`.spec.until`
// +kubebuilder:printcolumn:name="Lost",type=integer,JSONPath=`.status.lost`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SyscallRecording struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   SyscallRecordingSpec   `json:"spec"`
	Status SyscallRecordingStatus `json:"status,omitempty"`
}

// SyscallRecordingList is a list of SyscallRecording.
//
// +kubebuilder:object:root=true
type SyscallRecordingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SyscallRecording `json:"items"`
}

// MaxRecording is how long a recording may last: what is recorded may be weaker than
// what is enforced, and a forgotten recording would stay so for ever.
const MaxRecording = 7 * 24 * time.Hour

// SyscallRecordingSpec chooses pods and an end.
type SyscallRecordingSpec struct {
	// PodSelector chooses the pods by label. It does not change: what was seen belongs
	// to the pods that were chosen.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the pods of a recording do not change; create another recording"
	PodSelector metav1.LabelSelector `json:"podSelector"`
	// Until is when the recording ends, at most seven days after it began. An earlier
	// time ends it.
	Until metav1.Time `json:"until"`
}

// SyscallRecordingStatus is what was seen and what was lost.
type SyscallRecordingStatus struct {
	// Containers that were recorded.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Containers []RecordedContainer `json:"containers,omitempty"`
	// Lost counts kernel records that did not arrive.
	// +kubebuilder:validation:Minimum=0
	Lost int64 `json:"lost,omitempty"`
	// Unattributed counts records of which the container is not known.
	// +kubebuilder:validation:Minimum=0
	Unattributed int64 `json:"unattributed,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RecordedContainer is what one container was seen to call.
type RecordedContainer struct {
	// Name of the container in the pods.
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Syscalls by name, sorted.
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	Syscalls []string `json:"syscalls,omitempty"`
}
