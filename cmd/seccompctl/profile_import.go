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

The name is that of the object, or of the file without its ending. The nodeSelector of a
LocalhostProfile stays. A SeccompProfile that is disabled is left out, which is said.`,
		Example: `  seccompctl profile import profiles/*.json | kubectl apply -f -
  kubectl get seccompprofiles -A -o yaml | seccompctl profile import -
  seccompctl profile import default.json --name docker-default --capabilities CAP_CHOWN,CAP_NET_BIND_SERVICE`,
		Args: someFiles,
		RunE: func(c *cobra.Command, args []string) error { return o.run(s, c.Root().CommandPath(), args) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	nameFlag(flags, &o.name, "name", "", "`NAME` of the LocalhostProfile, for a single profile")
	flags.StringVar(&o.arch, "arch", runtime.GOARCH, "`ARCH` of the nodes, for files in Docker's dialect")
	flags.StringSliceVar(&o.capabilities, "capabilities", nil, "`CAPABILITIES` of the containers, for files in Docker's dialect")
	return c
}

// imported is a profile on its way.
type imported struct {
	name string
	from string // where it came from, for messages
	// base is the name of a profile whose rules come first.
	base string
	// nodeSelector is that of a LocalhostProfile: without it, the profile would be for all
	// nodes.
	nodeSelector map[string]string
	// disabled: it is not meant for nodes, and may be the base of others.
	disabled bool
	profile  *seccomp.Profile
}

func (o *importOptions) run(s streams, program string, files []string) error {
	native, err := parseArch(o.arch)
	if err != nil {
		return err
	}
	for i, c := range o.capabilities {
		if o.capabilities[i], err = parseCapability(c); err != nil {
			return err
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
	var wanted []*imported
	for i := range all {
		if p := &all[i]; !p.disabled {
			wanted = append(wanted, p)
			continue
		}
		fmt.Fprintf(s.err, "%s: %s is disabled, and left out; set spec.disabled to false to import it\n", program, all[i].from)
	}
	if len(wanted) == 0 {
		return errors.New("nothing to import: every profile is disabled; set spec.disabled to false of those that nodes are to have")
	}
	if o.name != "" {
		if len(wanted) != 1 {
			return fmt.Errorf("--name names one profile, and there are %d; import them one by one", len(wanted))
		}
		wanted[0].name = o.name
	}
	var out bytes.Buffer
	names := make(map[string]string)
	for _, p := range wanted {
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
		// Disabled keeps the operator from writing it to nodes.
		Disabled bool `json:"disabled"`
	} `json:"spec"`
	Status json.RawMessage `json:"status"`
}

// objects reads profiles that are objects. errNoProfile stands for a text that has none,
// or that is no stream of objects at all.
func objects(file string, data []byte) ([]imported, error) {
	var all []imported
	var bad error // of an object that is a profile
	err := inventory.EachDocument(data, file, func(d inventory.Document) error {
		if d.JSON.Kind() == 'n' {
			return nil
		}
		return eachObject(manifest{file: file, doc: d, raw: d.JSON}, "", "", func(m *manifest) error {
			p, err := m.imported()
			switch {
			case err != nil:
				bad = fmt.Errorf("%s: %s %s: %w", file, m.kind, m.name(), err)
			case p != nil:
				all = append(all, *p)
			}
			return bad
		})
	})
	switch {
	case bad != nil:
		return nil, bad
	case err != nil && (len(all) > 0 || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{"))): // a profile is JSON
		return nil, err
	case len(all) == 0:
		return nil, errNoProfile
	default:
		return all, nil
	}
}

// imported is the profile of an object, nil for one that has none.
func (m *manifest) imported() (*imported, error) {
	p := &imported{}
	var typed *v1alpha1.OCIProfile
	at := "spec"
	switch {
	case m.isOfGroup(v1alpha1.GroupVersion.Group, "LocalhostProfile"):
		var object v1alpha1.LocalhostProfile
		if err := m.decodeStrict(&object); err != nil {
			return nil, err
		}
		p.name, p.nodeSelector = object.Name, object.Spec.NodeSelector
		typed, at = &object.Spec.Profile, "spec.profile"
	case m.isOfGroup(spoGroup, "SeccompProfile"):
		var object spoProfile
		if err := m.decodeStrict(&object); err != nil {
			return nil, err
		}
		p.name, p.base, p.disabled = object.Name, object.Spec.BaseProfileName, object.Spec.Disabled
		typed = &object.Spec.OCIProfile
	default:
		return nil, nil
	}
	p.from = fmt.Sprintf("%s: %s %s", m.file, m.kind, p.name)
	var err error
	p.profile, err = parseTyped(typed, at)
	return p, err
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
		Spec:       v1alpha1.LocalhostProfileSpec{NodeSelector: p.nodeSelector},
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
