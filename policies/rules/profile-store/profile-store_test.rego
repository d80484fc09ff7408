# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.profile_store_test

import data.seccompgate.rules.profile_store

test_directory_parents_and_parts if {
	every path in {
		"/",
		"/var",
		"/var/lib",
		"/var/lib/kubelet",
		"/var/lib/kubelet/seccomp",
		"/var/lib/kubelet/seccomp/seccompgate",
		"/var/lib/kubelet/seccomp/app.json",
	} {
		deny := profile_store.deny with input as _pod(path, false)
		deny == _says(path, "/var/lib/kubelet/seccomp")
	}
}

test_links_of_a_process if {
	every path in {
		"/proc/1/root",
		"/proc/1/root/var/lib/kubelet/seccomp",
		"/proc/self/cwd",
		"/proc/thread-self/root/var",
		"/proc/1/task/1/root",
		"/proc/1/fd/9",
	} {
		deny := profile_store.deny with input as _pod(path, false)
		deny == _says(path, "/var/lib/kubelet/seccomp")
		profile_store.deny == _doubts(path) with input as _pod(path, true)
		profile_store.deny == set() with input as _recursive(path)
	}
}

test_another_root_of_a_node if {
	deny := profile_store.deny with input as object.union(_pod("/data/kubelet", false), {"nodes": {"seccompRoots": ["/data/kubelet/seccomp"]}})
	deny == _says("/data/kubelet", "/data/kubelet/seccomp")
}

test_one_finding_for_several_roots if {
	deny := profile_store.deny with input as object.union(_pod("/", false), {"nodes": {"seccompRoots": ["/data/kubelet/seccomp", "/var/lib/kubelet/seccomp"]}})
	deny == _says("/", "/data/kubelet/seccomp, /var/lib/kubelet/seccomp")
}

test_beside_it if {
	every path in {"/var/lib/kubelet/pods", "/var/lib/kubelet/seccomp-logs", "/var/li", "/etc", "/proc", "/proc/sys/net", "/proc/1/rootfs"} {
		profile_store.deny == set() with input as _pod(path, false)
	}
}

test_read_only if {
	every path in {"/var/lib/kubelet/seccomp", "/var/lib/kubelet/seccomp/app.json", "/var/lib/kubelet/pods"} {
		profile_store.deny == set() with input as _pod(path, true)
	}
}

test_read_only_parent if {
	every path in {"/", "/var", "/var/lib/kubelet"} {
		profile_store.deny == _doubts(path) with input as _pod(path, true)
		profile_store.deny == set() with input as _recursive(path)
	}
}

test_windows_is_exempt if {
	profile_store.deny == set() with input as object.union(_pod("/var/lib/kubelet", false), {"os": "windows"})
}

_says(path, roots) := {{
	"container": "app",
	"field": "spec.containers[0].volumeMounts[0]",
	"unknown": false,
	"message": sprintf("container \"app\": volume \"host\" mounts host path %q for writing, which reaches the seccomp profiles of the node (%s); mount it read-only", [path, roots]),
}}

_doubts(path) := {{
	"container": "app",
	"field": "spec.containers[0].volumeMounts[0]",
	"unknown": true,
	"message": sprintf("container \"app\": volume \"host\" mounts host path %q read-only, and not what is mounted below it: seccomp profiles of the node (/var/lib/kubelet/seccomp) may be writable; set recursiveReadOnly: Enabled", [path]),
}}

_recursive(path) := json.patch(_pod(path, true), [{"op": "replace", "path": "/hostPaths/0/recursiveReadOnly", "value": true}])

_pod(path, read_only) := {
	"os": "linux",
	"nodes": {"seccompRoots": []},
	"hostPaths": [{
		"path": path,
		"container": "app",
		"readOnly": read_only,
		"recursiveReadOnly": false,
		"volume": "host",
		"field": "spec.containers[0].volumeMounts[0]",
	}],
}
