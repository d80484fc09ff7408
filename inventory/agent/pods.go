// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podPage is how many pods are read at once: a pod has some 10 KiB.
const podPage = 50

// podProfiles is the part of a pod that names profiles. All of the rest is not kept.
type podProfiles struct {
	Spec struct {
		SecurityContext     seccompContext `json:"securityContext"`
		InitContainers      []podContainer `json:"initContainers"`
		Containers          []podContainer `json:"containers"`
		EphemeralContainers []podContainer `json:"ephemeralContainers"`
	} `json:"spec"`
}

type podContainer struct {
	SecurityContext seccompContext `json:"securityContext"`
}

type seccompContext struct {
	SeccompProfile struct {
		LocalhostProfile string `json:"localhostProfile"`
	} `json:"seccompProfile"`
}

// addTo adds the paths that the pod names.
func (p *podProfiles) addTo(paths map[string]bool) {
	add := func(c seccompContext) {
		if path := c.SeccompProfile.LocalhostProfile; path != "" {
			paths[path] = true
		}
	}
	add(p.Spec.SecurityContext)
	for _, list := range [][]podContainer{p.Spec.InitContainers, p.Spec.Containers, p.Spec.EphemeralContainers} {
		for i := range list {
			add(list[i].SecurityContext)
		}
	}
}

// namedPaths reads which paths the pods of a node name. A pod that has ended starts no
// container any more.
func namedPaths(ctx context.Context, client *Client, nodeName string) (map[string]bool, error) {
	paths := make(map[string]bool)
	query := url.Values{
		"fieldSelector": {"spec.nodeName=" + nodeName + ",status.phase!=Succeeded,status.phase!=Failed"},
		"limit":         {strconv.Itoa(podPage)},
	}
	for {
		var page struct {
			metav1.ListMeta `json:"metadata"`
			Items           []podProfiles `json:"items"`
		}
		if err := client.do(ctx, request{method: http.MethodGet, path: "/api/v1/pods", query: query}, &page); err != nil {
			return nil, fmt.Errorf("list pods of the node: %w", err)
		}
		for i := range page.Items {
			page.Items[i].addTo(paths)
		}
		if page.Continue == "" {
			return paths, nil
		}
		query.Set("continue", page.Continue)
	}
}
