// SPDX-License-Identifier: Apache-2.0

// Package oracle holds tests that compare what seccompgate says of profiles with runc's
// own code, libseccomp and the kernel. It is a module of its own, because it needs cgo
// and libseccomp's headers:
//
//	go test -tags libseccomp,seccomp ./...
package oracle
