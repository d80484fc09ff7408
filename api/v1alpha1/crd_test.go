// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/seccomp"
)

const crdDirectory = "../../manifests/base/crd"

// definitions reads the generated CustomResourceDefinitions, by kind, as an API server
// does.
func definitions(t *testing.T) map[string]*apiextensions.CustomResourceDefinition {
	t.Helper()
	var kustomization struct{ Resources []string }
	readYAML(t, filepath.Join(crdDirectory, "kustomization.yaml"), &kustomization)
	found := make(map[string]*apiextensions.CustomResourceDefinition)
	for _, file := range kustomization.Resources {
		var external apiextensionsv1.CustomResourceDefinition
		readYAML(t, filepath.Join(crdDirectory, file), &external)
		apiextensionsv1.SetDefaults_CustomResourceDefinition(&external)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
		crd := new(apiextensions.CustomResourceDefinition)
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&external, crd, nil); err != nil {
			t.Fatalf("convert %s: %v", file, err)
		}
		crd.Status.StoredVersions = []string{GroupVersion.Version}
		found[crd.Spec.Names.Kind] = crd
	}
	return found
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, "kustomization.yaml") {
		err = yaml.Unmarshal(data, into)
	} else {
		err = yaml.UnmarshalStrict(data, into)
	}
	if err != nil {
		t.Fatalf("decode %s: %v", file, err)
	}
}

// TestCRDs has an API server's own code say whether it would accept the definitions:
// that they are structural, that their CEL compiles and that it is cheap enough.
func TestCRDs(t *testing.T) {
	crds := definitions(t)
	kinds := []string{"LocalhostProfile", "ProfileSet", "SeccompNode", "SeccompPolicy", "SyscallRecording"}
	if d := cmp.Diff(kinds, slices.Sorted(maps.Keys(crds))); d != "" {
		t.Errorf("kinds that kustomization.yaml lists (-want +got):\n%s", d)
	}
	files, err := filepath.Glob(filepath.Join(crdDirectory, "*.yaml"))
	if err != nil || len(files) != len(crds)+1 {
		t.Errorf("%d files in %s (%v), want the kustomization.yaml and what it lists", len(files), crdDirectory, err)
	}
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	shortNames := make(map[string]string)
	for kind, crd := range crds {
		t.Run(kind, func(t *testing.T) {
			for _, e := range crdvalidation.ValidateCustomResourceDefinition(t.Context(), crd) {
				t.Error(e)
			}
			if !scheme.Recognizes(GroupVersion.WithKind(kind)) {
				t.Error("AddToScheme does not know the kind")
			}
			if d := cmp.Diff([]string{"seccompgate"}, crd.Spec.Names.Categories); d != "" {
				t.Errorf("categories (-want +got):\n%s", d)
			}
			for _, name := range crd.Spec.Names.ShortNames {
				if other := shortNames[name]; other != "" {
					t.Errorf("short name %s is that of %s too", name, other)
				}
				shortNames[name] = kind
			}
			if len(crd.Spec.Names.ShortNames) == 0 {
				t.Error("no short name")
			}
			columns := crd.Spec.AdditionalPrinterColumns
			if len(columns) == 0 || columns[len(columns)-1].Name != "Age" {
				t.Errorf("printer columns %v do not end with the age", columns)
			}
			hasStatus := kind != "ProfileSet" && kind != "SeccompNode"
			if got := crd.Spec.Subresources != nil && crd.Spec.Subresources.Status != nil; got != hasStatus {
				t.Errorf("has a status subresource: %t, want %t", got, hasStatus)
			}
			wantScope := apiextensions.ClusterScoped
			if kind == "SyscallRecording" {
				wantScope = apiextensions.NamespaceScoped
			}
			if crd.Spec.Scope != wantScope {
				t.Errorf("scope %s, want %s", crd.Spec.Scope, wantScope)
			}
		})
	}
}

// TestEnums holds the schema, this package's tables and the strict loader together.
func TestEnums(t *testing.T) {
	crd := definitions(t)["LocalhostProfile"]
	profile := crd.Spec.Validation.OpenAPIV3Schema.Properties["spec"].Properties["profile"]
	call := profile.Properties["syscalls"].Items.Schema
	for _, tc := range []struct {
		name              string
		enum              []apiextensions.JSON
		inGo, loaderKnows []string
	}{
		{"default action", profile.Properties["defaultAction"].Enum, asText(actions()), seccomp.KnownActions()},
		{"action", call.Properties["action"].Enum, asText(actions()), seccomp.KnownActions()},
		{"architectures", profile.Properties["architectures"].Items.Schema.Enum, asText(architectures()), seccomp.KnownArchitectures()},
		{"flags", profile.Properties["flags"].Items.Schema.Enum, asText(flags()), seccomp.KnownFlags()},
		{"operators", call.Properties["args"].Items.Schema.Properties["op"].Enum, operators(), seccomp.KnownOperators()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var enum []string
			for _, value := range tc.enum {
				enum = append(enum, value.(string))
			}
			slices.Sort(enum)
			slices.Sort(tc.inGo)
			if d := cmp.Diff(tc.loaderKnows, enum); d != "" {
				t.Errorf("schema (-loader +schema):\n%s", d)
			}
			if d := cmp.Diff(tc.loaderKnows, tc.inGo); d != "" {
				t.Errorf("table (-loader +table):\n%s", d)
			}
		})
	}
}

func asText[T ~string](values []T) []string {
	var out []string
	for _, v := range values {
		out = append(out, string(v))
	}
	return out
}

// admit says what an API server says about an object, which takes the place of old
// unless that is nil.
func admit(t *testing.T, crd *apiextensions.CustomResourceDefinition, object, old map[string]any) []string {
	t.Helper()
	structural, err := structuralschema.NewStructural(crd.Spec.Validation.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, path := range pruning.PruneWithOptions(object, structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		out = append(out, path+": unknown field")
	}
	validator, _, err := schemavalidation.NewSchemaValidator(crd.Spec.Validation.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	// A nil map in an interface is not a nil interface.
	var before any
	if old != nil {
		before = old
	}
	errs := schemavalidation.ValidateCustomResource(nil, object, validator)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, structural, object)...)
	if len(errs) == 0 {
		rules := schemacel.NewValidator(structural, true, celconfig.PerCallLimit)
		found, _ := rules.Validate(t.Context(), nil, structural, object, before, celconfig.RuntimeCELCostBudget)
		errs = append(errs, found...)
	}
	return append(out, texts(errs)...)
}

// stored is an object as an API server decodes it.
func stored(t *testing.T, object any) map[string]any {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := utiljson.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// set puts a value, written as JSON, at a path such as "spec.rules.0.name".
func set(t *testing.T, object map[string]any, path, text string) {
	t.Helper()
	var wrapped map[string]any
	if err := utiljson.Unmarshal([]byte(`{"value":`+text+`}`), &wrapped); err != nil {
		t.Fatal(err)
	}
	elements := strings.Split(path, ".")
	var at any = object
	for i, element := range elements {
		last := i == len(elements)-1
		switch container := at.(type) {
		case map[string]any:
			if last {
				container[element] = wrapped["value"]
				return
			}
			at = container[element]
		case []any:
			n, err := strconv.Atoi(element)
			if err != nil || n >= len(container) {
				t.Fatalf("no %s in a list of %d", element, len(container))
			}
			if last {
				container[n] = wrapped["value"]
				return
			}
			at = container[n]
		default:
			t.Fatalf("no %s in %T", element, at)
		}
	}
}

func TestCRDsAccept(t *testing.T) {
	crds := definitions(t)
	shared := goodNode()
	shared.Facts.Profiles, shared.Facts.ProfileSet = nil, ProfileSetName(goodFiles())
	unknown := goodNode()
	unknown.Facts = NodeFacts{}
	large := goodProfile()
	large.Spec = largeMask()
	full := goodProfile()
	full.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Installed", LastTransitionTime: metav1.NewTime(now)}}
	recording := goodRecording()
	recording.Status = SyscallRecordingStatus{Lost: 1, Unattributed: 2, Containers: []RecordedContainer{{Name: "app", Syscalls: []string{"read", "write"}}}}
	// As many conditions as the kernel takes: CEL has a budget at run time too.
	most := goodProfile()
	most.Spec.Profile.Syscalls = slices.Repeat([]OCISyscall{{
		Names: []string{"ioctl"}, Action: "SCMP_ACT_ALLOW",
		Args: slices.Repeat([]OCIArg{{Index: 1, Value: math.MaxUint64, ValueTwo: 7, Op: "SCMP_CMP_MASKED_EQ"}}, maxConditions),
	}}, 4050/maxConditions)
	crowded := goodSet()
	for i := range MaxProfiles - len(crowded.Profiles) {
		file := goodFiles()[1]
		file.Path = "more/" + strconv.Itoa(i)
		crowded.Profiles = append(crowded.Profiles, file)
	}
	for _, tc := range []struct {
		name, kind string
		object     any
	}{
		{"profile with the most conditions", "LocalhostProfile", most},
		{"set with the most files", "ProfileSet", crowded},
		{"profile", "LocalhostProfile", full},
		{"profile with a large mask", "LocalhostProfile", large},
		{"node with files", "SeccompNode", goodNode()},
		{"node with a set", "SeccompNode", shared},
		{"node without facts", "SeccompNode", unknown},
		{"set", "ProfileSet", goodSet()},
		{"policy", "SeccompPolicy", goodPolicy()},
		{"recording", "SyscallRecording", recording},
	} {
		t.Run(tc.name, func(t *testing.T) {
			object := stored(t, tc.object)
			if got := admit(t, crds[tc.kind], object, nil); len(got) > 0 {
				t.Errorf("created: %q", got)
			}
			if got := admit(t, crds[tc.kind], object, stored(t, tc.object)); len(got) > 0 {
				t.Errorf("updated: %q", got)
			}
		})
	}
}

// TestAgentsAreAccepted takes what the agent publishes for the host roots of its own
// tests: neither the schema nor a reader may refuse it.
func TestAgentsAreAccepted(t *testing.T) {
	crd := definitions(t)["SeccompNode"]
	files, err := filepath.Glob("../../inventory/node/testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("list the agent's goldens: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var node SeccompNode
			readYAML(t, file, &node)
			compare(t, nil, ValidateSeccompNode(&node))
			if got := admit(t, crd, stored(t, &node), nil); len(got) > 0 {
				t.Errorf("schema: %q", got)
			}
		})
	}
}

func TestCRDsRefuse(t *testing.T) {
	crds := definitions(t)
	for _, tc := range []struct {
		name        string
		object      any
		path, value string // what is put where, as JSON
		want        []string
	}{
		{
			"profile: unknown key", goodProfile(), "spec.profile.archMap", `[]`,
			[]string{
				`spec.profile.archMap: unknown field`,
			},
		},
		{
			"profile: no content", goodProfile(), "spec", `{}`,
			[]string{
				`spec.profile: Required value`,
			},
		},
		{
			"profile: long name", goodProfile(), "metadata.name", `"` + strings.Repeat("a", 64) + `"`,
			[]string{
				`<nil>: Invalid value: the name has more than 63 characters; it must fit a label value`,
			},
		},
		{
			"profile: runtime-default", goodProfile(), "metadata.name", `"runtime-default"`,
			[]string{
				`<nil>: Invalid value: the names runtime-default and unconfined are reserved; choose another`,
			},
		},
		{
			"profile: unconfined", goodProfile(), "metadata.name", `"unconfined"`,
			[]string{
				`<nil>: Invalid value: the names runtime-default and unconfined are reserved; choose another`,
			},
		},
		{
			"profile: name of a generation", goodProfile(), "metadata.name", `"web.0123456789ab"`,
			[]string{
				`<nil>: Invalid value: the name ends like the file of a generation (a dot and 12 hexadecimal digits); choose another`,
			},
		},
		{
			"profile: label", goodProfile(), "spec.nodeSelector.disk", `"` + strings.Repeat("s", 64) + `"`,
			[]string{
				`spec.nodeSelector: Invalid value: a label's key has at most 317 characters and its value at most 63`,
			},
		},
		{
			"profile: action", goodProfile(), "spec.profile.defaultAction", `"allow"`,
			[]string{
				`spec.profile.defaultAction: Unsupported value: "allow": supported values: "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_ERRNO", "SCMP_ACT_TRAP", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"`,
			},
		},
		{
			"profile: notify by default", goodProfile(), "spec.profile.defaultAction", `"SCMP_ACT_NOTIFY"`,
			[]string{
				`spec.profile.defaultAction: Invalid value: SCMP_ACT_NOTIFY cannot be the default action: no container starts; use SCMP_ACT_ERRNO and give SCMP_ACT_NOTIFY to single syscalls`,
				`spec.profile.defaultErrnoRet: Invalid value: has a meaning only with SCMP_ACT_ERRNO or SCMP_ACT_TRACE; remove it, or use SCMP_ACT_ERRNO`,
			},
		},
		{
			"profile: errno 0", goodProfile(), "spec.profile.defaultErrnoRet", `0`,
			[]string{
				`spec.profile.defaultErrnoRet: Invalid value: 0: spec.profile.defaultErrnoRet in body should be greater than or equal to 1`,
			},
		},
		{
			"profile: errno 4096", goodProfile(), "spec.profile.syscalls.1.errnoRet", `4096`,
			[]string{
				`spec.profile.syscalls[1].errnoRet: Invalid value: 4096: spec.profile.syscalls[1].errnoRet in body should be less than or equal to 4095`,
			},
		},
		{
			"profile: errno that the default action ignores", goodProfile(), "spec.profile.defaultAction", `"SCMP_ACT_LOG"`,
			[]string{
				`spec.profile.defaultErrnoRet: Invalid value: has a meaning only with SCMP_ACT_ERRNO or SCMP_ACT_TRACE; remove it, or use SCMP_ACT_ERRNO`,
			},
		},
		{
			"profile: errno that the action ignores", goodProfile(), "spec.profile.syscalls.1.action", `"SCMP_ACT_ALLOW"`,
			[]string{
				`spec.profile.syscalls[1].errnoRet: Invalid value: has a meaning only with SCMP_ACT_ERRNO or SCMP_ACT_TRACE; remove it, or use SCMP_ACT_ERRNO`,
			},
		},
		{
			"profile: architecture", goodProfile(), "spec.profile.architectures.0", `"amd64"`,
			[]string{
				`spec.profile.architectures[0]: Unsupported value: "amd64": supported values: "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC", "SCMP_ARCH_S390X", "SCMP_ARCH_S390", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB"`,
			},
		},
		{
			"profile: flag", goodProfile(), "spec.profile.flags.0", `"LOG"`,
			[]string{
				`spec.profile.flags[0]: Unsupported value: "LOG": supported values: "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"`,
			},
		},
		{
			"profile: no names", goodProfile(), "spec.profile.syscalls.0.names", `[]`,
			[]string{
				`spec.profile.syscalls[0].names: Invalid value: 0: spec.profile.syscalls[0].names in body should have at least 1 items`,
			},
		},
		{
			"profile: name of a syscall", goodProfile(), "spec.profile.syscalls.0.names.1", `"re ad"`,
			[]string{
				`spec.profile.syscalls[0].names[1]: Invalid value: "re ad": spec.profile.syscalls[0].names[1] in body should match '^[!-~]+$'`,
			},
		},
		{
			"profile: argument", goodProfile(), "spec.profile.syscalls.2.args.1.index", `6`,
			[]string{
				`spec.profile.syscalls[2].args[1].index: Invalid value: 6: spec.profile.syscalls[2].args[1].index in body should be less than or equal to 5`,
			},
		},
		{
			"profile: negative argument", goodProfile(), "spec.profile.syscalls.2.args.1.index", `-1`,
			[]string{
				`spec.profile.syscalls[2].args[1].index: Invalid value: -1: spec.profile.syscalls[2].args[1].index in body should be greater than or equal to 0`,
			},
		},
		{
			"profile: operator", goodProfile(), "spec.profile.syscalls.2.args.1.op", `"=="`,
			[]string{
				`spec.profile.syscalls[2].args[1].op: Unsupported value: "==": supported values: "SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE"`,
			},
		},
		{
			"profile: negative value", goodProfile(), "spec.profile.syscalls.2.args.0.value", `-1`,
			[]string{
				`spec.profile.syscalls[2].args[0].value: Invalid value: -1: is negative; write what lies above 9223372036854775807 as text in hexadecimal, such as "0xffffffffffffffff"`,
			},
		},
		{
			"profile: fraction", goodProfile(), "spec.profile.syscalls.2.args.0.value", `1.5`,
			[]string{
				`spec.profile.syscalls[2].args[0].value: Invalid value: "number": spec.profile.syscalls[2].args[0].value in body must be of type integer,string: "number"`,
			},
		},
		{
			"profile: number above int64", goodProfile(), "spec.profile.syscalls.2.args.0.value", `18446744073709551615`,
			[]string{
				`spec.profile.syscalls[2].args[0].value: Invalid value: "number": spec.profile.syscalls[2].args[0].value in body must be of type integer,string: "number"`,
			},
		},
		{
			"profile: decimal text", goodProfile(), "spec.profile.syscalls.2.args.0.value", `"18446744073709551615"`,
			[]string{
				`spec.profile.syscalls[2].args[0].value: Too long: may not be more than 18 bytes`,
			},
		},
		{
			"profile: text of more than 64 bits", goodProfile(), "spec.profile.syscalls.2.args.1.valueTwo", `"0x10000000000000000"`,
			[]string{
				`spec.profile.syscalls[2].args[1].valueTwo: Too long: may not be more than 18 bytes`,
			},
		},
		{
			"profile: digest", goodProfile(), "status.digest", `"sha256:abc"`,
			[]string{
				`status.digest: Invalid value: "sha256:abc": status.digest in body should match '^sha256:[0-9a-f]{64}$'`,
			},
		},
		{
			"profile: served", goodProfile(), "status.served", `"../etc/passwd"`,
			[]string{
				`status.served: Invalid value: "../etc/passwd": status.served in body should match '^seccompgate/[a-z0-9]([-a-z0-9.]*[a-z0-9])?\.json$'`,
			},
		},
		{
			"node: root", goodNode(), "facts.seccompRoot", `"var/lib"`,
			[]string{
				`facts.seccompRoot: Invalid value: "var/lib": facts.seccompRoot in body should match '^/'`,
			},
		},
		{
			"node: architecture", goodNode(), "facts.architectures.0", `"amd64"`,
			[]string{
				`facts.architectures[0]: Unsupported value: "amd64": supported values: "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC", "SCMP_ARCH_S390X", "SCMP_ARCH_S390", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB"`,
			},
		},
		{
			"node: both lists", goodNode(), "facts.profileSet", `"00000000000000000000000000000000"`,
			[]string{
				`facts: Invalid value: both profileSet and profiles are set; name a ProfileSet or list the files`,
			},
		},
		{
			"node: name of a set", goodNode(), "facts.profileSet", `"mine"`,
			[]string{
				`facts.profileSet: Invalid value: "mine": facts.profileSet in body should match '^[0-9a-f]{32}$'`,
			},
		},
		{
			"node: absolute path", goodNode(), "facts.profiles.0.path", `"/a"`,
			[]string{
				`facts.profiles[0].path: Invalid value: "/a": facts.profiles[0].path in body should match '^([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+)(/([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+))*$'`,
			},
		},
		{
			"node: climbing path", goodNode(), "facts.profiles.0.path", `"a/../b"`,
			[]string{
				`facts.profiles[0].path: Invalid value: "a/../b": facts.profiles[0].path in body should match '^([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+)(/([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+))*$'`,
			},
		},
		{
			"node: unclean path", goodNode(), "facts.profiles.0.path", `"a//b"`,
			[]string{
				`facts.profiles[0].path: Invalid value: "a//b": facts.profiles[0].path in body should match '^([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+)(/([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+))*$'`,
			},
		},
		{
			"node: empty path", goodNode(), "facts.profiles.0.path", `""`,
			[]string{
				`facts.profiles[0].path: Invalid value: "": facts.profiles[0].path in body should match '^([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+)(/([ -\-0-~][ -.0-~]*|\.[ -\-0-~][ -.0-~]*|\.\.[ -.0-~]+))*$'`,
			},
		},
		{
			"node: digest", goodNode(), "facts.profiles.0.digest", `"abc"`,
			[]string{
				`facts.profiles[0].digest: Invalid value: "abc": facts.profiles[0].digest in body should match '^sha256:[0-9a-f]{64}$'`,
			},
		},
		{
			"node: size", goodNode(), "facts.profiles.0.size", `-1`,
			[]string{
				`facts.profiles[0].size: Invalid value: -1: facts.profiles[0].size in body should be greater than or equal to 0`,
			},
		},
		{
			"node: long reason", goodNode(), "facts.profiles.0.reason", `"` + strings.Repeat("x", 257) + `"`,
			[]string{
				`facts.profiles[0].reason: Too long: may not be more than 256 bytes`,
			},
		},
		{
			"node: timestamp", goodNode(), "facts.seen", `"2026-11-01T12:00:00Z"`,
			[]string{
				`facts.seen: unknown field`,
			},
		},
		{
			"set: name", goodSet(), "metadata.name", `"mine"`,
			[]string{
				`<nil>: Invalid value: the name is not the hash of the content (32 hexadecimal digits); agents make these objects, and a node of your own lists its files in facts.profiles`,
			},
		},
		{
			"set: a path twice", goodSet(), "profiles.0.path", `"only-a-path"`,
			[]string{
				`profiles[3]: Duplicate value: {"path":"only-a-path"}`,
			},
		},
		{
			"set: no list", goodSet(), "profiles", `null`,
			[]string{
				`profiles: Invalid value: "null": profiles in body must be of type array: "null"`,
			},
		},
		{
			"policy: name of a file", goodPolicy(), "spec.rules.0.name", `"../a.rego"`,
			[]string{
				`spec.rules[0].name: Invalid value: "../a.rego": spec.rules[0].name in body should match '^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?\.rego$'`,
			},
		},
		{
			"policy: empty rule", goodPolicy(), "spec.rules.0.rego", `""`,
			[]string{
				`spec.rules[0].rego: Invalid value: "": spec.rules[0].rego in body should be at least 1 chars long`,
			},
		},
		{
			"policy: long parameter", goodPolicy(), "spec.parameters.registry", `"` + strings.Repeat("x", 4097) + `"`,
			[]string{
				`spec.parameters: Invalid value: a parameter's name has at most 63 characters and its value at most 4096`,
			},
		},
		{
			"policy: exception from nothing", goodPolicy(), "spec.exceptions.0.rules", `[]`,
			[]string{
				`spec.exceptions[0].rules: Invalid value: 0: spec.exceptions[0].rules in body should have at least 1 items`,
			},
		},
		{
			"policy: pattern of rules", goodPolicy(), "spec.exceptions.0.rules.0", `"*"`,
			[]string{
				`spec.exceptions[0].rules[0]: Invalid value: "*": spec.exceptions[0].rules[0] in body should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'`,
			},
		},
		{
			"policy: pattern of namespaces", goodPolicy(), "spec.exceptions.0.namespaces.0", `"kube-*"`,
			[]string{
				`spec.exceptions[0].namespaces[0]: Invalid value: "kube-*": spec.exceptions[0].namespaces[0] in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'`,
			},
		},
		{
			"policy: a rule twice", goodPolicy(), "spec.exceptions.0.rules.0", `"unset"`,
			[]string{
				`spec.exceptions[0].rules[1]: Duplicate value: "unset"`,
			},
		},
		{
			"policy: no reason", goodPolicy(), "spec.exceptions.0.reason", `""`,
			[]string{
				`spec.exceptions[0].reason: Invalid value: "": spec.exceptions[0].reason in body should be at least 1 chars long`,
			},
		},
		{
			"policy: no end", goodPolicy(), "spec.exceptions.0.expires", `null`,
			[]string{
				`spec.exceptions[0].expires: Invalid value: "null": spec.exceptions[0].expires in body must be of type string: "null"`,
			},
		},
		{
			"recording: no end", goodRecording(), "spec", `{"podSelector":{}}`,
			[]string{
				`spec.until: Required value`,
			},
		},
		{
			"recording: end is no time", goodRecording(), "spec.until", `"tomorrow"`,
			[]string{
				`spec.until: Invalid value: "tomorrow": spec.until in body must be of type date-time: "tomorrow"`,
			},
		},
		{
			"recording: no pods", goodRecording(), "spec", `{"until":"2026-11-01T12:00:00Z"}`,
			[]string{
				`spec.podSelector: Required value`,
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			object := stored(t, tc.object)
			set(t, object, tc.path, tc.value)
			got := admit(t, crds[object["kind"].(string)], object, nil)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

func TestCRDsRefuseChanges(t *testing.T) {
	crds := definitions(t)
	for _, tc := range []struct {
		name        string
		object      any
		path, value string // what is put where, as JSON
		want        []string
	}{
		{
			"content of a set", goodSet(), "profiles.0.valid", `true`,
			[]string{`profiles: Invalid value: a ProfileSet never changes; create another under the name that is the hash of its content`},
		},
		{
			"files of a set", goodSet(), "profiles", `[]`,
			[]string{`profiles: Invalid value: a ProfileSet never changes; create another under the name that is the hash of its content`},
		},
		{"labels of a set", goodSet(), "metadata.labels", `{"a":"b"}`, nil},
		{
			"pods of a recording", goodRecording(), "spec.podSelector", `{}`,
			[]string{`spec.podSelector: Invalid value: the pods of a recording do not change; create another recording`},
		},
		{"end of a recording", goodRecording(), "spec.until", `"2026-11-02T00:00:00Z"`, nil},
		{"content of a profile", goodProfile(), "spec.profile.syscalls", `[]`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			object := stored(t, tc.object)
			set(t, object, tc.path, tc.value)
			got := admit(t, crds[object["kind"].(string)], object, stored(t, tc.object))
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}
