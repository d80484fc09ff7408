// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SyscallRecording says which pods of its namespace have their syscalls recorded,
// until when, and what was seen.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=scr,categories=seccompgate
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

// SyscallRecordingSpec chooses pods and an end.
type SyscallRecordingSpec struct {
	// PodSelector chooses the pods by label.
	PodSelector metav1.LabelSelector `json:"podSelector"`
	// Until is when the recording ends, at most seven days after it began.
	Until metav1.Time `json:"until"`
}

// SyscallRecordingStatus is what was seen and what was lost.
type SyscallRecordingStatus struct {
	// Containers that were recorded.
	// +listType=map
	// +listMapKey=name
	Containers []RecordedContainer `json:"containers,omitempty"`
	// Lost counts kernel records that did not arrive.
	Lost int64 `json:"lost,omitempty"`
	// Unattributed counts records of which the container is not known.
	Unattributed int64 `json:"unattributed,omitempty"`
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RecordedContainer is what one container was seen to call.
type RecordedContainer struct {
	// Name of the container in the pods.
	Name string `json:"name"`
	// Syscalls by name, sorted.
	// +listType=set
	Syscalls []string `json:"syscalls,omitempty"`
}
