// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

// Profile is what a node is to have of one LocalhostProfile. Without Content nothing is
// known but that the profile exists: what lies under its name stays as it is.
type Profile struct {
	Name    string
	Content []byte
	// Digest of Content, as [seccomp.Digest] writes it.
	Digest string
}

// Content returns the file that a LocalhostProfile makes on every node: the canonical
// text, so that equal profiles have equal digests. The error says what is wrong with
// spec.profile; the Profile that comes with it has a name and no content.
func Content(l *v1alpha1.LocalhostProfile) (Profile, error) {
	p := Profile{Name: l.Name}
	data, err := json.Marshal(&l.Spec.Profile)
	if err != nil {
		return p, fmt.Errorf("encode profile: %w", err)
	}
	parsed, err := seccomp.Parse(data)
	if err != nil {
		if parse := (*seccomp.ParseError)(nil); errors.As(err, &parse) {
			for i := range parse.Problems {
				parse.Problems[i].Line = 0 // that of a text which nobody sees
			}
		}
		return p, fmt.Errorf("spec.profile: %w", err)
	}
	p.Content = parsed.Marshal()
	p.Digest = seccomp.Digest(p.Content)
	return p, nil
}
