# SPDX-License-Identifier: Apache-2.0

package seccompgate.rules.localhost_required_test

import data.seccompgate.rules.localhost_required

test_runtime_default if {
	deny := localhost_required.deny with input as _pod("RuntimeDefault")
	deny == {{
		"container": "app",
		"field": "field of app",
		"message": "container \"app\": the profile is the runtime's default; name a Localhost profile that is made for it",
	}}
}

test_other_types_have_rules_of_their_own if {
	every type in ["Localhost", "Unconfined", ""] {
		localhost_required.deny == set() with input as _pod(type)
	}
}

test_a_label_that_names_no_profile_has_a_rule_of_its_own if {
	unknown := {"known": false, "source": "container label"}
	localhost_required.deny == set() with input as _asked("RuntimeDefault", "pod", unknown)
	count(localhost_required.deny) == 1 with input as _asked("RuntimeDefault", "container", unknown)
	count(localhost_required.deny) == 1 with input as _asked("RuntimeDefault", "pod", {"known": false, "source": "pod label"})
	count(localhost_required.deny) == 1 with input as _asked("RuntimeDefault", "pod", {"known": true, "source": "container label"})
}

test_windows_is_exempt if {
	localhost_required.deny == set() with input as object.union(_classed("gvisor", 1, ["runsc"], false), {
		"os": "windows",
		"containers": _pod("RuntimeDefault").containers,
	})
}

test_a_handler_that_is_not_known if {
	deny := localhost_required.deny with input as _classed("gvisor", 1, ["runsc"], false)
	deny == {{
		"container": "",
		"field": "spec.runtimeClassName",
		"message": "the handler of RuntimeClass \"gvisor\" is not known to apply seccomp profiles on every node that the pod may use; use one whose handler is runc, crun or youki",
		"unknown": false,
	}}
}

test_the_field_of_a_template if {
	pod := object.union(_classed("gvisor", 1, ["runsc"], false), {"pod": {"profile": {"field": "spec.template.spec.securityContext.seccompProfile"}}})
	some finding in localhost_required.deny with input as pod
	finding.field == "spec.template.spec.runtimeClassName"
}

test_a_handler_that_is if {
	localhost_required.deny == set() with input as _classed("crun", 1, ["crun"], true)
}

test_no_node_reports_its_runtimes if {
	deny := localhost_required.deny with input as _classed("crun", 1, [], false)
	deny == {{
		"container": "",
		"field": "spec.runtimeClassName",
		"message": "whether the handler of RuntimeClass \"crun\" applies seccomp profiles is unknown: no node that the pod may use reports its runtimes",
		"unknown": true,
	}}
}

test_no_node_fits if {
	deny := localhost_required.deny with input as object.union(_classed("crun", 0, [], false), {"profiles": {"app.json": {}}})
	deny == {{
		"container": "",
		"field": "spec.runtimeClassName",
		"message": "whether the handler of RuntimeClass \"crun\" applies seccomp profiles is unknown: no known node fits the pod",
		"unknown": true,
	}}
}

test_nothing_is_known_of_nodes if {
	localhost_required.deny == set() with input as _classed("crun", 0, [], false)
}

_classed(class, eligible, runtimes, applies) := object.union(_pod("Localhost"), {
	"runtimeClass": class,
	"nodes": {"eligible": eligible, "runtimes": runtimes, "appliesSeccomp": applies},
})

_asked(type, origin, requested) := json.patch(_pod(type), [
	{"op": "add", "path": "/containers/0/declared/origin", "value": origin},
	{"op": "add", "path": "/containers/0/requested", "value": requested},
])

_pod(type) := {
	"os": "linux",
	"runtimeClass": "",
	"pod": {"profile": {"field": "spec.securityContext.seccompProfile"}},
	"nodes": {"eligible": 1, "runtimes": ["runc"], "appliesSeccomp": true},
	"profiles": {},
	"containers": [{
		"name": "app",
		"declared": {"field": "field of app"},
		"profile": {"type": type},
	}],
}
