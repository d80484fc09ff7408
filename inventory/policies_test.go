// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cachetesting "k8s.io/client-go/tools/cache/testing"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

func seccompPolicy(name string, generation int64) *v1alpha1.SeccompPolicy {
	return &v1alpha1.SeccompPolicy{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: "1", Generation: generation, CreationTimestamp: metav1.NewTime(time.Unix(int64(len(name)), 0)),
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Spec: v1alpha1.SeccompPolicySpec{Parameters: map[string]string{"registry": name}},
	}
}

func TestWatchPolicies(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		for _, kind := range s.kinds() {
			kind.Shutdown()
		}
		from := &source{FakeControllerSource: cachetesting.NewFakeControllerSource()}
		defer from.Shutdown()
		from.fails.Store(true)
		from.Add(seccompPolicy("a", 1))
		var given []string
		done := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			defer close(done)
			watchPolicies(ctx, from, logr.Discard(), func(_ context.Context, all []*v1alpha1.SeccompPolicy) {
				var names []string
				for _, p := range all {
					names = append(names, fmt.Sprintf("%s/%d/%s", p.Name, p.Generation, p.Spec.Parameters["registry"]))
					if p.ManagedFields != nil || p.CreationTimestamp.Unix() != int64(len(p.Name)) {
						t.Errorf("metadata of %s: %+v", p.Name, p.ObjectMeta)
					}
				}
				slices.Sort(names)
				given = append(given, fmt.Sprint(names))
			})
		}()
		want := func(what string, all ...string) {
			t.Helper()
			if d := cmp.Diff(all, given); d != "" {
				t.Errorf("%s (-want +got):\n%s", what, d)
			}
			given = nil
		}
		settle(10 * time.Second)
		want("nothing before all have been read")
		from.fails.Store(false)
		settle(2 * time.Minute)
		want("the first", "[a/1/a]")

		from.Add(seccompPolicy("b", 1))
		settle(time.Millisecond)
		want("at once", "[a/1/a b/1/b]")
		for i := range 10 {
			from.Modify(seccompPolicy("b", int64(2+i)))
		}
		settle(time.Second)
		want("many changes are one", "[a/1/a b/11/b]")
		changed := seccompPolicy("b", 11)
		changed.Status.Conditions = []metav1.Condition{{Type: "Ready"}}
		from.Modify(changed)
		settle(time.Second)
		want("a status is no change")
		from.Delete(seccompPolicy("a", 1))
		settle(time.Second)
		want("removed", "[b/11/b]")
		stop()
		<-done
	})
}
