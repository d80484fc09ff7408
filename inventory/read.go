// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/seccomp"
)

// MaxInput bounds what [ReadObjects] reads, in bytes. Thousands of nodes with all
// that kubectl prints of them fit.
const MaxInput = 64 << 20

// ourVersion is the apiVersion of our own kinds.
const ourVersion = "seccompgate.io/v1alpha1"

// acceptedKinds is for messages.
const acceptedKinds = "an inventory takes Node, Namespace, SeccompNode, ProfileSet, LocalhostProfile and lists of them"

// ReadObjects reads the objects of an inventory: a YAML or JSON stream, or a List,
// of Node, SeccompNode, ProfileSet, LocalhostProfile and Namespace, as kubectl get
// prints them. Of namespaces it returns the labels, by name.
//
// Fields that our own kinds do not have are errors; Node and Namespace may be of a
// newer Kubernetes. An error names the file, the document and the line, says what is
// wrong there and what to do.
func ReadObjects(r io.Reader, filename string) (Objects, map[string]map[string]string, error) {
	in := input{file: filename, namespaces: make(map[string]map[string]string), seen: make(map[string]int)}
	data, err := io.ReadAll(io.LimitReader(r, MaxInput+1))
	switch {
	case err != nil:
		return Objects{}, nil, fmt.Errorf("read inventory %s: %w", filename, err)
	case len(data) > MaxInput:
		return Objects{}, nil, fmt.Errorf("%s: more than %d MiB; leave out what is not needed of Node objects, such as status.images and managedFields", filename, MaxInput>>20)
	}
	if err := EachDocument(data, filename, in.document); err != nil {
		return Objects{}, nil, err
	}
	if len(in.seen) == 0 {
		return Objects{}, nil, fmt.Errorf("%s: no object; %s", filename, acceptedKinds)
	}
	return in.objects, in.namespaces, nil
}

// input is what has been read so far.
type input struct {
	// file names the input in messages; documents counts what of it was read.
	file       string
	documents  int
	objects    Objects
	namespaces map[string]map[string]string
	// seen is the document of each kind and name.
	seen map[string]int
}

// document takes in one object or a list of them.
func (in *input) document(d Document) error {
	in.documents = d.Number
	if d.JSON.Kind() == 'n' {
		return nil // an empty document
	}
	var list struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []jsontext.Value `json:"items"`
	}
	if err := json.Unmarshal(d.JSON, &list); err != nil {
		return in.decodeProblem(d, "", "", err)
	}
	element, isList := strings.CutSuffix(list.Kind, "List")
	if !isList {
		return in.object(d, "", d.JSON, "", "")
	}
	for i, item := range list.Items {
		if err := in.object(d, jsontext.Pointer("/items/"+strconv.Itoa(i)), item, list.APIVersion, element); err != nil {
			return err
		}
	}
	return nil
}

// object takes in one object. An item of a typed list need not name its kind.
func (in *input) object(d Document, at jsontext.Pointer, value jsontext.Value, apiVersion, kind string) error {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(value, &head); err != nil {
		return in.decodeProblem(d, at, "", err)
	}
	if head.Kind == "" && kind != "" {
		head.APIVersion, head.Kind = apiVersion, kind
	}
	if head.Kind == "" || head.APIVersion == "" {
		return in.problem(d.LineOf(at), "no apiVersion and kind; %s", acceptedKinds)
	}
	name := head.Metadata.Name
	what := fmt.Sprintf("%s %q", head.Kind, name)
	switch head.APIVersion + " " + head.Kind {
	case "v1 Node", "v1 Namespace":
	case ourVersion + " SeccompNode", ourVersion + " ProfileSet", ourVersion + " LocalhostProfile":
	default:
		return in.problem(d.LineOf(at), "%s of %s is not part of an inventory; remove it: %s", what, head.APIVersion, acceptedKinds)
	}
	if name == "" {
		return in.problem(d.LineOf(at), "%s without a name; set metadata.name", head.Kind)
	}
	if first, twice := in.seen[what]; twice {
		return in.problem(d.LineOf(at), "%s stands here and in document %d; remove one", what, first)
	}
	in.seen[what] = d.Number
	switch head.Kind {
	case "Node":
		var o corev1.Node
		return in.decode(d, at, what, value, &o, false, func() field.ErrorList {
			in.objects.Nodes = append(in.objects.Nodes, &o)
			return nil
		})
	case "Namespace":
		var o metav1.PartialObjectMetadata
		return in.decode(d, at, what, value, &o, false, func() field.ErrorList {
			in.namespaces[name] = o.Labels
			return nil
		})
	case "SeccompNode":
		var o v1alpha1.SeccompNode
		return in.decode(d, at, what, value, &o, true, func() field.ErrorList {
			o.OwnerReferences = nil // facts in a file count as current
			in.objects.SeccompNodes = append(in.objects.SeccompNodes, &o)
			return v1alpha1.ValidateSeccompNode(&o)
		})
	case "ProfileSet":
		var o v1alpha1.ProfileSet
		return in.decode(d, at, what, value, &o, true, func() field.ErrorList {
			in.objects.ProfileSets = append(in.objects.ProfileSets, &o)
			// A name that is not the hash of the content makes nodes unknown, not the file wrong.
			return v1alpha1.ValidateProfileFiles(o.Profiles, field.NewPath("profiles"))
		})
	default:
		var o v1alpha1.LocalhostProfile
		return in.decode(d, at, what, value, &o, true, func() field.ErrorList {
			in.objects.LocalhostProfiles = append(in.objects.LocalhostProfiles, &o)
			return v1alpha1.ValidateLocalhostProfile(&o)
		})
	}
}

// decode fills into and, when that went well, calls add, which may still refuse the
// object.
func (in *input) decode(d Document, at jsontext.Pointer, what string, value jsontext.Value, into any, strict bool, add func() field.ErrorList) error {
	if err := json.Unmarshal(value, into, json.RejectUnknownMembers(strict)); err != nil {
		return in.decodeProblem(d, at, what, err)
	}
	errs := add()
	if len(errs) == 0 {
		return nil
	}
	return in.problem(d.LineOf(at+FieldPointer(errs[0].Field)), "%s: %v", what, errs.ToAggregate())
}

// Messages.

func (in *input) problem(line int, format string, args ...any) error {
	return fmt.Errorf("%s: document %d, line %d: %s", in.file, in.documents, line, fmt.Sprintf(format, args...))
}

// decodeProblem is about a value that does not fit; at is where the decoder began.
func (in *input) decodeProblem(d Document, at jsontext.Pointer, what string, err error) error {
	if what != "" {
		what += ": "
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return in.problem(d.LineOf(at), "%s%v", what, jsonProblem(err))
	}
	line := d.LineOf(at + semantic.JSONPointer)
	place := FieldPath(semantic.JSONPointer)
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return in.problem(line, "%sunknown field %s; remove it or correct its name", what, place)
	case place == "":
		return in.problem(line, "%s%s in place of an object; %s", what, KindName(semantic.JSONKind), acceptedKinds)
	case semantic.Err == nil:
		return in.problem(line, "%s%s has %s in place of %s; correct the value", what, place, KindName(semantic.JSONKind), typeName(semantic.GoType))
	default:
		return in.problem(line, "%s%s: %v; correct the value", what, place, semantic.Err)
	}
}

// KindName is what a message calls a JSON value.
func KindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[':
		return "a list"
	default:
		return "an object"
	}
}

func typeName(t reflect.Type) string {
	if t == nil {
		return "another type"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a number"
	}
}

// Places.

// FieldPath writes a pointer as Kubernetes does: facts.profiles[0].path, and
// metadata.labels[example.org/name] for a key that is no word.
func FieldPath(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if _, err := strconv.ParseUint(token, 10, 32); err == nil || strings.ContainsAny(token, "./") {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	return b.String()
}

var fieldToken = regexp.MustCompile(`\[([^\]]*)\]|[^.\[\]]+`)

// FieldPointer is the opposite of [FieldPath].
func FieldPointer(s string) jsontext.Pointer {
	var p jsontext.Pointer
	for _, m := range fieldToken.FindAllStringSubmatch(s, -1) {
		token := m[1]
		if token == "" {
			token = m[0]
		}
		p = p.AppendToken(token)
	}
	return p
}

// ProfilesDirNode is the name of the node that [FromProfilesDir] makes.
const ProfilesDirNode = "profiles-dir"

// FromProfilesDir makes the objects of one Linux node of this machine's architecture
// whose seccomp directory holds what the directory holds. What lies in seccompgate/
// of it are the known LocalhostProfiles; they have no content of their own, so that
// what they promise is what is there.
func FromProfilesDir(directory string) (Objects, error) {
	host, err := node.OpenHost(directory)
	if err != nil {
		return Objects{}, fmt.Errorf("read profiles: %w; name a directory that holds what the kubelet's seccomp directory holds", errors.Unwrap(err))
	}
	defer host.Close() //nolint:errcheck // nothing was written
	profiles, truncated, err := node.ReadProfiles(host, ".", runtime.GOARCH)
	switch {
	case truncated && len(profiles) == node.MaxProfiles:
		return Objects{}, fmt.Errorf("read profiles of %s: it holds more than %d files, as many as are read; leave those that pods use", directory, node.MaxProfiles)
	case truncated:
		return Objects{}, fmt.Errorf("read profiles of %s: %w", directory, err)
	}
	objects := Objects{
		Nodes: []*corev1.Node{{
			ObjectMeta: metav1.ObjectMeta{Name: ProfilesDirNode, Labels: map[string]string{
				corev1.LabelOSStable:   linux,
				corev1.LabelArchStable: runtime.GOARCH,
				corev1.LabelHostname:   ProfilesDirNode,
			}},
			Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: linux, Architecture: runtime.GOARCH}},
		}},
		SeccompNodes: []*v1alpha1.SeccompNode{{
			ObjectMeta: metav1.ObjectMeta{Name: ProfilesDirNode},
			Facts:      v1alpha1.NodeFacts{SeccompRoot: "/var/lib/kubelet/seccomp", Profiles: profiles},
		}},
	}
	known := make(map[string]*v1alpha1.LocalhostProfile)
	for i := range profiles {
		f := &profiles[i]
		name, digits := seccomp.Generation(f.Path)
		if seccomp.ParseName(name) != nil || path.Dir(f.Path) != v1alpha1.ProfileDirectory {
			continue
		}
		l := known[name]
		if l == nil {
			l = &v1alpha1.LocalhostProfile{ObjectMeta: metav1.ObjectMeta{Name: name}}
			known[name] = l
			objects.LocalhostProfiles = append(objects.LocalhostProfiles, l)
		}
		// The plain file is what is served, and a generation only where there is none.
		switch {
		case digits == "":
			l.Status = v1alpha1.LocalhostProfileStatus{Digest: f.Digest}
		case l.Status.Digest == "":
			l.Status = v1alpha1.LocalhostProfileStatus{Digest: f.Digest, Served: f.Path}
		}
	}
	return objects, nil
}
