// SPDX-License-Identifier: Apache-2.0

package review

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// psaChecks are Pod Security Admission's own functions, at their latest version.
func psaChecks(t *testing.T) (baseline, restricted psapolicy.CheckPodFn) {
	t.Helper()
	latest := func(c psapolicy.Check) psapolicy.CheckPodFn { return c.Versions[len(c.Versions)-1].CheckPod }
	for _, c := range []psapolicy.Check{psapolicy.CheckSeccompBaseline(), psapolicy.CheckSeccompProfileRestricted()} {
		if c.Level == psaapi.LevelBaseline {
			baseline = latest(c)
		} else {
			restricted = latest(c)
		}
	}
	if baseline == nil || restricted == nil {
		t.Fatal("the module has no seccomp checks")
	}
	return baseline, restricted
}

// TestAgreesWithPodSecurityAdmission compares unconfined with its baseline check, and
// unconfined or unset with its restricted one, which refuses both.
func TestAgreesWithPodSecurityAdmission(t *testing.T) {
	baseline, restricted := psaChecks(t)
	r := reviewer(t, v1alpha1.WebhookConfig{Defaults: v1alpha1.ModeDefaults{Enforce: v1alpha1.LevelRestricted}})
	compared, refused, differ := 0, 0, 0
	compare := func(name string, pod *corev1.Pod) {
		t.Helper()
		text, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		var o Object
		if err := jsonv2.Unmarshal(text, &o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d, err := r.Review(t.Context(), &Request{Kind: "Pod", Operation: Create, Namespace: "default", Object: &o})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rules := ruleIDs(d.Denied)
		unconfined, unset := slices.Contains(rules, "unconfined"), slices.Contains(rules, "unset")
		wantBaseline := !baseline(&pod.ObjectMeta, &pod.Spec).Allowed
		wantRestricted := !restricted(&pod.ObjectMeta, &pod.Spec).Allowed
		compared++
		if wantRestricted || wantBaseline {
			refused++
		}
		if unconfined != wantBaseline || (unconfined || unset) != wantRestricted && !(unconfined && pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows) {
			if differ++; differ <= 10 {
				t.Errorf("%s: unconfined %v, unset %v; PSA refuses at baseline %v, at restricted %v\n%s", name, unconfined, unset, wantBaseline, wantRestricted, text)
			}
		}
	}

	root := filepath.Join(moduleDir(t, "k8s.io/pod-security-admission"), "test", "testdata")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var pod corev1.Pod
		if err := yaml.Unmarshal(text, &pod); err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		compare(name, &pod)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	fixtures := compared
	for _, pod := range truthTable() {
		compare(pod.Name, pod)
	}
	t.Logf("%d pods compared (%d fixtures of Pod Security Admission, %d of a truth table), %d of them refused, %d differences",
		compared, fixtures, compared-fixtures, refused, differ)
	if fixtures < 4000 || refused < 100 {
		t.Errorf("only %d fixtures, %d refused pods: the comparison proves too little", fixtures, refused)
	}
}

// truthTable is every way to set a profile, for the pod and for one container of each
// kind, on each operating system.
func truthTable() []*corev1.Pod {
	localhost := "profiles/app.json"
	profiles := []*corev1.SeccompProfile{
		nil,
		{Type: corev1.SeccompProfileTypeUnconfined},
		{Type: "unconfined"},
		{Type: corev1.SeccompProfileTypeRuntimeDefault},
		{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &localhost},
	}
	var pods []*corev1.Pod
	for _, os := range []*corev1.PodOS{nil, {Name: corev1.Linux}, {Name: corev1.Windows}} {
		for _, privileged := range []bool{false, true} {
			for p := range profiles {
				for i := range profiles {
					for c := range profiles {
						for e := range profiles {
							security := func(profile *corev1.SeccompProfile) *corev1.SecurityContext {
								return &corev1.SecurityContext{SeccompProfile: profile, Privileged: &privileged}
							}
							always := corev1.ContainerRestartPolicyAlways
							pods = append(pods, &corev1.Pod{
								ObjectMeta: metav1.ObjectMeta{Name: strings.Join([]string{
									"pod", typeOf(profiles[p]), "init", typeOf(profiles[i]), "container", typeOf(profiles[c]), "ephemeral", typeOf(profiles[e]),
								}, "-")},
								Spec: corev1.PodSpec{
									OS:              os,
									SecurityContext: &corev1.PodSecurityContext{SeccompProfile: profiles[p]},
									InitContainers: []corev1.Container{
										{Name: "init", SecurityContext: security(profiles[i])},
										{Name: "sidecar", SecurityContext: security(profiles[c]), RestartPolicy: &always},
									},
									Containers: []corev1.Container{{Name: "app", SecurityContext: security(profiles[c])}},
									EphemeralContainers: []corev1.EphemeralContainer{
										{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", SecurityContext: security(profiles[e])}},
									},
								},
							})
						}
					}
				}
			}
		}
	}
	return pods
}

func typeOf(p *corev1.SeccompProfile) string {
	if p == nil {
		return "unset"
	}
	return string(p.Type)
}

func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("find module %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}
