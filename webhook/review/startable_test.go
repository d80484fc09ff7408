// SPDX-License-Identifier: Apache-2.0

package review

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/inventory/node"
)

// youngCalls is a profile that lacks only what runc 1.5.2 needs with no_new_privs and 1.1.5
// does not.
const youngCalls = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["fstat","statx"],"action":"SCMP_ACT_ERRNO"}]}`

// withoutExecve is a profile that no measured runtime starts a container under.
const withoutExecve = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execve"],"action":"SCMP_ACT_ERRNO"}]}`

// factsOf is what the agent reports of a Debian node with the profile app.json, and with
// CRI-O and this low-level runtime, "runc 1.1.5"; none for a node that has no word of it.
func factsOf(t *testing.T, name, lowLevel, profile string) *v1alpha1.SeccompNode {
	t.Helper()
	files := map[string]string{"var/lib/kubelet/seccomp/app.json": profile}
	if lowLevel != "" {
		program, version, _ := strings.Cut(lowLevel, " ")
		files["etc/crio/crio.conf"] = fmt.Sprintf("[crio.runtime]\ndefault_runtime = %q\n", program)
		files["usr/bin/"+program] = ""
		files["var/lib/dpkg/info/"+program+".list"] = "/usr/bin/" + program + "\n"
		files["var/lib/dpkg/status"] = fmt.Sprintf("Package: %s\nVersion: %s\n", program, version)
	}
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, err := node.OpenHost(root)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close() //nolint:errcheck // nothing was written
	facts, _ := node.Collect(host, node.Options{NodeName: name, GOARCH: "amd64"})
	return facts
}

// TestStartable goes from the files of a node to the finding of the rule.
func TestStartable(t *testing.T) {
	const (
		confined = `{spec: {containers: [{name: app, securityContext: {allowPrivilegeEscalation: false, seccompProfile: {type: Localhost, localhostProfile: app.json}}}]}}`
		onB      = `{spec: {nodeName: b, containers: [{name: app, securityContext: {allowPrivilegeEscalation: false, seccompProfile: {type: Localhost, localhostProfile: app.json}}}]}}`
		runc     = `container "app": runc cannot start a container under profile "app.json", which blocks fstat, statx; allow them`
	)
	for _, tc := range []struct {
		name string
		// runtimes of nodes a, b ...
		runtimes []string
		profile  string
		pod      string
		want     []string
	}{
		{"runc 1.5.2 needs it", []string{"runc 1.5.2"}, youngCalls, confined, []string{runc}},
		{"a newer runc", []string{"runc 1.6.0"}, youngCalls, confined, []string{runc}},
		{"runc 1.1.5 does not", []string{"runc 1.1.5"}, youngCalls, confined, nil},
		{"an older runc", []string{"runc 1.3.0"}, youngCalls, confined, nil},
		{"a runc without a version", []string{"runc none"}, youngCalls, confined, nil},
		{"nodes that are not known", []string{""}, youngCalls, confined, nil},
		{"on some of its nodes it does not start", []string{"runc 1.5.2", "runc 1.1.5"}, youngCalls, confined, []string{runc}},
		{"on the one that it names it does", []string{"runc 1.5.2", "runc 1.1.5"}, youngCalls, onB, nil},
		{"youki may do without", []string{"youki 0.5.0"}, youngCalls, confined, nil},
		{
			"youki needs what all need",
			[]string{"youki 0.5.0"},
			withoutExecve, confined,
			[]string{`container "app": youki cannot start a container under profile "app.json", which blocks execve; allow them`},
		},
		{
			"what all need counts where nothing is known",
			[]string{""},
			withoutExecve, confined,
			[]string{`container "app": even the least demanding runtime cannot start a container under profile "app.json", which blocks execve; allow them`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var o inventory.Objects
			for i, lowLevel := range tc.runtimes {
				name := string(rune('a' + i))
				n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}}}
				n.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}
				o.Nodes = append(o.Nodes, n)
				o.SeccompNodes = append(o.SeccompNodes, factsOf(t, name, lowLevel, tc.profile))
			}
			index := inventory.NewIndex(o)
			r := reviewerOf(t, Config{Facts: func() *inventory.Index { return index }})
			d, err := r.Review(t.Context(), &Request{Kind: "Pod", Operation: Create, Namespace: "ns", NamespaceLabels: labels(v1alpha1.EnforceLabel, "strict"), Object: object(t, tc.pod)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range d.Denied {
				if f.Rule == "startable" {
					got = append(got, f.Message)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
