// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/seccomp"
	"github.com/seccompgate/seccompgate/webhook/report"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// checkOptions are the flags of check.
type checkOptions struct {
	files     []string
	level     string
	inventory string
	profiles  string
	policies  string
	steer     bool
	output    string
}

func newCheckCommand(s streams) *cobra.Command {
	var o checkOptions
	c := &cobra.Command{
		Use:   "check [-f FILE|DIR|-]...",
		Short: "Judge the pods and workloads of manifests",
		Long: `Judge the pods and workloads of manifests as the pods that they would become: what the webhook
would inject is applied first. Every finding of the level and of those below it counts.

Rules about what the nodes have need --inventory, the objects that "kubectl get -o yaml" prints
of nodes, seccompnodes, profilesets, localhostprofiles and namespaces, or --profiles, a directory
that stands for what one node has. Without either they answer with a note. The rules of
seccomppolicies in --inventory judge, too, and their exceptions excuse findings until they end;
what is excused is shown.

-o sarif is for code scanning, -o junit for what shows the results of tests. Both name lines, and
say what could not be read.

Exit codes: 0 nothing found, 1 findings, 2 bad usage or input that cannot be read.`,
		Example: `  seccompctl check -f deploy/ --level restricted
  helm template . | seccompctl check -f - -o json
  seccompctl check -f deploy/ -o sarif > seccomp.sarif
  kubectl get nodes,seccompnodes,profilesets,localhostprofiles,seccomppolicies,namespaces -o yaml > inventory.yaml
  seccompctl check -f deploy/ --inventory inventory.yaml`,
		Args: filesByFlag,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&o.files, "filename", "f", nil, "`FILE`, directory, or - for standard input; may be repeated")
	flags.StringVar(&o.level, "level", string(v1alpha1.LevelRestricted), "`LEVEL`: privileged, baseline, restricted or strict")
	nameFlag(flags, &o.inventory, "inventory", "", "`FILE` with what is known of a cluster, or - for standard input")
	nameFlag(flags, &o.profiles, "profiles", "", "`DIR` that holds what the seccomp directory of a node holds")
	nameFlag(flags, &o.policies, "policies", "", "`DIR` with rules of your own")
	addSteerFlag(c, &o.steer)
	addOutputFlag(c, &o.output, report.SARIF, report.JUnit)
	return c
}

func (o *checkOptions) run(ctx context.Context, s streams) error {
	format, err := report.ParseFormat(o.output, report.SARIF, report.JUnit)
	if err != nil {
		return err
	}
	level, err := v1alpha1.ParseLevel(o.level)
	if err != nil {
		return fmt.Errorf("--level: %w", err)
	}
	if len(o.files) == 0 {
		return errors.New("nothing to check; name files with -f, or - for standard input")
	}
	if err := readsOnce(append([]string{o.inventory}, o.files...)...); err != nil {
		return err
	}
	known, err := readFacts(o.inventory, o.profiles, s.in)
	if err != nil {
		return err
	}
	checker, err := newChecker(ctx, level, o.policies, o.steer, known)
	if err != nil {
		return err
	}
	checker.lines = format.HasLines()
	// One file that cannot be read does not keep the others from being judged.
	names, bad := files(o.files)
	results := report.Results{Rules: checker.rules, Version: version()}
	for _, name := range names {
		data, err := readFile(name, s.in)
		if err == nil {
			err = eachManifest(data, name, func(m *manifest) error {
				if err := m.podless("cannot be judged"); err != nil { // what stands beside it can be judged
					bad = errors.Join(bad, &inputError{name, err})
					return nil
				}
				result, judged, err := checker.judge(ctx, m)
				if judged {
					results.Results = append(results.Results, result)
				}
				return err
			})
		}
		if err != nil {
			bad = errors.Join(bad, &inputError{name, err})
		}
	}
	results.Errors = inputErrors(bad)
	if len(results.Results) > 0 || bad == nil || format != report.Text {
		if err := results.Write(s.out, format); err != nil {
			return err
		}
	}
	switch {
	case bad != nil:
		return bad
	case results.Denied() > 0:
		return errFindings
	default:
		return nil
	}
}

// inputErrors are the input errors that were joined.
func inputErrors(err error) []report.Error {
	var all []report.Error
	for _, e := range flatten(err) {
		var input *inputError
		if errors.As(e, &input) {
			all = append(all, report.Error{File: displayName(input.file), Message: input.Error()})
		}
	}
	return all
}

// checker judges manifests at one level.
type checker struct {
	facts    facts
	reviewer *review.Reviewer
	level    v1alpha1.Level
	// rules of the level and of those below it.
	rules []policies.Rule
	// lines says that results need them, for which documents are parsed once more.
	lines bool
}

// addSteerFlag adds the flag for clusters whose webhook is configured so.
func addSteerFlag(c *cobra.Command, steer *bool) {
	c.Flags().BoolVar(steer, "steer", false, "steer pods as a webhook with steerPods: true, to the nodes that the profiles are for")
}

func newChecker(ctx context.Context, level v1alpha1.Level, directory string, steer bool, known facts) (*checker, error) {
	settings := v1alpha1.WebhookConfig{Defaults: v1alpha1.ModeDefaults{Enforce: level}, SteerPods: steer}
	settings.Default()
	load := builtInRules
	if directory != "" || len(known.policies) > 0 {
		load = func() (*policies.Set, error) { return loadRules(ctx, directory, known.policies) }
	}
	rules, err := load()
	if err != nil {
		return nil, err
	}
	exceptions := review.NewExceptions(known.policies)
	reviewer, err := review.New(review.Config{
		Policies:   func() *policies.Set { return rules },
		Facts:      func() *inventory.Index { return known.index },
		Exceptions: func() *review.Exceptions { return exceptions },
		Settings:   settings,
	})
	asked := slices.DeleteFunc(rules.Rules(), func(r policies.Rule) bool { return r.Level.Rank() > policies.Level(level).Rank() })
	return &checker{facts: known, reviewer: reviewer, level: level, rules: asked}, err
}

// builtInRules compiles the built-in rules once, for whoever asks.
var builtInRules = sync.OnceValues(func() (*policies.Set, error) {
	return loadRules(context.Background(), "", nil)
})

// loadRules compiles the built-in rules, those of a directory, if one is named, and those
// of policies.
func loadRules(ctx context.Context, directory string, supplied []*v1alpha1.SeccompPolicy) (*policies.Set, error) {
	rules, err := policies.Load(ctx, policies.Options{
		Directory: directory, Policies: review.PoliciesOf(supplied),
		Parameters: review.SettingsParameters(&v1alpha1.WebhookConfig{MissingProfile: v1alpha1.MissingOnAny}),
	})
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return nil, fmt.Errorf("%w; name a directory of rules with --policies", err)
	case err != nil:
		return nil, err
	case directory != "" && !hasRule(rules, supplied):
		// The webhook takes such a directory, which may be mounted before it is filled.
		return nil, fmt.Errorf("read policies: no rule in %s; name a directory of .rego files with a package seccompgate.rules.<id>; those that end in _test.rego are not read", directory)
	}
	return rules, nil
}

// hasRule says that there is a rule that is neither built in nor one of the policies.
func hasRule(rules *policies.Set, supplied []*v1alpha1.SeccompPolicy) bool {
	others := review.PoliciesOf(supplied)
	return slices.ContainsFunc(rules.Rules(), func(r policies.Rule) bool {
		return !r.BuiltIn && !slices.ContainsFunc(others, func(p policies.Policy) bool { return p.Declares(r.ID) })
	})
}

// request is what the decision core is asked about a manifest. The level is that of the
// command line; of the namespace's labels only the profile counts.
func (f *facts) request(m *manifest) *review.Request {
	namespace := m.object.Metadata.Namespace
	if namespace == "" {
		namespace = "default"
	}
	labels := make(map[string]string, 1)
	if profile, ok := f.namespaces[namespace][v1alpha1.ProfileLabel]; ok {
		labels[v1alpha1.ProfileLabel] = profile
	}
	return &review.Request{
		Kind: m.kind, Operation: review.Create, Namespace: namespace, NamespaceLabels: labels,
		NotOptedIn: !f.optedIn(namespace), Object: &m.object, Raw: m.raw, Manifest: true,
	}
}

func (c *checker) judge(ctx context.Context, m *manifest) (report.Result, bool, error) {
	workload, ok := review.Extract(m.kind, &m.object)
	if !ok {
		return report.Result{}, false, nil
	}
	result := report.Result{
		File: m.file, Kind: m.kind, Namespace: m.object.Metadata.Namespace, Name: m.object.Metadata.DisplayName(), Allowed: true,
	}
	d, err := c.reviewer.Review(ctx, c.facts.request(m))
	if err != nil {
		return result, false, m.problem("", "%v", err)
	}
	if c.lines {
		result.Line = m.line("")
	}
	for _, n := range d.Notes {
		result.Notes = append(result.Notes, report.Note{Message: n})
	}
	line := func(f *report.Finding) {
		if c.lines {
			f.Line = m.line(inventory.FieldPointer(f.Field))
		}
	}
	for _, f := range d.Denied {
		finding := report.FindingOf(f)
		line(&finding)
		result.Findings = append(result.Findings, finding)
	}
	for _, e := range d.Excused {
		excused := report.ExcusedOf(e)
		line(&excused.Finding)
		result.Excused = append(result.Excused, excused)
	}
	result.Allowed = len(result.Findings) == 0
	// What rests only on nodes of which nothing is known is no verdict.
	for _, f := range d.Warned {
		result.Notes = append(result.Notes, report.Note{Rule: f.Rule, Message: f.Message})
	}
	if c.facts.index == nil && c.level != v1alpha1.LevelPrivileged {
		result.Notes = append(result.Notes, notLookedUp(workload)...)
	}
	return result, true, nil
}

// notLookedUp is said where nothing is known of nodes, for each profile that is a file.
func notLookedUp(w review.Workload) []report.Note {
	var notes []report.Note
	seen := make(map[string]bool)
	for _, path := range w.LocalhostProfiles() {
		if seen[path] || seccomp.CheckPath(path) != nil {
			continue
		}
		seen[path] = true
		notes = append(notes, report.Note{
			Rule:    "profile-missing",
			Message: fmt.Sprintf("profile %q was not looked up; give --inventory or --profiles to judge whether nodes have it and what it does", path),
		})
	}
	return notes
}
