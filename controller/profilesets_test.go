// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// TestProfileSets looks at the same sets again and again.
func TestProfileSets(t *testing.T) {
	now := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	set := func(name string, age time.Duration) *v1alpha1.ProfileSet {
		return &v1alpha1.ProfileSet{ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(now.Add(-age)),
		}}
	}
	node := func(name, set string) *v1alpha1.SeccompNode {
		return &v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Facts: v1alpha1.NodeFacts{ProfileSet: set}}
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var deleted []string
	var unreachable error
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		set("used", 10*time.Hour), set("old", 10*time.Hour), set("flapping", 10*time.Hour), set("young", 50*time.Minute),
		node("a", "used"), node("b", ""),
	).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.SeccompNodeList); ok && unreachable != nil {
				return unreachable
			}
			return c.List(ctx, list, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			applied := (&client.DeleteOptions{}).ApplyOptions(opts)
			if p := applied.Preconditions; p == nil || p.UID == nil || *p.UID != o.GetUID() || p.ResourceVersion == nil || *p.ResourceVersion == "" {
				t.Errorf("%s is deleted with the preconditions %+v", o.GetName(), p)
			}
			deleted = append(deleted, o.GetName())
			return c.Delete(ctx, o)
		},
	}).Build()
	loop := &ProfileSets{Client: c, After: time.Hour, Now: func() time.Time { return now }, Log: logr.Discard()}
	look := func(want ...string) {
		t.Helper()
		deleted = nil
		if err := loop.collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, deleted); d != "" {
			t.Errorf("deleted (-want +got):\n%s", d)
		}
		now = now.Add(20 * time.Minute)
	}
	look() // old and flapping are seen for the first time
	if err := c.Update(t.Context(), withSet(t, c, "b", "flapping")); err != nil {
		t.Fatal(err)
	}
	look("old") // young has got older, and is seen for the first time
	if err := c.Update(t.Context(), withSet(t, c, "b", "")); err != nil {
		t.Fatal(err)
	}
	look("young")
	unreachable = errors.New("connection refused")
	if err := loop.collect(t.Context()); err == nil || err.Error() != "list seccompnodes: connection refused" {
		t.Errorf("without an answer: %v", err)
	}
	unreachable = nil
	look("flapping")
	look()
}

func withSet(t *testing.T, c client.Client, node, set string) *v1alpha1.SeccompNode {
	t.Helper()
	n := &v1alpha1.SeccompNode{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: node}, n); err != nil {
		t.Fatal(err)
	}
	n.Facts.ProfileSet = set
	return n
}

// TestEachPage reads to the end.
func TestEachPage(t *testing.T) {
	pages := []string{"a b", "c", "d"}
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			asked := (&client.ListOptions{}).ApplyOptions(opts)
			page := 0
			if asked.Continue != "" {
				page = int(asked.Continue[0] - '0')
			}
			if asked.Limit != pageSize {
				t.Errorf("a page of %d", asked.Limit)
			}
			l := list.(*v1alpha1.SeccompNodeList)
			l.Items, l.Continue = nil, ""
			for _, name := range strings.Fields(pages[page]) {
				l.Items = append(l.Items, v1alpha1.SeccompNode{ObjectMeta: metav1.ObjectMeta{Name: name}})
			}
			if page++; page < len(pages) {
				l.Continue = fmt.Sprint(page)
			}
			return nil
		},
	}).Build()
	var list v1alpha1.SeccompNodeList
	var got []string
	if err := eachPage(t.Context(), c, &list, func() {
		for i := range list.Items {
			got = append(got, list.Items[i].Name)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a", "b", "c", "d"}, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}
