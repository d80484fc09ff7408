// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"cmp"
	"runtime"
	"time"
)

// Default sets what is not set.
func (c *WebhookConfig) Default() {
	c.Defaults.Enforce = cmp.Or(c.Defaults.Enforce, LevelPrivileged)
	c.Defaults.Warn = cmp.Or(c.Defaults.Warn, LevelPrivileged)
	c.Defaults.Audit = cmp.Or(c.Defaults.Audit, LevelPrivileged)
	c.MissingProfile = cmp.Or(c.MissingProfile, MissingOnAny)
	c.UnknownNodes = cmp.Or(c.UnknownNodes, UnknownWarn)
	c.Limits.ConcurrentRequests = cmp.Or(c.Limits.ConcurrentRequests, 2*runtime.GOMAXPROCS(0))
	c.Limits.WaitingRequests = cmp.Or(c.Limits.WaitingRequests, DefaultWaitingRequests)
	c.Limits.Timeout.Duration = cmp.Or(c.Limits.Timeout.Duration, DefaultTimeout)
	c.Limits.RememberedDecisions = cmp.Or(c.Limits.RememberedDecisions, new(DefaultRememberedDecisions))
}

// Default sets what is not set. A certificate is made only where the file says so.
func (c *ControllerConfig) Default() {
	if s := c.Certificate; s != nil {
		s.Validity.Duration = cmp.Or(s.Validity.Duration, DefaultCertificateValidity)
		s.RenewAfter.Duration = cmp.Or(s.RenewAfter.Duration, s.latestRenewal())
	}
}

// latestRenewal leaves a third of the validity.
func (s *SelfSignedCertificate) latestRenewal() time.Duration { return s.Validity.Duration / 3 * 2 }

// Default sets what is not set.
func (c *AgentConfig) Default() {
	c.Root = cmp.Or(c.Root, "/")
	c.Rehash.Duration = cmp.Or(c.Rehash.Duration, DefaultRehash)
	c.Sweep.Duration = cmp.Or(c.Sweep.Duration, DefaultSweep)
}
