// SPDX-License-Identifier: Apache-2.0

//go:build race

package webhook

// allocationFactor: the race detector makes memory of its own.
const allocationFactor = 2
