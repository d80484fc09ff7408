# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.unset_test

import data.seccompgate.rules.unset

test_no_nodes_known if {
	unset.deny == _says("and what the kubelet sets then is unknown") with input as _pod(0, 0)
}

test_no_node_sets_seccomp_default if {
	unset.deny == _says("so it runs Unconfined (no node it may use is known to set seccompDefault)") with input as _pod(3, 0)
}

test_some_nodes_set_seccomp_default if {
	unset.deny == _says("so it runs Unconfined except on the 1 of 3 nodes known to set seccompDefault") with input as _pod(3, 1)
}

test_all_nodes_set_seccomp_default if {
	unset.deny == _says("and only seccompDefault of the kubelets gives it a filter on the 3 nodes it may use") with input as _pod(3, 3)
}

test_a_known_request_does_not_silence if {
	pod := json.patch(_pod(0, 0), [{"op": "add", "path": "/containers/0/requested", "value": {"known": true}}])
	unset.deny == _says("and what the kubelet sets then is unknown") with input as pod
}

test_explained_by_unknown_profile if {
	pod := json.patch(_pod(0, 0), [{"op": "add", "path": "/containers/0/requested", "value": {"known": false}}])
	unset.deny == set() with input as pod
}

test_windows_is_exempt if {
	unset.deny == set() with input as object.union(_pod(0, 0), {"os": "windows"})
}

test_set if {
	every type in {"Unconfined", "RuntimeDefault", "Localhost"} {
		pod := json.patch(_pod(0, 0), [{"op": "replace", "path": "/containers/0/declared/type", "value": type}])
		unset.deny == set() with input as pod
	}
}

_says(what) := {{
	"container": "app",
	"field": "field of app",
	"message": sprintf("container \"app\": no seccompProfile is set on the container or the pod, %s; set RuntimeDefault or Localhost, or the label seccompgate.io/profile", [what]),
}}

_pod(eligible, with_default) := {
	"os": "linux",
	"nodes": {"eligible": eligible, "seccompDefault": {"count": with_default}},
	"containers": [{"name": "app", "declared": {"type": "", "field": "field of app"}}],
}
