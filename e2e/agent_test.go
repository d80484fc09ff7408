// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// machine is a node whose file system is a directory.
type machine struct {
	name string
	// root is its "/", seccomp the kubelet's directory of profiles in there.
	root, seccomp string
	agent         *cluster.Pod
}

// newMachine makes the only node that there is, without an agent.
func newMachine(t *testing.T, name string) *machine {
	t.Helper()
	clearNodes(t)
	m := &machine{name: name, root: t.TempDir()}
	m.seccomp = filepath.Join(m.root, "var", "lib", "kubelet", "seccomp")
	writeFile(t, filepath.Join(m.root, "var/lib/kubelet/config.yaml"), "kind: KubeletConfiguration\nseccompDefault: true\n")
	writeFile(t, filepath.Join(m.root, "proc/sys/kernel/seccomp/actions_avail"), "kill_process errno allow\n")
	_, err := shared.Client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{corev1.LabelOSStable: "linux", corev1.LabelHostname: name, "pool": "a"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clearAfter(t) })
	return m
}

// clearAfter is clearNodes for the end of a test, when its own context is over.
func clearAfter(t *testing.T) {
	t.Helper()
	if _, err := shared.MustKubectl(context.Background(), "", "delete", "nodes,seccompnodes,profilesets,localhostprofiles", "--all"); err != nil {
		t.Error(err)
	}
}

// run runs the agent on the machine as the shipped DaemonSet has it, until the test ends.
func (m *machine) run(t *testing.T, server string, args ...string) {
	t.Helper()
	agent, err := shared.StartDaemon(t.Context(), cluster.Daemon{
		Namespace: ownNamespace, Name: agentAccount, Node: m.name, Root: m.root, Server: server, Args: args,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.agent = agent
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(agent.Log) // the failure is the test's
			t.Logf("log of the agent:\n%s", log)
		}
		if err := agent.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := agent.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := agent.SetReady(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

// agentConfig writes an AgentConfig, and returns the argument that names it.
func agentConfigFile(t *testing.T, settings string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent.yaml")
	writeFile(t, file, "apiVersion: seccompgate.io/v1alpha1\nkind: AgentConfig\n"+settings)
	return "--config=" + file
}

// facts are what the machine reports; nil if it does not.
func (m *machine) facts(t *testing.T) map[string]any {
	t.Helper()
	n, err := newAgent(t, shared.Config).nodes.Get(t.Context(), m.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return n.Object["facts"].(map[string]any)
}

// reported are the files that the machine reports, with their digests.
func (m *machine) reported(t *testing.T) map[string]string {
	t.Helper()
	name, _ := m.facts(t)["profileSet"].(string)
	if name == "" {
		return nil
	}
	set, err := newAgent(t, shared.Config).sets.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, f := range set.Object["profiles"].([]any) {
		file := f.(map[string]any)
		files[file["path"].(string)], _ = file["digest"].(string)
	}
	return files
}

// eventuallyReports waits until the machine reports just these files.
func (m *machine) eventuallyReports(t *testing.T, paths ...string) {
	t.Helper()
	slices.Sort(paths)
	shared.eventually(t, fmt.Sprintf("node %s reports %v", m.name, paths), func() (bool, string) {
		var got []string
		for path := range m.reported(t) {
			got = append(got, path)
		}
		slices.Sort(got)
		return slices.Equal(paths, got), fmt.Sprintf("it reports %v", got)
	})
}

// eventuallyHolds waits until a file has the content; an empty one is none.
func (m *machine) eventuallyHolds(t *testing.T, path, content string) {
	t.Helper()
	file := filepath.Join(m.seccomp, path)
	shared.eventually(t, fmt.Sprintf("%s holds %q", path, content), func() (bool, string) {
		got, err := os.ReadFile(file)
		return string(got) == content && (content != "" || errors.Is(err, fs.ErrNotExist)), fmt.Sprintf("it holds %q, %v", got, err)
	})
}

// localhostProfile is one with a single action.
func localhostProfile(name, action, more string) string {
	return fmt.Sprintf(`{apiVersion: seccompgate.io/v1alpha1, kind: LocalhostProfile, metadata: {name: %s}, spec: {profile: {defaultAction: %s}%s}}`, name, action, more)
}

// What two profiles become on a node, and their generations.
const (
	logContent, logGeneration     = "{\n  \"defaultAction\": \"SCMP_ACT_LOG\"\n}\n", "73300c7ea05b"
	errnoContent, errnoGeneration = "{\n  \"defaultAction\": \"SCMP_ACT_ERRNO\"\n}\n", "981fb767754d"
)

func podNaming(path string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: %q}}, containers: [{name: app, image: app}]}}`, path)
}

// TestAgent goes the whole way: a node reports what it has; a pod that names a profile that
// it lacks is denied; the profile is created, and the pod admitted, without a restart of
// anything.
func TestAgent(t *testing.T) {
	m := newMachine(t, "m1")
	writeFile(t, filepath.Join(m.seccomp, "profiles", "audit.json"), logContent)
	m.run(t, "")
	shared.namespace(t, "agent-whole", nil)
	shared.label(t, "agent-whole", map[string]string{enforceLabel: "baseline"})

	facts := m.facts(t)
	delete(facts, "profileSet")
	want := map[string]any{
		"seccompRoot": "/var/lib/kubelet/seccomp", "seccompDefault": true, "actionsAvail": []any{"kill_process", "errno", "allow"},
	}
	if d := cmp.Diff(want, facts); d != "" {
		t.Errorf("facts (-want +got):\n%s", d)
	}
	m.eventuallyReports(t, "profiles/audit.json")
	pod := podNaming("seccompgate/app.json")
	const denial = `admission webhook "enforce.seccompgate.io" denied the request: seccompgate baseline: [profile-missing] container "app": `
	shared.eventually(t, "a pod is denied that names what the node lacks", func() (bool, string) {
		a := shared.try(t, "agent-whole", pod)
		return strings.HasPrefix(a.Message, denial) && strings.Contains(a.Message, "m1"), fmt.Sprintf("it answers %q", a.Message)
	})

	start := time.Now()
	shared.mustKubectl(t, localhostProfile("app", "SCMP_ACT_LOG", ""), "apply", "-f", "-")
	shared.eventuallySays(t, "agent-whole", pod, "")
	t.Logf("admitted %s after the profile was created", time.Since(start).Round(10*time.Millisecond))
	m.eventuallyHolds(t, "seccompgate/app.json", logContent)
	m.eventuallyReports(t, "profiles/audit.json", "seccompgate/app."+logGeneration+".json", "seccompgate/app.json")

	// The node leaves the selector, and comes back.
	shared.mustKubectl(t, localhostProfile("web", "SCMP_ACT_LOG", ", nodeSelector: {pool: b}"), "apply", "-f", "-")
	shared.mustKubectl(t, "", "label", "node", "m1", "pool=b", "--overwrite")
	m.eventuallyHolds(t, "seccompgate/web.json", logContent)

	owners := func() []metav1.OwnerReference {
		n, err := newAgent(t, shared.Config).nodes.Get(t.Context(), "m1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return n.GetOwnerReferences()
	}()
	node, err := shared.Client.CoreV1().Nodes().Get(t.Context(), "m1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "m1", UID: node.UID}}, owners); d != "" {
		t.Errorf("owners (-want +got):\n%s", d)
	}
}

// TestAgentRepairs changes a file of ours and one of somebody else.
func TestAgentRepairs(t *testing.T) {
	m := newMachine(t, "m1")
	writeFile(t, filepath.Join(m.seccomp, "other.json"), logContent)
	m.run(t, "")
	shared.mustKubectl(t, localhostProfile("app", "SCMP_ACT_LOG", ""), "apply", "-f", "-")
	m.eventuallyReports(t, "other.json", "seccompgate/app."+logGeneration+".json", "seccompgate/app.json")

	file := filepath.Join(m.seccomp, "seccompgate", "app.json")
	for what, change := range map[string]func() error{
		"changed":    func() error { return os.WriteFile(file, []byte(errnoContent), 0o644) },
		"removed":    func() error { return os.Remove(file) },
		"a link":     func() error { return errors.Join(os.Remove(file), os.Symlink("../other.json", file)) },
		"unreadable": func() error { return os.Chmod(file, 0) },
	} {
		start := time.Now()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		shared.eventually(t, "the file is repaired", func() (bool, string) {
			got, _ := os.ReadFile(file)
			info, err := os.Lstat(file)
			return err == nil && string(got) == logContent && info.Mode() == 0o644, fmt.Sprintf("it holds %q, %v", got, err)
		})
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: repaired after %s, want 5s at most", what, took)
		}
	}
	if err := os.WriteFile(filepath.Join(m.seccomp, "other.json"), []byte(errnoContent), 0o644); err != nil {
		t.Fatal(err)
	}
	digest := func(digits string) string { return regexp.QuoteMeta("sha256:"+digits) + "[0-9a-f]{52}" }
	for about, want := range map[string]string{
		"LocalhostProfile/app": "^seccompgate/app\\.json on node m1 was not as it had been written: found " + digest(errnoGeneration) + " in place of " + digest(logGeneration) + "; it has been repaired$",
		"Node/m1":              "^other\\.json, which seccompgate does not keep, has changed from " + digest(logGeneration) + " to " + digest(errnoGeneration) + "$",
	} {
		shared.eventually(t, "there is an event about "+about, func() (bool, string) {
			list, err := shared.Client.EventsV1().Events(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var notes []string
			for _, e := range list.Items {
				if e.Regarding.Kind+"/"+e.Regarding.Name != about || e.ReportingController != "seccompgate.io/agent" {
					continue
				}
				if regexp.MustCompile(want).MatchString(e.Note) {
					return true, ""
				}
				notes = append(notes, e.Note)
			}
			return false, fmt.Sprintf("the notes are %q, want %q", notes, want)
		})
	}
	got, err := os.ReadFile(filepath.Join(m.seccomp, "other.json"))
	if err != nil || string(got) != errnoContent {
		t.Errorf("the file of somebody else is %q, %v", got, err)
	}
}

// TestAgentRemoves deletes a profile: its files leave the node when no pod names them.
func TestAgentRemoves(t *testing.T) {
	m := newMachine(t, "m1")
	m.run(t, "", agentConfigFile(t, "sweep: 10s\n"))
	shared.namespace(t, "agent-removes", nil)
	for _, name := range []string{"kept", "gone"} {
		shared.mustKubectl(t, localhostProfile(name, "SCMP_ACT_LOG", ""), "apply", "-f", "-")
	}
	m.eventuallyReports(t, "seccompgate/gone."+logGeneration+".json", "seccompgate/gone.json", "seccompgate/kept."+logGeneration+".json", "seccompgate/kept.json")

	// It runs on the node, as far as the API server knows.
	pod := parse(t, podNaming("seccompgate/kept."+logGeneration+".json"))
	if err := setField(pod.Object, "m1", "spec", "nodeName"); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Create(t.Context(), inNamespace(pod, "agent-removes")); err != nil {
		t.Fatal(err)
	}
	shared.mustKubectl(t, "", "delete", "localhostprofile", "kept", "gone")
	m.eventuallyReports(t, "seccompgate/kept."+logGeneration+".json")
	shared.mustKubectl(t, "", "delete", "pod", "app", "-n", "agent-removes", "--force", "--grace-period=0")
	m.eventuallyReports(t)
}

func setField(object map[string]any, value any, fields ...string) error {
	for _, f := range fields[:len(fields)-1] {
		next, ok := object[f].(map[string]any)
		if !ok {
			return fmt.Errorf("%s is no object", f)
		}
		object = next
	}
	object[fields[len(fields)-1]] = value
	return nil
}

// TestAgentWithoutAPIServer takes the API server away: what is known stays in force, and
// what happened meanwhile is caught up with.
func TestAgentWithoutAPIServer(t *testing.T) {
	m := newMachine(t, "m1")
	api, address := forwardAPIServer(t)
	m.run(t, "https://"+address)
	shared.mustKubectl(t, localhostProfile("app", "SCMP_ACT_LOG", ""), "apply", "-f", "-")
	m.eventuallyReports(t, "seccompgate/app."+logGeneration+".json", "seccompgate/app.json")

	api.SetBackends()
	api.Disconnect()
	shared.mustKubectl(t, localhostProfile("app", "SCMP_ACT_ERRNO", ""), "apply", "-f", "-")
	file := filepath.Join(m.seccomp, "seccompgate", "app.json")
	start := time.Now()
	for range 5 {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		m.eventuallyHolds(t, "seccompgate/app.json", logContent)
	}
	if took := time.Since(start); took > 25*time.Second {
		t.Errorf("five repairs took %s", took)
	}
	writeFile(t, filepath.Join(m.seccomp, "new.json"), logContent)
	if err := m.agent.Ready(t.Context()); err != nil {
		t.Errorf("an agent without an API server is not ready at once: %v", err)
	}

	api.SetBackends(apiServerAddress(t))
	start = time.Now()
	m.eventuallyReports(t, "new.json", "seccompgate/app."+errnoGeneration+".json", "seccompgate/app."+logGeneration+".json", "seccompgate/app.json")
	t.Logf("caught up %s after the API server was back", time.Since(start).Round(10*time.Millisecond))
	m.eventuallyHolds(t, "seccompgate/app.json", errnoContent)
}

// forwardAPIServer is a way to the API server that can be closed. Its address is one that
// the API server's certificate is for.
func forwardAPIServer(t *testing.T) (f *cluster.Forwarder, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = cluster.Forward(address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	f.SetBackends(apiServerAddress(t))
	return f, address
}

func apiServerAddress(t *testing.T) string {
	t.Helper()
	server, err := url.Parse(shared.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	return server.Host
}

// TestAgentCannotWrite: what keeps a profile from a node is told, the node is unknown as
// long as nobody knows what the kubelet sees there, and the agent tries again.
func TestAgentCannotWrite(t *testing.T) {
	m := newMachine(t, "m1")
	writeFile(t, m.seccomp, "not a directory")
	m.run(t, "")
	shared.mustKubectl(t, localhostProfile("app", "SCMP_ACT_LOG", ""), "apply", "-f", "-")
	want := []any{map[string]any{"profile": "app", "reason": "open /var/lib/kubelet/seccomp: not a directory"}}
	shared.eventually(t, "the failure is reported", func() (bool, string) {
		facts := m.facts(t)
		d := cmp.Diff(want, facts["failures"])
		return d == "" && facts["truncated"] == true, fmt.Sprintf("truncated %v, failures (-want +got):\n%s", facts["truncated"], d)
	})
	if err := os.Remove(m.seccomp); err != nil {
		t.Fatal(err)
	}
	m.eventuallyReports(t, "seccompgate/app."+logGeneration+".json", "seccompgate/app.json")
	if facts := m.facts(t); facts["failures"] != nil || facts["truncated"] != nil {
		t.Errorf("after it could be written, the node reports %v", facts)
	}
}

// TestAgentHangs: a node whose agent does not answer any more becomes unknown, and known
// again when it does.
func TestAgentHangs(t *testing.T) {
	m := newMachine(t, "m1")
	m.run(t, "")
	shared.namespace(t, "agent-hangs", nil)
	shared.label(t, "agent-hangs", map[string]string{enforceLabel: "baseline"})
	pod := podNaming("seccompgate/app.json")
	shared.mustKubectl(t, localhostProfile("app", "SCMP_ACT_LOG", ""), "apply", "-f", "-")
	known := func() bool {
		a := shared.try(t, "agent-hangs", pod)
		return a.Allowed() && len(a.Warnings) == 0
	}
	shared.eventually(t, "the node is known to have the profile", func() (bool, string) { return known(), "it is not" })

	start := time.Now()
	if err := m.agent.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := m.agent.Ready(t.Context()); err == nil {
		t.Error("an agent that is stopped is ready")
	}
	// The kubelet asks every 5 seconds, and twice.
	time.Sleep(10 * time.Second)
	if err := m.agent.SetReady(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for known() {
		if time.Since(start) > 90*time.Second {
			t.Fatal("the node is still known")
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Logf("unknown %s after the agent was stopped", time.Since(start).Round(100*time.Millisecond))
	if err := errors.Join(m.agent.Signal(syscall.SIGCONT), m.agent.WaitReady(t.Context()), m.agent.SetReady(t.Context(), true)); err != nil {
		t.Fatal(err)
	}
	shared.eventually(t, "the node is known again", func() (bool, string) { return known(), "it is not" })
}

// TestAgentIsKept: who deletes or changes what an agent reports does so for a moment.
func TestAgentIsKept(t *testing.T) {
	m := newMachine(t, "m1")
	writeFile(t, filepath.Join(m.seccomp, "a.json"), logContent)
	m.run(t, "", agentConfigFile(t, "rehash: 5s\n"))
	m.eventuallyReports(t, "a.json")
	client := newAgent(t, shared.Config)
	patch := []byte(`{"facts": {"profileSet": null, "seccompDefault": null}}`)
	if _, err := client.nodes.Patch(t.Context(), "m1", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	m.eventuallyReports(t, "a.json")
	shared.mustKubectl(t, "", "delete", "seccompnode,profileset", "--all")
	m.eventuallyReports(t, "a.json")
}

// TestAgentMemory says what an agent with two hundred profiles takes.
func TestAgentMemory(t *testing.T) {
	const (
		profiles = 200
		limit    = 24 << 10 // KiB
	)
	m := newMachine(t, "m1")
	m.run(t, "")
	text, err := os.ReadFile(filepath.Join(shared.root, "seccomp", "testdata", "valid", "fine-grained.json"))
	if err != nil {
		t.Fatal(err)
	}
	var profile map[string]any
	if err := json.Unmarshal(text, &profile); err != nil {
		t.Fatal(err)
	}
	var creating sync.WaitGroup
	for i := range profiles {
		o := parse(t, localhostProfile("p"+strconv.Itoa(i), "SCMP_ACT_ERRNO", ""))
		one := maps.Clone(profile)
		one["defaultErrnoRet"] = i + 1
		o.Object["spec"] = map[string]any{"profile": one}
		creating.Go(func() {
			if _, err := shared.Create(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	creating.Wait()
	// Each is analysed, which takes some seconds in all.
	for start := time.Now(); len(m.reported(t)) != 2*profiles; time.Sleep(time.Second) {
		if err := m.agent.Alive(t.Context()); err != nil {
			t.Errorf("while it works: %v", err)
		}
		if time.Since(start) > 3*time.Minute {
			t.Fatalf("%d files are reported, want %d", len(m.reported(t)), 2*profiles)
		}
	}
	time.Sleep(25 * time.Second) // it gives memory back after a rest
	rss, err := m.agent.Resident()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("an agent with %d profiles takes %d KiB", profiles, rss)
	if rss > limit {
		t.Errorf("an agent takes %d KiB, want %d at most", rss, limit)
	}
}
