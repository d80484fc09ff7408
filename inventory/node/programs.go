// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"path"
	"regexp"
	"strings"
	"syscall"
)

const (
	dpkgStatus = "var/lib/dpkg/status"
	// maxDpkgStatus in bytes; nodes have one of some 2 MiB.
	maxDpkgStatus = 32 << 20
	// maxDpkgList in bytes: the files of one package.
	maxDpkgList = 4 << 20
)

// searchPath is where programs are looked for, in order.
func searchPath() []string {
	return []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"}
}

// packagesOf are the Debian packages that may hold a program.
func packagesOf(program string) []string { return []string{program, "containerd.io", "cri-o"} }

// programVersion is the version of a program, without running it: what Go's linker wrote
// into it, or that of the package which it comes from. It is empty if neither says.
func programVersion(host *Host, program string) string {
	if program == "" {
		return ""
	}
	candidates := []string{strings.TrimPrefix(program, "/")}
	if !path.IsAbs(program) {
		candidates = nil
		for _, directory := range searchPath() {
			candidates = append(candidates, path.Join(directory, program))
		}
	}
	for _, file := range candidates {
		resolved, err := host.resolve(file)
		if err != nil {
			continue
		}
		if version := builtVersion(host, resolved); version != "" {
			return version
		}
		return packageVersion(host, path.Base(program), file, resolved)
	}
	return ""
}

// linkedVersion finds the version among the flags of the linker: release builds set a
// variable of that name.
var linkedVersion = regexp.MustCompile(`(?:\.|/)[vV]ersion=v?([0-9][^\s'"]*)`)

// releaseVersion is what a version begins with that was released.
var releaseVersion = regexp.MustCompile(`^v?([0-9]+\.[0-9]+(?:\.[0-9]+)?(?:-(?:alpha|beta|rc)[.0-9]*)?)`)

// builtVersion is what a Go program says of itself.
func builtVersion(host *Host, file string) string {
	f, err := OpenNoFollow(host.root, file, syscall.O_NONBLOCK)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // nothing was written
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	info, err := buildinfo.Read(f)
	if err != nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key != "-ldflags" {
			continue
		}
		if m := linkedVersion.FindStringSubmatch(s.Value); m != nil {
			return released(m[1])
		}
	}
	// The program's own module: the main one, or one that was built as a dependency.
	if isUnder(info.Path, info.Main.Path) && !strings.HasPrefix(info.Main.Version, "v0.0.0-") {
		return released(info.Main.Version)
	}
	for _, d := range info.Deps {
		if isUnder(info.Path, d.Path) {
			return released(d.Version)
		}
	}
	return ""
}

// isUnder says whether a package may be part of a module.
func isUnder(pkg, module string) bool {
	return module != "" && (pkg == module || strings.HasPrefix(pkg, module+"/"))
}

// released is the part of a version that upstream gave it: without "v", and without what a
// distribution or a build adds.
func released(version string) string {
	if m := releaseVersion.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return ""
}

// packageVersion is the version of the Debian package that holds the program under one of
// its names.
func packageVersion(host *Host, program string, names ...string) string {
	for _, name := range packagesOf(program) {
		list, err := host.ReadFile(path.Join("var/lib/dpkg/info", name+".list"), maxDpkgList)
		if err != nil {
			continue
		}
		for _, file := range names {
			if bytes.Contains(list, []byte("/"+file+"\n")) {
				return dpkgVersion(host, name)
			}
		}
	}
	return ""
}

// dpkgVersion is the version of an installed package, less its epoch.
func dpkgVersion(host *Host, name string) string {
	data, err := host.ReadFile(dpkgStatus, maxDpkgStatus)
	if err != nil {
		return ""
	}
	in := false
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := lines.Text()
		if value, found := strings.CutPrefix(line, "Package: "); found {
			in = value == name
		}
		if value, found := strings.CutPrefix(line, "Version: "); found && in {
			if _, rest, hasEpoch := strings.Cut(value, ":"); hasEpoch {
				value = rest
			}
			return released(value)
		}
	}
	return ""
}

// glob lists the files of a pattern in order. What does not exist matches nothing.
func (h *Host) glob(pattern string) ([]string, error) {
	directory, last := path.Split(pattern)
	if !strings.ContainsAny(pattern, `*?[\`) {
		return []string{pattern}, nil
	}
	resolved, err := h.resolve(strings.TrimSuffix(directory, "/"))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	entries, err := h.readDir(resolved)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var files []string
	for _, e := range entries {
		if matched, err := path.Match(last, e.Name()); err != nil {
			return nil, err
		} else if matched && !e.IsDir() {
			files = append(files, path.Join(resolved, e.Name()))
		}
	}
	return files, nil
}
