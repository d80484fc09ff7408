# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Annotations that reach the runtime's filter
# description: |
#   Keys by which a runtime can be told to use another seccomp filter or none. The webhook
#   reads the same lists to tell whether an UPDATE changes one of them.
# related_resources:
#   - ref: https://github.com/containers/crun/blob/main/crun.1.md
#   - ref: https://github.com/cri-o/cri-o/blob/main/pkg/annotations/annotations.go
#   - ref: https://github.com/google/gvisor/blob/master/runsc/specutils/specutils.go
#   - ref: https://github.com/kata-containers/kata-containers/blob/main/docs/how-to/how-to-set-sandbox-config-kata.md
package seccompgate.lib.annotations

# Prefixes, because a key may end in a container's name. Kata Containers and gVisor stand
# here with all that configures the sandbox: another configuration file, kernel, agent or
# flag decides on the filter as well as the key that speaks of it. So do crun's handlers and
# CRI-O's choice of the runtime: another program than the one that is known applies it.
prefixes := [
	"run.oci.seccomp",
	"run.oci.handler",
	"seccomp-profile.crio.io",
	"platform-runtime-path.crio.io",
	"seccomp-notifier-action.crio.io",
	"seccomp-profile.kubernetes.cri-o.io",
	"io.kubernetes.cri-o.seccomp",
	"io.katacontainers.config",
	"dev.gvisor.flag.",
	"dev.gvisor.bundle.",
	"dev.gvisor.container-name-remap.",
	"dev.gvisor.internal.",
]

# The fields replaced these in Kubernetes 1.19; only their value "unconfined" counts.
alpha := [
	"seccomp.security.alpha.kubernetes.io/pod",
	"container.seccomp.security.alpha.kubernetes.io/",
]

all := array.concat(prefixes, alpha)
