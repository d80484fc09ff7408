# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.profile_annotation_test

import data.seccompgate.rules.profile_annotation

test_each_runtime if {
	every key in {
		"run.oci.seccomp_bpf_data",
		"run.oci.seccomp.receiver",
		"run.oci.seccomp.plugins",
		"seccomp-profile.crio.io",
		"seccomp-profile.crio.io/POD",
		"seccomp-profile.kubernetes.cri-o.io/app",
		"seccomp-notifier-action.crio.io",
		"io.kubernetes.cri-o.seccompNotifierAction",
		"io.katacontainers.config.runtime.disable_guest_seccomp",
		"io.katacontainers.config_path",
		"dev.gvisor.flag.oci-seccomp",
		"dev.gvisor.internal.seccomp.app",
		"dev.gvisor.bundle.loose",
		"dev.gvisor.container-name-remap.0",
		"platform-runtime-path.crio.io",
		"run.oci.handler",
	} {
		deny := profile_annotation.deny with input as _pod("linux", {key: "anything"})
		deny == _says(key, "")
	}
}

test_alpha_unconfined if {
	every key in {
		"seccomp.security.alpha.kubernetes.io/pod",
		"container.seccomp.security.alpha.kubernetes.io/app",
	} {
		deny := profile_annotation.deny with input as _pod("linux", {key: "unconfined"})
		deny == _says(key, "")
		profile_annotation.deny == set() with input as _pod("linux", {key: "runtime/default"})
	}
}

test_in_a_template if {
	pod := object.union(_pod("linux", {"run.oci.seccomp_bpf_data": "AAAA"}), {"pod": {"profile": {"field": "spec.template.spec.securityContext.seccompProfile"}}})
	deny := profile_annotation.deny with input as pod
	deny == _says("run.oci.seccomp_bpf_data", "spec.template.")
}

test_added_by_a_binding if {
	binding := object.union(_pod("", {"run.oci.seccomp_bpf_data": "AAAA"}), {"pod": {"profile": {"field": ""}}})
	deny := profile_annotation.deny with input as binding
	deny == _says("run.oci.seccomp_bpf_data", "")
}

test_others if {
	profile_annotation.deny == set() with input as _pod("linux", {
		"run.oci.keep_original_groups": "1",
		"devices.crio.io": "/dev/fuse",
		"dev.gvisor.spec.mount.data.type": "bind",
		"seccompgate.io/localhost-profile": "unconfined",
	})
}

test_windows_is_exempt if {
	profile_annotation.deny == set() with input as _pod("windows", {"run.oci.seccomp_bpf_data": "AAAA"})
}

_says(key, template) := {{
	"container": "",
	"field": sprintf("%smetadata.annotations[%s]", [template, key]),
	"message": sprintf("annotation %q can replace or disable the seccomp filter on the node; remove it and set seccompProfile", [key]),
}}

_pod(os, annotations) := {
	"os": os,
	"annotations": annotations,
	"pod": {"profile": {"field": "spec.securityContext.seccompProfile"}},
}
