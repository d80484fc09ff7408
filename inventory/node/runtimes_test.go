// SPDX-License-Identifier: Apache-2.0

package node

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// hostOf makes a host of these files.
func hostOf(t *testing.T, files map[string]string) *Host {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, []byte(content), 0o644))
	}
	host, err := OpenHost(root)
	must(t, err)
	t.Cleanup(func() { must(t, host.Close()) })
	return host
}

// dpkg is the status of a Debian node.
const dpkg = `Package: libc6
Status: install ok installed
Version: 2.36-9

Package: runc
Status: install ok installed
Version: 1.1.5+ds1-1+deb12u1

Package: containerd
Status: install ok installed
Version: 1:1.6.20~ds1-1+deb12u3
`

func TestRuntimes(t *testing.T) {
	const v2 = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n"
	runc := func(handler string) v1alpha1.Runtime {
		return v1alpha1.Runtime{Handler: handler, Name: "containerd", LowLevel: "runc"}
	}
	for _, tc := range []struct {
		name     string
		files    map[string]string
		want     []v1alpha1.Runtime
		problems []string
	}{
		{name: "nothing is known without a word of it"},
		{
			name:  "containerd without a configuration has what is built in",
			files: map[string]string{"proc/9/cmdline": "/usr/bin/containerd\x00"},
			want:  []v1alpha1.Runtime{runc(""), runc("runc")},
		},
		{
			name: "Debian's containerd and runc have the versions of their packages",
			files: map[string]string{
				"etc/containerd/config.toml":        v2,
				"usr/bin/containerd":                "\x7fELF",
				"usr/sbin/runc":                     "\x7fELF",
				"var/lib/dpkg/status":               dpkg,
				"var/lib/dpkg/info/runc.list":       "/.\n/usr/sbin\n/usr/sbin/runc\n",
				"var/lib/dpkg/info/containerd.list": "/usr/bin/containerd\n",
			},
			want: []v1alpha1.Runtime{
				{Name: "containerd", Version: "1.6.20", LowLevel: "runc", LowLevelVersion: "1.1.5"},
				{Handler: "runc", Name: "containerd", Version: "1.6.20", LowLevel: "runc", LowLevelVersion: "1.1.5"},
			},
		},
		{
			name: "a runc that somebody put before the package's is not of its version",
			files: map[string]string{
				"etc/containerd/config.toml":  v2,
				"usr/local/sbin/runc":         "\x7fELF",
				"usr/sbin/runc":               "\x7fELF",
				"var/lib/dpkg/status":         dpkg,
				"var/lib/dpkg/info/runc.list": "/usr/sbin/runc\n",
			},
			want: []v1alpha1.Runtime{runc(""), runc("runc")},
		},
		{
			name: "version 2: handlers, another default, shims of their own",
			files: map[string]string{"etc/containerd/config.toml": v2 + `default_runtime_name = "crun"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
BinaryName = "/usr/bin/crun"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.gvisor]
runtime_type = "io.containerd.runsc.v1"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.own]
runtime_type = "/opt/bin/own-shim"
`},
			want: []v1alpha1.Runtime{
				{Name: "containerd", LowLevel: "crun"},
				{Handler: "crun", Name: "containerd", LowLevel: "crun"},
				{Handler: "gvisor", Name: "containerd", LowLevel: "runsc"},
				{Handler: "own", Name: "containerd", LowLevel: "own-shim"},
				runc("runc"),
			},
		},
		{
			name: "version 3, at the path of the command line, with imports that outrank it",
			files: map[string]string{
				"proc/4/cmdline":              "/usr/local/bin/containerd\x00--config\x00/data/containerd.toml\x00",
				"etc/containerd/config.toml":  "not this one",
				"data/containerd.toml":        "version = 3\nimports = [\"conf.d/*.toml\"]\n[plugins.\"io.containerd.cri.v1.runtime\".containerd]\ndefault_runtime_name = \"x\"\n",
				"data/conf.d/10-kata.toml":    "imports = ['/data/containerd.toml']\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]\nruntime_type = 'io.containerd.kata.v2'\n",
				"data/conf.d/20-default.toml": "[plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'kata'\n",
				"data/conf.d/README":          "no TOML",
			},
			want: []v1alpha1.Runtime{
				{Name: "containerd", LowLevel: "kata"}, {Handler: "kata", Name: "containerd", LowLevel: "kata"}, runc("runc"),
			},
		},
		{
			name:     "a configuration that cannot be read",
			files:    map[string]string{"etc/containerd/config.toml": "version = 2\n[plugins\n"},
			want:     []v1alpha1.Runtime{{Name: "containerd"}},
			problems: []string{`read configuration of containerd: parse etc/containerd/config.toml: line 2: "" in place of "]"`},
		},
		{
			name: "CRI-O and its drop-ins",
			files: map[string]string{
				"etc/crio/crio.conf":             "[crio.runtime]\ndefault_runtime = \"runc\"\n[crio.runtime.runtimes.runc]\nruntime_path = \"\"\n",
				"etc/crio/crio.conf.d/10-crun":   "[crio.runtime]\ndefault_runtime = \"crun\"\n[crio.runtime.runtimes.crun]\nruntime_path = \"/usr/libexec/crio/crun\"\n",
				"etc/crio/crio.conf.d/20-own.cf": "[crio.runtime.runtimes.own]\nruntime_path = \"/opt/youki\"\n",
			},
			want: []v1alpha1.Runtime{
				{Name: "cri-o", LowLevel: "crun"},
				{Handler: "crun", Name: "cri-o", LowLevel: "crun"},
				{Handler: "own", Name: "cri-o", LowLevel: "youki"},
				{Handler: "runc", Name: "cri-o", LowLevel: "runc"},
			},
		},
		{
			name: "of two that run, the one that the kubelet uses",
			files: map[string]string{
				"proc/3/cmdline":     "/usr/bin/containerd\x00",
				"proc/5/cmdline":     "/usr/bin/crio\x00",
				"proc/8/cmdline":     "kubelet\x00--container-runtime-endpoint=unix:///var/run/crio/crio.sock\x00",
				"etc/crio/crio.conf": "[crio.runtime]\ndefault_runtime = \"crun\"\n",
			},
			want: []v1alpha1.Runtime{{Name: "cri-o", LowLevel: "crun"}},
		},
		{
			name: "what runs in a pod is not the node's",
			files: map[string]string{
				"proc/3/cmdline": "containerd\x00",
				"proc/3/cgroup":  "0::/kubepods.slice/pod1\n",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var facts v1alpha1.NodeFacts
			var problems []string
			for _, err := range flatten(runtimes{}.Collect(hostOf(t, tc.files), &facts)) {
				problems = append(problems, err.Error())
			}
			if d := cmp.Diff(tc.want, facts.Runtimes); d != "" {
				t.Errorf("runtimes (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tc.problems, problems); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

// TestBuiltVersion reads programs that Go has built.
func TestBuiltVersion(t *testing.T) {
	source := t.TempDir()
	must(t, os.WriteFile(filepath.Join(source, "go.mod"), []byte("module example.com/runc\n\ngo 1.26\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(source, "main.go"), []byte("package main\n\nvar version string\n\nfunc main() { println(version) }\n"), 0o644))
	for name, tc := range map[string]struct {
		flags []string
		want  string
	}{
		"the linker was told":      {[]string{"-ldflags=-s -w -X main.version=1.2.3-rc.1+build"}, "1.2.3-rc.1"},
		"with the v of a tag":      {[]string{"-ldflags=-X example.com/runc/version.Version=v2.1.0"}, "2.1.0"},
		"nobody said":              {nil, ""},
		"the linker was told else": {[]string{"-ldflags=-X main.commit=abc"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			build := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", filepath.Join(root, "usr", "bin", "runc")}, tc.flags...), ".")...)
			build.Dir = source
			build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			host, err := OpenHost(root)
			must(t, err)
			defer host.Close()
			if got := programVersion(host, "runc"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestReleased(t *testing.T) {
	for version, want := range map[string]string{
		"v1.5.2": "1.5.2", "1.6.20~ds1-1+deb12u3": "1.6.20", "1.1.5+ds1-1+deb12u1": "1.1.5", "v2.3.0-rc.1": "2.3.0-rc.1",
		"2.0.0-beta.2-dirty": "2.0.0-beta.2", "1.27": "1.27", "(devel)": "", "": "", "abc": "",
	} {
		if got := released(version); got != want {
			t.Errorf("released(%q) = %q, want %q", version, got, want)
		}
	}
}
