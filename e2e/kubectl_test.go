// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKubectl is what a person sees.
func TestKubectl(t *testing.T) {
	useNodes(t)
	t.Run("warn", func(t *testing.T) {
		namespace := shared.namespace(t, "kubectl-warn", map[string]string{warnLabel: "restricted"})
		r := shared.kubectl(t, unconfinedPod, "create", "-n", namespace, "-f", "-")
		want := "Warning: seccompgate: [unconfined] container \"app\": seccompProfile is Unconfined (set by the pod); use RuntimeDefault or Localhost\n"
		if d := cmp.Diff(want, r.Stderr); d != "" || r.Code != 0 || r.Stdout != "pod/app created\n" {
			t.Errorf("exit %d, stdout %q, stderr (-want +got):\n%s", r.Code, r.Stdout, d)
		}
	})
	t.Run("enforce", func(t *testing.T) {
		namespace := shared.namespace(t, "kubectl-enforce", map[string]string{enforceLabel: "baseline"})
		r := shared.kubectl(t, unconfinedPod, "create", "-n", namespace, "-f", "-")
		want := "Error from server (Forbidden): error when creating \"STDIN\": " + unconfinedDenial + "\n"
		if d := cmp.Diff(want, r.Stderr); d != "" || r.Code != 1 {
			t.Errorf("exit %d, stderr (-want +got):\n%s", r.Code, d)
		}
	})
	t.Run("row4 debug", func(t *testing.T) {
		namespace := shared.namespace(t, "kubectl-debug", nil)
		shared.create(t, namespace, plainPod)
		shared.label(t, namespace, map[string]string{enforceLabel: "restricted"})
		debug := []string{"debug", "app", "-n", namespace, "--image=busybox", "--container=debug", "--attach=false", "--quiet"}
		r := shared.kubectl(t, "", debug...)
		const want = `Error from server (Forbidden): admission webhook "enforce.seccompgate.io" denied the request: seccompgate restricted: [unset] container "debug": no seccompProfile is set on the container or the pod, so it runs Unconfined (no node it may use is known to set seccompDefault); set RuntimeDefault or Localhost, or the label seccompgate.io/profile; set securityContext of the debug container with "kubectl debug --custom FILE"` + "\n"
		if d := cmp.Diff(want, r.Stderr); d != "" || r.Code != 1 {
			t.Errorf("exit %d, stderr (-want +got):\n%s", r.Code, d)
		}
		// The profiles of kubectl are no profiles for seccomp, but for one.
		for profile, want := range map[string]string{
			"general": "[unset]", "baseline": "[unset]", "netadmin": "[unset]", "sysadmin": "[privileged]", "restricted": "",
		} {
			t.Run(profile, func(t *testing.T) {
				r := shared.kubectl(t, "", append(debug, "--profile="+profile, "--container=debug-"+profile)...)
				if (r.Code == 0) != (want == "") || !strings.Contains(r.Stderr, want) {
					t.Errorf("exit %d, stderr %q, want %q", r.Code, r.Stderr, want)
				}
			})
		}
		// What the message says helps.
		custom := t.TempDir() + "/custom.yaml"
		writeFile(t, custom, "securityContext: {seccompProfile: {type: RuntimeDefault}}\n")
		shared.mustKubectl(t, "", append(debug, "--custom="+custom)...)
	})
	t.Run("debug a node", func(t *testing.T) {
		namespace := shared.namespace(t, "kubectl-debug-node", map[string]string{enforceLabel: "baseline"})
		r := shared.kubectl(t, "", "debug", "node/a1", "-n", namespace, "--image=busybox", "--attach=false", "--quiet")
		const want = `[profile-store] container "debugger": volume "host-root" mounts host path "/" for writing`
		if r.Code == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("exit %d, stderr %q, want %q", r.Code, r.Stderr, want)
		}
	})
}
