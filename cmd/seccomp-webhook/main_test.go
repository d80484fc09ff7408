// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/certs"
)

// asCommand makes the test binary the command itself.
const asCommand = "SECCOMP_WEBHOOK_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "KUBECONFIG=", "HOME=/nonexistent", "KUBERNETES_SERVICE_HOST=", "KUBERNETES_SERVICE_PORT=")
	return cmd
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// result is what a command leaves.
type result struct {
	Exit           int
	Stdout, Stderr string
}

func runCommand(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestBadInput(t *testing.T) {
	config := file(t, "config.yaml", `apiVersion: seccompgate.io/v1alpha1
kind: WebhookConfig
defaults: {enforce: high}
missingProfile: some
limits: {timeout: 1h}
exemptions: {usernames: [system:masters]}
extra: 1
`)
	rules := t.TempDir()
	rule := filepath.Join(rules, "mine.rego")
	if err := os.WriteFile(rule, []byte("package seccompgate.rules.mine\n\ndeny contains x if {\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inventory := file(t, "inventory.yaml", "a: [")
	certificates := t.TempDir()
	if _, err := certs.WriteFiles(certificates, certs.Options{DNSNames: []string{"localhost"}}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown flag", []string{"--ports", "1"}, "unknown flag: --ports; see seccomp-webhook --help"},
		{"a flag without its value", []string{"--port"}, "flag needs an argument: --port; see seccomp-webhook --help"},
		{"a port that is none", []string{"--port", "x"}, `invalid argument "x" for "--port" flag: strconv.ParseInt: parsing "x": invalid syntax; see seccomp-webhook --help`},
		{
			"several faults",
			[]string{"--port", "70000", "--inventory", "x", "serve"},
			"unexpected argument \"serve\"; everything is said by flags, see seccomp-webhook --help\n--port 70000: use 1 to 65535\n--inventory is for --standalone; with an API server the inventory is read from there",
		},
		{"a registration without a cluster", []string{"--standalone", "--registration", "x"}, "--registration needs an API server; leave it out with --standalone"},
		{"no configuration", []string{"--standalone", "--config", "/nonexistent/c.yaml"}, "read configuration: open /nonexistent/c.yaml: no such file or directory; name a readable file with --config"},
		{
			"a broken configuration",
			[]string{"--standalone", "--config", config},
			config + `: 5 problems:
  extra: Forbidden: unknown key; use kind, apiVersion, defaults, defaultProfile, exemptions, dryRun, missingProfile, unknownNodes, steerPods or limits
  defaults.enforce: Invalid value: "high": use privileged, baseline, restricted or strict
  exemptions.usernames[0]: Invalid value: "system:masters": is a group, and exemptions name users; write the exact name of each user
  missingProfile: Invalid value: "some": use any or all
  limits.timeout: Invalid value: "1h0m0s": use 100ms to 30s`,
		},
		{"a broken rule", []string{"--standalone", "--policies", rules}, "compile rules:\n  " + rule + ":4: unexpected eof token (deny contains x if {;                    ^)"},
		{"no rules", []string{"--standalone", "--policies", "/nonexistent"}, "read policies: stat /nonexistent: no such file or directory; name a readable directory with --policies"},
		{"a broken inventory", []string{"--standalone", "--cert-dir", certificates, "--inventory", inventory}, inventory + ": document 1, line 1: did not find expected node content; correct the YAML"},
		{"a broken policy", []string{"--standalone", "--cert-dir", certificates, "--inventory", file(t, "policy.yaml", "{apiVersion: seccompgate.io/v1alpha1, kind: SeccompPolicy, metadata: {name: images}, spec: {rules: [{name: a.rego, rego: x}]}}")}, "compile rules:\n  images/a.rego:1: package expected"},
		{"no inventory", []string{"--standalone", "--cert-dir", certificates, "--inventory", "/nonexistent/i.yaml"}, "read inventory: open /nonexistent/i.yaml: no such file or directory; name a readable file with --inventory"},
		{"no certificate", []string{"--cert-dir", "/nonexistent"}, "load certificate /nonexistent/tls.crt with key /nonexistent/tls.key: open /nonexistent/tls.crt: no such file or directory; name a directory that has both with --cert-dir, or have one filled with --standalone"},
		{"no cluster", []string{"--cert-dir", certificates}, "find the API server: invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable; set KUBECONFIG, run inside a cluster, or use --standalone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := runCommand(t, tc.args...)
			// Logs are for operators; the last lines are for the one who started it.
			if i := strings.Index(got.Stderr, "seccomp-webhook: "); i >= 0 {
				got.Stderr = got.Stderr[i:]
			}
			if diff := cmp.Diff(result{Exit: 2, Stderr: "seccomp-webhook: " + tc.want + "\n"}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	got := runCommand(t, "--help")
	if got.Exit != 0 || got.Stderr != "" || !strings.HasPrefix(got.Stdout, "seccomp-webhook serves admission: ") {
		t.Errorf("got %+v", got)
	}
	for _, flag := range []string{"--config FILE", "--cert-dir DIR", "--bind-address IP", "--port N", "--policies DIR", "--registration NAME", "--standalone", "--inventory FILE", "--version"} {
		if !strings.Contains(got.Stdout, flag) {
			t.Errorf("help does not show %s", flag)
		}
	}
	if got := runCommand(t, "--version"); got.Exit != 0 || !strings.HasPrefix(got.Stdout, "seccomp-webhook ") {
		t.Errorf("got %+v", got)
	}
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// served is a running command.
type served struct {
	*exec.Cmd
	url    string
	client *http.Client
	stderr *bytes.Buffer
}

// start runs the command without a cluster and waits until it is ready. Its certificate is
// verified by the CA that it wrote.
func start(t *testing.T, args ...string) *served {
	t.Helper()
	dir, port := filepath.Join(t.TempDir(), "tls"), freePort(t)
	s := &served{
		Cmd: command(t.Context(), append([]string{"--standalone", "--port", port, "--cert-dir", dir}, args...)...),
		url: "https://localhost:" + port, stderr: &bytes.Buffer{},
	}
	s.Stderr = s.stderr
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.ProcessState == nil {
			_ = s.Process.Kill()
			_ = s.Wait()
		}
		if t.Failed() {
			t.Logf("standard error:\n%s", s.stderr)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if s.client == nil {
			ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
			if err != nil {
				continue
			}
			roots := x509.NewCertPool()
			if !roots.AppendCertsFromPEM(ca) {
				t.Fatalf("ca.crt is no certificate: %s", ca)
			}
			s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
		}
		if resp, err := s.client.Get(s.url + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
	}
	t.Fatal("the webhook does not become ready")
	return nil
}

func (s *served) post(t *testing.T, path, namespace, pod string) string {
	t.Helper()
	body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","operation":"CREATE","kind":{"version":"v1","kind":"Pod"},"resource":{"version":"v1","resource":"pods"},"namespace":"` + namespace + `","object":` + pod + `}}`
	resp, err := s.client.Post(s.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return text(t, resp)
}

func (s *served) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := s.client.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	return text(t, resp)
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 1 {
		t.Errorf("%s: status %d, HTTP/%d, error %v", resp.Request.URL.Path, resp.StatusCode, resp.ProtoMajor, err)
	}
	return string(b)
}

func TestStandalone(t *testing.T) {
	config := file(t, "config.yaml", "apiVersion: seccompgate.io/v1alpha1\nkind: WebhookConfig\ndefaults: {enforce: restricted, warn: restricted}\n")
	s := start(t, "--config", config)
	dir := s.Args[5]
	var files []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fmt.Sprintf("%s %v", e.Name(), info.Mode()))
	}
	if diff := cmp.Diff([]string{"ca.crt -rw-r--r--", "tls.crt -rw-r--r--", "tls.key -rw-------"}, files); diff != "" {
		t.Errorf("certificate directory (-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n"} {
		if got := s.get(t, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	const without = `{"metadata":{"labels":{"seccompgate.io/profile":"audit"}},"spec":{"containers":[{"name":"app"}]}}`
	for _, tc := range []struct{ path, pod, want string }{
		{"/mutate", without, `"allowed":true,"patch":"` + patchOfAudit},
		{"/validate", `{"spec":{"containers":[{"name":"app"}]}}`, `"allowed":false,"status":{"metadata":{},"status":"Failure","message":"seccompgate restricted: [unset] container `},
		{"/validate", `{"spec":{"securityContext":{"seccompProfile":{"type":"RuntimeDefault"}},"containers":[{"name":"app"}]}}`, `"allowed":true`},
	} {
		if got := s.post(t, tc.path, "any", tc.pod); !strings.Contains(got, `"uid":"u1"`) || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s\nwant %s", tc.path, got, tc.want)
		}
	}
	metrics := s.get(t, "/metrics")
	for _, want := range []string{
		`seccompgate_decisions_total{decision="denied",operation="CREATE",resource="pod"} 1`,
		`seccompgate_injections_total{result="injected"} 1`,
		`seccompgate_inventory_nodes{state="known"} 0`,
		`seccompgate_certificate_expiry_timestamp_seconds{certificate="leaf"} `,
		`seccompgate_check_failing{check="certificate"} 0`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	// The certificate is for 127.0.0.1 as well, and there is no HTTP/2 to be had.
	roots := s.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	address := "127.0.0.1:" + strings.TrimPrefix(s.url, "https://localhost:")
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("negotiated %q", got)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}}); err == nil {
		t.Error("HTTP/2 alone is accepted")
		_ = conn.Close()
	}

	// It listens on the loopback address only, and a second one says what is wrong.
	port := strings.TrimPrefix(s.url, "https://localhost:")
	got := runCommand(t, "--standalone", "--port", port, "--cert-dir", dir)
	want := "seccomp-webhook: listen tcp 127.0.0.1:" + port + ": bind: address already in use; choose another --port or --bind-address\n"
	if got.Exit != 1 || !strings.HasSuffix(got.Stderr, want) {
		t.Errorf("a port in use: exit %d, %s\nwant %s", got.Exit, got.Stderr, want)
	}

	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil || s.ProcessState.ExitCode() != 0 {
		t.Errorf("SIGTERM: %v, exit %d", err, s.ProcessState.ExitCode())
	}
	for line := range strings.Lines(s.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line is no JSON: %s", line)
		}
	}
}

// patchOfAudit is the beginning of a patch, in base64.
const patchOfAudit = "W3sib3AiOiJhZGQi"

func TestStandaloneWithInventory(t *testing.T) {
	inventory := file(t, "inventory.yaml", `
apiVersion: v1
kind: Namespace
metadata: {name: strict, labels: {seccompgate.io/enforce: baseline}}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {kubernetes.io/os: linux}}
status: {nodeInfo: {operatingSystem: linux, architecture: amd64}}
---
apiVersion: seccompgate.io/v1alpha1
kind: SeccompNode
metadata: {name: n1}
facts:
  seccompRoot: /var/lib/kubelet/seccomp
  profiles: [{path: profiles/app.json, digest: "sha256:`+strings.Repeat("ab", 32)+`", valid: true, analysis: {defaultAction: SCMP_ACT_ERRNO}}]
---
apiVersion: seccompgate.io/v1alpha1
kind: SeccompPolicy
metadata: {name: images}
spec:
  parameters: {tag: ":latest"}
  exceptions: [{rules: [unconfined], reason: vendor image, expires: "2130-01-31T00:00:00Z"}]
  rules:
  - name: tag.rego
    rego: |
      # METADATA
      # title: A tag that moves
      # description: Images have a tag that stays.
      # custom:
      #   level: baseline
      #   since: v0.1
      #   remediation: Write another.
      package seccompgate.rules.tag

      deny contains {"container": c.name, "field": c.field, "message": "the tag moves"} if {
      	some c in input.containers
      	endswith(c.image, input.parameters.tag)
      }
`)
	rules := t.TempDir()
	if err := os.WriteFile(filepath.Join(rules, "hosts.rego"), []byte(`# METADATA
# title: No host network
# description: Host network is not for pods.
# related_resources:
#   - https://example.com
# custom:
#   level: baseline
#   since: v0.1
#   remediation: Remove it.
package seccompgate.rules.hosts

deny contains {"container": "", "field": "spec.hostNetwork", "message": "host network"} if input.object.spec.hostNetwork
`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--inventory", inventory, "--policies", rules)
	pod := func(path, more string) string {
		return `{"spec":{` + more + `"securityContext":{"seccompProfile":{"type":"Localhost","localhostProfile":"` + path + `"}},"containers":[{"name":"app"}]}}`
	}
	for _, tc := range []struct{ namespace, pod, want string }{
		{"strict", pod("profiles/app.json", ""), `"allowed":true`},
		{"strict", pod("profiles/ap.json", ""), "[profile-missing]"},
		{"other", pod("profiles/ap.json", ""), `"allowed":true`}, // no labels, and the defaults are privileged
		{"strict", pod("profiles/app.json", `"hostNetwork":true,`), "[hosts] host network"},
		{"strict", `{"spec":{"containers":[{"name":"app","image":"app:latest"}]}}`, "[tag] the tag moves"},
		{"strict", `{"spec":{"securityContext":{"seccompProfile":{"type":"Unconfined"}},"containers":[{"name":"app"}]}}`, "excused: [unconfined] until 2130-01-31T00:00:00Z by SeccompPolicy images (vendor image)"},
	} {
		if got := s.post(t, "/validate", tc.namespace, tc.pod); !strings.Contains(got, tc.want) {
			t.Errorf("namespace %s, pod %s: %s\nwant %s", tc.namespace, tc.pod, got, tc.want)
		}
	}
	if metrics := s.get(t, "/metrics"); !strings.Contains(metrics, `seccompgate_inventory_nodes{state="known"} 1`) {
		t.Error("the node of the inventory is not known")
	}
}
