// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	strict "github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/seccomp"
	"github.com/seccompgate/seccompgate/webhook/report"
)

func newProfileCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "profile",
		Short: "Look into profiles",
		Long: `Look into profiles: what they do, which is not always what they say. A FILE is a profile as nodes
have it, LocalhostProfiles, or - for standard input.`,
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

// readProfile reads the one profile of a file.
func readProfile(name string, stdin io.Reader) (*seccomp.Profile, error) {
	entries, err := readProfiles(name, stdin)
	switch {
	case err != nil:
		return nil, err
	case len(entries) > 1:
		return nil, fmt.Errorf("%s: %d profiles in it; name a file with one", displayName(name), len(entries))
	case entries[0].err != nil:
		return nil, fmt.Errorf("%s: %w", entries[0].from, entries[0].err)
	}
	return entries[0].profile, nil
}

// profileEntry is one profile of a file.
type profileEntry struct {
	// name of the LocalhostProfile that has it; empty for a file that is the profile.
	name string
	// from is what messages call it: the file, and the LocalhostProfile where the file has
	// several.
	from    string
	profile *seccomp.Profile
	// err says what is wrong with it, in place of the profile.
	err error
}

// readProfiles reads every profile of a file: the one that it is, or those of its
// LocalhostProfiles. An error is about what is no profile; the others are read all the
// same. Without one there is at least one entry.
func readProfiles(name string, stdin io.Reader) ([]profileEntry, error) {
	data, err := readProfileFile(name, stdin)
	if err != nil {
		return nil, err
	}
	file := displayName(name)
	p, err := seccomp.Parse(data)
	if err == nil {
		return []profileEntry{{from: file, profile: p}}, nil
	}
	var entries []profileEntry
	var foreign error
	objects := false
	broken := inventory.EachDocument(data, file, func(d inventory.Document) error {
		if d.JSON.Kind() == 'n' {
			return nil
		}
		if isObject(d.JSON) {
			objects = true
		}
		return eachObject(manifest{file: file, doc: d, raw: d.JSON}, "", "", func(m *manifest) error {
			e, err := m.profileEntry()
			if err != nil {
				foreign = errors.Join(foreign, err)
				return nil
			}
			entries = append(entries, e)
			return nil
		})
	})
	switch {
	case !objects: // then it was meant to be a profile
		return []profileEntry{{from: file, err: err}}, nil
	case len(entries) == 0 && foreign == nil && broken == nil:
		return nil, fmt.Errorf("%s: no profile in it; name the file of a profile or of LocalhostProfiles", file)
	}
	if len(entries) == 1 {
		entries[0].from = file
	}
	return entries, errors.Join(foreign, broken)
}

// isObject says that a document calls itself a Kubernetes object.
func isObject(text []byte) bool {
	var head metav1.TypeMeta
	return json.Unmarshal(text, &head) == nil && head.APIVersion != "" && head.Kind != ""
}

// isOfGroup says that an object is of the group and kind, whatever the version.
func (m *manifest) isOfGroup(group, kind string) bool {
	return m.kind == kind && strings.HasPrefix(m.apiVersion, group+"/")
}

// name is that of an object of any kind.
func (m *manifest) name() string {
	var head metav1.PartialObjectMetadata
	_ = json.Unmarshal(m.raw, &head) // only for messages
	return head.Name
}

// profileEntry is the profile of a LocalhostProfile. An error says that the object is none.
func (m *manifest) profileEntry() (profileEntry, error) {
	switch {
	case m.isOfGroup(v1alpha1.GroupVersion.Group, "LocalhostProfile"):
	case m.isOfGroup(spoGroup, "SeccompProfile"):
		return profileEntry{}, m.problem("", "SeccompProfile %q is one of the Security Profiles Operator; turn it into a LocalhostProfile with seccompctl profile import", m.name())
	default:
		return profileEntry{}, m.problem("", "%s %q has no profile; name files of profiles and of LocalhostProfiles", m.kind, m.name())
	}
	e := profileEntry{name: m.name()}
	e.from = fmt.Sprintf("%s: LocalhostProfile %s", m.file, cmp.Or(e.name, fmt.Sprintf("of document %d", m.doc.Number)))
	var object v1alpha1.LocalhostProfile
	if e.err = m.decodeStrict(&object); e.err == nil {
		e.profile, e.err = parseTyped(&object.Spec.Profile, "spec.profile")
	}
	return e, nil
}

// parseTyped reads the profile that a field of an object is.
func parseTyped(typed *v1alpha1.OCIProfile, field string) (*seccomp.Profile, error) {
	text, err := json.Marshal(typed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	p, err := seccomp.Parse(text)
	var parse *seccomp.ParseError
	if errors.As(err, &parse) { // its lines are those of another text
		return nil, fmt.Errorf("%s: %s", field, parse.Reason())
	}
	return p, err
}

// fieldError is about a field of an object.
type fieldError struct {
	line                   int
	field, message, remedy string
}

func (e *fieldError) Error() string {
	return e.key() + ": " + e.message + "; " + e.remedy
}

// key says where the field is.
func (e *fieldError) key() string {
	if e.field == "" {
		return fmt.Sprintf("line %d", e.line)
	}
	return fmt.Sprintf("line %d: %s", e.line, e.field)
}

// decodeStrict decodes an object all of whose fields must be known: what a key that is
// misspelt says would be lost. An error is a fieldError.
func (m *manifest) decodeStrict(into any) error {
	err := strict.Unmarshal(m.raw, into, strict.RejectUnknownMembers(true))
	var semantic *strict.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strict.ErrUnknownName) && errors.As(err, &semantic):
		at := semantic.JSONPointer
		return &fieldError{m.line(at), inventory.FieldPath(at), "unknown field", "remove it or correct its name"}
	case errors.As(err, &semantic):
		return &fieldError{m.line(semantic.JSONPointer), "", plain(err).Error(), "correct the value"}
	default:
		return &fieldError{m.line(""), "", err.Error(), "correct it"}
	}
}

// writeJSON writes what programs read.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
