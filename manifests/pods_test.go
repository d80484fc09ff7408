// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
)

// TestPodsAreRestricted: our pods keep the rules that we ask others to keep. Pod Security
// Admission's own evaluation says so. Our namespace cannot enforce them, for agents need
// what only the level privileged allows.
func TestPodsAreRestricted(t *testing.T) {
	for _, in := range combinations(t) {
		level := psaapi.Level(one[*corev1.Namespace](t, in, ownNamespace).Labels[psaapi.EnforceLevelLabel])
		if level != psaapi.LevelPrivileged {
			t.Errorf("%s: the namespace enforces %q, want %q", in.name, level, psaapi.LevelPrivileged)
		}
		for name, template := range templates(in) {
			spec := template.Spec.DeepCopy()
			// All else is as restricted with the network of the host as without it.
			spec.HostNetwork = false
			user := int64(65532) // the user that the Dockerfile names
			if name == agentName {
				user = 0
				asRestrictedAsAgentsAre(t, in, spec)
			}
			if r := restricted(t, template.ObjectMeta, spec); !r.Allowed {
				t.Errorf("%s: %s is not restricted: %s", in.name, name, r.ForbiddenDetail())
			}
			if template.Spec.HostNetwork != (strings.Contains(in.name, "host-network") && name == webhookName) {
				t.Errorf("%s: %s uses the network of the host: %v", in.name, name, template.Spec.HostNetwork)
			}
			for _, c := range spec.Containers {
				if s := c.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
					t.Errorf("%s: %s may write to its root file system", in.name, name)
				}
				if len(c.SecurityContext.Capabilities.Add) > 0 {
					t.Errorf("%s: %s has the capabilities %v", in.name, name, c.SecurityContext.Capabilities.Add)
				}
				if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
					t.Errorf("%s: %s lacks requests or a memory limit: %v", in.name, name, c.Resources)
				}
				// A limit throttles in the middle of a request that the API server waits for.
				if !c.Resources.Limits.Cpu().IsZero() {
					t.Errorf("%s: %s has a CPU limit", in.name, name)
				}
			}
			if u := template.Spec.SecurityContext.RunAsUser; u == nil || *u != user {
				t.Errorf("%s: %s does not run as user %d", in.name, name, user)
			}
			if p := spec.SecurityContext.SeccompProfile; p == nil || p.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: %s does not run under the runtime's default profile", in.name, name)
			}
		}
	}
}

func restricted(t *testing.T, meta metav1.ObjectMeta, spec *corev1.PodSpec) psapolicy.AggregateCheckResult {
	t.Helper()
	evaluator, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return psapolicy.AggregateCheckResults(evaluator.EvaluatePod(
		psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}, &meta, spec))
}

// asRestrictedAsAgentsAre takes from an agent's pod what is not restricted: it is root, and
// sees some of the node's files, of which it may change those below one directory.
func asRestrictedAsAgentsAre(t *testing.T, in install, spec *corev1.PodSpec) {
	t.Helper()
	spec.SecurityContext.RunAsUser, spec.SecurityContext.RunAsGroup = nil, nil
	nonRoot := true
	spec.SecurityContext.RunAsNonRoot = &nonRoot
	const seccompRoot = "/var/lib/kubelet/seccomp"
	want := map[string]string{seccompRoot: "writable", "/proc": "read only"}
	if strings.Contains(in.name+"+", "+kubeadm-node+") {
		for _, path := range []string{"/var/lib/kubelet/config.yaml", "/etc/containerd", "/usr/bin", "/usr/sbin", "/var/lib/dpkg"} {
			want[path] = "read only"
		}
	}
	got := make(map[string]string)
	for _, v := range spec.Volumes {
		for _, m := range spec.Containers[0].VolumeMounts {
			if m.Name != v.Name {
				continue
			}
			if v.HostPath == nil || m.MountPath != "/host"+v.HostPath.Path || m.MountPropagation != nil {
				t.Errorf("%s: volume %s: %v mounted as %v", in.name, v.Name, v, m)
				continue
			}
			got[v.HostPath.Path] = map[bool]string{true: "read only", false: "writable"}[m.ReadOnly]
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: parts of the node (-want +got):\n%s", in.name, d)
	}
	spec.Volumes, spec.Containers[0].VolumeMounts = nil, nil
}

// TestAgents: there is one on every Linux node, whatever its taints, which is replaced by
// the next without a gap.
func TestAgents(t *testing.T) {
	for _, in := range combinations(t) {
		d := one[*appsv1.DaemonSet](t, in, agentName)
		pod := d.Spec.Template.Spec
		if diff := cmp.Diff([]corev1.Toleration{{Operator: corev1.TolerationOpExists}}, pod.Tolerations); diff != "" {
			t.Errorf("%s: tolerations (-want +got):\n%s", in.name, diff)
		}
		if diff := cmp.Diff(map[string]string{corev1.LabelOSStable: "linux"}, pod.NodeSelector); diff != "" {
			t.Errorf("%s: node selector (-want +got):\n%s", in.name, diff)
		}
		if pod.PriorityClassName != "system-node-critical" {
			t.Errorf("%s: priority class is %q", in.name, pod.PriorityClassName)
		}
		u := d.Spec.UpdateStrategy
		if u.Type != appsv1.RollingUpdateDaemonSetStrategyType || u.RollingUpdate.MaxUnavailable.String() != "0" || u.RollingUpdate.MaxSurge.String() == "0" {
			t.Errorf("%s: a roll-out leaves nodes without an agent: %v", in.name, u)
		}
		own := labels.Set(d.Spec.Template.Labels)
		if !labels.SelectorFromSet(d.Spec.Selector.MatchLabels).Matches(own) {
			t.Errorf("%s: it selects %v", in.name, d.Spec.Selector)
		}
		selector, err := labels.Parse(inventory.AgentSelector)
		if err != nil || !selector.Matches(own) {
			t.Errorf("%s: the webhook looks for agents with %s: %v", in.name, inventory.AgentSelector, err)
		}
		c := pod.Containers[0]
		if diff := cmp.Diff([]string{"--root=/host", "--node-name=$(NODE_NAME)", "--bind-address=$(POD_IP)"}, c.Args); diff != "" {
			t.Errorf("%s: arguments (-want +got):\n%s", in.name, diff)
		}
		// The program's default.
		if diff := cmp.Diff([]corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}, c.Ports); diff != "" {
			t.Errorf("%s: ports (-want +got):\n%s", in.name, diff)
		}
		for path, probe := range map[string]*corev1.Probe{"/readyz": c.ReadinessProbe, "/healthz": c.LivenessProbe} {
			get := &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}
			if diff := cmp.Diff(get, probe.HTTPGet); diff != "" {
				t.Errorf("%s: probe (-want +got):\n%s", in.name, diff)
			}
		}
		// Half a minute later its node is unknown: a minute and a half is what there is.
		if p := c.ReadinessProbe; (p.PeriodSeconds+p.TimeoutSeconds)*p.FailureThreshold > 15 {
			t.Errorf("%s: a silent agent is noticed late: %v", in.name, p)
		}
	}
}

// TestAvailability: no roll-out, drain or lost node takes all replicas.
func TestAvailability(t *testing.T) {
	for _, in := range combinations(t) {
		for _, d := range all[*appsv1.Deployment](in) {
			replicas, keep := int32(3), 2
			if d.Name == controllerName {
				replicas, keep = 2, 1
			}
			pod := d.Spec.Template.Spec
			if *d.Spec.Replicas != replicas || pod.PriorityClassName != "system-cluster-critical" {
				t.Errorf("%s: %d replicas of %s of priority %q, want %d of system-cluster-critical", in.name, *d.Spec.Replicas, d.Name, pod.PriorityClassName, replicas)
			}
			own := labels.Set(d.Spec.Template.Labels)
			if !labels.SelectorFromSet(d.Spec.Selector.MatchLabels).Matches(own) {
				t.Errorf("%s: %s selects %v", in.name, d.Name, d.Spec.Selector)
			}
			b := one[*policyv1.PodDisruptionBudget](t, in, d.Name)
			if !labels.SelectorFromSet(b.Spec.Selector.MatchLabels).Matches(own) || b.Spec.MinAvailable.IntValue() != keep {
				t.Errorf("%s: the disruption budget keeps %v of %v, want %d of %s", in.name, b.Spec.MinAvailable, b.Spec.Selector, keep, d.Name)
			}
			if len(pod.TopologySpreadConstraints) != 1 {
				t.Fatalf("%s: %d topology spread constraints of %s, want 1", in.name, len(pod.TopologySpreadConstraints), d.Name)
			}
			s := pod.TopologySpreadConstraints[0]
			if s.TopologyKey != corev1.LabelHostname || s.MaxSkew != 1 || !labels.SelectorFromSet(s.LabelSelector.MatchLabels).Matches(own) {
				t.Errorf("%s: replicas of %s are not spread over nodes: %v", in.name, d.Name, s)
			}
		}
		if strings.Contains(in.name, "host-network") {
			d := one[*appsv1.Deployment](t, in, webhookName)
			// A node has each port once: on three nodes a fourth pod would wait for ever.
			if r := d.Spec.Strategy.RollingUpdate; r == nil || r.MaxSurge.IntValue() != 0 || r.MaxUnavailable.IntValue() != 1 {
				t.Errorf("%s: a roll-out wants a port that is taken: %v", in.name, d.Spec.Strategy)
			}
			if p := d.Spec.Template.Spec.DNSPolicy; p != corev1.DNSClusterFirstWithHostNet {
				t.Errorf("%s: DNS policy is %q", in.name, p)
			}
		}
	}
}

// TestShutdown: a pod goes on serving until every API server has heard that it goes, and
// has time for what it is doing then.
func TestShutdown(t *testing.T) {
	const (
		endpointsSeconds = 10
		longestRequest   = 15 // the server's write time-out
	)
	pod := templates(build(t, "self-signed"))[webhookName].Spec
	l := pod.Containers[0].Lifecycle
	if l == nil || l.PreStop == nil || l.PreStop.Sleep == nil || l.PreStop.Sleep.Seconds < endpointsSeconds {
		t.Fatalf("the pod ends before its endpoints do: %v", l)
	}
	if g := *pod.TerminationGracePeriodSeconds; g < l.PreStop.Sleep.Seconds+longestRequest {
		t.Errorf("the pod is killed after %d seconds, %d of which it sleeps", g, l.PreStop.Sleep.Seconds)
	}
}

// TestMemory: the collector works harder before the kernel kills.
func TestMemory(t *testing.T) {
	for name, percents := range map[string][2]int{webhookName: {200, 400}, agentName: {20, 50}} {
		c := templates(build(t, "self-signed"))[name].Spec.Containers[0]
		value := func(name string) string {
			i := slices.IndexFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name })
			if i < 0 {
				t.Fatalf("%s is not set", name)
			}
			return c.Env[i].Value
		}
		// Go writes MiB where Kubernetes writes Mi.
		soft, err := resource.ParseQuantity(strings.TrimSuffix(value("GOMEMLIMIT"), "B"))
		if err != nil {
			t.Fatal(err)
		}
		hard := c.Resources.Limits.Memory().Value()
		if soft.Value() > hard*9/10 || soft.Value() < hard/2 {
			t.Errorf("%s: GOMEMLIMIT is %s of a limit of %s, want half to nine tenths", name, value("GOMEMLIMIT"), c.Resources.Limits.Memory())
		}
		if percent, err := strconv.Atoi(value("GOGC")); err != nil || percent < percents[0] || percent > percents[1] {
			t.Errorf("%s: GOGC is %s, want %d to %d", name, value("GOGC"), percents[0], percents[1])
		}
	}
}

// TestPorts: API server, probes and NetworkPolicy reach the port that the webhook listens
// on.
func TestPorts(t *testing.T) {
	for _, in := range combinations(t) {
		want := int32(9443) // the program's default
		c := templates(in)[webhookName].Spec.Containers[0]
		for _, a := range c.Args {
			if port, ok := strings.CutPrefix(a, "--port="); ok {
				n, err := strconv.ParseInt(port, 10, 32)
				if err != nil {
					t.Fatal(err)
				}
				want = int32(n)
			}
		}
		if changed := strings.Contains(in.name, "+port"); changed != (want != 9443) {
			t.Errorf("%s: the webhook listens on port %d", in.name, want)
		}
		if d := cmp.Diff([]corev1.ContainerPort{{Name: "https", ContainerPort: want}}, c.Ports); d != "" {
			t.Errorf("%s: ports of the container (-want +got):\n%s", in.name, d)
		}
		if !slices.Contains(c.Args, "--bind-address=$(POD_IP)") {
			t.Errorf("%s: the webhook does not listen on the pod's address: %v", in.name, c.Args)
		}
		s := one[*corev1.Service](t, in, webhookName)
		if d := cmp.Diff([]corev1.ServicePort{{Name: "https", Port: 443, TargetPort: intstr.FromString("https")}}, s.Spec.Ports); d != "" {
			t.Errorf("%s: ports of the service (-want +got):\n%s", in.name, d)
		}
		own := labels.Set(templates(in)[webhookName].Labels)
		if len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(own) {
			t.Errorf("%s: the service selects %v", in.name, s.Spec.Selector)
		}
		for path, probe := range map[string]*corev1.Probe{"/readyz": c.ReadinessProbe, "/healthz": c.LivenessProbe} {
			get := &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("https"), Scheme: corev1.URISchemeHTTPS}
			if d := cmp.Diff(get, probe.HTTPGet); d != "" {
				t.Errorf("%s: probe (-want +got):\n%s", in.name, d)
			}
		}
		for _, p := range all[*networkingv1.NetworkPolicy](in) {
			port := intstr.FromString("https")
			want := networkingv1.NetworkPolicySpec{
				PodSelector: *one[*appsv1.Deployment](t, in, webhookName).Spec.Selector,
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
				Ingress:     []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}},
			}
			if d := cmp.Diff(want, p.Spec); d != "" {
				t.Errorf("%s: network policy (-want +got):\n%s", in.name, d)
			}
		}
	}
}

// TestFiles: what the arguments name is mounted, from objects that are there or that
// somebody makes.
func TestFiles(t *testing.T) {
	const certificate = "seccomp-webhook-tls"
	for _, in := range combinations(t) {
		for name, template := range templates(in) {
			c := template.Spec.Containers[0]
			sources := make(map[string]string) // by volume
			for _, v := range template.Spec.Volumes {
				switch {
				case v.ConfigMap != nil:
					if one[*corev1.ConfigMap](t, in, v.ConfigMap.Name).Data["config.yaml"] == "" {
						t.Errorf("%s: config map %s has no config.yaml", in.name, v.ConfigMap.Name)
					}
					sources[v.Name] = v.ConfigMap.Name
				case v.Secret != nil && v.Secret.SecretName == certificate:
					sources[v.Name] = certificate
				case v.HostPath != nil && name == agentName: // see asRestrictedAsAgentsAre
				default:
					t.Errorf("%s: %s mounts %v", in.name, name, v)
				}
			}
			mounted := make(map[string]string) // by path
			for _, m := range c.VolumeMounts {
				if m.SubPath != "" {
					t.Errorf("%s: %s mounts %s once and for all", in.name, name, m.MountPath)
				}
				mounted[m.MountPath] = sources[m.Name]
			}
			want := map[string]string{"--config": name, "--cert-dir": certificate}
			switch name {
			case controllerName:
				delete(want, "--cert-dir")
			case agentName:
				clear(want)
			}
			got := make(map[string]string)
			for _, a := range c.Args {
				switch flag, path, _ := strings.Cut(a, "="); flag {
				case "--config":
					got[flag] = mounted[filepath.Dir(path)]
				case "--cert-dir":
					got[flag] = mounted[path]
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s: files of %s (-want +got):\n%s", in.name, name, d)
			}
		}
	}
}

// TestController: it makes the certificate of the service for the registrations, as the
// Secret that the webhook mounts. Another replica is ready to go on, and the probes reach
// the one port.
func TestController(t *testing.T) {
	for _, overlay := range []string{"self-signed", "cluster-wide", "audit-only"} {
		in := build(t, overlay)
		c, err := v1alpha1.LoadControllerConfig([]byte(one[*corev1.ConfigMap](t, in, controllerName).Data["config.yaml"]), overlay)
		if err != nil {
			t.Fatal(err)
		}
		want := &v1alpha1.SelfSignedCertificate{
			Secret:       v1alpha1.ObjectName{Namespace: ownNamespace, Name: "seccomp-webhook-tls"},
			Service:      v1alpha1.ObjectName{Namespace: ownNamespace, Name: webhookName},
			Registration: "seccompgate",
			Validity:     metav1.Duration{Duration: v1alpha1.DefaultCertificateValidity},
			RenewAfter:   metav1.Duration{Duration: v1alpha1.DefaultCertificateValidity / 3 * 2},
		}
		if d := cmp.Diff(want, c.Certificate); d != "" {
			t.Errorf("%s (-want +got):\n%s", overlay, d)
		}
		container := one[*appsv1.Deployment](t, in, controllerName).Spec.Template.Spec.Containers[0]
		if d := cmp.Diff([]string{"--config=/etc/seccompgate/config/config.yaml", "--bind-address=$(POD_IP)"}, container.Args); d != "" {
			t.Errorf("%s: arguments (-want +got):\n%s", overlay, d)
		}
		// The program's default.
		if d := cmp.Diff([]corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}, container.Ports); d != "" {
			t.Errorf("%s: ports (-want +got):\n%s", overlay, d)
		}
		for path, probe := range map[string]*corev1.Probe{"/readyz": container.ReadinessProbe, "/healthz": container.LivenessProbe} {
			get := &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}
			if d := cmp.Diff(get, probe.HTTPGet); d != "" {
				t.Errorf("%s: probe (-want +got):\n%s", overlay, d)
			}
		}
	}
}
