// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"reflect"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A body of a rule mostly begins with conditions that are plain: a field of a container is
// there or true, equals a constant or not, or is above one. They are read out of the compiled rules,
// and asked of the input before a document is made of it. Most pods meet those of no body:
// then nothing can be found, and the rules need not run.
//
// Conditions are taken from the beginning of a body up to the first expression that is not
// plain. What comes before it cannot fail, so that what is skipped would not have failed.

// body is what must hold for one body of a rule to find anything.
type body struct {
	input     []condition
	variables []variable
}

// variable is an element of a list or map of the input, any of which meets the conditions.
type variable struct {
	of         collection
	conditions []condition
	// listed says that of annotations only those count that can reach a runtime's filter.
	listed bool
}

// collection is a field of the input with elements.
type collection int

const (
	noCollection collection = iota
	ofContainers
	ofProfiles
	ofHostPaths
	ofAnnotations
)

func collectionOf(name string) (collection, reflect.Type) {
	switch name {
	case "containers":
		return ofContainers, reflect.TypeFor[Container]()
	case "profiles":
		return ofProfiles, reflect.TypeFor[Profile]()
	case "hostPaths":
		return ofHostPaths, reflect.TypeFor[HostPath]()
	case "annotations":
		return ofAnnotations, reflect.TypeFor[string]()
	default:
		return noCollection, nil
	}
}

// condition compares a field with a constant.
type condition struct {
	steps []int // to the field, from the struct that it stands in
	// optional says that the field is absent when it is zero.
	optional bool
	operator operator
	text     string
	number   int64 // 1 for true
}

type operator int

const (
	isDefined operator = iota
	isEqual
	isNotEqual
	isAbove
)

// bodiesOf are the bodies of the rules; nil when one of them begins with nothing plain, so
// that it has to run for every input.
func bodiesOf(c *ast.Compiler, rules []*Rule) []body {
	var bodies []body
	for _, m := range c.Modules {
		pkg, isRule := strings.CutPrefix(strings.TrimPrefix(m.Package.Path.String(), "data."), rulesPackage+".")
		if !isRule {
			continue
		}
		i := slices.IndexFunc(rules, func(r *Rule) bool { return r.pkg == pkg })
		if i < 0 {
			continue
		}
		for _, r := range m.Rules {
			if !r.Head.Ref()[0].Equal(ast.VarTerm("deny")) {
				continue
			}
			b := bodyOf(r.Body)
			if len(b.input)+len(b.variables) == 0 {
				return nil
			}
			for j := range b.variables {
				b.variables[j].listed = rules[i].BuiltIn
			}
			bodies = append(bodies, b)
		}
	}
	return bodies
}

// subject is what a local variable stands for.
type subject struct {
	variable int // index in variables, -1 for the input itself
	of       reflect.Type
	steps    []int
	optional bool
	// certain says that it is in every input.
	certain bool
}

// bodyReader reads the plain expressions of a body.
type bodyReader struct {
	body
	locals map[ast.Var]subject
}

func bodyOf(b ast.Body) body {
	r := bodyReader{locals: make(map[ast.Var]subject)}
	for _, e := range b {
		if !r.read(e) {
			break
		}
	}
	return r.body
}

// read takes the conditions out of an expression. It returns false for one that is not
// plain.
func (r *bodyReader) read(e *ast.Expr) bool {
	if e.Negated || len(e.With) > 0 {
		return false
	}
	if t, ok := e.Terms.(*ast.Term); ok && r.isPlain(t) {
		r.demand(t)
		return true
	}
	if !e.IsCall() || len(e.Operands()) != 2 {
		return false
	}
	left, right := e.Operand(0), e.Operand(1)
	name := e.Operator().String()
	if name == ast.Equality.Name && r.isPlain(left) && r.isPlain(right) {
		if v, ok := left.Value.(ast.Var); ok {
			if s, known := r.subject(right); known {
				r.locals[v] = s
				r.require(s, condition{operator: isDefined})
				return true
			}
		}
		if !r.compare(left, isEqual, right) {
			r.compare(right, isEqual, left)
		}
		return true
	}
	operators := map[string]operator{ast.NotEqual.Name: isNotEqual, ast.GreaterThan.Name: isAbove}
	operator, known := operators[name]
	return known && r.compare(left, operator, right)
}

// demand requires that a field is there and not false. An item of a list is there only if
// the list is not empty.
func (r *bodyReader) demand(t *ast.Term) {
	if ref, ok := t.Value.(ast.Ref); ok && len(ref) > 1 {
		if list, known := r.subject(ast.NewTerm(ref[:len(ref)-1])); known && list.of.Kind() == reflect.Slice {
			r.require(list, condition{operator: isNotEqual})
			return
		}
	}
	switch s, known := r.subject(t); {
	case known && s.of.Kind() == reflect.Bool:
		r.require(s, condition{operator: isEqual, number: 1})
	case known:
		r.require(s, condition{operator: isDefined})
	}
}

// isPlain says that a term is a constant, a variable, or a field of the input: looking at
// it cannot fail.
func (r *bodyReader) isPlain(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case ast.Var:
		return true
	case ast.Ref:
		head, _ := v[0].Value.(ast.Var)
		_, local := r.locals[head]
		return (local || v.HasPrefix(ast.InputRootRef)) && !slices.ContainsFunc(v[1:], func(t *ast.Term) bool { return !r.isPlain(t) })
	default:
		return ast.IsConstant(v)
	}
}

// compare requires what a comparison says. It returns false when that is not understood.
func (r *bodyReader) compare(field *ast.Term, o operator, constant *ast.Term) bool {
	s, known := r.subject(field)
	if !known {
		return false
	}
	c := condition{operator: o}
	kind := s.of.Kind()
	switch v := constant.Value.(type) {
	case ast.String:
		c.text = string(v)
		known = kind == reflect.String && o != isAbove
	case ast.Boolean:
		if v {
			c.number = 1
		}
		known = kind == reflect.Bool && o != isAbove
	case ast.Number:
		c.number, known = v.Int64()
		known = known && kind == reflect.Int
	case *ast.Array:
		known = kind == reflect.Slice && v.Len() == 0 && o != isAbove
	default:
		known = false
	}
	if known {
		r.require(s, c)
	}
	return known
}

func (r *bodyReader) require(s subject, c condition) {
	if c.operator == isDefined && s.certain {
		return
	}
	c.steps, c.optional = s.steps, s.optional
	if s.variable < 0 {
		r.input = append(r.input, c)
		return
	}
	v := &r.variables[s.variable]
	v.conditions = append(v.conditions, c)
}

// subject is what a term stands for. What is deeper than any field is not known.
func (r *bodyReader) subject(t *ast.Term) (subject, bool) {
	var s subject
	var rest ast.Ref
	switch v := t.Value.(type) {
	case ast.Var:
		s, known := r.locals[v]
		return s, known
	case ast.Ref:
		if head, ok := v[0].Value.(ast.Var); ok && !v.HasPrefix(ast.InputRootRef) {
			local, known := r.locals[head]
			if !known {
				return s, false
			}
			s, rest = local, v[1:]
			break
		}
		s, rest = subject{variable: -1, of: reflect.TypeFor[Input](), certain: true}, v[1:]
		if len(v) < 3 {
			break
		}
		name, _ := v[1].Value.(ast.String)
		if of, element := collectionOf(string(name)); of != noCollection && r.isPlain(v[2]) {
			r.variables = append(r.variables, variable{of: of})
			// Certain, as long as there is an element at all.
			s, rest = subject{variable: len(r.variables) - 1, of: element, certain: true}, v[3:]
		}
	default:
		return s, false
	}
	for _, step := range rest {
		name, _ := step.Value.(ast.String)
		if s.of.Kind() == reflect.Pointer {
			s.of = s.of.Elem()
		}
		if s.of.Kind() != reflect.Struct {
			return s, false
		}
		i := slices.Index(fieldNames(s.of), string(name))
		if i < 0 {
			return s, false
		}
		field := s.of.Field(i)
		s.of, s.steps = field.Type, append(slices.Clip(s.steps), i)
		s.optional = strings.HasSuffix(field.Tag.Get("json"), ",omitempty")
		s.certain = s.certain && !s.optional
	}
	return s, true
}

// mayFind says whether the rules of the scope can find anything in the input.
func (s *Set) mayFind(sc *scope, in *Input) bool {
	if sc.bodies == nil {
		return true
	}
	var room [4]*Profile
	profiles := room[:0]
	for _, p := range in.Profiles {
		profiles = append(profiles, p)
	}
	for i := range sc.bodies {
		if sc.bodies[i].met(in, profiles, s.annotations) {
			return true
		}
	}
	return false
}

func (b *body) met(in *Input, profiles []*Profile, annotations []string) bool {
	for i := range b.variables {
		if !b.variables[i].met(in, profiles, annotations) {
			return false
		}
	}
	// Of the input as a whole, most rules only ask whether it is of Windows.
	return met(b.input, reflect.ValueOf(in).Elem())
}

// met says that an element meets the conditions.
func (v *variable) met(in *Input, profiles []*Profile, annotations []string) bool {
	switch v.of {
	case ofContainers:
		for i := range in.Containers {
			if met(v.conditions, reflect.ValueOf(&in.Containers[i]).Elem()) {
				return true
			}
		}
	case ofProfiles:
		for _, p := range profiles {
			if met(v.conditions, reflect.ValueOf(p).Elem()) {
				return true
			}
		}
	case ofHostPaths:
		for i := range in.HostPaths {
			if met(v.conditions, reflect.ValueOf(&in.HostPaths[i]).Elem()) {
				return true
			}
		}
	case ofAnnotations:
		for key := range in.Annotations {
			if !v.listed || hasPrefix(key, annotations) {
				return true
			}
		}
	}
	return false
}

func met(conditions []condition, v reflect.Value) bool {
	for i := range conditions {
		if !conditions[i].met(v) {
			return false
		}
	}
	return true
}

func (c *condition) met(v reflect.Value) bool {
	for _, i := range c.steps {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	if c.optional && v.IsZero() {
		return false
	}
	switch c.operator {
	case isDefined:
		return true
	case isEqual:
		return c.equals(v)
	case isNotEqual:
		return !c.equals(v)
	default:
		return v.Int() > c.number
	}
}

func (c *condition) equals(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.String() == c.text
	case reflect.Bool:
		return v.Bool() == (c.number == 1)
	case reflect.Int:
		return v.Int() == c.number
	default: // a list, which is compared with an empty one
		return v.Len() == 0
	}
}
