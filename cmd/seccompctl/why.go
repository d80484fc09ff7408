// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	encoding "encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/seccomp"
	"github.com/seccompgate/seccompgate/webhook/report"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// whyOptions are the flags of why.
type whyOptions struct {
	clusterOptions
	namespace string
	file      string
	output    string
}

func newWhyCommand(s streams) *cobra.Command {
	var o whyOptions
	c := &cobra.Command{
		Use:   "why pod/NAME",
		Short: "Explain which profile each container of a pod has, and why",
		Long: `Explain which profile each container of a pod has, what decided so, and what its node has under
that path: the privileged flag, the container's field, the pod's field, or the default of the node's
kubelet. A field that says what a label of ours asks for is put down to the label.

What is said of files is so now: a container that runs keeps the filter that it started with.

Exit codes: 0 explained, 2 bad usage, or a pod or a cluster that cannot be read.`,
		Example: `  seccompctl why pod/web -n shop
  kubectl get pod web -o yaml | seccompctl why pod/web -f - --inventory inventory.yaml`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%d arguments; name one pod as pod/NAME, see %s --help", len(args), c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), s, args[0]) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`NAMESPACE` of the pod (default that of the context)")
	nameFlag(flags, &o.file, "filename", "f", "`FILE` with the pod as it is in the cluster, or - for standard input, in place of asking it")
	o.addFlags(c)
	addOutputFlag(c, &o.output)
	return c
}

func (o *whyOptions) run(ctx context.Context, s streams, arg string) error {
	format, err := report.ParseFormat(o.output)
	if err != nil {
		return err
	}
	kind, name, _ := strings.Cut(arg, "/")
	if !slices.Contains([]string{"pod", "pods", "po"}, kind) || len(validation.NameIsDNSSubdomain(name, false)) > 0 {
		return fmt.Errorf("%q is no pod; write pod/NAME", arg)
	}
	var pod *podReport
	if o.file != "" || o.inventory != "" {
		pod, err = o.fromFiles(ctx, s, name)
	} else {
		pod, err = o.fromCluster(ctx, name)
	}
	if err != nil {
		return err
	}
	text := pod.text()
	if format == report.JSON {
		if text, err = encoding.MarshalIndent(pod, "", "  "); err != nil {
			return fmt.Errorf("encode explanation: %w", err)
		}
		text = append(text, '\n')
	}
	if _, err := s.out.Write(text); err != nil {
		return fmt.Errorf("write explanation: %w", err)
	}
	return nil
}

// fromFiles explains a pod of a file.
func (o *whyOptions) fromFiles(ctx context.Context, s streams, name string) (*podReport, error) {
	if o.file == "" {
		return nil, errors.New("--inventory says what nodes have, and nothing of pods; name a file with the pod with -f")
	}
	if o.kubeconfig != "" || o.context != "" {
		return nil, errors.New("-f stands for a cluster, which --kubeconfig and --context name; give one or the other")
	}
	if err := readsOnce(o.file, o.inventory); err != nil {
		return nil, err
	}
	known := facts{}
	if o.inventory != "" {
		var err error
		if known, err = o.read(ctx, s); err != nil {
			return nil, err
		}
	}
	data, err := readFile(o.file, s.in)
	if err != nil {
		return nil, err
	}
	var found *review.Object
	err = eachManifest(data, o.file, func(m *manifest) error {
		namespace := cmp.Or(m.object.Metadata.Namespace, "default")
		if m.kind != "Pod" || m.object.Metadata.Name != name || o.namespace != "" && o.namespace != namespace {
			return nil
		}
		if found != nil {
			return m.problem("", "pod %s stands here a second time; say which with --namespace", name)
		}
		object := m.object
		object.Metadata.Namespace = namespace
		found = &object
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, fmt.Errorf("%s: no pod %s in it; correct the name or the namespace", displayName(o.file), name)
	}
	return explainPod(ctx, found, known)
}

// fromCluster explains a pod of the cluster.
func (o *whyOptions) fromCluster(ctx context.Context, name string) (*podReport, error) {
	config, err := o.connect()
	if err != nil {
		return nil, err
	}
	namespace := o.namespace
	if namespace == "" {
		if namespace, _, err = o.loader().Namespace(); err != nil {
			return nil, fmt.Errorf("find the namespace: %w; name it with --namespace", err)
		}
	}
	client, err := rawClient(config)
	if err != nil {
		return nil, err
	}
	get := func(what, path string, into any) error {
		text, err := client.Get().AbsPath("/api/v1/namespaces/" + namespace + path).Do(ctx).Raw()
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("read %s: it does not exist; correct the name or the namespace", what)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", what, err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			return fmt.Errorf("decode %s: %w", what, plain(err))
		}
		return nil
	}
	pod, labels := &review.Object{}, &metav1.PartialObjectMetadata{}
	if err := get("pod "+namespace+"/"+name, "/pods/"+name, pod); err != nil {
		return nil, err
	}
	if err := get("namespace "+namespace, "", labels); err != nil {
		return nil, err
	}
	var objects inventory.Objects
	if node := pod.Spec.NodeName; node != "" {
		objects, err = inventory.ReadNode(ctx, config, logr.Discard(), node)
	} else {
		objects, err = inventory.ReadCluster(ctx, config, logr.Discard())
	}
	if err != nil {
		return nil, fmt.Errorf("%w; see that the cluster has seccompgate and lets you read its nodes", err)
	}
	return explainPod(ctx, pod, facts{index: inventory.NewIndex(objects), namespaces: map[string]map[string]string{namespace: labels.Labels}})
}

// rawClient asks for JSON as it is.
func rawClient(config *rest.Config) (*rest.RESTClient, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // what errors are made of
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return client, nil
}

// podReport is the JSON output.
type podReport struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Node       string            `json:"node,omitempty"`
	Containers []containerReport `json:"containers"`
}

// containerReport is the effective profile of a container.
type containerReport struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Type is Unconfined, RuntimeDefault or Localhost; empty where it is not known.
	Type             string `json:"type,omitempty"`
	LocalhostProfile string `json:"localhostProfile,omitempty"`
	// From is what decided so.
	From string `json:"from"`
	// Field is where that stands in the pod or in its namespace; empty for the kubelet's
	// default.
	Field string `json:"field,omitempty"`
	// Files is what the nodes have at the path of a Localhost profile.
	Files *fileReport `json:"files,omitempty"`
}

// fileReport is what the pod's node has, or those that it may use while it has none.
type fileReport struct {
	State  inventory.State `json:"state"`
	Nodes  int             `json:"nodes"`
	Have   int             `json:"have"`
	Digest []string        `json:"digests,omitempty"`
	// Expected is the digest that the LocalhostProfile promises.
	Expected string `json:"expectedDigest,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Who decides, beside the labels: those have names of their own.
const (
	fromContainer  = "container field"
	fromPod        = "pod field"
	fromPrivileged = "privileged"
	fromKubelet    = "kubelet default"
)

// explainPod asks the decision core what the pod is.
func explainPod(ctx context.Context, pod *review.Object, known facts) (*podReport, error) {
	c, err := newChecker(ctx, v1alpha1.LevelPrivileged, "", false, known)
	if err != nil {
		return nil, err
	}
	m := &manifest{kind: "Pod", object: *pod}
	in, _ := c.reviewer.Explain(ctx, known.request(m))
	out := &podReport{Namespace: pod.Metadata.Namespace, Name: pod.Metadata.Name, Node: pod.Spec.NodeName, Containers: []containerReport{}}
	for i := range in.Containers {
		out.Containers = append(out.Containers, explainContainer(in, &in.Containers[i], out.Node, known.index))
	}
	return out, nil
}

func explainContainer(in *policies.Input, c *policies.Container, node string, index *inventory.Index) containerReport {
	r := containerReport{Name: c.Name, Kind: c.Kind, Type: c.Profile.Type, LocalhostProfile: c.Profile.LocalhostProfile, Field: c.Declared.Field}
	switch seccomp.Origin(c.Profile.Origin) {
	case seccomp.OriginPrivileged:
		r.From, r.Field = fromPrivileged, c.Field+".securityContext.privileged"
	case seccomp.OriginLabel:
		r.From, r.Field = c.Requested.Source, c.Requested.Field
	case seccomp.OriginContainer:
		r.From = fromContainer
	case seccomp.OriginPod:
		r.From = fromPod
	default:
		r.From, r.Field = fromKubelet, ""
		r.Type = kubeletDefault(index, node)
	}
	if r.Type == string(seccomp.Localhost) {
		r.Files = explainFiles(in.Profiles[r.LocalhostProfile], c.Profile.PathFault)
	}
	return r
}

// kubeletDefault is the type that a container without any profile gets; empty where the
// node has not said.
func kubeletDefault(index *inventory.Index, node string) string {
	if index == nil {
		return ""
	}
	switch on, known := index.SeccompDefault(node); {
	case !known:
		return ""
	case on:
		return string(seccomp.RuntimeDefault)
	default:
		return string(seccomp.Unconfined)
	}
}

func explainFiles(p *policies.Profile, fault string) *fileReport {
	switch {
	case fault != "":
		return &fileReport{State: inventory.Invalid, Reason: fault}
	case p == nil:
		return &fileReport{State: inventory.Unknown, Reason: "nothing is known of the nodes; give --inventory"}
	}
	f := &fileReport{State: inventory.Present, Nodes: p.Nodes.Eligible, Have: p.Nodes.Have, Digest: p.Digests, Expected: p.ExpectedDigest}
	switch {
	case !p.Valid:
		f.State, f.Reason = inventory.Invalid, p.Reason
	case p.Nodes.Missing.Count > 0:
		f.State = inventory.Missing
		if len(p.Nearest) > 0 {
			f.Reason = "nearest: " + strings.Join(p.Nearest, ", ")
		}
	case p.Nodes.Unknown.Count > 0 || p.Nodes.Eligible == 0:
		f.State, f.Reason = inventory.Unknown, "no node has said"
		if len(p.Nodes.Unknown.Examples) > 0 {
			f.Reason = "not known of " + strings.Join(p.Nodes.Unknown.Examples, ", ")
		}
	case p.Drift == "nodes":
		f.State, f.Reason = inventory.Drifted, "the nodes have different contents"
	case p.Drift == "profile":
		f.State, f.Reason = inventory.Drifted, "the LocalhostProfile has "+p.ExpectedDigest
	}
	return f
}

func (p *podReport) text() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "pod %s/%s", p.Namespace, p.Name)
	if p.Node != "" {
		fmt.Fprintf(&b, " on node %s\n", p.Node)
	} else {
		b.WriteString(", on no node yet\n")
	}
	for _, c := range p.Containers {
		profile := cmp.Or(c.Type, "not known")
		if c.LocalhostProfile != "" {
			profile += " " + c.LocalhostProfile
		}
		fmt.Fprintf(&b, "\n%s (%s): %s\n", c.Name, c.Kind, profile)
		fmt.Fprintf(&b, "  decided by   %s\n", p.decider(&c))
		if c.Files != nil {
			fmt.Fprintf(&b, "  %s  %s\n", p.where(), c.Files.text(p.Node != ""))
		}
	}
	return []byte(b.String())
}

// decider is who decided on a profile, and where that is written.
func (p *podReport) decider(c *containerReport) string {
	switch {
	case c.From != fromKubelet:
		return c.From + " " + strings.TrimPrefix(c.Field, "namespace ")
	case p.Node == "":
		return fromKubelet + " of the node that it gets"
	case c.Type == "":
		return fromKubelet + " of node " + p.Node + ", which has not said it"
	default:
		return fromKubelet + " of node " + p.Node
	}
}

// where is the label of what nodes have, as long as the one above it.
func (p *podReport) where() string {
	if p.Node != "" {
		return "on the node"
	}
	return "on nodes   "
}

func (f *fileReport) text(bound bool) string {
	text := string(f.State)
	if !bound && f.Nodes > 0 {
		text += fmt.Sprintf(", on %d of %s that the pod may use", f.Have, counted(f.Nodes, "node"))
	}
	if len(f.Digest) > 0 {
		text += ", " + strings.Join(f.Digest, ", ")
	}
	if f.Reason != "" {
		text += "; " + f.Reason
	}
	return text
}
