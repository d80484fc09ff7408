// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion of all kinds in this package.
var GroupVersion = schema.GroupVersion{Group: "seccompgate.io", Version: "v1alpha1"}

// AddToScheme makes the scheme know the kinds that an API server stores.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(
		GroupVersion,
		&LocalhostProfile{}, &LocalhostProfileList{},
		&ProfileSet{}, &ProfileSetList{},
		&SeccompNode{}, &SeccompNodeList{},
		&SeccompPolicy{}, &SeccompPolicyList{},
		&SyscallRecording{}, &SyscallRecordingList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
