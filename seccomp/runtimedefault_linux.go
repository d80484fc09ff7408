// SPDX-License-Identifier: Apache-2.0

package seccomp

import moby "github.com/moby/profiles/seccomp"

func mobyDefault() (*moby.Seccomp, error) { return moby.DefaultProfile(), nil }
