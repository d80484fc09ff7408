// SPDX-License-Identifier: Apache-2.0

// Package policies holds the rules and the one way to run them. A rule is a folder
// below rules: adding one is all that a new rule needs. All rules are compiled once,
// strictly, against the schema of the input and without any builtin that is not
// deterministic or that reaches the network or the host. Ours are partially evaluated
// into one prepared query.
package policies

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

//go:embed main.rego lib/*.rego rules/*/*.rego schema/input.json
var builtin embed.FS

// maxPolicyBytes bounds one file of a user's policies: far above any rule, far below
// what would stall a load.
const maxPolicyBytes = 1 << 20

// Options of Load.
type Options struct {
	// Directory with a user's rules, besides the built-in ones. Empty for none.
	Directory string
	// Policies are a user's, too.
	Policies []Policy
	// Parameters are input.parameters, with those of the policies.
	Parameters map[string]any
	// Remember is how many decisions the set remembers; 0 or less for none. Nothing is
	// remembered while a rule reads input.object.
	Remember int
}

// Set is a compiled set of rules. It answers the same for as long as it lives and is safe
// for concurrent use.
type Set struct {
	rules      []Rule
	byPkg      map[string]*Rule
	digest     string
	parameters *ast.Term

	store       storage.Store
	scopes      []scope // as levels are in scopeLevels
	memory      *memory // of all scopes; nil for none
	each        map[string]rego.PreparedEvalQuery
	annotations []string // prefixes
	cleared     atomic.Uint64
}

// scope is the rules of a level and of those below it, as they are asked together.
type scope struct {
	rules []*Rule
	reads reads
	// queries give together the findings of all rules.
	queries []rego.PreparedEvalQuery
	// number of the scope, which keys begin with: scopes find different things in an input.
	number byte
	// builtIn says that no rule is a user's.
	builtIn bool
	bodies  []body // nil when every input has to be asked about
}

// scopeLevels are the levels whose rules are prepared apart, so that nobody pays for the
// strict ones who does not use them. Fewer rules than that cost hardly less.
func scopeLevels() []Level { return []Level{Restricted, Strict} }

// scope is the one with the rules of the level.
func (s *Set) scope(level Level) *scope {
	for i, l := range scopeLevels() {
		if level.Rank() <= l.Rank() {
			return &s.scopes[i]
		}
	}
	return &s.scopes[len(s.scopes)-1]
}

// Rules lists the rules of the set by id.
func (s *Set) Rules() []Rule { return slices.Clone(s.rules) }

// Digest names the set: equal digests mean equal rules. It is "sha256:" and 64 hex digits.
func (s *Set) Digest() string { return s.digest }

// ReadsObject says that a loaded rule reads input.object, so that it must be supplied.
func (s *Set) ReadsObject() bool { return s.scope(Strict).reads.top["object"] }

// ListedAnnotation says whether an annotation key can reach a runtime's seccomp filter.
func (s *Set) ListedAnnotation(key string) bool { return hasPrefix(key, s.annotations) }

func hasPrefix(key string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

const entryPackage = "seccompgate.entry"

// entry is the module of a prepared query. It says what main.rego says, with the rules
// written out: iterating over them would keep partial evaluation from reaching inside.
func entry(rules []*Rule) (*ast.Module, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n", entryPackage)
	for _, r := range rules {
		line := fmt.Sprintf("contains [%q, finding] if some finding in data.%s.%s.deny\n", r.pkg, rulesPackage, r.pkg)
		b.WriteString("findings " + line)
		if !r.BuiltIn {
			b.WriteString("own " + line)
		}
	}
	return ast.ParseModule("entry.rego", b.String())
}

const (
	entryQuery = "data." + entryPackage + ".findings"
	// ownQuery is about a user's rules alone.
	ownQuery = "data." + entryPackage + ".own"
)

// compileStrictly finds all that the compiler has to say about modules.
func compileStrictly(modules map[string]*ast.Module) error {
	schemas, err := schemaSet()
	if err != nil {
		return err
	}
	strict := ast.NewCompiler().
		WithCapabilities(capabilities()).
		WithStrict(true).
		WithSchemas(schemas).
		WithUseTypeCheckAnnotations(true)
	if strict.Compile(modules); strict.Failed() {
		return compileError(strict.Errors)
	}
	return nil
}

// prepare makes the queries of modules that have been compiled strictly.
//
// The built-in rules are partially evaluated, and tests show that they find the same
// afterwards. That does not hold for all Rego: where a function is negated or compared with
// a constant, and undefined for the input, the result may be another. A user's rules are
// evaluated as they are written.
func (s *Set) prepare(ctx context.Context, modules map[string]*ast.Module) error {
	s.store = inmem.NewFromObjectWithOpts(map[string]any{}, inmem.OptReturnASTValuesOnRead(true))
	options := func(c *ast.Compiler, query string) []func(*rego.Rego) {
		return []func(*rego.Rego){
			rego.Compiler(c), rego.Query(query), rego.Store(s.store),
			rego.StrictBuiltinErrors(true), rego.Capabilities(capabilities()),
			rego.DisableInlining(severalDefinitions(c)),
		}
	}
	for number, level := range scopeLevels() {
		sc := scope{number: byte(number)}
		var builtIn []*Rule
		for i := range s.rules {
			if r := &s.rules[i]; r.Level.Rank() <= level.Rank() {
				sc.rules = append(sc.rules, r)
				if r.BuiltIn {
					builtIn = append(builtIn, r)
				}
			}
		}
		sc.builtIn = len(builtIn) == len(sc.rules)
		c, err := compiler(modules, sc.rules)
		if err != nil {
			return err
		}
		if sc.reads, err = readsOf(c, sc.rules); err != nil {
			return err
		}
		sc.bodies = bodiesOf(c, sc.rules)
		if !sc.builtIn {
			q, err := rego.New(options(c, ownQuery)...).PrepareForEval(ctx)
			if err != nil {
				return fmt.Errorf("prepare a user's rules: %w", err)
			}
			sc.queries = append(sc.queries, q)
			// Partial evaluation adds the modules that it writes to the compiler, under names
			// that are always the same.
			if c, err = compiler(modules, builtIn); err != nil {
				return err
			}
		}
		q, err := rego.New(options(c, entryQuery)...).PrepareForEval(ctx, rego.WithPartialEval())
		if err != nil {
			return fmt.Errorf("prepare rules: %w", err)
		}
		sc.queries = append(sc.queries, q)
		s.scopes = append(s.scopes, sc)
	}

	c, err := compiler(modules, nil)
	if err != nil {
		return err
	}
	s.each = make(map[string]rego.PreparedEvalQuery, len(s.rules))
	for _, r := range s.rules {
		q, err := rego.New(options(c, "data."+rulesPackage+"."+r.pkg+".deny")...).PrepareForEval(ctx)
		if err != nil {
			return fmt.Errorf("prepare rule %s: %w", r.ID, err)
		}
		s.each[r.pkg] = q
	}
	return s.loadAnnotationLists(ctx, options(c, "data.seccompgate.lib.annotations"))
}

// compiler compiles the modules with an entry for the rules. It is not a strict one: what
// partial evaluation writes would not pass.
func compiler(modules map[string]*ast.Module, rules []*Rule) (*ast.Compiler, error) {
	modules = maps.Clone(modules)
	if len(rules) > 0 {
		e, err := entry(rules)
		if err != nil {
			return nil, fmt.Errorf("parse entry: %w", err)
		}
		modules["entry.rego"] = e
	}
	c := ast.NewCompiler().WithCapabilities(capabilities())
	if c.Compile(modules); c.Failed() {
		return nil, compileError(c.Errors)
	}
	return c, nil
}

// severalDefinitions are the rules and functions with more than one body. Inlining them
// multiplies the rules that call them; left alone they are called when a body gets there.
func severalDefinitions(c *ast.Compiler) []string {
	bodies := make(map[string]int)
	for _, m := range c.Modules {
		for _, r := range m.Rules {
			if name := r.Head.Ref()[0].String(); name == "deny" || name == "findings" {
				continue
			}
			path := r.Ref().GroundPrefix().String()
			for ; r != nil; r = r.Else {
				bodies[path]++
			}
		}
	}
	maps.DeleteFunc(bodies, func(_ string, n int) bool { return n < 2 })
	return slices.Sorted(maps.Keys(bodies))
}

func (s *Set) loadAnnotationLists(ctx context.Context, options []func(*rego.Rego)) error {
	rs, err := rego.New(options...).Eval(ctx)
	if err != nil {
		return fmt.Errorf("read annotation lists: %w", err)
	}
	raw, err := json.Marshal(rs[0].Expressions[0].Value)
	if err != nil {
		return fmt.Errorf("read annotation lists: %w", err)
	}
	var lists struct{ All []string }
	if err := json.Unmarshal(raw, &lists); err != nil {
		return fmt.Errorf("read annotation lists: %w", err)
	}
	s.annotations = lists.All
	for i := range s.scopes {
		sc := &s.scopes[i]
		if sc.builtIn {
			sc.reads.annotations = lists.All
		}
	}
	return nil
}

// Evaluate runs all rules over in and returns their findings, sorted by container index
// and rule. When an evaluation fails, each rule runs alone: the failing one becomes a
// finding rule-error at its own level and the others still judge. An error means that
// nothing was judged, because ctx ended or the input cannot be represented.
func (s *Set) Evaluate(ctx context.Context, in *Input) ([]Finding, error) {
	return s.EvaluateUpTo(ctx, in, Strict)
}

// EvaluateUpTo is Evaluate for a caller who has no use for findings above a level. There
// may be some all the same.
func (s *Set) EvaluateUpTo(ctx context.Context, in *Input, level Level) ([]Finding, error) {
	sc := s.scope(level)
	if !s.mayFind(sc, in) {
		s.cleared.Add(1)
		return nil, nil
	}
	return s.ask(ctx, in, sc)
}

// ask answers from memory or by the rules, whatever their conditions.
func (s *Set) ask(ctx context.Context, in *Input, sc *scope) ([]Finding, error) {
	if s.memory == nil || sc.reads.top["object"] {
		findings, _, err := s.evaluate(ctx, in, sc)
		return findings, err
	}
	buffer := keys.Get().(*[]byte)
	defer keys.Put(buffer)
	if sc.builtIn {
		if n := hideNames(in); n != nil {
			defer n.release()
			key := n.in.appendKey(append((*buffer)[:0], sc.number), sc.reads)
			*buffer = key
			if !n.foreign(key) {
				findings, err := s.recall(ctx, &n.in, sc, key)
				n.show(findings)
				return findings, err
			}
		}
	}
	key := in.appendKey(append((*buffer)[:0], sc.number), sc.reads)
	*buffer = key
	return s.recall(ctx, in, sc, key)
}

// recall answers from memory, and asks the rules when it has no answer.
func (s *Set) recall(ctx context.Context, in *Input, sc *scope, key []byte) ([]Finding, error) {
	if findings, ok := s.memory.get(key); ok {
		return findings, nil
	}
	findings, whole, err := s.evaluate(ctx, in, sc)
	if err == nil && whole {
		s.memory.put(key, findings)
	}
	return findings, err
}

// evaluate asks the rules all at once, and each alone when one of them fails. whole says
// that none did.
func (s *Set) evaluate(ctx context.Context, in *Input, sc *scope) (findings []Finding, whole bool, err error) {
	e, err := s.begin(ctx, in, sc)
	if err != nil {
		return nil, false, err
	}
	defer e.end()
	if findings, err = e.together(sc.queries); err == nil {
		return findings, true, nil
	}
	if ctx.Err() == nil {
		findings, err = e.each(sc.rules)
	}
	if ctx.Err() != nil {
		return nil, false, fmt.Errorf("evaluate rules: %w", ctx.Err())
	}
	return findings, false, err
}

// evaluation is one of an input.
type evaluation struct {
	set *Set
	ctx context.Context //nolint:containedctx // it lives as long as the call
	in  *Input
	doc ast.Value
	txn storage.Transaction
}

func (s *Set) begin(ctx context.Context, in *Input, sc *scope) (evaluation, error) {
	doc, err := in.toValue(sc.reads, s.parameters)
	if err != nil {
		return evaluation{}, err
	}
	txn, err := s.store.NewTransaction(ctx)
	if err != nil {
		return evaluation{}, fmt.Errorf("read rules: %w", err)
	}
	return evaluation{s, ctx, in, doc, txn}, nil
}

func (e *evaluation) end() { e.set.store.Abort(e.ctx, e.txn) }

func (e *evaluation) run(q *rego.PreparedEvalQuery) ([]any, error) {
	rs, err := q.Eval(e.ctx, rego.EvalParsedInput(e.doc), rego.EvalTransaction(e.txn),
		rego.EvalExternalCancel(endOf{e.ctx}), rego.EvalMetrics(metrics.NoOp()), rego.EvalSortSets(false))
	if err != nil {
		return nil, err
	}
	return only(rs)
}

// together is what the queries find. It fails when a rule does.
func (e *evaluation) together(queries []rego.PreparedEvalQuery) ([]Finding, error) {
	var findings []Finding
	for i := range queries {
		results, err := e.run(&queries[i])
		if err != nil {
			return nil, err
		}
		for _, r := range results {
			pkg, f, ok := pair(r)
			if !ok {
				return nil, errors.New("read findings: the entry rule gave no [rule, finding] pair")
			}
			findings = append(findings, e.set.finding(e.set.byPkg[pkg], f, e.in))
		}
	}
	slices.SortFunc(findings, compareFindings)
	return findings, nil
}

// each is what the rules find as they are written, one by one.
func (e *evaluation) each(rules []*Rule) ([]Finding, error) {
	var findings []Finding
	for _, r := range rules {
		q := e.set.each[r.pkg]
		results, err := e.run(&q)
		if e.ctx.Err() != nil {
			return nil, e.ctx.Err()
		}
		if err != nil {
			findings = append(findings, r.failed(where(err)))
			continue
		}
		for _, f := range results {
			findings = append(findings, e.set.finding(r, f, e.in))
		}
	}
	slices.SortFunc(findings, compareFindings)
	return findings, nil
}

// endOf ends an evaluation with its context. Asking the context costs less than being
// told by it.
type endOf struct{ ctx context.Context }

func (endOf) Cancel() {}

func (e endOf) Cancelled() bool { return e.ctx.Err() != nil }

// only is the value of a query with one expression over a set.
func only(rs rego.ResultSet) ([]any, error) {
	if len(rs) != 1 || len(rs[0].Expressions) != 1 {
		return nil, errors.New("the result is undefined")
	}
	set, ok := rs[0].Expressions[0].Value.([]any)
	if !ok {
		return nil, fmt.Errorf("deny is a %T, not a set of findings", rs[0].Expressions[0].Value)
	}
	return set, nil
}

func pair(v any) (string, any, bool) {
	p, ok := v.([]any)
	if !ok || len(p) != 2 {
		return "", nil, false
	}
	name, ok := p[0].(string)
	return name, p[1], ok
}

// finding reads what a rule said. What is no finding is a rule-error.
func (s *Set) finding(r *Rule, v any, in *Input) Finding {
	m, ok := v.(map[string]any)
	if !ok {
		return r.failed(fmt.Sprintf("%s: a finding is an object with container, field and message", r.file))
	}
	f := Finding{Rule: r.ID, Level: r.Level, Since: r.Since, Remediation: r.Remediation, Index: -1}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		var ok bool
		switch k {
		case "container":
			f.Container, ok = m[k].(string)
		case "field":
			f.Field, ok = m[k].(string)
		case "message":
			f.Message, ok = m[k].(string)
		case "unknown":
			f.Unknown, ok = m[k].(bool)
		}
		if !ok {
			return r.failed(fmt.Sprintf("%s: a finding has container, field and message as text, not %s: %v", r.file, k, m[k]))
		}
	}
	if f.Message == "" {
		return r.failed(r.file + ": a finding without a message")
	}
	if i := slices.IndexFunc(in.Containers, func(c Container) bool { return f.Container != "" && c.Name == f.Container }); i >= 0 {
		f.Index = in.Containers[i].Index
	}
	return f
}

func (r *Rule) failed(why string) Finding {
	return Finding{
		Rule: RuleError, Failed: r.ID, Level: r.Level, Since: r.Since, Index: -1,
		Message:     fmt.Sprintf("rule %s could not be evaluated: %s", r.ID, why),
		Remediation: "Correct the rule; until then every pod is judged by this finding in its place.",
	}
}

// where is the message of an evaluation error with its file and line.
func where(err error) string {
	var te *topdown.Error
	if errors.As(err, &te) && te.Location != nil {
		return fmt.Sprintf("%s:%d: %s", te.Location.File, te.Location.Row, te.Message)
	}
	return err.Error()
}

// sideDoors are builtins that OPA does not flag as not deterministic: certificates are
// verified at the time of day, and a schema may refer to any file of the host.
var sideDoors = []string{
	"crypto.x509.parse_and_verify_certificates", "crypto.x509.parse_and_verify_certificates_with_options",
	"json.match_schema", "json.verify_schema",
}

// capabilities are OPA's without the builtins that are not deterministic or that reach
// the network or the host.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		return b.Nondeterministic || slices.Contains(sideDoors, b.Name)
	})
	c.AllowNet = []string{}
	return c
}

func schemaSet() (*ast.SchemaSet, error) {
	raw, err := builtin.ReadFile("schema/input.json")
	if err != nil {
		return nil, fmt.Errorf("read input schema: %w", err)
	}
	var schema any
	if err := json.Unmarshal(raw, &schema); err != nil {
		return nil, fmt.Errorf("read input schema: %w", err)
	}
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, schema)
	return set, nil
}

func compileError(errs ast.Errors) error {
	lines := make([]string, 0, len(errs))
	for _, e := range errs {
		line := e.Message
		if e.Location != nil {
			line = fmt.Sprintf("%s:%d: %s", e.Location.File, e.Location.Row, e.Message)
		}
		if e.Details != nil {
			line += " (" + strings.Join(e.Details.Lines(), "; ") + ")"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return fmt.Errorf("compile rules:\n  %s", strings.Join(slices.Compact(lines), "\n  "))
}
