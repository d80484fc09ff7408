// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// injectOptions are the flags of inject.
type injectOptions struct {
	file            string
	inventory       string
	namespaceLabels string
	steer           bool
}

func newInjectCommand(s streams) *cobra.Command {
	var o injectOptions
	c := &cobra.Command{
		Use:   "inject -f FILE|-",
		Short: "Print manifests with the profiles that their labels name",
		Long: `Print manifests with the seccompProfile that labels name, as the webhook would inject it, also in
the templates of workloads. All else stays byte for byte as it was, comments and all.`,
		Example: `  seccompctl inject -f deploy.yaml --namespace-labels seccompgate.io/profile=runtime-default`,
		Args:    filesByFlag,
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), c.Root().CommandPath(), s) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	nameFlag(flags, &o.file, "filename", "f", "`FILE`, or - for standard input")
	nameFlag(flags, &o.inventory, "inventory", "", "`FILE` with what is known of a cluster, or - for standard input")
	flags.StringVar(&o.namespaceLabels, "namespace-labels", "", "`k=v,...`: labels of every namespace, in place of those that the inventory has")
	addSteerFlag(c, &o.steer)
	return c
}

func (o *injectOptions) run(ctx context.Context, name string, s streams) error {
	if o.file == "" {
		return errors.New("nothing to inject into; name a file with -f, or - for standard input")
	}
	if err := readsOnce(o.file, o.inventory); err != nil {
		return err
	}
	known, err := readFacts(o.inventory, "", s.in)
	if err != nil {
		return err
	}
	var labels map[string]string
	if o.namespaceLabels != "" {
		if labels, err = parseLabels(o.namespaceLabels); err != nil {
			return err
		}
	}
	data, err := readFile(o.file, s.in)
	if err != nil {
		return err
	}
	checker, err := newChecker(ctx, v1alpha1.LevelPrivileged, "", o.steer, known)
	if err != nil {
		return err
	}
	e := editor{text: data}
	err = eachManifest(data, o.file, func(m *manifest) error {
		if _, ok := review.Extract(m.kind, &m.object); !ok {
			fmt.Fprintf(s.err, "%s: %v\n", name, m.podless("gets no profile"))
			return nil
		}
		req := known.request(m)
		if labels != nil {
			req.NamespaceLabels, req.NotOptedIn = labels, false
		}
		mutation, notes := checker.reviewer.Inject(req)
		for _, n := range notes {
			fmt.Fprintf(s.err, "%s: %v\n", name, m.problem("", "%s", n))
		}
		if d, err := checker.reviewer.Review(ctx, withLevel(req)); err == nil {
			for _, f := range d.Denied {
				if f.Rule == "unknown-profile" || f.Rule == "profile-path" {
					fmt.Fprintf(s.err, "%s: %v\n", name, m.problem("", "nothing is injected: %s", f.Message))
				}
			}
		}
		return e.inject(m, &mutation)
	})
	if err := errors.Join(err, e.finish()); err != nil {
		return err
	}
	if _, err := s.out.Write(e.result()); err != nil {
		return fmt.Errorf("write manifests: %w", err)
	}
	return nil
}

// withLevel asks for the findings that explain why nothing is injected.
func withLevel(req *review.Request) *review.Request {
	r := *req
	labels := map[string]string{v1alpha1.EnforceLabel: string(v1alpha1.LevelBaseline)}
	if profile, ok := req.NamespaceLabels[v1alpha1.ProfileLabel]; ok {
		labels[v1alpha1.ProfileLabel] = profile
	}
	r.NamespaceLabels = labels
	return &r
}
