// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/seccomp"
	"github.com/seccompgate/seccompgate/webhook/report"
)

func newProfileCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "profile",
		Short: "Look into profiles",
		Long: `Look into profiles: what they do, which is not always what they say. A FILE is a profile as nodes
have it, a LocalhostProfile, or - for standard input.`,
		Args: onlyCommands,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do with profiles; see %s --help", c.CommandPath())
		},
	}
	c.AddCommand(newProfileLintCommand(s), newProfileExplainCommand(s), newProfileDiffCommand(s), newProfileImportCommand(s),
		newProfileFromAuditCommand(s))
	return c
}

// profileOptions are the flags that most verbs of profile have.
type profileOptions struct {
	arch   string
	output string
}

func (o *profileOptions) addTo(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVar(&o.arch, "arch", runtime.GOARCH, "`ARCH` of the nodes, such as amd64 or arm64")
	flags.StringVarP(&o.output, "output", "o", string(report.Text), "`FORMAT`: text or json")
}

// read is what the flags say.
func (o *profileOptions) read() (native specs.Arch, asJSON bool, err error) {
	if native, err = parseArch(o.arch); err != nil {
		return "", false, err
	}
	format, err := report.ParseFormat(o.output)
	return native, format == report.JSON, err
}

func parseArch(text string) (specs.Arch, error) {
	arch, ok := node.NativeArch(text)
	if !ok {
		return "", fmt.Errorf("--arch: unknown architecture %q; write it as Go and Kubernetes do, such as amd64 or arm64", text)
	}
	return specs.Arch(arch), nil
}

// someFiles wants at least one file.
func someFiles(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no profile; name files, or - for standard input, see %s --help", c.CommandPath())
	}
	return readsOnce(args...)
}

// maxProfileFile bounds what is read: a LocalhostProfile as YAML is longer than its profile.
const maxProfileFile = 4 << 20

// readProfileFile reads the text of a file, of which the loader takes less.
func readProfileFile(name string, stdin io.Reader) ([]byte, error) {
	return readInput("profile", name, maxProfileFile, "name the file of a profile", stdin)
}

// readProfile reads a profile, also from the LocalhostProfile that has it.
func readProfile(name string, stdin io.Reader) (*seccomp.Profile, error) {
	data, err := readProfileFile(name, stdin)
	if err != nil {
		return nil, err
	}
	p, err := parseProfile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", displayName(name), err)
	}
	return p, nil
}

func parseProfile(data []byte) (*seccomp.Profile, error) {
	if !isObject(data, v1alpha1.GroupVersion.Group, "LocalhostProfile") {
		return seccomp.Parse(data)
	}
	var object v1alpha1.LocalhostProfile
	if err := yaml.UnmarshalStrict(data, &object); err != nil {
		return nil, fmt.Errorf("read LocalhostProfile: %w", err)
	}
	text, err := json.Marshal(object.Spec.Profile)
	if err != nil {
		return nil, fmt.Errorf("read LocalhostProfile: %w", err)
	}
	p, err := seccomp.Parse(text)
	var parse *seccomp.ParseError
	if errors.As(err, &parse) { // its lines are those of another text
		return nil, fmt.Errorf("spec.profile: %s", parse.Reason())
	}
	return p, err
}

// isObject says that the text is a Kubernetes object of the group and kind.
func isObject(data []byte, group, kind string) bool {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	return yaml.Unmarshal(data, &head) == nil && head.Kind == kind && strings.HasPrefix(head.APIVersion, group+"/")
}

// writeJSON writes what programs read.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
