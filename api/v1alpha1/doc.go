// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the Kubernetes API of seccompgate: the kinds of the
// group seccompgate.io, the labels and annotations that users write, the levels
// and modes, and the component-config files of the binaries.
//
// +kubebuilder:object:generate=true
// +groupName=seccompgate.io
package v1alpha1
