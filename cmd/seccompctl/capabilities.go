// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seccompgate/seccompgate/seccomp"
)

// capabilityNames are those of the kernel, by number. A test compares them with those of
// golang.org/x/sys, which has no names to be read, and none on other systems than Linux.
var capabilityNames = []string{
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
}

// parseCapability reads the name of a capability as the kernel or as Kubernetes writes it.
func parseCapability(text string) (string, error) {
	name := strings.ToUpper(strings.TrimSpace(text))
	if !strings.HasPrefix(name, "CAP_") {
		name = "CAP_" + name
	}
	if slices.Contains(capabilityNames, name) {
		return name, nil
	}
	remedy := "write names such as CAP_SYS_ADMIN, with commas between several"
	if near := seccomp.Nearest(name, capabilityNames, 1); len(near) > 0 {
		remedy = fmt.Sprintf("did you mean %q?", near[0])
	}
	return "", fmt.Errorf("--capabilities: unknown capability %q; %s", text, remedy)
}
