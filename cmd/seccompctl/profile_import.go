// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/seccomp"
)

// spoGroup is the API group of the Security Profiles Operator.
const spoGroup = "security-profiles-operator.x-k8s.io"

type importOptions struct {
	name         string
	arch         string
	capabilities []string
}

func newProfileImportCommand(s streams) *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use:   "import FILE...",
		Short: "Turn other profiles into LocalhostProfiles",
		Long: `Turn profiles into LocalhostProfiles, as YAML on standard output: profile files, SeccompProfiles of
the Security Profiles Operator, and files in Docker's dialect, whose rules are flattened for the
capabilities and the architecture that are given.

The name is that of the object, or of the file without its ending.`,
		Example: `  seccompctl profile import profiles/*.json | kubectl apply -f -
  kubectl get seccompprofiles -A -o yaml | seccompctl profile import -
  seccompctl profile import default.json --name docker-default --capabilities CAP_CHOWN,CAP_NET_BIND_SERVICE`,
		Args: someFiles,
		RunE: func(_ *cobra.Command, args []string) error { return o.run(s, args) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.name, "name", "", "`NAME` of the LocalhostProfile, for a single profile")
	flags.StringVar(&o.arch, "arch", runtime.GOARCH, "`ARCH` of the nodes, for files in Docker's dialect")
	flags.StringSliceVar(&o.capabilities, "capabilities", nil, "`CAPABILITIES` of the containers, for files in Docker's dialect")
	return c
}

// imported is a profile on its way.
type imported struct {
	name string
	from string // where it came from, for messages
	// base is the name of a profile whose rules come first.
	base    string
	profile *seccomp.Profile
}

func (o *importOptions) run(s streams, files []string) error {
	native, err := parseArch(o.arch)
	if err != nil {
		return err
	}
	for i, c := range o.capabilities {
		o.capabilities[i] = strings.ToUpper(c)
		if !strings.HasPrefix(o.capabilities[i], "CAP_") {
			o.capabilities[i] = "CAP_" + o.capabilities[i]
		}
	}
	var all []imported
	for _, name := range files {
		data, err := readProfileFile(name, s.in)
		if err != nil {
			return err
		}
		found, err := o.parse(name, data, native)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	if o.name != "" {
		if len(all) != 1 {
			return fmt.Errorf("--name names one profile, and there are %d; import them one by one", len(all))
		}
		all[0].name = o.name
	}
	var out bytes.Buffer
	names := make(map[string]string)
	for _, p := range all {
		if other, ok := names[p.name]; ok {
			return fmt.Errorf("%s and %s would both be LocalhostProfile %q; import one of them with --name", other, p.from, p.name)
		}
		names[p.name] = p.from
		text, err := p.object(all)
		if err != nil {
			return fmt.Errorf("%s: %w", p.from, err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	// Nothing is written unless all can be.
	_, err = s.out.Write(out.Bytes())
	return err
}

// parse reads a file: one profile, or a stream of objects.
func (o *importOptions) parse(name string, data []byte, native specs.Arch) ([]imported, error) {
	file := displayName(name)
	own := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	p, err := seccomp.Parse(data)
	if err == nil {
		return []imported{{name: own, from: file, profile: p}}, nil
	}
	if isDialect(data) {
		p, err := seccomp.ParseDialect(data, native, o.capabilities)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return []imported{{name: own, from: file, profile: p}}, nil
	}
	objects, foreign := objects(file, data)
	switch {
	case foreign == nil && len(objects) > 0:
		return objects, nil
	case errors.Is(foreign, errNoProfile): // then it was meant to be one
		return nil, fmt.Errorf("%s: %w", file, err)
	default:
		return nil, foreign
	}
}

// isDialect says that the text has what only Docker's dialect has.
func isDialect(data []byte) bool {
	var file struct {
		ArchMap  json.RawMessage `json:"archMap"`
		Syscalls []struct {
			Name     string          `json:"name"`
			Comment  string          `json:"comment"`
			Includes json.RawMessage `json:"includes"`
			Excludes json.RawMessage `json:"excludes"`
		} `json:"syscalls"`
	}
	if json.Unmarshal(data, &file) != nil {
		return false
	}
	for _, call := range file.Syscalls {
		if call.Name != "" || call.Comment != "" || call.Includes != nil || call.Excludes != nil {
			return true
		}
	}
	return file.ArchMap != nil
}

// errNoProfile says that a text has no object that is a profile.
var errNoProfile = errors.New("no profile in it")

// spoProfile is a SeccompProfile of the Security Profiles Operator.
type spoProfile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		v1alpha1.OCIProfile `json:",inline"`
		BaseProfileName     string `json:"baseProfileName"`
	} `json:"spec"`
}

// objects reads profiles that are objects. errNoProfile stands for a text that has none,
// or that is no stream of objects at all.
func objects(file string, data []byte) ([]imported, error) {
	var all []imported
	var bad error // of an object that is a profile
	add := func(raw []byte) error {
		var head spoProfile
		if err := json.Unmarshal(raw, &head); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		own := head.Kind == "LocalhostProfile" && strings.HasPrefix(head.APIVersion, v1alpha1.GroupVersion.Group+"/")
		foreign := head.Kind == "SeccompProfile" && strings.HasPrefix(head.APIVersion, spoGroup+"/")
		if !own && !foreign {
			return nil
		}
		from := fmt.Sprintf("%s: %s %s", file, head.Kind, head.Name)
		var text []byte
		var err error
		if own {
			var object v1alpha1.LocalhostProfile
			if err := json.Unmarshal(raw, &object); err != nil {
				return fmt.Errorf("%s: %w", from, err)
			}
			text, err = json.Marshal(object.Spec.Profile)
		} else {
			text, err = json.Marshal(head.Spec.OCIProfile)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		p, err := seccomp.Parse(text)
		var parse *seccomp.ParseError
		if errors.As(err, &parse) { // its lines are those of another text
			return fmt.Errorf("%s: spec: %s", from, parse.Reason())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		all = append(all, imported{name: head.Name, from: from, base: head.Spec.BaseProfileName, profile: p})
		return nil
	}
	err := inventory.EachDocument(data, file, func(d inventory.Document) error {
		items := []json.RawMessage{json.RawMessage(d.JSON)}
		var list struct {
			Items []json.RawMessage `json:"items"`
		}
		if json.Unmarshal(d.JSON, &list) == nil && len(list.Items) > 0 {
			items = list.Items
		}
		for _, item := range items {
			if bad = add(item); bad != nil {
				return bad
			}
		}
		return nil
	})
	switch {
	case bad != nil:
		return nil, bad
	case err != nil && len(all) > 0:
		return nil, err
	case len(all) == 0:
		return nil, errNoProfile
	default:
		return all, nil
	}
}

// object is the LocalhostProfile as YAML.
func (p *imported) object(all []imported) ([]byte, error) {
	text := p.profile.Marshal()
	if p.base != "" {
		base, err := baseOf(p.base, all)
		if err != nil {
			return nil, err
		}
		merged := *p.profile.OCI()
		merged.Syscalls = append(append([]specs.LinuxSyscall{}, base.OCI().Syscalls...), merged.Syscalls...)
		if text, err = json.Marshal(&merged); err != nil {
			return nil, err
		}
	}
	object := v1alpha1.LocalhostProfile{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "LocalhostProfile"},
		ObjectMeta: metav1.ObjectMeta{Name: p.name},
	}
	if err := json.Unmarshal(text, &object.Spec.Profile); err != nil {
		return nil, err
	}
	if errs := v1alpha1.ValidateLocalhostProfile(&object); len(errs) > 0 {
		return nil, fmt.Errorf("as LocalhostProfile: %w", errs.ToAggregate())
	}
	return yaml.Marshal(struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        map[string]string             `json:"metadata"`
		Spec            v1alpha1.LocalhostProfileSpec `json:"spec"`
	}{object.TypeMeta, map[string]string{"name": object.Name}, object.Spec})
}

func baseOf(name string, all []imported) (*seccomp.Profile, error) {
	if strings.HasPrefix(name, "oci://") {
		return nil, fmt.Errorf("baseProfileName %q is an image; pull it and import the profile in it", name)
	}
	for i := range all {
		if all[i].name == name {
			if all[i].base != "" {
				return nil, fmt.Errorf("baseProfileName %q has a base of its own; import flattened profiles", name)
			}
			return all[i].profile, nil
		}
	}
	return nil, fmt.Errorf("baseProfileName %q is not among what is imported; name its file, too", name)
}
