// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// actionsAvail lists the kernel's filter actions, strictest first.
const actionsAvail = "proc/sys/kernel/seccomp/actions_avail"

// kernel reads which filter actions the kernel has.
type kernel struct{}

func (kernel) Name() string { return "kernel" }

func (kernel) Collect(host *Host, facts *v1alpha1.NodeFacts) error {
	data, err := host.ReadFile(actionsAvail, maxKernelFile)
	if err != nil {
		return fmt.Errorf("read filter actions: %w", err)
	}
	facts.ActionsAvail = strings.Fields(string(data))
	return nil
}
