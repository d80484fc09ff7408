// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory/node"
	"github.com/seccompgate/seccompgate/seccomp"
)

// contents is what was read, in a form that is easy to write down.
func contents(o Objects, namespaces map[string]map[string]string) []string {
	var lines []string
	for _, n := range o.Nodes {
		lines = append(lines, fmt.Sprintf("Node %s %v %v", n.Name, n.Labels, n.Spec.Taints))
	}
	for _, n := range o.SeccompNodes {
		lines = append(lines, fmt.Sprintf("SeccompNode %s %s %d files", n.Name, n.Facts.ProfileSet, len(n.Facts.Profiles)))
	}
	for _, s := range o.ProfileSets {
		lines = append(lines, fmt.Sprintf("ProfileSet %s %d files", s.Name, len(s.Profiles)))
	}
	for _, l := range o.LocalhostProfiles {
		lines = append(lines, fmt.Sprintf("LocalhostProfile %s %s %s", l.Name, l.Spec.Profile.DefaultAction, l.Status.Served))
	}
	for _, name := range []string{"a", "b", "team"} {
		if labels, known := namespaces[name]; known {
			lines = append(lines, fmt.Sprintf("Namespace %s %v", name, labels))
		}
	}
	return lines
}

const (
	nodeA = "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n"
	nodeB = "apiVersion: v1\nkind: Node\nmetadata: {name: b}\n"
	jsonA = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"a"}}`
	jsonB = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"b"}}`
	// ours begins an object of our group.
	ours = "apiVersion: seccompgate.io/v1alpha1\n"
)

func TestReadObjects(t *testing.T) {
	both := []string{"Node a map[] []", "Node b map[] []"}
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"one document", nodeA, both[:1]},
		{"a YAML stream", nodeA + "---\n" + nodeB, both},
		{"separators at both ends, comments between", "---\n# nodes\n---\n" + nodeA + "--- # next\n" + nodeB + "---\n", both},
		{"content on the separator's line", "--- " + jsonA + "\n--- # b\n" + nodeB, both},
		{"documents that end with three dots", nodeA + "...\n---\n" + nodeB + "...\n", both},
		{"what follows three dots is a document too", nodeA + "... # end\n" + nodeB, both},
		{"Windows line ends", strings.ReplaceAll(nodeA+"---\n"+nodeB, "\n", "\r\n"), both},
		{"a byte order mark", "\ufeff" + nodeA + "---\n" + nodeB, both},
		{"an empty document among others", nodeA + "---\nnull\n---\n{}\n"[:12] + "\n---\n" + nodeB, both},
		{"one JSON value", jsonA, both[:1]},
		{"a JSON stream", jsonA + "\n" + jsonB + "\n", both},
		{"a JSON stream on one line", jsonA + jsonB, both},
		{"JSON and YAML in one stream", jsonA + "\n---\n" + nodeB, both},
		{"braces of YAML", "{apiVersion: v1, kind: Node, metadata: {name: a}}", both[:1]},
		{"a List", "apiVersion: v1\nkind: List\nitems:\n- " + jsonA + "\n- " + jsonB + "\n", both},
		{"a JSON List", `{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":""},"items":[` + jsonA + "," + jsonB + "]}", both},
		{"items of a typed list without a kind", "apiVersion: v1\nkind: NodeList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n", both},
		{"items of a typed list of ours", ours + "kind: SeccompNodeList\nitems:\n- metadata: {name: a}\n  facts: {}\n", []string{"SeccompNode a  0 files"}},
		{"an empty list beside an object", "apiVersion: v1\nkind: NamespaceList\nitems: []\n---\n" + nodeA, both[:1]},
		{"a Node of a newer Kubernetes", nodeA + "status: {madeUp: 1}\nfuture: {x: y}\n", both[:1]},
		{
			"all kinds, as kubectl prints them",
			`apiVersion: v1
kind: Node
metadata:
  name: a
  uid: 6f1d
  creationTimestamp: "2026-01-01T00:00:00Z"
  labels: {zone: z}
  managedFields:
  - {manager: kubelet, operation: Update, apiVersion: v1, time: "2026-01-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:status": {}}}
spec:
  taints: [{key: dedicated, value: x, effect: NoSchedule}]
status:
  allocatable: {cpu: 3920m, memory: 16Gi}
  nodeInfo: {operatingSystem: linux, architecture: amd64}
---
apiVersion: seccompgate.io/v1alpha1
kind: SeccompNode
metadata:
  name: a
  ownerReferences: [{apiVersion: v1, kind: Node, name: a, uid: other}]
facts:
  profileSet: ` + v1alpha1.ProfileSetName(nil) + `
---
apiVersion: seccompgate.io/v1alpha1
kind: ProfileSet
metadata: {name: ` + v1alpha1.ProfileSetName(nil) + `}
profiles: []
---
apiVersion: seccompgate.io/v1alpha1
kind: LocalhostProfile
metadata: {name: app}
spec:
  profile: {defaultAction: SCMP_ACT_ERRNO}
status: {served: seccompgate/app.json}
---
apiVersion: v1
kind: Namespace
metadata:
  name: team
  labels: {seccompgate.io/enforce: restricted}
spec: {finalizers: [kubernetes]}
status: {phase: Active}
---
apiVersion: v1
kind: Namespace
metadata: {name: b}
`,
			[]string{
				"Node a map[zone:z] [{dedicated x NoSchedule <nil>}]",
				"SeccompNode a " + v1alpha1.ProfileSetName(nil) + " 0 files",
				"ProfileSet " + v1alpha1.ProfileSetName(nil) + " 0 files",
				"LocalhostProfile app SCMP_ACT_ERRNO seccompgate/app.json",
				"Namespace b map[]",
				"Namespace team map[seccompgate.io/enforce:restricted]",
			},
		},
		{
			"a set whose name is not the hash: its nodes are unknown, the rest counts",
			ours + "kind: ProfileSet\nmetadata: {name: x}\nprofiles: [{path: a.json, valid: true}]\n",
			[]string{"ProfileSet x 1 files"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, namespaces, err := ReadObjects(strings.NewReader(tc.text), "nodes.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, contents(o, namespaces)); d != "" {
				t.Errorf("ReadObjects (-want +got):\n%s", d)
			}
		})
	}
}

// TestReadFactsCountAsCurrent has facts about a node of another UID: a file may hold
// what was printed at different times.
func TestReadFactsCountAsCurrent(t *testing.T) {
	const text = `
apiVersion: v1
kind: Node
metadata: {name: a, uid: new}
---
apiVersion: seccompgate.io/v1alpha1
kind: SeccompNode
metadata: {name: a, ownerReferences: [{apiVersion: v1, kind: Node, name: a, uid: old}]}
facts: {}
`
	o, _, err := ReadObjects(strings.NewReader(text), "nodes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if x := NewIndex(o); x.Unknown() != 0 || len(x.Problems()) > 0 {
		t.Errorf("%d nodes are unknown: %q", x.Unknown(), x.Problems())
	}
}

func TestReadObjectsRefuses(t *testing.T) {
	const takes = "an inventory takes Node, Namespace, SeccompNode, ProfileSet, LocalhostProfile, SeccompPolicy and lists of them"
	for _, tc := range []struct {
		name, text, want string
	}{
		{"nothing", "", "nodes.yaml: no object; " + takes},
		{"comments", "# nothing\n---\n# here\n", "nodes.yaml: no object; " + takes},
		{"null", "null\n", "nodes.yaml: no object; " + takes},
		{"an empty list", "apiVersion: v1\nkind: List\nitems: []\n", "nodes.yaml: no object; " + takes},
		{"not UTF-8", nodeA + "# \xff\n", "nodes.yaml: not UTF-8 text; save it as UTF-8"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "nodes.yaml: not UTF-8 text; save it as UTF-8"},
		{"a program", "\x7fELF\x01\x01\x00", "nodes.yaml: document 1, line 1: control characters are not allowed; correct the YAML"},
		{"half a YAML document", nodeA + "---\n" + nodeA + "spec:\n  taints: [{key: x\n", "nodes.yaml: document 2, line 9: did not find expected ',' or '}'; correct the YAML"},
		{"a tab", "apiVersion: v1\nkind: Node\nmetadata:\n\tname: a\n", "nodes.yaml: document 1, line 4: found character that cannot start any token; correct the YAML"},
		{"prose", "These are my nodes.\n", "nodes.yaml: document 1, line 1: a string in place of an object; " + takes},
		{"a list of values", "\n- a\n- b\n", "nodes.yaml: document 1, line 2: a list in place of an object; " + takes},
		{"a number", nodeA + "---\n7\n", "nodes.yaml: document 2, line 5: a number in place of an object; " + takes},
		{"a key twice", nodeA + "---\napiVersion: v1\nkind: Node\nkind: Node\n", `nodes.yaml: document 2, line 7: key "kind" already set in map; correct the YAML`},
		{"aliases upon aliases", bomb(), "nodes.yaml: document 1, line 1: document contains excessive aliasing; correct the YAML"},
		{"too deep YAML", strings.Repeat("[", 20_000), "nodes.yaml: document 1, line 1: exceeded max depth of 10000; correct the YAML"},
		{"too deep JSON", strings.Repeat(`{"a":`, 20_000), "nodes.yaml: document 1, line 1: exceeded max depth; correct the JSON"},
		{"half a JSON document", jsonA + "\n{\"apiVersion\":\"v1\",\n\"kind\":", "nodes.yaml: document 2, line 3: unexpected EOF; correct the JSON"},
		{"JSON without a comma", "{\n\"apiVersion\":\"v1\"\n\"kind\":\"Node\"}", `nodes.yaml: document 1, line 3: invalid character '"' after object value (expecting ',' or '}'); correct the JSON`},
		{"JSON with a key twice", "{\"apiVersion\":\"v1\",\n\"kind\":\"Node\",\n\"kind\":\"Node\"}", `nodes.yaml: document 1, line 3: duplicate object member name "kind"; correct the JSON`},
		{"JSON with a key twice, not first", jsonA + "\n{\"kind\":\"Node\",\n\"kind\":\"Node\"}", `nodes.yaml: document 2, line 3: duplicate object member name "kind"; correct the JSON`},
		{"no kind", "metadata: {name: a}\n", "nodes.yaml: document 1, line 1: no apiVersion and kind; " + takes},
		{"no version", nodeA + "---\n# b\n\nkind: Node\nmetadata: {name: b}\n", "nodes.yaml: document 2, line 7: no apiVersion and kind; " + takes},
		{"a kind that does not belong", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", `nodes.yaml: document 1, line 1: Pod "a" of v1 is not part of an inventory; remove it: ` + takes},
		{"a version that does not", "apiVersion: seccompgate.io/v2\nkind: SeccompNode\nmetadata: {name: a}\n", `nodes.yaml: document 1, line 1: SeccompNode "a" of seccompgate.io/v2 is not part of an inventory; remove it: ` + takes},
		{"an item that does not", "apiVersion: v1\nkind: List\nitems:\n- " + jsonA + "\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n", `nodes.yaml: document 1, line 5: Pod "b" of v1 is not part of an inventory; remove it: ` + takes},
		{"an item without a kind", "apiVersion: v1\nkind: List\nitems:\n- metadata: {name: a}\n", "nodes.yaml: document 1, line 4: no apiVersion and kind; " + takes},
		{"an item that is no object", "apiVersion: v1\nkind: NodeList\nitems:\n- metadata: {name: a}\n- 5\n", "nodes.yaml: document 1, line 5: a number in place of an object; " + takes},
		{"items that are no list", "apiVersion: v1\nkind: NodeList\nitems: 5\n", "nodes.yaml: document 1, line 3: items has a number in place of a list; correct the value"},
		{"no name", "apiVersion: v1\nkind: Node\nmetadata:\n  labels: {}\n", "nodes.yaml: document 1, line 1: Node without a name; set metadata.name"},
		{"a name that is no text", "apiVersion: v1\nkind: Node\nmetadata:\n  name: 7\n", "nodes.yaml: document 1, line 4: metadata.name has a number in place of a string; correct the value"},
		{"metadata that is no object", "apiVersion: v1\nkind: Node\nmetadata: []\n", "nodes.yaml: document 1, line 3: metadata has a list in place of an object; correct the value"},
		{"one node twice", nodeA + "---\n" + nodeB + "---\n" + nodeA, `nodes.yaml: document 3, line 9: Node "a" stands here and in document 1; remove one`},
		{"one node twice in a list", `{"apiVersion":"v1","kind":"List","items":[` + jsonA + ",\n" + jsonA + "]}", `nodes.yaml: document 1, line 2: Node "a" stands here and in document 1; remove one`},
		{"a value of another type", nodeA + "spec:\n  taints:\n  - key: x\n    value: 5\n", `nodes.yaml: document 1, line 7: Node "a": spec.taints[0].value has a number in place of a string; correct the value`},
		{"a value that its type refuses", "apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n  creationTimestamp: yesterday\n", `nodes.yaml: document 1, line 5: Node "a": metadata.creationTimestamp: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"; correct the value`},
		{"a label that is no text", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    x: true\n", `nodes.yaml: document 1, line 6: Namespace "a": metadata.labels.x has a boolean in place of a string; correct the value`},
		{"an unknown field of SeccompNode", ours + "kind: SeccompNode\nmetadata: {name: a}\nfacts:\n  seccompDefalt: true\n", `nodes.yaml: document 1, line 5: SeccompNode "a": unknown field facts.seccompDefalt; remove it or correct its name`},
		{"an unknown field in JSON", "{\"apiVersion\":\"seccompgate.io/v1alpha1\",\"kind\":\"SeccompNode\",\"metadata\":{\"name\":\"a\"},\n\"facts\":{\n\"Truncated\":true}}", `nodes.yaml: document 1, line 3: SeccompNode "a": unknown field facts.Truncated; remove it or correct its name`},
		{"an unknown field of LocalhostProfile", ours + "kind: LocalhostProfile\nmetadata: {name: a}\nspec:\n  profile:\n    defaultAction: SCMP_ACT_LOG\n    syscals: []\n", `nodes.yaml: document 1, line 7: LocalhostProfile "a": unknown field spec.profile.syscals; remove it or correct its name`},
		{"facts that are not valid", ours + "kind: SeccompNode\nmetadata: {name: a}\nfacts:\n  profiles:\n  - path: ../x\n    valid: true\n", `nodes.yaml: document 1, line 6: SeccompNode "a": facts.profiles[0].path: Invalid value: "../x": is not in its cleaned form; write it without ".", ".." and empty elements`},
		{"a set that is not valid", ours + "kind: ProfileSet\nmetadata: {name: a}\nprofiles:\n- path: x\n  digest: 5f\n  valid: true\n", `nodes.yaml: document 1, line 6: ProfileSet "a": profiles[0].digest: Invalid value: "5f": is not "sha256:" and 64 hexadecimal digits in lower case`},
		{"a profile that is not valid", ours + "kind: LocalhostProfile\nmetadata: {name: unconfined}\nspec: {profile: {defaultAction: SCMP_ACT_LOG}}\n", `nodes.yaml: document 1, line 3: LocalhostProfile "unconfined": metadata.name: Invalid value: "unconfined": is reserved; choose another name`},
		{"a type that cannot be", ours + "kind: SeccompNode\nmetadata: {name: a}\nfacts: {profiles: [{path: x, valid: perhaps}]}\n", `nodes.yaml: document 1, line 4: SeccompNode "a": facts.profiles[0].valid has a string in place of a boolean; correct the value`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, namespaces, err := ReadObjects(strings.NewReader(tc.text), "nodes.yaml")
			if err == nil {
				t.Fatalf("ReadObjects took it: %q", contents(o, namespaces))
			}
			if got := err.Error(); got != tc.want {
				t.Errorf("ReadObjects:\n got %s\nwant %s", got, tc.want)
			}
			if d := cmp.Diff(Objects{}, o); d != "" || namespaces != nil {
				t.Errorf("ReadObjects returned objects beside the error:\n%s", d)
			}
		})
	}
}

// bomb would be 9^9 strings.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 8), i)
	}
	return b.String()
}

func TestReadObjectsBoundsItsInput(t *testing.T) {
	_, _, err := ReadObjects(io.MultiReader(strings.NewReader(nodeA+"# "), zeros(MaxInput)), "nodes.yaml")
	const want = "nodes.yaml: more than 64 MiB; leave out what is not needed of Node objects, such as status.images and managedFields"
	if err == nil || err.Error() != want {
		t.Errorf("ReadObjects:\n got %v\nwant %s", err, want)
	}
	_, _, err = ReadObjects(iotest.ErrReader(errors.New("broken pipe")), "-")
	if want := "read inventory -: broken pipe"; err == nil || err.Error() != want {
		t.Errorf("ReadObjects:\n got %v\nwant %s", err, want)
	}
}

// zeros are n of the digit.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// FuzzReadObjects looks for panics, and for objects that an index chokes on.
func FuzzReadObjects(f *testing.F) {
	for _, text := range []string{
		nodeA + "---\n" + nodeB, jsonA + jsonB, nodeA + "...\n" + nodeB, "\ufeff" + nodeA, "{a: b}\n--- x", bomb()[:200], "&a [*a]", "? {a: b}\n: c\n",
		"apiVersion: v1\nkind: NodeList\nitems:\n- metadata: {name: a}\n", `{"kind":"List","items":[null,{}]}`,
		ours + "kind: SeccompNode\nmetadata: {name: a}\nfacts: {profiles: [{path: x, valid: true, analysis: {architectures: [SCMP_ARCH_X86]}}]}\n",
		ours + "kind: ProfileSet\nmetadata: {name: a}\nprofiles: [{path: x, valid: false}]\n",
		ours + "kind: LocalhostProfile\nmetadata: {name: a}\nspec: {profile: {defaultAction: SCMP_ACT_LOG, syscalls: [{names: [read], action: SCMP_ACT_ALLOW}]}}\nstatus: {served: seccompgate/a.json}\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, namespaces, err := ReadObjects(bytes.NewReader(data), "f")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f: ") {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		if len(contents(o, namespaces)) == 0 && len(namespaces) == 0 {
			t.Error("neither objects nor an error")
		}
		x := NewIndex(o)
		for _, name := range x.Names() {
			path, _ := x.PathOf(name)
			lookup(x, Placement{}, path)
		}
	})
}

func TestFromProfilesDir(t *testing.T) {
	const (
		errno   = `{"defaultAction":"SCMP_ACT_ERRNO"}`
		logging = `{"defaultAction":"SCMP_ACT_LOG"}`
	)
	directory := t.TempDir()
	for path, text := range map[string]string{
		"profiles/audit.json":                     logging,
		"broken.json":                             `{"defaultAction":`,
		"seccompgate/app.json":                    errno,
		"seccompgate/app.0123456789ab.json":       logging,
		"seccompgate/db.00000000000a.json":        errno,
		"seccompgate/db.00000000000b.json":        logging,
		"seccompgate/bad.json":                    `[]`,
		"seccompgate/huge.json":                   strings.Repeat(" ", seccomp.MaxProfileSize+1),
		"seccompgate/Not_A_Name.json":             errno,
		"seccompgate/runtime-default.json":        errno,
		"seccompgate/README":                      "no profile",
		"seccompgate/below/app.json":              errno,
		"profiles/seccompgate/elsewhere.json":     errno,
		"profiles/.hidden.json":                   errno,
		"seccompgate/app.json~":                   errno,
		"seccompgate/a.b.0123456789abcdef12.json": errno,
	} {
		path = filepath.Join(directory, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, err := FromProfilesDir(directory)
	if err != nil {
		t.Fatal(err)
	}

	known := func(name, digest, served string) *v1alpha1.LocalhostProfile {
		return &v1alpha1.LocalhostProfile{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1alpha1.LocalhostProfileStatus{Digest: digest, Served: served},
		}
	}
	wantProfiles := []*v1alpha1.LocalhostProfile{
		known("a.b.0123456789abcdef12", seccomp.Digest([]byte(errno)), ""),
		known("app", seccomp.Digest([]byte(errno)), ""),
		known("bad", seccomp.Digest([]byte("[]")), ""),
		known("db", seccomp.Digest([]byte(errno)), "seccompgate/db.00000000000a.json"),
		known("huge", "", ""),
	}
	if d := cmp.Diff(wantProfiles, o.LocalhostProfiles); d != "" {
		t.Errorf("LocalhostProfiles (-want +got):\n%s", d)
	}
	wantNodes := []*corev1.Node{{
		ObjectMeta: metav1.ObjectMeta{Name: "profiles-dir", Labels: map[string]string{
			"kubernetes.io/os": "linux", "kubernetes.io/arch": runtime.GOARCH, "kubernetes.io/hostname": "profiles-dir",
		}},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: runtime.GOARCH}},
	}}
	if d := cmp.Diff(wantNodes, o.Nodes); d != "" {
		t.Errorf("Nodes (-want +got):\n%s", d)
	}

	x := NewIndex(o)
	if x.Unknown() != 0 || len(x.Problems()) > 0 {
		t.Errorf("%d nodes are unknown: %q", x.Unknown(), x.Problems())
	}
	set := x.Eligible(&Placement{})
	defer set.Release()
	native, _ := node.NativeArch(runtime.GOARCH)
	if d := cmp.Diff(NodeSummary{Eligible: 1, Architectures: []string{string(native)}, SeccompRoots: []string{"/var/lib/kubelet/seccomp"}}, x.Summary(set)); d != "" {
		t.Errorf("Summary (-want +got):\n%s", d)
	}
	one := NodeCounts{Eligible: 1, Have: 1}
	none := NodeCounts{Eligible: 1, Missing: NodeCount{Count: 1, Examples: []string{"profiles-dir"}}}
	for _, want := range []ProfileFacts{
		{Path: "profiles/audit.json", Valid: true, Digests: []string{seccomp.Digest([]byte(logging))}, DefaultAction: "SCMP_ACT_LOG", Permissive: true, Nodes: one},
		{Path: "broken.json", Reason: "defaultAction: file ends in the middle of the profile (line 1)", Digests: []string{seccomp.Digest([]byte(`{"defaultAction":`))}, Nodes: one},
		{Path: "seccompgate/app.json", Valid: true, Digests: []string{seccomp.Digest([]byte(errno))}, ExpectedDigest: seccomp.Digest([]byte(errno)), DefaultAction: "SCMP_ACT_ERRNO", Nodes: one},
		{
			Path: "seccompgate/app.0123456789ab.json", Valid: true, Digests: []string{seccomp.Digest([]byte(logging))}, ExpectedDigest: "sha256:0123456789ab",
			DefaultAction: "SCMP_ACT_LOG", Permissive: true, Nodes: one,
		},
		{Path: "seccompgate/bad.json", Reason: "file holds a list instead of an object (line 1)", Digests: []string{seccomp.Digest([]byte("[]"))}, ExpectedDigest: seccomp.Digest([]byte("[]")), Nodes: one},
		{Path: "profiles/audti.json", Valid: true, Nearest: []string{"profiles/audit.json"}, Nodes: none},
	} {
		// What the analysis says is the business of the package that makes it.
		analysis := cmpopts.IgnoreFields(ProfileFacts{}, "Grade", "Dangerous", "BeyondDefault", "MissingToStart")
		if d := cmp.Diff(want, x.Profile(set, want.Path, &Placement{}), analysis); d != "" {
			t.Errorf("Profile (-want +got):\n%s", d)
		}
	}
}

func TestFromProfilesDirRefuses(t *testing.T) {
	directory := t.TempDir()
	regular := filepath.Join(directory, "file")
	if err := os.WriteFile(regular, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	many := filepath.Join(directory, "many")
	if err := os.Mkdir(many, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range node.MaxProfiles + 1 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprintf("%d.json", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deep := filepath.Join(directory, "deep")
	if err := os.MkdirAll(filepath.Join(deep, strings.Repeat("d/", 17)), 0o700); err != nil {
		t.Fatal(err)
	}
	const remedy = "; name a directory that holds what the kubelet's seccomp directory holds"
	for _, tc := range []struct {
		name, directory, want string
	}{
		{"absent", filepath.Join(directory, "absent"), "read profiles: open " + filepath.Join(directory, "absent") + ": no such file or directory" + remedy},
		{"a file", regular, "read profiles: open " + regular + ": not a directory" + remedy},
		{"too many files", many, "read profiles of " + many + ": it holds more than 1000 files, as many as are read; leave those that pods use"},
		{"too deep", deep, "read profiles of " + deep + ": d" + strings.Repeat("/d", 16) + " lies more than 16 directories deep; what it holds is not listed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := FromProfilesDir(tc.directory)
			if err == nil || err.Error() != tc.want {
				t.Errorf("FromProfilesDir:\n got %v\nwant %s", err, tc.want)
			}
		})
	}
	o, err := FromProfilesDir(t.TempDir())
	if err != nil || len(o.SeccompNodes) != 1 || len(o.LocalhostProfiles) != 0 {
		t.Errorf("an empty directory is a node without files: %+v, %v", o, err)
	}
}
