// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Policy is what a user supplies as one: modules and their parameters.
type Policy struct {
	// Name is that of the file's folder in messages, and different for each policy.
	Name string
	// Created orders policies: where two cannot be used together, the older one is.
	Created time.Time
	// Modules are the texts of Rego files by name. Tests are not read.
	Modules map[string]string
	// Parameters are seen by the rules of all.
	Parameters map[string]string
}

// Declares says whether a module of the policy makes the rule. What cannot be parsed makes
// none.
func (p *Policy) Declares(id string) bool {
	bundles, _ := parsePolicies([]Policy{*p})
	for _, b := range bundles {
		for _, m := range b.modules {
			if pkg, ok := strings.CutPrefix(m.Package.Path.String(), "data."+rulesPackage+"."); ok && strings.ReplaceAll(pkg, "_", "-") == id {
				return true
			}
		}
	}
	return false
}

// Load compiles the built-in rules, those of the directory and those of the policies. The
// error of a broken rule names file and line; all problems that the compiler finds are in
// it.
func Load(ctx context.Context, opts Options) (*Set, error) {
	l, err := newLoader(opts)
	if err != nil {
		return nil, err
	}
	bundles, broken := parsePolicies(byAge(opts.Policies))
	if len(broken) > 0 {
		var errs []error
		for _, name := range slices.Sorted(maps.Keys(broken)) {
			errs = append(errs, broken[name])
		}
		return nil, errors.Join(errs...)
	}
	return l.load(ctx, bundles)
}

// byAge are the policies in the order in which they take names.
func byAge(policies []Policy) []Policy {
	return slices.SortedFunc(slices.Values(policies), func(a, b Policy) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
}

// Loaded is what could be loaded.
type Loaded struct {
	*Set
	// Policies in the set, each as it was given or as it was before.
	Policies []Policy
	// Broken says, by name, why a policy is not in the set as it was given.
	Broken map[string]error
}

// LoadGood is Load for policies of which some may be broken: each of those is left as it
// was before, or left out if it was not there or cannot be used any more. The others do
// not suffer by it. An error is one of the directory, or of all policies together.
func LoadGood(ctx context.Context, opts Options, before []Policy) (*Loaded, error) {
	l, err := newLoader(opts)
	if err != nil {
		return nil, err
	}
	wanted := byAge(opts.Policies)
	if bundles, broken := parsePolicies(wanted); len(broken) == 0 {
		if set, err := l.load(ctx, bundles); err == nil {
			return &Loaded{Set: set, Policies: wanted}, nil
		}
	}
	bundles, used, broken := l.choose(wanted, before)
	set, err := l.load(ctx, bundles)
	if err != nil {
		return nil, err
	}
	return &Loaded{Set: set, Policies: used, Broken: broken}, nil
}

// Check says which of the policies LoadGood would call broken, and why, without making
// anything to be evaluated: what rules may take for that is not the caller's trouble.
func Check(opts Options) (broken map[string]error, err error) {
	l, err := newLoader(opts)
	if err != nil {
		return nil, err
	}
	wanted := byAge(opts.Policies)
	if bundles, broken := parsePolicies(wanted); len(broken) == 0 && l.check(bundles) == nil {
		return nil, nil
	}
	_, _, broken = l.choose(wanted, nil)
	return broken, nil
}

// choose takes the policies one by one, and each that does not compile beside those before
// it as it was before, if that still does.
func (l *loader) choose(wanted, before []Policy) (bundles []*bundle, used []Policy, broken map[string]error) {
	add := func(b *bundle, p *Policy) error {
		err := l.check(append(slices.Clip(bundles), b))
		if err == nil {
			bundles, used = append(bundles, b), append(used, *p)
		}
		return err
	}
	parsed, broken := parsePolicies(wanted)
	for i := range wanted {
		p := &wanted[i]
		if broken[p.Name] == nil {
			err := add(parsed[slices.IndexFunc(parsed, func(b *bundle) bool { return b.name == p.Name })], p)
			if err == nil {
				continue
			}
			broken[p.Name] = err
		}
		was := slices.IndexFunc(before, func(o Policy) bool { return o.Name == p.Name })
		if was < 0 || reflect.DeepEqual(before[was], *p) {
			continue
		}
		// It was good among others. If it is not any more, it is left out.
		if old, errs := parsePolicies(before[was : was+1]); len(errs) == 0 {
			_ = add(old[0], &before[was])
		}
	}
	return bundles, used, broken
}

// bundle are modules that came together, by the file that messages name.
type bundle struct {
	// name of the policy; empty for the built-in rules and the directory.
	name       string
	modules    map[string]*ast.Module
	sources    map[string][]byte
	parameters map[string]string
}

func newBundle(name string) *bundle {
	return &bundle{name: name, modules: make(map[string]*ast.Module), sources: make(map[string][]byte)}
}

// loader has what is the same whatever the policies are.
type loader struct {
	opts      Options
	builtIn   *bundle
	rules     []Rule  // built in
	directory *bundle // nil for none
}

func newLoader(opts Options) (*loader, error) {
	l := &loader{opts: opts}
	var err error
	if l.builtIn, err = parseTree(builtin, ".", "policies"); err != nil {
		return nil, err
	}
	if l.rules, err = rulesOf(l.builtIn.modules); err != nil {
		return nil, err
	}
	for i := range l.rules {
		l.rules[i].BuiltIn = true
	}
	if opts.Directory != "" {
		if l.directory, err = parseDirectory(opts.Directory); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// collected is everything that is compiled together.
type collected struct {
	modules    map[string]*ast.Module
	sources    map[string][]byte
	rules      []Rule
	parameters map[string]any
	given      map[string]string // the parameters of policies
}

// collect puts the user's bundles to the built-in rules.
func (l *loader) collect(of []*bundle) (*collected, error) {
	c := &collected{
		modules: maps.Clone(l.builtIn.modules), sources: maps.Clone(l.builtIn.sources),
		rules: slices.Clone(l.rules), parameters: make(map[string]any), given: make(map[string]string),
	}
	maps.Copy(c.parameters, l.opts.Parameters)
	owner := make(map[string]string)
	var earlier []*bundle
	if l.directory != nil {
		of = append([]*bundle{l.directory}, of...)
	}
	for _, b := range of {
		if err := errors.Join(refuseShadowing(b.modules, l.rules), refuseOverlap(b, earlier), refuseParameters(b, c.parameters, owner)); err != nil {
			return nil, err
		}
		rules, err := rulesOf(b.modules)
		if err != nil {
			return nil, err
		}
		c.rules = append(c.rules, rules...)
		// A user's file must not take the place of one of ours, or of another user's,
		// whatever it is called.
		prefix := "user:"
		if b.name != "" {
			prefix = "policy:"
		}
		for file := range b.modules {
			c.modules[prefix+file], c.sources[prefix+file] = b.modules[file], b.sources[file]
		}
		for name, value := range b.parameters {
			c.parameters[name], c.given[name], owner[name] = value, value, b.name
		}
		earlier = append(earlier, b)
	}
	slices.SortFunc(c.rules, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return c, nil
}

// check says what is wrong with the bundles.
func (l *loader) check(of []*bundle) error {
	c, err := l.collect(of)
	if err != nil {
		return err
	}
	return compileStrictly(c.modules)
}

func (l *loader) load(ctx context.Context, of []*bundle) (*Set, error) {
	c, err := l.collect(of)
	if err != nil {
		return nil, err
	}
	parameters, err := ast.InterfaceToValue(c.parameters)
	if err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	s := &Set{rules: c.rules, byPkg: make(map[string]*Rule, len(c.rules)), digest: digest(c.sources, c.given), parameters: ast.NewTerm(parameters)}
	for i := range s.rules {
		s.byPkg[s.rules[i].pkg] = &s.rules[i]
	}
	if err := compileStrictly(c.modules); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, c.modules); err != nil {
		return nil, err
	}
	s.memory = newMemory(l.opts.Remember)
	return s, nil
}

func rulesOf(modules map[string]*ast.Module) ([]Rule, error) {
	var rules []Rule
	var errs []error
	for _, file := range slices.Sorted(maps.Keys(modules)) {
		m := modules[file]
		r, err := ruleOf(file, m, m.Annotations)
		switch {
		case err != nil:
			errs = append(errs, err)
		case r != nil:
			if i := slices.IndexFunc(rules, func(o Rule) bool { return o.ID == r.ID }); i >= 0 {
				errs = append(errs, fmt.Errorf("%s:%d: package %s.%s is also in %s; a rule is one file", file, m.Package.Location.Row, rulesPackage, r.pkg, rules[i].file))
				continue
			}
			rules = append(rules, *r)
		}
	}
	return rules, errors.Join(errs...)
}

// refuseShadowing keeps a user's package from being, or lying under, one of ours.
func refuseShadowing(user map[string]*ast.Module, rules []Rule) error {
	var errs []error
	for _, file := range slices.Sorted(maps.Keys(user)) {
		m := user[file]
		pkg := strings.TrimPrefix(m.Package.Path.String(), "data.")
		say := func(why string) {
			errs = append(errs, fmt.Errorf("%s:%d: package %s: %s", file, m.Package.Location.Row, pkg, why))
		}
		switch {
		case pkg != "seccompgate" && !strings.HasPrefix(pkg, "seccompgate."):
			continue
		case slices.ContainsFunc(rules, func(r Rule) bool {
			own := rulesPackage + "." + r.pkg
			return pkg == own || strings.HasPrefix(pkg, own+".") || strings.HasPrefix(pkg, own+"[")
		}):
			say("a built-in rule has this id; choose another")
		case !strings.HasPrefix(pkg, rulesPackage+"."):
			say(fmt.Sprintf("only packages %s.<id> are open to you; a library takes a name outside seccompgate", rulesPackage))
		}
	}
	return errors.Join(errs...)
}

// refuseOverlap keeps policies apart: a package is of one of them, and so is all below it.
// Rules of one that lie in a package of another would change what that one finds.
func refuseOverlap(b *bundle, earlier []*bundle) error {
	var errs []error
	below := func(a, b string) bool {
		return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(a, b+"[")
	}
	for _, file := range slices.Sorted(maps.Keys(b.modules)) {
		at := b.modules[file].Package
		pkg := at.Path.String()
		for _, e := range earlier {
			for _, other := range slices.Sorted(maps.Keys(e.modules)) {
				if theirs := e.modules[other].Package.Path.String(); below(pkg, theirs) || below(theirs, pkg) {
					errs = append(errs, fmt.Errorf("%s:%d: package %s: %s has package %s, and packages are not shared; choose another name",
						file, at.Location.Row, strings.TrimPrefix(pkg, "data."), other, strings.TrimPrefix(theirs, "data.")))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// refuseParameters keeps a policy from changing what other rules are told. Names without
// an owner are of the configuration.
func refuseParameters(b *bundle, taken map[string]any, owner map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(b.parameters)) {
		if _, ok := taken[name]; !ok {
			continue
		}
		who := "the configuration"
		if o := owner[name]; o != "" {
			who = "policy " + o
		}
		errs = append(errs, fmt.Errorf("%s: parameter %q is one of %s; choose another name", b.name, name, who))
	}
	return errors.Join(errs...)
}

func parseDirectory(dir string) (*bundle, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("read policies: %s is not a directory; name the folder that holds the .rego files", dir)
	}
	return parseTree(os.DirFS(dir), ".", dir)
}

// parseTree parses every .rego file below root but tests, and reports every broken one.
func parseTree(fsys fs.FS, root, name string) (*bundle, error) {
	b := newBundle("")
	var errs []error
	err := fs.WalkDir(fsys, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// A ConfigMap volume keeps its files twice, once below a folder called ..data.
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), "..") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".rego" || isTest(path) {
			return nil
		}
		file := filepath.Join(name, path)
		info, err := fs.Stat(fsys, path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Size() > maxPolicyBytes {
			errs = append(errs, fmt.Errorf("%s: not a regular file of at most %d bytes", file, maxPolicyBytes))
			return nil
		}
		raw, err := fs.ReadFile(fsys, path)
		if err != nil {
			return err
		}
		if err := b.parse(file, raw); err != nil {
			errs = append(errs, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read policies %s: %w", name, err)
	}
	return b, errors.Join(errs...)
}

// parsePolicies parses all policies, and says by name what is wrong with those that
// cannot be parsed.
func parsePolicies(policies []Policy) (bundles []*bundle, broken map[string]error) {
	broken = make(map[string]error)
	for i := range policies {
		p := &policies[i]
		b := newBundle(p.Name)
		b.parameters = p.Parameters
		var errs []error
		for _, name := range slices.Sorted(maps.Keys(p.Modules)) {
			if isTest(name) {
				continue
			}
			if err := b.parse(p.Name+"/"+name, []byte(p.Modules[name])); err != nil {
				errs = append(errs, err)
			}
		}
		if err := errors.Join(errs...); err != nil {
			broken[p.Name] = err
			continue
		}
		bundles = append(bundles, b)
	}
	return bundles, broken
}

func isTest(file string) bool { return strings.HasSuffix(file, "_test.rego") }

// parse adds a module.
func (b *bundle) parse(file string, raw []byte) error {
	m, err := ast.ParseModuleWithOpts(file, string(raw), ast.ParserOptions{ProcessAnnotation: true, Capabilities: capabilities()})
	var parse ast.Errors
	var empty *ast.Error
	switch {
	case errors.As(err, &parse):
		return compileError(parse)
	case errors.As(err, &empty): // the parser has no other single error
		return fmt.Errorf("%s:1: the file is empty; a rule begins with its package", file)
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	}
	b.modules[file], b.sources[file] = m, raw
	return nil
}

func digest(sources map[string][]byte, parameters map[string]string) string {
	h := sha256.New()
	for _, file := range slices.Sorted(maps.Keys(sources)) {
		fmt.Fprintf(h, "%s %d\n", filepath.Base(file), len(sources[file]))
		h.Write(sources[file])
	}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		fmt.Fprintf(h, "%q=%q\n", name, parameters[name])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
