// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/seccomp"
)

// lowLevel is a low-level runtime of the node. The version is empty if it is not known.
type lowLevel struct{ name, version string }

// lowLevels are the node's, each version once, in an order that does not depend on
// handlers: nodes that have the same are to report the same.
func lowLevels(runtimes []v1alpha1.Runtime) []lowLevel {
	var all []lowLevel
	for _, r := range runtimes {
		if r.LowLevel != "" {
			all = append(all, lowLevel{r.LowLevel, r.LowLevelVersion})
		}
	}
	slices.SortFunc(all, func(a, b lowLevel) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.version, b.version)) })
	return slices.Compact(all)
}

// startups are what the low-level runtimes need to start a container, those that were
// measured first. Without any known runtime it is what every measured one needs, and what
// all of them do.
//
// Where a node has two versions under one name, both are listed, and the analysis keeps
// the one under which a profile lacks least: facts are by name, a pod may be started by
// either, and one that either can start is not to be denied.
func startups(runtimes []lowLevel) []seccomp.Startup {
	if len(runtimes) == 0 {
		return seccomp.Startups()
	}
	var measured, others []seccomp.Startup
	for _, r := range runtimes {
		sets := startupsOf(r.name)
		switch {
		case len(sets) > 0:
			measured = append(measured, ofVersion(sets, r.version)...)
		case ownKernel(r.name):
		default:
			for _, s := range startupsOf(seccomp.AnyRuntime) {
				s.Runtime = r.name
				others = append(others, s)
			}
		}
	}
	return append(measured, others...)
}

// startupsOf are what was measured of the runtime, in all versions.
func startupsOf(name string) []seccomp.Startup {
	var sets []seccomp.Startup
	for _, s := range seccomp.Startups() {
		if s.Runtime == name {
			sets = append(sets, s)
		}
	}
	return sets
}

// ofVersion leaves the sets of the newest measured version that is not newer than the
// node's, or of the oldest where all are newer. A version that nobody can read may be any:
// all sets are left.
func ofVersion(sets []seccomp.Startup, text string) []seccomp.Startup {
	have, err := version.Parse(text)
	if err != nil {
		return sets
	}
	chosen := ""
	for _, s := range sets {
		if chosen == "" || nearer(version.MustParse(s.Version), version.MustParse(chosen), have) {
			chosen = s.Version
		}
	}
	return slices.DeleteFunc(sets, func(s seccomp.Startup) bool { return s.Version != chosen })
}

// nearer says whether a stands for the version have rather than b does.
func nearer(a, b, have *version.Version) bool {
	aIsNewer, bIsNewer := have.LessThan(a), have.LessThan(b)
	switch {
	case aIsNewer != bIsNewer:
		return bIsNewer
	case aIsNewer: // than the node's, as b is
		return a.LessThan(b)
	default:
		return b.LessThan(a)
	}
}

// ownKernel says that a runtime's containers have a kernel other than the node's. gVisor
// and Kata Containers may start a program without any of the calls that runc makes, and
// may not apply the profile at all: nothing is said of what they lack.
func ownKernel(name string) bool {
	return strings.Contains(name, "runsc") || strings.Contains(name, "kata")
}
