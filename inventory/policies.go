// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// WatchPolicies gives the SeccompPolicies of an API server to use, all of them at once in
// no order, and again when one has changed, until the context ends, which is no error.
// Nothing is given before all have been read. Of their metadata they have what tells them
// apart. They must not be changed.
//
// Nodes do not wait for them, nor they for nodes: an exception has an effect at once.
func WatchPolicies(ctx context.Context, config *rest.Config, log logr.Logger, use func(context.Context, []*v1alpha1.SeccompPolicy)) error {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("watch policies: %w", err)
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	client, err := ourClient(config, serializer.NewCodecFactory(scheme).WithoutConversion())
	if err != nil {
		return fmt.Errorf("watch policies: %w", err)
	}
	watchPolicies(ctx, listWatch(client, "", "seccomppolicies", "", &v1alpha1.SeccompPolicyList{}), log, use)
	return nil
}

func watchPolicies(ctx context.Context, from cache.ListerWatcher, log logr.Logger, use func(context.Context, []*v1alpha1.SeccompPolicy)) {
	ctx, cancel := context.WithCancel(logr.NewContext(ctx, log))
	var informer sync.WaitGroup
	defer informer.Wait()
	defer cancel()

	w := &watcher{log: log, dirty: make(chan struct{}, 1)}
	objects, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		Logger:        &log,
		ListerWatcher: from,
		ObjectType:    &v1alpha1.SeccompPolicy{},
		Handler:       policyChanged(w),
		Transform:     stripPolicy,
	})
	informer.Go(func() { controller.RunWithContext(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return
	}
	select {
	case <-w.dirty: // the objects of the first time
	default:
	}
	for {
		use(ctx, list[v1alpha1.SeccompPolicy](objects))
		select {
		case <-ctx.Done():
			return
		case <-time.After(debounce):
		}
		select {
		case <-ctx.Done():
			return
		case <-w.dirty:
		}
	}
}

// policyChanged notes what is no mere change of status: the controller writes that of
// each of them.
func policyChanged(w *watcher) cache.ResourceEventHandler {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.markDirty() },
		DeleteFunc: func(any) { w.markDirty() },
	}
	handler.UpdateFunc = func(before, after any) {
		a, _ := before.(*v1alpha1.SeccompPolicy)
		b, _ := after.(*v1alpha1.SeccompPolicy)
		if a == nil || b == nil || a.UID != b.UID || a.Generation != b.Generation {
			w.markDirty()
		}
	}
	return handler
}

func stripPolicy(o any) (any, error) {
	p, ok := o.(*v1alpha1.SeccompPolicy)
	if !ok {
		return o, nil
	}
	stripped := &v1alpha1.SeccompPolicy{ObjectMeta: strippedMeta(&p.ObjectMeta), Spec: p.Spec}
	stripped.CreationTimestamp = p.CreationTimestamp
	return stripped, nil
}
