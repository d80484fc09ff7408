// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/webhook/report"
)

// facts are what is known of a cluster: nodes, the labels of namespaces, and policies.
type facts struct {
	// index is nil when nothing is known of nodes.
	index      *inventory.Index
	namespaces map[string]map[string]string
	policies   []*v1alpha1.SeccompPolicy
}

// readFacts reads an inventory file, or a directory of profiles. Neither is fine, both
// contradict each other: the directory stands for all nodes there are.
func readFacts(inventoryFile, profiles string, stdin io.Reader) (facts, error) {
	switch {
	case inventoryFile != "" && profiles != "":
		return facts{}, errors.New("--inventory and --profiles both say which nodes there are; give one of them")
	case profiles != "":
		objects, err := inventory.FromProfilesDir(profiles)
		if err != nil {
			return facts{}, err
		}
		return facts{index: inventory.NewIndex(objects)}, nil
	case inventoryFile == "":
		return facts{}, nil
	}
	in, err := openInput("inventory", inventoryFile, "name a readable file with --inventory", stdin)
	if err != nil {
		return facts{}, err
	}
	defer in.Close() //nolint:errcheck // nothing was written
	objects, namespaces, err := inventory.ReadObjects(in, displayName(inventoryFile))
	if err != nil {
		return facts{}, err
	}
	return facts{index: inventory.NewIndex(objects), namespaces: namespaces, policies: objects.SeccompPolicies}, nil
}

// optedIn says whether labels on pods have an effect in the namespace: one that nobody
// describes counts as if they had.
func (f *facts) optedIn(namespace string) bool {
	labels, described := f.namespaces[namespace]
	if !described {
		return true
	}
	for _, key := range []string{v1alpha1.EnforceLabel, v1alpha1.WarnLabel, v1alpha1.AuditLabel, v1alpha1.ProfileLabel} {
		if _, ok := labels[key]; ok {
			return true
		}
	}
	return false
}

func displayName(file string) string {
	if file == "-" {
		return report.Stdin
	}
	return file
}

// parseLabels reads k=v,k=v.
func parseLabels(text string) (map[string]string, error) {
	labels := make(map[string]string)
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--namespace-labels: %q is no label; write key=value, with commas between several", pair)
		}
		labels[key] = value
	}
	return labels, nil
}
