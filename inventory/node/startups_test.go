// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

func TestMeasuredVersionsCompare(t *testing.T) {
	for _, s := range seccomp.Startups() {
		if s.Runtime == seccomp.AnyRuntime {
			continue
		}
		if _, err := version.ParseSemantic(s.Version); err != nil {
			t.Errorf("startup.json, %s: %v", s.Runtime, err)
		}
	}
}

// withRuntimes is a runtime for each of "name version" or "name".
func withRuntimes(list ...string) []v1alpha1.Runtime {
	var out []v1alpha1.Runtime
	for i, text := range list {
		name, version, _ := strings.Cut(text, " ")
		out = append(out, v1alpha1.Runtime{Handler: fmt.Sprint("h", i), Name: "containerd", LowLevel: name, LowLevelVersion: version})
	}
	return out
}

// whole is the startups as "runtime version", those with no_new_privs and without together.
func whole(t *testing.T, list []seccomp.Startup) []string {
	t.Helper()
	var out []string
	count := make(map[string]int)
	for _, s := range list {
		name := strings.TrimSpace(s.Runtime + " " + s.Version)
		if count[name]++; count[name] == 1 {
			out = append(out, name)
		}
	}
	for name, n := range count {
		if n != 2 {
			t.Errorf("%d sets of %s, want one with no_new_privs and one without", n, name)
		}
	}
	return out
}

func TestStartups(t *testing.T) {
	everything := []string{"runc 1.5.2", "runc 1.1.5", "crun 1.8.1", "any"}
	for _, tc := range []struct {
		name     string
		runtimes []v1alpha1.Runtime
		want     []string
	}{
		{"no runtime is known", nil, everything},
		{"no low-level runtime is known", []v1alpha1.Runtime{{Name: "containerd", Version: "1.6.20"}}, everything},
		{"as measured", withRuntimes("runc 1.5.2"), []string{"runc 1.5.2"}},
		{"an older one, as measured", withRuntimes("runc 1.1.5"), []string{"runc 1.1.5"}},
		{"between two: the older", withRuntimes("runc 1.3.0"), []string{"runc 1.1.5"}},
		{"numbers, not letters", withRuntimes("runc 1.1.15"), []string{"runc 1.1.5"}},
		{"before a release", withRuntimes("runc 1.5.2-rc.1"), []string{"runc 1.1.5"}},
		{"newer than all: the newest", withRuntimes("runc 2.0.0"), []string{"runc 1.5.2"}},
		{"older than all: the oldest", withRuntimes("runc 1.0.0-rc93"), []string{"runc 1.1.5"}},
		{"of two numbers", withRuntimes("runc 1.6"), []string{"runc 1.5.2"}},
		{"crun of two numbers", withRuntimes("crun 1.14"), []string{"crun 1.8.1"}},
		{"an older crun", withRuntimes("crun 0.17"), []string{"crun 1.8.1"}},
		{"no version: all, of which the least counts", withRuntimes("runc"), []string{"runc 1.5.2", "runc 1.1.5"}},
		{"no version to read", withRuntimes("runc devel"), []string{"runc 1.5.2", "runc 1.1.5"}},
		{"one that was not measured", withRuntimes("youki 0.5.0"), []string{"youki"}},
		{"several, those that were measured first", withRuntimes("own", "runc 1.5.2", "crun 1.8.1"), []string{"crun 1.8.1", "runc 1.5.2", "own"}},
		{"one for two handlers", withRuntimes("runc 1.5.2", "runc 1.5.2"), []string{"runc 1.5.2"}},
		{"two versions of one", withRuntimes("runc 1.5.2", "runc 1.1.5"), []string{"runc 1.1.5", "runc 1.5.2"}},
		{"kernels of their own", withRuntimes("runsc", "kata", "kata-qemu"), nil},
		{"kernels of their own, and runc", withRuntimes("runsc", "runc 1.1.5"), []string{"runc 1.1.5"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, whole(t, startups(lowLevels(tc.runtimes)))); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestStartupsOfAnotherAreThoseOfAny(t *testing.T) {
	for _, s := range startups(lowLevels(withRuntimes("youki"))) {
		for _, common := range startupsOf(seccomp.AnyRuntime) {
			if common.NoNewPrivileges == s.NoNewPrivileges {
				if d := cmp.Diff(common.Syscalls, s.Syscalls); d != "" {
					t.Errorf("no new privileges %v (-any +youki):\n%s", s.NoNewPrivileges, d)
				}
			}
		}
	}
}

// blocking is a profile that blocks these calls only.
func blocking(calls ...string) string {
	return `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["` + strings.Join(calls, `","`) + `"],"action":"SCMP_ACT_ERRNO"}]}`
}

func TestMissingToStart(t *testing.T) {
	type missing = v1alpha1.MissingToStart
	young := []string{"fstat", "statx"} // what runc 1.5.2 needs with no_new_privs, and 1.1.5 does not
	for _, tc := range []struct {
		name     string
		runtimes []v1alpha1.Runtime
		blocks   []string
		want     []missing
	}{
		{
			"runc 1.5", withRuntimes("runc 1.5.2"), young,
			[]missing{{Runtime: "runc", NoNewPrivileges: true, Syscalls: young}, {Runtime: "runc", Syscalls: young}},
		},
		{"runc 1.1", withRuntimes("runc 1.1.5"), young, []missing{{Runtime: "runc", Syscalls: []string{"fstat"}}}},
		{"runc of a version that is not known", withRuntimes("runc"), young, []missing{{Runtime: "runc", Syscalls: []string{"fstat"}}}},
		{"runtimes that are not known", nil, young, []missing{{Runtime: "runc", Syscalls: []string{"fstat"}}}},
		{
			"two versions of runc: either may start the pod", withRuntimes("runc 1.1.5", "runc 1.5.2"), young,
			[]missing{{Runtime: "runc", Syscalls: []string{"fstat"}}},
		},
		{
			"youki", withRuntimes("youki 0.5.0"),
			[]string{"capset", "close", "execve"},
			[]missing{{Runtime: "youki", Syscalls: []string{"capset", "execve"}}, {Runtime: "youki", NoNewPrivileges: true, Syscalls: []string{"execve"}}},
		},
		{
			"several", withRuntimes("youki", "crun 1.14", "runc 1.5.2"),
			[]string{"execve"},
			[]missing{
				{Runtime: "crun", NoNewPrivileges: true, Syscalls: []string{"execve"}},
				{Runtime: "crun", Syscalls: []string{"execve"}},
				{Runtime: "runc", NoNewPrivileges: true, Syscalls: []string{"execve"}},
				{Runtime: "runc", Syscalls: []string{"execve"}},
				{Runtime: "youki", Syscalls: []string{"execve"}},
				{Runtime: "youki", NoNewPrivileges: true, Syscalls: []string{"execve"}},
			},
		},
		{
			"unknown, and all of them lack something", nil,
			[]string{"execve"},
			[]missing{
				{Runtime: "runc", NoNewPrivileges: true, Syscalls: []string{"execve"}},
				{Runtime: "runc", Syscalls: []string{"execve"}},
				{Runtime: "crun", NoNewPrivileges: true, Syscalls: []string{"execve"}},
				{Runtime: "crun", Syscalls: []string{"execve"}},
				{Runtime: "any", Syscalls: []string{"execve"}},
				{Runtime: "any", NoNewPrivileges: true, Syscalls: []string{"execve"}},
			},
		},
		{"gVisor", withRuntimes("runsc"), []string{"execve"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newContents("amd64")
			s.on(tc.runtimes)
			c := s.of("sha256:1", []byte(blocking(tc.blocks...)))
			must(t, c.err)
			if d := cmp.Diff(tc.want, c.analysis.MissingToStart); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestMissingToStartFits: the API takes so many, and a set that it refuses would leave the
// node unknown.
func TestMissingToStartFits(t *testing.T) {
	list := []string{"runc 1.5.2"}
	for i := range maxRuntimes - 1 {
		list = append(list, fmt.Sprint("a", i))
	}
	s := newContents("amd64")
	s.on(withRuntimes(list...))
	got := s.of("sha256:1", []byte(blocking("execve"))).analysis.MissingToStart
	if len(got) != maxMissing || got[0].Runtime != "runc" || got[1].Runtime != "runc" {
		t.Errorf("got %+v, want %d, those of runc first", got, maxMissing)
	}
}

// TestContentsAfterAnUpgrade: what is remembered of a content is about the runtimes that
// the node had.
func TestContentsAfterAnUpgrade(t *testing.T) {
	status := func(version string) string {
		return strings.Replace(dpkg, "1.1.5+ds1-1+deb12u1", version, 1)
	}
	host := hostOf(t, map[string]string{
		"etc/containerd/config.toml":             "version = 2\n",
		"usr/sbin/runc":                          "",
		"var/lib/dpkg/info/runc.list":            "/usr/sbin/runc\n",
		"var/lib/dpkg/status":                    status("1.1.5"),
		"var/lib/kubelet/seccomp/app.json":       blocking("statx"),
		"var/lib/kubelet/seccomp/unrelated.json": blocking("mount"),
	})
	r := NewReader(host, Options{NodeName: "a", GOARCH: "amd64"})
	// readAll goes on until everything is judged, as the agent does.
	readAll := func() []v1alpha1.ProfileFile {
		r.Settings()
		for {
			if facts, _, complete := r.Profiles(0); complete {
				return facts.Profiles
			}
		}
	}
	before := readAll()
	if got := before[0].Analysis.MissingToStart; got != nil {
		t.Errorf("runc 1.1.5 is said to lack %+v", got)
	}
	judged := r.files.contents.known[before[0].Digest]
	readAll()
	if r.files.contents.known[before[0].Digest] != judged {
		t.Error("a content is judged anew though nothing has changed")
	}
	must(t, host.root.WriteFile("var/lib/dpkg/status", []byte(status("1.5.2")), 0o644))
	after := readAll()
	want := []v1alpha1.MissingToStart{
		{Runtime: "runc", NoNewPrivileges: true, Syscalls: []string{"statx"}}, {Runtime: "runc", Syscalls: []string{"statx"}},
	}
	if d := cmp.Diff(want, after[0].Analysis.MissingToStart); d != "" {
		t.Errorf("after the upgrade to 1.5.2 (-want +got):\n%s", d)
	}
	must(t, host.root.WriteFile("var/lib/dpkg/status", []byte(status("1.1.5")), 0o644))
	if d := cmp.Diff(before, readAll()); d != "" {
		t.Errorf("after going back (-before +after):\n%s", d)
	}
}

// TestSetsOfRuntimes: nodes share a set when they have the same files and the same
// low-level runtimes, whatever the handlers, or when no file tells these apart.
func TestSetsOfRuntimes(t *testing.T) {
	set := func(profile string, runtimes ...string) string {
		facts := v1alpha1.NodeFacts{SeccompRoot: "/seccomp", Runtimes: withRuntimes(runtimes...)}
		must(t, profileFiles{newContents("amd64")}.Collect(hostOf(t, map[string]string{"seccomp/app.json": profile}), &facts))
		if len(facts.Profiles) != 1 {
			t.Fatalf("got %+v", facts.Profiles)
		}
		return v1alpha1.ProfileSetName(facts.Profiles)
	}
	young := blocking("statx")
	if set(young, "runc 1.5.2") == set(young, "runc 1.1.5") {
		t.Error("nodes with runc 1.5.2 and 1.1.5 share what one of them lacks")
	}
	if set(young, "runc 1.5.2") != set(young, "runc 1.5.3") {
		t.Error("two versions that are measured as one have a set each")
	}
	if set(blocking("execve"), "crun", "youki", "runc 1.5.2") != set(blocking("execve"), "runc 1.5.2", "runc 1.5.2", "youki", "crun") {
		t.Error("the order of handlers makes a set of its own")
	}
	if set(blocking("mount"), "runc 1.5.2") != set(blocking("mount"), "crun 1.8.1") {
		t.Error("a profile that lets every runtime start has a set for each")
	}
}
