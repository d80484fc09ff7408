// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"flag"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

const webhookHead = "apiVersion: seccompgate.io/v1alpha1\nkind: WebhookConfig\n"

// TestWebhookConfigEveryProblem compares all that is said about one file in which
// everything is wrong.
func TestWebhookConfigEveryProblem(t *testing.T) {
	const file, golden = "testdata/config/every-problem.yaml", "testdata/config/every-problem.golden"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadWebhookConfig(data, "config.yaml")
	if err == nil || c != nil {
		t.Fatalf("LoadWebhookConfig = %v, %v; want an error and nothing else", c, err)
	}
	got := err.Error() + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", golden, d)
	}
}

func TestLoadWebhookConfig(t *testing.T) {
	meta := metav1.TypeMeta{APIVersion: "seccompgate.io/v1alpha1", Kind: "WebhookConfig"}
	defaulted := WebhookConfig{
		TypeMeta:       meta,
		Defaults:       ModeDefaults{Enforce: LevelPrivileged, Warn: LevelPrivileged, Audit: LevelPrivileged},
		MissingProfile: MissingOnAny,
		UnknownNodes:   UnknownWarn,
		Limits: Limits{
			RememberedDecisions: new(4096),
			ConcurrentRequests:  2 * runtime.GOMAXPROCS(0), WaitingRequests: 1024,
			Timeout: metav1.Duration{Duration: 2500 * time.Millisecond},
		},
	}
	everything := WebhookConfig{
		TypeMeta:       meta,
		Defaults:       ModeDefaults{Enforce: LevelBaseline, Warn: LevelRestricted, Audit: LevelStrict},
		DefaultProfile: "runtime-default",
		Exemptions: Exemptions{
			Namespaces:     []string{"kube-system", "seccompgate"},
			Usernames:      []string{"alice@example.com", "system:serviceaccount:backup:restore", "system:serviceaccount:kube-system:coredns"},
			RuntimeClasses: []string{"kata.qemu"},
		},
		DryRun:         true,
		MissingProfile: MissingOnAll,
		UnknownNodes:   UnknownDeny,
		Limits:         Limits{ConcurrentRequests: 1, WaitingRequests: 100000, Timeout: metav1.Duration{Duration: 100 * time.Millisecond}, RememberedDecisions: new(0)},
	}
	for _, tc := range []struct {
		name, text string
		want       WebhookConfig
	}{
		{"nothing set", webhookHead, defaulted},
		{"comments and separators", "# ours\n---\n" + webhookHead + "---\n# the end\n", defaulted},
		{"nulls", webhookHead + "defaults:\nlimits: {timeout: null}\nexemptions: null\n", defaulted},
		{"JSON", `{"kind":"WebhookConfig","apiVersion":"seccompgate.io/v1alpha1"}`, defaulted},
		{"everything set", webhookHead + `
defaults: {enforce: baseline, warn: restricted, audit: strict}
defaultProfile: runtime-default
exemptions:
  namespaces: [kube-system, seccompgate]
  usernames: [alice@example.com, "system:serviceaccount:backup:restore", "system:serviceaccount:kube-system:coredns"]
  runtimeClasses: [kata.qemu]
dryRun: true
missingProfile: all
unknownNodes: deny
limits: {concurrentRequests: 1, waitingRequests: 100000, timeout: 100ms, rememberedDecisions: 0}
`, everything},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := LoadWebhookConfig([]byte(tc.text), "config.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&tc.want, got); d != "" {
				t.Errorf("LoadWebhookConfig (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoadConfigProblems(t *testing.T) {
	webhook := func(data []byte, name string) error {
		_, err := LoadWebhookConfig(data, name)
		return err
	}
	controller := func(data []byte, name string) error {
		_, err := LoadControllerConfig(data, name)
		return err
	}
	agent := func(data []byte, name string) error {
		_, err := LoadAgentConfig(data, name)
		return err
	}
	const agentHead = "apiVersion: seccompgate.io/v1alpha1\nkind: AgentConfig\n"
	const controllerHead = "apiVersion: seccompgate.io/v1alpha1\nkind: ControllerConfig\n"
	const selfSigned = "certificate:\n  secret: {namespace: a, name: b}\n  service: {namespace: a, name: c}\n  registration: d\n"
	for _, tc := range []struct {
		name string
		load func([]byte, string) error
		text string
		want string // "" for none
	}{
		{"empty file", webhook, "", `c.yaml: 2 problems:
  apiVersion: Required value: use seccompgate.io/v1alpha1
  kind: Required value: use WebhookConfig`},
		{"another kind", webhook, agentHead, `c.yaml: kind: Invalid value: "AgentConfig": use WebhookConfig`},
		{"type is no text", webhook, "apiVersion: 1\nkind: [a]\n", `c.yaml: 2 problems:
  apiVersion: Required value: use seccompgate.io/v1alpha1
  kind: Required value: use WebhookConfig`},
		{"list", webhook, "- a\n", `c.yaml: holds a list, not a configuration; write keys and values, apiVersion and kind among them`},
		{"text", webhook, "config\n", `c.yaml: holds text, not a configuration; write keys and values, apiVersion and kind among them`},
		{"truth value", webhook, "yes\n", `c.yaml: holds true or false, not a configuration; write keys and values, apiVersion and kind among them`},
		{"number", webhook, "1\n", `c.yaml: holds a number, not a configuration; write keys and values, apiVersion and kind among them`},
		{"two documents", webhook, webhookHead + "---\n" + webhookHead, `c.yaml: holds more than one document; keep one`},
		{"no YAML", webhook, webhookHead + "defaults: {\n", `c.yaml: line 3: did not find expected node content`},
		{"a key twice", webhook, webhookHead + "dryRun: true\ndryRun: false\n", `c.yaml: line 4: key "dryRun" already set in map`},
		{"two keys twice", webhook, webhookHead + "dryRun: true\ndryRun: false\nkind: AgentConfig\n", `c.yaml: 2 problems:
  line 4: key "dryRun" already set in map
  line 5: key "kind" already set in map`},
		{"a number as duration", webhook, webhookHead + "limits: {timeout: 3}\n", `c.yaml: limits.timeout: Invalid value: "3": write a duration such as "500ms" or "3s"`},
		{"a short timeout", webhook, webhookHead + "limits: {timeout: 99ms}\n", `c.yaml: limits.timeout: Invalid value: "99ms": use 100ms to 30s`},
		{"too many requests", webhook, webhookHead + "limits: {concurrentRequests: 10001, waitingRequests: 100001, rememberedDecisions: -1}\n", `c.yaml: 3 problems:
  limits.concurrentRequests: Invalid value: 10001: use 1 to 10000
  limits.waitingRequests: Invalid value: 100001: use 1 to 100000
  limits.rememberedDecisions: Invalid value: -1: use 0 to 100000`},
		{"fractions", webhook, webhookHead + "limits: {concurrentRequests: 1.5, waitingRequests: many}\n", `c.yaml: 2 problems:
  limits.concurrentRequests: Invalid value: "1.5": write a whole number
  limits.waitingRequests: Invalid value: "many": write a whole number`},
		{"default profile of a generation", webhook, webhookHead + "defaultProfile: web.0123456789ab\n", `c.yaml: defaultProfile: Invalid value: "web.0123456789ab": ends like the file of a generation (a dot and 12 hexadecimal digits); choose another name`},
		{"long username", webhook, webhookHead + "exemptions: {usernames: [" + strings.Repeat("a", 1025) + "]}\n", `c.yaml: exemptions.usernames[0]: Invalid value: "` + strings.Repeat("a", 80) + `...": has 1025 bytes; use at most 1024`},

		{"controller: nothing set", controller, controllerHead, ""},
		{"controller: everything set", controller, controllerHead + `
certificate:
  secret: {namespace: seccompgate, name: seccomp-webhook-tls}
  service: {namespace: seccompgate, name: seccomp-webhook}
  registration: seccompgate
  validity: 720h
  renewAfter: 480h
`, ""},
		{"controller: every problem at once", controller, controllerHead + `
certificate:
  secret: {namespace: Seccompgate, name: seccomp_webhook}
  service: {name: 1-webhook}
  validity: 1y
  renewAfter: 0.5s
  days: 30
leaderElection: true
`, `c.yaml: 9 problems:
  certificate.days: Forbidden: unknown key; use secret, service, registration, validity or renewAfter
  certificate.validity: Invalid value: "1y": write a duration such as "500ms" or "3s"
  leaderElection: Forbidden: unknown key; use kind, apiVersion, certificate or profileSetAge
  certificate.secret.namespace: Invalid value: "Seccompgate": is not the name of a Namespace: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
  certificate.secret.name: Invalid value: "seccomp_webhook": is not the name of a Secret: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
  certificate.service.namespace: Required value: write the name of a Namespace
  certificate.service.name: Invalid value: "1-webhook": is not the name of a Service: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
  certificate.registration: Required value: write the name of a ValidatingWebhookConfiguration
  certificate.renewAfter: Invalid value: "500ms": use 1s to 5840h0m0s, two thirds of the validity`},
		{"controller: a young set", controller, controllerHead + "profileSetAge: 9s\n", `c.yaml: profileSetAge: Invalid value: "9s": use 10s or more`},
		{"controller: too short", controller, controllerHead + selfSigned + "  validity: 9s\n", `c.yaml: certificate.validity: Invalid value: "9s": use 10s or more`},
		{"controller: renewed too late", controller, controllerHead + selfSigned + "  validity: 720h\n  renewAfter: 481h\n", `c.yaml: certificate.renewAfter: Invalid value: "481h0m0s": use 1s to 480h0m0s, two thirds of the validity`},

		{"controller: a value in place of keys", controller, controllerHead + "certificate: self-signed\n", `c.yaml: certificate: Invalid value: "self-signed": write keys and values`},

		{"agent: nothing set", agent, agentHead, ""},
		{"agent: everything set", agent, agentHead + "root: /host\nnodeName: node-a.example.com\n", ""},
		{"agent: every problem at once", agent, agentHead + "root: host/\nnodeName: Node_A\n", `c.yaml: 2 problems:
  root: Invalid value: "host/": is not an absolute path in its cleaned form; write one such as "/host"
  nodeName: Invalid value: "Node_A": is not the name of a Node: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := tc.load([]byte(tc.text), "c.yaml"); err != nil {
				got = err.Error()
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoadControllerConfigDefaults(t *testing.T) {
	for _, tc := range []struct {
		name, text           string
		validity, renewAfter time.Duration
	}{
		{"nothing set", "", 8760 * time.Hour, 5840 * time.Hour},
		{"a validity", "  validity: 720h\n", 720 * time.Hour, 480 * time.Hour},
		{"both", "  validity: 720h\n  renewAfter: 24h\n", 720 * time.Hour, 24 * time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := LoadControllerConfig([]byte("apiVersion: seccompgate.io/v1alpha1\nkind: ControllerConfig\n"+
				"certificate:\n  secret: {namespace: a, name: b}\n  service: {namespace: a, name: c}\n  registration: d\n"+tc.text), "c.yaml")
			if err != nil {
				t.Fatal(err)
			}
			want := &SelfSignedCertificate{
				Secret: ObjectName{Namespace: "a", Name: "b"}, Service: ObjectName{Namespace: "a", Name: "c"}, Registration: "d",
				Validity: metav1.Duration{Duration: tc.validity}, RenewAfter: metav1.Duration{Duration: tc.renewAfter},
			}
			if d := cmp.Diff(want, got.Certificate); d != "" {
				t.Errorf("LoadControllerConfig (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoadAgentConfigDefaults(t *testing.T) {
	got, err := LoadAgentConfig([]byte("apiVersion: seccompgate.io/v1alpha1\nkind: AgentConfig\nnodeName: node-a\n"), "c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &AgentConfig{
		TypeMeta: metav1.TypeMeta{APIVersion: "seccompgate.io/v1alpha1", Kind: "AgentConfig"},
		Root:     "/", NodeName: "node-a",
		Rehash: metav1.Duration{Duration: 10 * time.Minute}, Sweep: metav1.Duration{Duration: time.Hour},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("LoadAgentConfig (-want +got):\n%s", d)
	}
}

// FuzzLoadConfig looks for a panic, and for an accepted file that is not valid.
func FuzzLoadConfig(f *testing.F) {
	f.Add([]byte(webhookHead))
	for _, kind := range []string{"ControllerConfig", "AgentConfig"} {
		f.Add([]byte(strings.Replace(webhookHead, "WebhookConfig", kind, 1)))
	}
	f.Add([]byte(webhookHead + "limits: {timeout: 3s}\nexemptions: {namespaces: [a, [b]], usernames: {c: d}}\n"))
	if data, err := os.ReadFile("testdata/config/every-problem.yaml"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		webhook, err := LoadWebhookConfig(data, "config.yaml")
		checkLoaded(t, webhook, err)
		controller, err := LoadControllerConfig(data, "config.yaml")
		checkLoaded(t, controller, err)
		agent, err := LoadAgentConfig(data, "config.yaml")
		checkLoaded(t, agent, err)
	})
}

func checkLoaded(t *testing.T, c interface{ Validate() field.ErrorList }, err error) {
	t.Helper()
	if err != nil {
		if !strings.HasPrefix(err.Error(), "config.yaml: ") {
			t.Errorf("the error does not begin with the file's name: %v", err)
		}
		return
	}
	if errs := c.Validate(); len(errs) > 0 {
		t.Errorf("accepted, but not valid: %v", errs)
	}
}
