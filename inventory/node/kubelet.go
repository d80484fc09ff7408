// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

const (
	// defaultRootDir is the kubelet's --root-dir unless it is told otherwise.
	defaultRootDir = "/var/lib/kubelet"
	// seccompDirectory below it is where the kubelet looks for Localhost profiles.
	seccompDirectory = "seccomp"
	// maxKubeletConfig in bytes; real ones have one or two KiB.
	maxKubeletConfig = 1 << 20
	// maxCommandLine in bytes; a kubelet with every flag there is needs some 10 KiB.
	maxCommandLine = 128 << 10
)

// configFiles are where distributions keep the kubelet's configuration. They matter
// only when no kubelet can be seen that says where it has its own.
func configFiles() []string {
	return []string{
		"var/lib/kubelet/config.yaml", // kubeadm
		"etc/kubernetes/kubelet.yaml",
		"etc/kubernetes/kubelet-config.yaml",         // kubespray
		"etc/kubernetes/kubelet/config.json",         // EKS on Amazon Linux 2023
		"etc/kubernetes/kubelet/kubelet-config.json", // EKS on Amazon Linux 2
		"etc/kubernetes/kubelet/kubelet-config.yaml",
		"home/kubernetes/kubelet-config.yaml", // GKE
	}
}

// kubelet reads where the kubelet keeps profiles and what pods without one get. A
// running kubelet's command line is the best witness; without a proc there is only
// its configuration file.
type kubelet struct{}

func (kubelet) Name() string { return "kubelet" }

func (kubelet) Collect(host *Host, facts *v1alpha1.NodeFacts) error {
	flags, running, err := findKubelet(host)
	if err != nil {
		err = fmt.Errorf("look for a running kubelet: %w", err)
	}
	facts.SeccompRoot = path.Join(flags.rootDir(), seccompDirectory)

	seccompDefault, configErr := readSeccompDefault(host, flags)
	switch {
	case flags.bool("seccomp-default") != nil:
		facts.SeccompDefault = flags.bool("seccomp-default")
	case configErr != nil:
		return errors.Join(err, configErr)
	case seccompDefault != nil:
		facts.SeccompDefault = seccompDefault
	case running:
		off := false
		facts.SeccompDefault = &off
	default:
		err = errors.Join(err, errors.New("no running kubelet and no configuration file of one below the root; "+
			"seccompDefault is unknown, and profiles are looked for in "+facts.SeccompRoot))
	}
	return err
}

// kubeletFlags are the flags of a running kubelet; the last of two equal ones counts.
type kubeletFlags map[string]string

// rootDir is absolute and clean.
func (f kubeletFlags) rootDir() string {
	if dir := f["root-dir"]; path.IsAbs(dir) {
		return path.Clean(dir)
	}
	return defaultRootDir
}

func (f kubeletFlags) bool(name string) *bool {
	value, found := f[name]
	if !found {
		return nil
	}
	if on, err := strconv.ParseBool(value); err == nil {
		return &on
	}
	return nil
}

// findKubelet returns the flags of the host's kubelet.
func findKubelet(host *Host) (flags kubeletFlags, running bool, err error) {
	err = eachProcess(host, func(args []string) {
		if !running && path.Base(args[0]) == "kubelet" {
			flags, running = parseFlags(args[1:]), true
		}
	})
	return flags, running, err
}

// eachProcess calls f with the arguments of each process of the host, in order of their
// ids. A pod may call its process kubelet too: what runs in a pod's control group is
// passed over.
func eachProcess(host *Host, f func(args []string)) error {
	entries, err := host.readDir("proc")
	if err != nil {
		return ignoreMissing(err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	for _, pid := range pids {
		directory := path.Join("proc", strconv.Itoa(pid))
		// Processes end while they are looked at: one that cannot be read is none.
		data, err := host.ReadFile(path.Join(directory, "cmdline"), maxCommandLine)
		if err != nil || len(data) == 0 {
			continue
		}
		args := strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
		group, err := host.ReadFile(path.Join(directory, "cgroup"), maxKernelFile)
		if err == nil && strings.Contains(string(group), "kubepods") {
			continue
		}
		f(args)
	}
	return nil
}

func parseFlags(args []string) kubeletFlags {
	flags := make(kubeletFlags)
	for i := 0; i < len(args); i++ {
		name, dashed := strings.CutPrefix(args[i], "-")
		if !dashed {
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		name = strings.ReplaceAll(name, "_", "-") // to the kubelet it is the same
		switch {
		case given:
		case name == "seccomp-default":
			value = "true" // a boolean flag takes no further argument
		case i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
			i++
			value = args[i]
		}
		flags[name] = value
	}
	return flags
}

// readSeccompDefault reads the setting from the configuration: nil if there is none,
// false if there is one that does not mention it.
func readSeccompDefault(host *Host, flags kubeletFlags) (*bool, error) {
	candidates, named := configFiles(), false
	if file := flags["config"]; path.IsAbs(file) {
		candidates, named = []string{file}, true
	}
	var setting *bool
	for _, candidate := range candidates {
		value, err := readKubeletConfig(host, strings.TrimPrefix(candidate, "/"))
		if errors.Is(err, fs.ErrNotExist) && !named {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read kubelet configuration: %w", err)
		}
		off := false
		setting = cmp.Or(value, &off)
		break
	}
	if directory := flags["config-dir"]; path.IsAbs(directory) {
		value, err := readDropIns(host, strings.TrimPrefix(directory, "/"))
		if err != nil {
			return nil, fmt.Errorf("read kubelet drop-in configuration: %w", err)
		}
		setting = cmp.Or(value, setting)
	}
	return setting, nil
}

// readDropIns reads the *.conf files of --config-dir; the last one that mentions the
// setting counts.
func readDropIns(host *Host, directory string) (setting *bool, err error) {
	resolved, err := host.resolve(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := host.readDir(resolved)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if path.Ext(e.Name()) != ".conf" {
			continue
		}
		value, err := readKubeletConfig(host, path.Join(resolved, e.Name()))
		if err != nil {
			return nil, err
		}
		setting = cmp.Or(value, setting)
	}
	return setting, nil
}

// readKubeletConfig reads the one field that matters from a KubeletConfiguration,
// YAML or JSON. It must not refuse what a newer kubelet has added.
func readKubeletConfig(host *Host, name string) (*bool, error) {
	data, err := host.ReadFile(name, maxKubeletConfig)
	if err != nil {
		return nil, err
	}
	var config struct {
		APIVersion     string `json:"apiVersion"`
		Kind           string `json:"kind"`
		SeccompDefault *bool  `json:"seccompDefault"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	if config.Kind != "KubeletConfiguration" {
		return nil, fmt.Errorf("%s holds the kind %q, not KubeletConfiguration", name, config.Kind)
	}
	return config.SeccompDefault, nil
}
