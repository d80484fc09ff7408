// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateLocalhostProfile says what is wrong with the object beyond its schema.
func ValidateLocalhostProfile(p *LocalhostProfile) field.ErrorList { return nil }

// ValidateSeccompNode says what is wrong with the object beyond its schema.
func ValidateSeccompNode(n *SeccompNode) field.ErrorList { return nil }

// ValidateProfileSet says what is wrong with the object beyond its schema.
func ValidateProfileSet(s *ProfileSet) field.ErrorList { return nil }
