// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// newTestAgent is an agent whose loop does not run: a test calls its parts.
func newTestAgent(t *testing.T, client *Client) (a *Agent, seccompRoot string) {
	t.Helper()
	root := t.TempDir()
	seccompRoot = filepath.Join(root, "var", "lib", "kubelet", "seccomp")
	if err := os.MkdirAll(seccompRoot, 0o755); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{
		Client: client, Root: root, NodeName: "node-a", GOARCH: "amd64", Rehash: time.Minute, Sweep: 12 * time.Millisecond,
		Metrics: prometheus.NewRegistry(), Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.unwatch()
		a.close()
	})
	a.settings(t.Context())
	return a, seccompRoot
}

// profile is what the agent wants of a LocalhostProfile.
func (a *Agent) profile(name, action string, selector map[string]string) *wanted {
	return a.want(&v1alpha1.LocalhostProfile{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.LocalhostProfileSpec{NodeSelector: selector, Profile: v1alpha1.OCIProfile{DefaultAction: v1alpha1.Action(action)}},
	})
}

// published are the paths that would be published; ok is false if nothing would.
func (a *Agent) published() (paths []string, ok bool) {
	if a.publisher.facts == nil {
		return nil, false
	}
	for _, f := range a.publisher.facts.Profiles {
		paths = append(paths, f.Path)
	}
	return paths, true
}

// Generations of the two profiles that tests use.
const (
	logged = "seccompgate/app.73300c7ea05b.json"
	errno  = "seccompgate/app.981fb767754d.json"
	plain  = "seccompgate/app.json"
)

// TestPass: nothing is published before it is known what the node is to have. Then it has
// that, and what is not wanted any more stays until it may go.
func TestPass(t *testing.T) {
	a, _ := newTestAgent(t, nil)
	want := func(when string, paths ...string) {
		t.Helper()
		a.pass()
		got, ok := a.published()
		if d := cmp.Diff(paths, got); d != "" || !ok {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	a.pass()
	if paths, ok := a.published(); ok {
		t.Fatalf("published before the node is known: %v", paths)
	}
	a.node = &metav1.ObjectMeta{Name: "node-a", UID: "u", Labels: map[string]string{"pool": "a"}}
	a.pass()
	if paths, ok := a.published(); ok {
		t.Fatalf("published before the profiles are known: %v", paths)
	}
	a.profiles = map[string]*wanted{
		"app":   a.profile("app", "SCMP_ACT_LOG", map[string]string{"pool": "a"}),
		"other": a.profile("other", "SCMP_ACT_LOG", map[string]string{"pool": "b"}),
	}
	want("a profile", logged, plain)

	a.profiles["app"] = a.profile("app", "SCMP_ACT_ERRNO", nil)
	want("a new content keeps the old generation", logged, errno, plain)
	if d := cmp.Diff(map[string]bool{logged: true}, a.kept); d != "" {
		t.Errorf("kept (-want +got):\n%s", d)
	}
	a.profiles["app"].served = logged
	a.removable = map[string]bool{logged: true}
	want("what injection still writes stays", logged, errno, plain)
	delete(a.profiles, "app")
	a.removable = map[string]bool{logged: true}
	want("what has become unwanted since is not removed", errno, plain)
	a.profiles["app"] = a.profile("app", "SCMP_ACT_LOG", nil)
	want("it comes back", logged, errno, plain)
	delete(a.profiles, "app")
	want("one answer is for one use", logged, errno, plain)
	a.removable = maps.Clone(a.kept)
	want("nothing names them", []string(nil)...)

	a.profiles["app"] = a.profile("app", "SCMP_ACT_NONE", nil)
	want("a profile that cannot be written", []string(nil)...)
}

// TestSweep: of the files that were unwanted when it began, those that no pod names may go.
func TestSweep(t *testing.T) {
	_, client := newAPI(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			http.Error(w, "", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintf(w, `{"items":[{"spec":{"securityContext":{"seccompProfile":{"localhostProfile":%q}}}}]}`, errno)
	})
	a, _ := newTestAgent(t, client)
	a.kept = map[string]bool{logged: true, errno: true}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.sweep(ctx)
	}()
	signal(a.keeping)
	select {
	case <-a.dirty:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody asks")
	}
	a.mu.Lock()
	got := slices.Collect(maps.Keys(a.removable))
	a.mu.Unlock()
	if d := cmp.Diff([]string{logged}, got); d != "" {
		t.Errorf("removable (-want +got):\n%s", d)
	}
	stop()
	<-done
}

// TestFailures says of each profile why it is not there.
func TestFailures(t *testing.T) {
	a, seccompRoot := newTestAgent(t, nil)
	a.node = &metav1.ObjectMeta{Name: "node-a", UID: "u"}
	a.profiles = map[string]*wanted{"app": a.profile("app", "SCMP_ACT_LOG", nil), "web": a.profile("web", "SCMP_ACT_LOG", nil)}
	if err := os.Remove(seccompRoot); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(seccompRoot, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a.pass()
	const reason = "open /var/lib/kubelet/seccomp: not a directory"
	want := []v1alpha1.WriteFailure{{Profile: "app", Reason: reason}, {Profile: "web", Reason: reason}}
	if d := cmp.Diff(want, a.publisher.facts.Failures); d != "" {
		t.Errorf("failures (-want +got):\n%s", d)
	}
	if !a.publisher.facts.Truncated {
		t.Error("what the kubelet sees is said to be known")
	}
	if n := len(a.recorder.queue); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	a.pass()
	if n := len(a.recorder.queue); n != 1 {
		t.Errorf("%d events after a second failure like the first, want 1", n)
	}
	if err := os.Remove(seccompRoot); err != nil {
		t.Fatal(err)
	}
	a.pass()
	if f := a.publisher.facts; f.Failures != nil || f.Truncated {
		t.Errorf("after it could be written: failures %v, truncated %v", f.Failures, f.Truncated)
	}
}

// TestNothingMounted: an agent that finds nothing where the kubelet's directory should be
// knows nothing of what the kubelet sees.
func TestNothingMounted(t *testing.T) {
	a, seccompRoot := newTestAgent(t, nil)
	if err := os.RemoveAll(filepath.Dir(seccompRoot)); err != nil {
		t.Fatal(err)
	}
	a.node, a.profiles = &metav1.ObjectMeta{Name: "node-a"}, map[string]*wanted{"app": a.profile("app", "SCMP_ACT_LOG", nil)}
	a.pass()
	want := &v1alpha1.NodeFacts{
		SeccompRoot: "/var/lib/kubelet/seccomp", Truncated: true,
		Failures: []v1alpha1.WriteFailure{{Profile: "app", Reason: "open /var/lib/kubelet: no such file or directory; see whether this is the kubelet's --root-dir"}},
	}
	if d := cmp.Diff(want, a.publisher.facts); d != "" {
		t.Errorf("facts (-want +got):\n%s", d)
	}
}

// TestCompare tells of the files of others, each time that they change.
func TestCompare(t *testing.T) {
	a, _ := newTestAgent(t, nil)
	file := func(digest string) []v1alpha1.ProfileFile {
		return []v1alpha1.ProfileFile{{Path: "a.json", Digest: digest}, {Path: "seccompgate/x.json", Digest: digest, Managed: true}}
	}
	for i, step := range []struct {
		digest string
		note   string
	}{
		{"sha256:1", ""},
		{"sha256:1", ""},
		{"sha256:2", "a.json, which seccompgate does not keep, has changed from sha256:1 to sha256:2"},
		{"", "a.json, which seccompgate does not keep, has changed from sha256:2 to a file too large to be a profile"},
	} {
		a.compare(file(step.digest))
		got := ""
		select {
		case e := <-a.recorder.queue:
			got = e.Note
		default:
		}
		if got != step.note {
			t.Errorf("step %d: note %q, want %q", i, got, step.note)
		}
	}
}
