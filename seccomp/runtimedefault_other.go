// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package seccomp

import (
	"errors"

	moby "github.com/moby/profiles/seccomp"
)

// mobyDefault fails: Moby's package has the profile on Linux only.
func mobyDefault() (*moby.Seccomp, error) {
	return nil, errors.New("the runtime's default profile is known to Linux builds only; run this in a container")
}
