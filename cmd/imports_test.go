// SPDX-License-Identifier: Apache-2.0

// Package cmd holds the commands; this file tests how all packages may import each other.
package cmd

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seccompgate/seccompgate/"

// mayImport is who may import whom among our packages, the leaves first. It is the
// picture of docs/architecture.md.
func mayImport() map[string][]string {
	leaves := []string{"seccomp", "policies", "certs", "api/v1alpha1"}
	facts := []string{"seccomp", "api/v1alpha1"}
	core := append([]string{"inventory"}, leaves...)
	edge := append([]string{"webhook/review", "webhook/report"}, core...)
	return map[string][]string{
		"seccomp": nil, "policies": nil, "certs": nil, "api/v1alpha1": nil,
		"recording":              facts,
		"inventory/node":         facts,
		"inventory/provision":    append([]string{"inventory/node"}, facts...),
		"inventory":              append([]string{"inventory/node", "inventory/provision"}, facts...),
		"webhook/review":         {"seccomp", "policies", "inventory", "api/v1alpha1"},
		"webhook/report":         {"webhook/review", "policies", "api/v1alpha1"},
		"webhook":                edge,
		"controller":             append([]string{"webhook"}, edge...),
		"cmd/seccomp-webhook":    append([]string{"webhook"}, edge...),
		"cmd/seccomp-controller": append([]string{"controller"}, edge...),
		"inventory/agent":        append([]string{"inventory/node", "inventory/provision"}, facts...),
		"cmd/seccomp-agent":      append([]string{"inventory/node", "inventory/provision", "inventory/agent"}, core...),
		"cmd/seccompctl":         append([]string{"inventory/node", "recording"}, edge...),
	}
}

// onlyIn is who alone may import a package of somebody else's.
func onlyIn() map[string][]string {
	return map[string][]string{
		"github.com/open-policy-agent/opa":               {"policies"},
		"sigs.k8s.io/controller-runtime/pkg/webhook":     {"webhook", "cmd/seccomp-webhook"},
		"github.com/spf13/pflag":                         {"cmd/seccomp-webhook", "cmd/seccomp-controller", "cmd/seccomp-agent", "cmd/seccompctl"},
		"github.com/spf13/cobra":                         {"cmd/seccompctl"},
		"k8s.io/kubernetes":                              {},
		"sigs.k8s.io/controller-runtime/pkg/manager":     {"cmd/seccomp-controller"},
		"github.com/elastic/go-seccomp-bpf":              {"seccomp"},
		"github.com/moby/profiles/seccomp":               {"seccomp"},
		"github.com/stretchr/testify":                    {},
		"k8s.io/pod-security-admission":                  {},
		"sigs.k8s.io/controller-runtime/pkg/client/fake": {},
	}
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	GoFiles    []string
	Dir        string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps,GoFiles,Dir", "./...")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("list packages: %v", err)
		}
		if len(p.GoFiles) > 0 { // others hold tests only
			all = append(all, p)
		}
	}
}

func TestImportsPointOneWay(t *testing.T) {
	may := mayImport()
	seen := make(map[string]bool)
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		allowed, known := may[name]
		if !known {
			t.Errorf("package %s is not in the picture: add it to mayImport and to docs/architecture.md", name)
			continue
		}
		for _, i := range p.Imports {
			if ours, ok := strings.CutPrefix(i, module); ok && !slices.Contains(allowed, ours) {
				t.Errorf("package %s may not import %s", name, ours)
			}
			for theirs, who := range onlyIn() {
				if (i == theirs || strings.HasPrefix(i, theirs+"/")) && !slices.Contains(who, name) {
					t.Errorf("package %s may not import %s; only %v may", name, i, who)
				}
			}
		}
	}
	for name := range may {
		if !seen[name] {
			t.Errorf("package %s of the picture does not exist", name)
		}
	}
}

// TestAgentIsSmall keeps what costs memory out of the program that runs on every node.
func TestAgentIsSmall(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != module+"cmd/seccomp-agent" {
			continue
		}
		for _, d := range p.Deps {
			for _, big := range []string{"github.com/open-policy-agent/opa", "sigs.k8s.io/controller-runtime", "k8s.io/client-go"} {
				if strings.HasPrefix(d, big+"/") {
					t.Errorf("the agent links %s", d)
				}
			}
		}
	}
}

// TestOnlyCommandsExit finds calls that end the process or read the command line.
func TestOnlyCommandsExit(t *testing.T) {
	forbidden := regexp.MustCompile(`\b(os\.Exit|log\.Fatal\w*|os\.Args|flag\.Parse|pflag\.Parse)\b|^func init\(\)`)
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, f := range p.GoFiles {
			text, err := os.ReadFile(p.Dir + "/" + f)
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(text), "\n") {
				found := forbidden.FindString(line)
				if found == "" || strings.HasPrefix(name, "cmd/") && f == "main.go" && found != "func init()" {
					continue
				}
				t.Errorf("%s/%s:%d: %s has its place in a main.go only", name, f, n+1, found)
			}
		}
	}
}
