# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.weaker_than_default_test

import data.seccompgate.rules.weaker_than_default

test_weaker if {
	deny := weaker_than_default.deny with input as _pod([{"syscall": "keyctl", "unlessCapability": []}], {})
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": profile \"app.json\" lets through what the runtime's default blocks for it: keyctl; take them out",
	}}
}

test_many if {
	beyond := [{"syscall": name, "unlessCapability": []} | some name in ["g", "f", "e", "d", "c", "b", "a"]]
	some finding in weaker_than_default.deny with input as _pod(beyond, {})
	finding.message == "container \"app\": profile \"app.json\" lets through what the runtime's default blocks for it: a, b, c, d, e and 2 more; take them out"
}

_needs_admin := [{"syscall": "mount", "unlessCapability": ["CAP_SYS_ADMIN"]}]

_needs_chroot := [{"syscall": "chroot", "unlessCapability": ["CAP_SYS_CHROOT"]}]

test_a_capability_excuses if {
	every add in [["SYS_ADMIN"], ["CAP_SYS_ADMIN"], ["sys_admin"]] {
		every drop in [[], ["ALL"], ["NET_ADMIN"]] {
			weaker_than_default.deny == set() with input as _pod(_needs_admin, {"capabilities": {"add": add, "drop": drop}})
		}
	}
	count(weaker_than_default.deny) == 1 with input as _pod(_needs_admin, {"capabilities": {"add": ["NET_ADMIN"], "drop": []}})
	count(weaker_than_default.deny) == 1 with input as _pod([{"syscall": "keyctl", "unlessCapability": []}], {"capabilities": {"add": ["ALL"], "drop": []}})
}

test_all_capabilities_but_what_is_dropped if {
	every add in ["ALL", "all", "CAP_ALL"] {
		every drop in [[], ["NET_ADMIN"]] {
			weaker_than_default.deny == set() with input as _pod(_needs_admin, {"capabilities": {"add": [add], "drop": drop}})
		}
		every drop in ["ALL", "SYS_ADMIN", "CAP_SYS_ADMIN"] {
			count(weaker_than_default.deny) == 1 with input as _pod(_needs_admin, {"capabilities": {"add": [add], "drop": [drop]}})
		}
	}
}

test_what_is_added_and_dropped_is_dropped if {
	capabilities := {"add": ["SYS_ADMIN"], "drop": ["SYS_ADMIN"]}
	count(weaker_than_default.deny) == 1 with input as _pod(_needs_admin, {"capabilities": capabilities})
}

test_a_call_is_named_once if {
	beyond := [{"syscall": "bpf", "unlessCapability": ["CAP_BPF"]}, {"syscall": "bpf", "unlessCapability": ["CAP_SYS_ADMIN"]}]
	some finding in weaker_than_default.deny with input as _pod(beyond, {})
	contains(finding.message, "blocks for it: bpf; take")
}

test_any_of_several_excuses if {
	beyond := [{"syscall": "bpf", "unlessCapability": ["CAP_BPF", "CAP_SYS_ADMIN"]}]
	weaker_than_default.deny == set() with input as _pod(beyond, {"capabilities": {"add": ["BPF"], "drop": []}})
}

test_what_a_container_has_anyway if {
	weaker_than_default.deny == set() with input as _pod(_needs_chroot, {})
	weaker_than_default.deny == set() with input as _pod(_needs_chroot, {"capabilities": {"add": ["CHOWN"], "drop": ["CHOWN"]}})
	every drop in [["SYS_CHROOT"], ["CAP_SYS_CHROOT"], ["ALL"], ["all"]] {
		count(weaker_than_default.deny) == 1 with input as _pod(_needs_chroot, {"capabilities": {"add": [], "drop": drop}})
	}
}

test_every_fault_has_one_rule if {
	beyond := [{"syscall": "keyctl", "unlessCapability": []}]
	weaker_than_default.deny == set() with input as object.union(_pod(beyond, {}), {"profiles": {"app.json": {"permissive": true}}})
	weaker_than_default.deny == set() with input as object.union(_pod(beyond, {}), {"profiles": {"app.json": {"valid": false}}})
	weaker_than_default.deny == set() with input as object.union(_pod(beyond, {}), {"os": "windows"})
	weaker_than_default.deny == set() with input as _pod([], {})
}

_pod(beyond, container) := {
	"os": "linux",
	"containers": [object.union(
		{
			"name": "app",
			"declared": {"field": "field of app"},
			"profile": {"localhostProfile": "app.json"},
			"capabilities": {"add": [], "drop": []},
		},
		container,
	)],
	"profiles": {"app.json": {"valid": true, "permissive": false, "beyondDefault": beyond}},
}
