// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"testing"
)

// A profile on the node's disk is what the kernel enforces.
func TestEnforced(t *testing.T) {
	writeProfile(t, "no-mkdir.json", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`)
	tests := map[string]struct {
		profile string
		want    string
	}{
		"unconfined":        {`{type: Unconfined}`, "mkdir: allowed\n"},
		"runtime default":   {`{type: RuntimeDefault}`, "mkdir: allowed\n"},
		"localhost profile": {`{type: Localhost, localhostProfile: profiles/no-mkdir.json}`, "mkdir: operation not permitted\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			namespace := makeNamespace(t, nil)
			apply(t, namespace, probePod("probe", tt.profile))
			waitRunning(t, namespace, "probe")
			if got := logs(t, namespace, "probe"); got != tt.want {
				t.Errorf("the program says %q, want %q", got, tt.want)
			}
		})
	}
}
