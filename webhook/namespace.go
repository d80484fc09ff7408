// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"k8s.io/client-go/rest"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook/review"
)

const (
	// previewTime bounds the look at pods that run already: an answer about the first of
	// them is worth more than none about all.
	previewTime = time.Second
	// previewPods and previewPage bound how many are looked at and read at once. An API
	// server ignores the page's limit in a list of resourceVersion 0: none is asked for.
	previewPods = 3000
	previewPage = 500
)

// validateNamespace judges our labels on a namespace.
func (h *handlers) validateNamespace(ctx context.Context, req *request) *answer {
	a := &answer{allowed: true}
	object := req.Object.of()
	if object == nil {
		a.deny(http.StatusBadRequest, "the request was not judged: "+errNoObject.Error())
		h.Metrics.count(req, resourceNamespace, decisionError)
		return a
	}
	var old map[string]string
	if before := req.OldObject.of(); before != nil {
		// Not nil: that would be a namespace that is being created.
		if old = before.Metadata.Labels; old == nil {
			old = map[string]string{}
		}
	}
	v := h.Reviewer.ReviewNamespace(object.Metadata.Labels, old)
	for _, w := range v.Warnings {
		a.warn(w)
	}
	if len(v.Invalid) > 0 {
		text := strings.Join(v.Invalid, "; ")
		if h.Settings.DryRun {
			a.warn(text)
			a.annotate(annotationWouldDeny, text)
			a.annotate(annotationDecision, decisionWouldDeny)
			h.Metrics.count(req, resourceNamespace, decisionWouldDeny)
			return a
		}
		a.deny(http.StatusUnprocessableEntity, text)
		h.Metrics.count(req, resourceNamespace, decisionDenied)
		return a
	}
	if v.Stricter != "" && h.Pods != nil {
		for _, w := range h.preview(ctx, req.Name, object.Metadata.Labels, v.Stricter) {
			a.warn(w)
		}
	}
	h.Metrics.count(req, resourceNamespace, decisionAllowed)
	return a
}

// preview says which pods that run already the new labels would deny.
func (h *handlers) preview(ctx context.Context, namespace string, labels map[string]string, level v1alpha1.Level) []string {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	var (
		pods []review.Object
		all  bool
		err  error
	)
	h.limit.aside(func() { pods, all, err = h.Pods.Pods(ctx, namespace) })
	if err != nil {
		h.Log.Error(err, "Running pods were not looked at", "namespace", namespace)
		return []string{"whether pods that run already would be denied was not looked at: " + err.Error()}
	}
	// Pods of one owner are alike: they are named once.
	type group struct {
		first string
		more  int
	}
	groups := make(map[string]*group)
	for i := range pods {
		pod := &pods[i]
		d, err := h.Reviewer.Review(ctx, &review.Request{
			Kind: "Pod", Operation: review.Create, Namespace: namespace, NamespaceLabels: labels, Object: pod,
			Manifest: true, Preview: true,
		})
		if err != nil {
			all = false
			break
		}
		if len(d.Denied) == 0 {
			continue
		}
		text := reasons(d.Denied)
		if g := groups[text]; g != nil {
			g.more++
		} else {
			groups[text] = &group{first: pod.Metadata.Name}
		}
	}
	var out []string
	if len(groups) > 0 {
		out = append(out, fmt.Sprintf("pods that run already in namespace %s violate the new level %s; they go on running, and are denied when they are made again", namespace, level))
	}
	for _, text := range slices.SortedFunc(maps.Keys(groups), func(x, y string) int { return cmp.Compare(groups[x].first, groups[y].first) }) {
		g := groups[text]
		name := g.first
		if g.more > 0 {
			name = fmt.Sprintf("%s (and %d more)", g.first, g.more)
		}
		out = append(out, name+": "+text)
	}
	if !all {
		out = append(out, fmt.Sprintf("there are more pods than could be looked at; for all of them: kubectl get pods -n %s -o yaml | seccompctl check -f - --level %s", namespace, level))
	}
	return out
}

// reasons are the rules that findings come from, each with its containers.
func reasons(findings []policies.Finding) string {
	containers := make(map[string][]string)
	for i := range findings {
		f := &findings[i]
		containers[f.Rule] = append(containers[f.Rule], f.Container)
	}
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(containers)) {
		names := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(containers[rule]))), func(s string) bool { return s == "" })
		if len(names) == 0 {
			parts = append(parts, rule)
			continue
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", rule, strings.Join(names, ", ")))
	}
	return strings.Join(parts, ", ")
}

// APIPods lists pods from the API server.
type APIPods struct {
	// Client for the core group.
	Client rest.Interface
}

// Pods returns the pods of a namespace that run or will, page by page. all is false when
// there are more than anybody should wait for.
func (s APIPods) Pods(ctx context.Context, namespace string) (pods []review.Object, all bool, err error) {
	next := ""
	for len(pods) < previewPods {
		request := s.Client.Get().Namespace(namespace).Resource("pods").
			Param("limit", fmt.Sprint(previewPage)).
			Param("fieldSelector", "status.phase!=Succeeded,status.phase!=Failed").
			SetHeader("Accept", "application/json")
		if next != "" {
			request.Param("continue", next)
		}
		text, err := request.DoRaw(ctx)
		if err != nil {
			return pods, false, fmt.Errorf("list pods of namespace %s: %w", namespace, err)
		}
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []review.Object `json:"items"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return pods, false, fmt.Errorf("list pods of namespace %s: %w", namespace, plain(err))
		}
		pods = append(pods, page.Items...)
		if next = page.Metadata.Continue; next == "" {
			return pods, true, nil
		}
	}
	return pods, false, nil
}
