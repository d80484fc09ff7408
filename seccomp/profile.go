// SPDX-License-Identifier: Apache-2.0

// Package seccomp is the domain: what a seccomp profile is and what it does,
// how a pod refers to one, and which one is in effect for a container.
//
// A profile is the seccomp section of the OCI runtime specification as JSON.
// Runtimes read such files generously: they ignore keys that they do not know,
// take the last of two equal keys and start a container without any filter when
// the file holds an empty object. Parse is the opposite: it accepts a file only
// if every runtime gives it the one meaning that its text shows.
package seccomp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// MaxProfileSize bounds a profile file in bytes. The largest profile that a
// runtime ships is below 20 KiB; containerd itself reads a file of any size.
const MaxProfileSize = 256 << 10

// Profile is a profile that Parse has accepted; there is no other way to make
// one, so that code which holds a Profile need not doubt it.
type Profile struct {
	oci specs.LinuxSeccomp
}

// OCI returns the content in the types of the runtime specification. Empty lists
// are nil. The caller must not change it.
func (p *Profile) OCI() *specs.LinuxSeccomp { return &p.oci }

// Marshal returns the canonical text: the bytes that are written to nodes, so
// that equal profiles have equal digests. Keys are in the order of the runtime
// specification, indented by two spaces, with a newline at the end; a profile
// that would outgrow MaxProfileSize in that form is written without spaces.
// Parse reads it back as the same profile.
func (p *Profile) Marshal() []byte {
	text := p.encode("  ")
	if len(text) > MaxProfileSize {
		return p.encode("")
	}
	return text
}

func (p *Profile) encode(indent string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	// The file is read by runtimes, never by a browser: listenerMetadata stays as
	// it was written.
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	// The types hold only strings, numbers and slices of them: nothing that the
	// encoder can refuse, and a bytes.Buffer takes every write.
	_ = enc.Encode(&p.oci)
	return buf.Bytes()
}

// Digest names content: "sha256:" and 64 hexadecimal digits.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return digestPrefix + hex.EncodeToString(sum[:])
}

const digestPrefix = "sha256:"
