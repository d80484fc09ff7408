// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

const (
	containerdConfig = "etc/containerd/config.toml"
	crioConfig       = "etc/crio/crio.conf"
	crioDropIns      = "etc/crio/crio.conf.d"
	// maxRuntimeConfig in bytes; containerd's with every default written out has 15 KiB.
	maxRuntimeConfig = 1 << 20
	// maxImports bounds the files that a configuration brings in.
	maxImports = 100
	// maxRuntimes is how many the API takes.
	maxRuntimes = 64
)

// runtimes reads which container runtime the kubelet has, and which low-level runtimes
// that starts containers with.
type runtimes struct{}

func (runtimes) Name() string { return "runtimes" }

func (runtimes) Collect(host *Host, facts *v1alpha1.NodeFacts) error {
	daemon, err := findRuntime(host)
	if err != nil {
		return fmt.Errorf("look for a running container runtime: %w", err)
	}
	var found []handler
	switch daemon.name {
	case containerd:
		found, err = daemon.containerd(host)
	case crio:
		found, err = daemon.crio(host)
	default:
		return nil
	}
	if err != nil {
		// A configuration that cannot be read says nothing of handlers; the name is known.
		facts.Runtimes = []v1alpha1.Runtime{{Name: daemon.name, Version: daemon.version(host)}}
		return err
	}
	if len(found) > maxRuntimes {
		err = fmt.Errorf("%d runtimes are configured; only %d are listed", len(found), maxRuntimes)
		found = found[:maxRuntimes]
	}
	version := daemon.version(host)
	versions := make(map[string]string) // of programs
	for _, h := range found {
		r := v1alpha1.Runtime{Handler: h.name, Name: daemon.name, Version: version}
		if h.program != "" {
			if _, known := versions[h.program]; !known {
				versions[h.program] = programVersion(host, h.program)
			}
			r.LowLevel, r.LowLevelVersion = path.Base(h.program), versions[h.program]
		}
		facts.Runtimes = append(facts.Runtimes, r)
	}
	return err
}

// handler is what a RuntimeClass may name, and the program that starts its containers:
// a path, or a name to be searched for; empty if it is not known.
type handler struct{ name, program string }

// The container runtimes that are known.
const (
	containerd = "containerd"
	crio       = "cri-o"
)

// runtimeDaemon is a container runtime.
type runtimeDaemon struct {
	name string
	// program is a path, absolute or to be searched for.
	program string
	// config is the file that the command line names; empty if it names none.
	config string
}

func (d runtimeDaemon) version(host *Host) string { return programVersion(host, d.program) }

// findRuntime returns the container runtime: of those that run, the one that the kubelet
// was told to use; where none can be seen, the one that has a configuration.
func findRuntime(host *Host) (runtimeDaemon, error) {
	programs := map[string]string{"containerd": containerd, "crio": crio}
	running := make(map[string]runtimeDaemon)
	endpoint := ""
	err := eachProcess(host, func(args []string) {
		flags := parseFlags(args[1:])
		base := path.Base(args[0])
		if base == "kubelet" {
			endpoint = flags["container-runtime-endpoint"]
		}
		name := programs[base]
		if _, seen := running[name]; name == "" || seen {
			return
		}
		running[name] = runtimeDaemon{name: name, program: args[0], config: cmp.Or(flags["config"], flags["c"])}
	})
	if err != nil {
		return runtimeDaemon{}, err
	}
	if d, runs := running[crio]; runs && (len(running) == 1 || strings.Contains(endpoint, "crio")) {
		return d, nil
	}
	if d, runs := running[containerd]; runs {
		return d, nil
	}
	for _, d := range []struct{ file, name, program string }{
		{containerdConfig, containerd, "containerd"}, {crioConfig, crio, "crio"}, {crioDropIns, crio, "crio"},
	} {
		if _, err := host.resolve(d.file); err == nil {
			return runtimeDaemon{name: d.name, program: d.program}, nil
		}
	}
	return runtimeDaemon{}, nil
}

// containerd reads its configuration, of version 1 to 3.
func (d runtimeDaemon) containerd(host *Host) ([]handler, error) {
	merged := make(map[string]any)
	err := readContainerd(host, strings.TrimPrefix(cmp.Or(d.config, containerdConfig), "/"), merged, make(map[string]bool))
	// Without a file all is as it is built in.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read configuration of containerd: %w", err)
	}
	plugins := at(merged, "plugins")
	var cri map[string]any
	for _, plugin := range []string{"io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri"} {
		if cri = tableAt(plugins, plugin, "containerd"); cri != nil {
			break
		}
	}
	programs := map[string]string{"runc": "runc"} // always there
	for name, settings := range tableAt(cri, "runtimes") {
		programs[name] = containerdProgram(textAt(settings, "runtime_type"), textAt(settings, "options", "BinaryName"))
	}
	return byName(programs, cmp.Or(textAt(cri, "default_runtime_name"), "runc")), nil
}

// containerdProgram is what a runtime of this type runs. The shim for runc takes others
// that have its command line.
func containerdProgram(shim, binary string) string {
	elements := strings.Split(shim, ".") // io.containerd.runc.v2
	switch {
	case shim == "", len(elements) == 4 && elements[2] == "runc":
		return cmp.Or(binary, "runc")
	case len(elements) == 4:
		return elements[2]
	default:
		return path.Base(shim)
	}
}

// readContainerd adds a file and its imports to merged. Imports come after what imports
// them, and outrank it.
func readContainerd(host *Host, file string, merged map[string]any, seen map[string]bool) error {
	if seen[file] {
		return nil
	}
	if seen[file] = true; len(seen) > maxImports {
		return fmt.Errorf("more than %d files are imported", maxImports)
	}
	config, err := readTOML(host, file)
	if err != nil {
		return err
	}
	merge(merged, config)
	imports, _ := config["imports"].([]any)
	for _, i := range imports {
		pattern, _ := i.(string)
		if !path.IsAbs(pattern) {
			pattern = path.Join("/", path.Dir(file), pattern)
		}
		files, err := host.glob(strings.TrimPrefix(path.Clean(pattern), "/"))
		if err != nil {
			return fmt.Errorf("import %s: %w", pattern, err)
		}
		for _, f := range files {
			if err := readContainerd(host, f, merged, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// crio reads its configuration and the drop-ins that outrank it.
func (d runtimeDaemon) crio(host *Host) ([]handler, error) {
	files, err := host.glob(crioDropIns + "/*")
	if err != nil {
		return nil, fmt.Errorf("read configuration of CRI-O: %w", err)
	}
	merged := make(map[string]any)
	for _, file := range append([]string{strings.TrimPrefix(cmp.Or(d.config, crioConfig), "/")}, files...) {
		config, err := readTOML(host, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read configuration of CRI-O: %w", err)
		}
		merge(merged, config)
	}
	settings := at(merged, "crio", "runtime")
	programs := make(map[string]string)
	for name, runtime := range tableAt(settings, "runtimes") {
		programs[name] = cmp.Or(textAt(runtime, "runtime_path"), name)
	}
	// The built-in default is another one in later versions: without a word it is unknown.
	return byName(programs, textAt(settings, "default_runtime")), nil
}

// byName lists the handlers, first the one without a name, which is the default.
func byName(programs map[string]string, standard string) []handler {
	list := []handler{{program: cmp.Or(programs[standard], standard)}}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		list = append(list, handler{name, programs[name]})
	}
	return list
}

func readTOML(host *Host, file string) (map[string]any, error) {
	data, err := host.ReadFile(file, maxRuntimeConfig)
	if err != nil {
		return nil, err
	}
	config, err := parseTOML(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	return config, nil
}

// merge puts the keys of b into a, table by table; other values of b replace those of a.
func merge(a, b map[string]any) {
	for key, value := range b {
		into, isTable := a[key].(map[string]any)
		from, isTableToo := value.(map[string]any)
		if isTable && isTableToo {
			merge(into, from)
		} else {
			a[key] = value
		}
	}
}
