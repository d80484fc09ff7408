// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// debounce is the least time between two builds: a build takes some 50 ms at 15,000
// nodes, and a roll-out changes every node once.
const debounce = 500 * time.Millisecond

// Store holds the current index and the labels of namespaces. The zero Store is
// ready for use and holds nothing.
type Store struct {
	index      atomic.Pointer[Index]
	namespaces sync.Map // name to map[string]string
}

// Index is the current index; an empty one before the first.
func (s *Store) Index() *Index {
	if x := s.index.Load(); x != nil {
		return x
	}
	return NewIndex(Objects{})
}

// Synced says whether there has been an index yet: whether the nodes and
// namespaces that are not there are known not to be there.
func (s *Store) Synced() bool { return s.index.Load() != nil }

// Set makes x the current index.
func (s *Store) Set(x *Index) { s.index.Store(x) }

// NamespaceLabels are the labels of a namespace, which must not be changed. known is
// false for a namespace that has not been seen.
func (s *Store) NamespaceLabels(name string) (labels map[string]string, known bool) {
	value, known := s.namespaces.Load(name)
	if !known {
		return nil, false
	}
	labels, known = value.(map[string]string)
	return labels, known
}

// SetNamespace sets the labels of a namespace.
func (s *Store) SetNamespace(name string, labels map[string]string) {
	s.namespaces.Store(name, labels)
}

// RemoveNamespace forgets a namespace.
func (s *Store) RemoveNamespace(name string) { s.namespaces.Delete(name) }

// Watch feeds the store from the API server until the context ends, which is no
// error. It reads Node, SeccompNode, ProfileSet, LocalhostProfile, the metadata of
// Namespace and the pods of agents, which are in the given namespace, and keeps of them
// what an index needs. The store is synced once all six have been read. A kind that
// cannot be read is tried again for ever, and logged: the index then stays as it is.
//
// An object that is not valid counts as one that says nothing, and is logged. So does the
// SeccompNode of a node whose agent has not been ready for half a minute, unless there
// is no agent on any node.
func Watch(ctx context.Context, config *rest.Config, namespace string, store *Store, log logr.Logger) error {
	sources, err := apiSources(config, namespace)
	if err != nil {
		return fmt.Errorf("watch inventory: %w", err)
	}
	return watchSources(ctx, sources, store, log)
}

// sources are where the objects of each kind come from.
type sources struct {
	nodes, seccompNodes, profileSets, localhostProfiles, namespaces, agents cache.ListerWatcher
}

// apiSources are those of an API server. Every kind has a plain REST client: a kind
// whose definition is not installed yet is an error of that kind alone, and tried
// again, where a mapper would refuse to start.
func apiSources(config *rest.Config, namespace string) (sources, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return sources{}, err
	}
	if err := corev1.AddToScheme(scheme); err != nil {
		return sources{}, err
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	codecs := serializer.NewCodecFactory(scheme).WithoutConversion()

	core := rest.CopyConfig(config)
	core.APIPath, core.GroupVersion, core.NegotiatedSerializer = "/api", &corev1.SchemeGroupVersion, codecs
	core.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	coreClient, err := rest.RESTClientFor(core)
	if err != nil {
		return sources{}, fmt.Errorf("make client: %w", err)
	}
	ours := rest.CopyConfig(config)
	ours.APIPath, ours.GroupVersion, ours.NegotiatedSerializer = "/apis", &v1alpha1.GroupVersion, codecs
	ours.ContentType, ours.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	oursClient, err := rest.RESTClientFor(ours)
	if err != nil {
		return sources{}, fmt.Errorf("make client: %w", err)
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return sources{}, fmt.Errorf("make metadata client: %w", err)
	}
	namespaces := metadataClient.Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	return sources{
		nodes:             listWatch(coreClient, "", "nodes", "", &corev1.NodeList{}),
		seccompNodes:      listWatch(oursClient, "", "seccompnodes", "", &v1alpha1.SeccompNodeList{}),
		profileSets:       listWatch(oursClient, "", "profilesets", "", &v1alpha1.ProfileSetList{}),
		localhostProfiles: listWatch(oursClient, "", "localhostprofiles", "", &v1alpha1.LocalhostProfileList{}),
		agents:            listWatch(coreClient, namespace, "pods", AgentSelector, &corev1.PodList{}),
		namespaces: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return namespaces.List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return namespaces.Watch(ctx, options)
			},
		},
	}, nil
}

// listWatch reads one kind of objects: those of a namespace, unless it is empty, with the
// labels of a selector.
func listWatch(client rest.Interface, namespace, resource, selector string, list runtime.Object) cache.ListerWatcher {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			into := list.DeepCopyObject()
			options.LabelSelector = selector
			err := client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).VersionedParams(&options, metav1.ParameterCodec).Do(ctx).Into(into)
			return into, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch, options.LabelSelector = true, selector
			return client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).VersionedParams(&options, metav1.ParameterCodec).Watch(ctx)
		},
	}
}

// watcher turns events into indexes.
type watcher struct {
	store *Store
	log   logr.Logger
	// dirty has an element when something changed since the last build.
	dirty chan struct{}

	nodes, seccompNodes, profileSets, localhostProfiles, agentPods cache.Store

	// agents belongs to run.
	agents agents
}

func watchSources(ctx context.Context, from sources, store *Store, log logr.Logger) error {
	ctx, cancel := context.WithCancel(logr.NewContext(ctx, log))
	var informers sync.WaitGroup
	defer informers.Wait()
	defer cancel()

	w := &watcher{store: store, log: log, dirty: make(chan struct{}, 1)}
	var synced []cache.InformerSynced
	start := func(lw cache.ListerWatcher, kind runtime.Object, transform cache.TransformFunc, handler cache.ResourceEventHandler) cache.Store {
		objects, controller := cache.NewInformerWithOptions(cache.InformerOptions{
			Logger:        &log,
			ListerWatcher: lw,
			ObjectType:    kind,
			Handler:       handler,
			Transform:     transform,
		})
		synced = append(synced, controller.HasSynced)
		informers.Go(func() { controller.RunWithContext(ctx) })
		return objects
	}
	w.nodes = start(from.nodes, &corev1.Node{}, stripNode, w.changed())
	w.seccompNodes = start(from.seccompNodes, &v1alpha1.SeccompNode{}, w.seccompNode, w.changed())
	w.profileSets = start(from.profileSets, &v1alpha1.ProfileSet{}, w.profileSet, w.changed())
	w.localhostProfiles = start(from.localhostProfiles, &v1alpha1.LocalhostProfile{}, w.localhostProfile, w.changed())
	w.agentPods = start(from.agents, &corev1.Pod{}, stripPod, w.changed())
	start(from.namespaces, &metav1.PartialObjectMetadata{}, stripNamespace, w.namespaceChanged())

	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	w.run(ctx)
	return nil
}

// run builds the first index at once and further ones when something has changed,
// at most every debounce.
func (w *watcher) run(ctx context.Context) {
	select {
	case <-w.dirty: // the objects of the first build
	default:
	}
	index := &Index{}
	for {
		start := time.Now()
		objects, until := w.objects(start)
		next := index.Next(objects)
		for _, problem := range next.Problems() {
			if _, known := slices.BinarySearch(index.Problems(), problem); !known {
				w.log.Info("Inventory is contradictory", "problem", problem)
			}
		}
		index = next
		w.store.Set(index)
		took := time.Since(start)
		w.log.V(1).Info("Inventory rebuilt", "nodes", index.Nodes(), "unknown", index.Unknown(), "took", took)

		select {
		case <-ctx.Done():
			return
		// A build that takes long on a busy machine must not take all of it.
		case <-time.After(max(debounce, 4*took)):
		}
		var expired <-chan time.Time
		if !until.IsZero() {
			expired = time.After(time.Until(until))
		}
		select {
		case <-ctx.Done():
			return
		case <-w.dirty:
		case <-expired:
		}
	}
}

// objects are what counts now, and until when it does if nothing changes; see
// [agents.current].
func (w *watcher) objects(now time.Time) (objects Objects, until time.Time) {
	objects = Objects{
		Nodes:             list[corev1.Node](w.nodes),
		ProfileSets:       list[v1alpha1.ProfileSet](w.profileSets),
		LocalhostProfiles: list[v1alpha1.LocalhostProfile](w.localhostProfiles),
	}
	silent := w.agents.silent
	w.agents.look(list[corev1.Pod](w.agentPods), now)
	objects.SeccompNodes, until = w.agents.current(list[v1alpha1.SeccompNode](w.seccompNodes), now)
	if w.agents.silent != silent {
		w.log.Info("Nodes without a ready agent are unknown", "nodes", w.agents.silent)
	}
	return objects, until
}

func list[T any](store cache.Store) []*T {
	items := store.List()
	objects := make([]*T, 0, len(items))
	for _, item := range items {
		if o, ok := any(item).(*T); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

func (w *watcher) markDirty() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// changed notes every event that can change the index. A node's status is written
// every few minutes and rarely changes what is kept of it.
func (w *watcher) changed() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.markDirty() },
		DeleteFunc: func(any) { w.markDirty() },
		UpdateFunc: func(before, after any) {
			if !sameButVersion(before, after) {
				w.markDirty()
			}
		},
	}
}

// sameButVersion says whether two states of a Node or Pod differ in nothing that is kept.
func sameButVersion(before, after any) bool {
	switch a := before.(type) {
	case *corev1.Node:
		if b, ok := after.(*corev1.Node); ok {
			same := *b
			same.ResourceVersion = a.ResourceVersion
			return equality.Semantic.DeepEqual(a, &same)
		}
	case *corev1.Pod:
		if b, ok := after.(*corev1.Pod); ok {
			same := *b
			same.ResourceVersion = a.ResourceVersion
			return equality.Semantic.DeepEqual(a, &same)
		}
	}
	return false
}

// namespaceChanged keeps the labels of namespaces up to date without delay: who
// labels a namespace makes a pod in it next.
func (w *watcher) namespaceChanged() cache.ResourceEventHandler {
	set := func(o any) {
		if ns, ok := o.(*metav1.PartialObjectMetadata); ok {
			w.store.SetNamespace(ns.Name, ns.Labels)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, after any) { set(after) },
		DeleteFunc: func(o any) {
			if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
				w.store.RemoveNamespace(unknown.Key)
			} else if ns, ok := o.(*metav1.PartialObjectMetadata); ok {
				w.store.RemoveNamespace(ns.Name)
			}
		},
	}
}

// Transforms: what is kept of each object.

func strippedMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation}
}

func stripNode(o any) (any, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	stripped := &corev1.Node{
		ObjectMeta: strippedMeta(&n.ObjectMeta),
		Spec:       corev1.NodeSpec{Taints: n.Spec.Taints, Unschedulable: n.Spec.Unschedulable},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{
			OperatingSystem: n.Status.NodeInfo.OperatingSystem,
			Architecture:    n.Status.NodeInfo.Architecture,
		}},
	}
	stripped.Labels = n.Labels
	for i := range stripped.Spec.Taints {
		stripped.Spec.Taints[i].TimeAdded = nil
	}
	return stripped, nil
}

func stripNamespace(o any) (any, error) {
	ns, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil
	}
	stripped := &metav1.PartialObjectMetadata{ObjectMeta: strippedMeta(&ns.ObjectMeta)}
	stripped.Labels = ns.Labels
	return stripped, nil
}

// seccompNode keeps the facts and whose they are. Facts that are not valid are
// replaced by those of a node that lists none of its files: it is unknown for every
// path.
func (w *watcher) seccompNode(o any) (any, error) {
	n, ok := o.(*v1alpha1.SeccompNode)
	if !ok {
		return o, nil
	}
	stripped := &v1alpha1.SeccompNode{ObjectMeta: strippedMeta(&n.ObjectMeta), Facts: n.Facts}
	if owner := ownerOf(n); owner != "" {
		stripped.OwnerReferences = []metav1.OwnerReference{{Kind: nodeKind, UID: owner}}
	}
	if errs := v1alpha1.ValidateSeccompNode(n); len(errs) > 0 {
		w.refuse("SeccompNode", n.Name, errs)
		stripped.Facts = v1alpha1.NodeFacts{Truncated: true}
	}
	return stripped, nil
}

// profileSet keeps the files. If one of them is not valid, a file without a path takes
// their place: no set is named by the hash of that, and the nodes that refer to this
// one are unknown.
func (w *watcher) profileSet(o any) (any, error) {
	s, ok := o.(*v1alpha1.ProfileSet)
	if !ok {
		return o, nil
	}
	stripped := &v1alpha1.ProfileSet{ObjectMeta: strippedMeta(&s.ObjectMeta), Profiles: s.Profiles}
	if errs := v1alpha1.ValidateProfileSet(s); len(errs) > 0 {
		w.refuse("ProfileSet", s.Name, errs)
		if len(v1alpha1.ValidateProfileFiles(s.Profiles, field.NewPath("profiles"))) > 0 {
			stripped.Profiles = []v1alpha1.ProfileFile{{}}
		}
	}
	return stripped, nil
}

// localhostProfile keeps the content and the path to inject. A profile that is not
// valid keeps its name, so that it is not an unknown one, and promises nothing.
func (w *watcher) localhostProfile(o any) (any, error) {
	p, ok := o.(*v1alpha1.LocalhostProfile)
	if !ok {
		return o, nil
	}
	stripped := &v1alpha1.LocalhostProfile{
		ObjectMeta: strippedMeta(&p.ObjectMeta),
		Spec:       p.Spec,
		Status:     v1alpha1.LocalhostProfileStatus{Served: p.Status.Served},
	}
	if errs := v1alpha1.ValidateLocalhostProfile(p); len(errs) > 0 {
		w.refuse("LocalhostProfile", p.Name, errs)
		stripped.Spec.Profile = v1alpha1.OCIProfile{}
	}
	return stripped, nil
}

func (w *watcher) refuse(kind, name string, errs field.ErrorList) {
	w.log.Error(errs.ToAggregate(), "Object is not valid and counts as unknown", "kind", kind, "name", name)
}
