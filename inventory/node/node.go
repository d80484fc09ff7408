// SPDX-License-Identifier: Apache-2.0

// Package node reads the facts of one node from its file system: which profiles it
// has, how its kubelet and its kernel are set up.
//
// There is one file per source. A source opens files below the host's root and runs
// no command. What it cannot read it leaves out of the facts, where absent means
// unknown, and says why in a [Problem].
package node

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

// apiVersion of what is published.
const apiVersion = "seccompgate.io/v1alpha1"

// maxKernelFile in bytes bounds the small files below proc.
const maxKernelFile = 64 << 10

// Options say what the file system does not.
type Options struct {
	// NodeName is the name of the Node object.
	NodeName string
	// GOARCH is the architecture of this process; it is the host's if the host's
	// kernel is the one that runs here.
	GOARCH string
}

// Source reads one part of the facts. What it returns as errors (errors.Join for
// several) does not stop the others.
type Source interface {
	Name() string
	Collect(host *Host, facts *v1alpha1.NodeFacts) error
}

// Sources lists what is read, in order: the kubelet's settings say where the
// profiles are, and those come last.
func Sources(options Options) []Source {
	return []Source{
		kubelet{},
		kernel{},
		architectures{goarch: options.GOARCH},
		runtimes{},
		profileFiles{newContents(options.GOARCH)},
	}
}

// Problem is why a part of the facts is unknown.
type Problem struct {
	Source string
	Err    error
}

// String returns the problem on one line: file names may hold anything.
func (p Problem) String() string {
	var b strings.Builder
	for _, c := range fmt.Sprintf("%s: %v", p.Source, p.Err) {
		if unicode.IsControl(c) {
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// Collect returns what the node would publish, with the profiles inline.
func Collect(host *Host, options Options) (*v1alpha1.SeccompNode, []Problem) {
	n := &v1alpha1.SeccompNode{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: "SeccompNode"},
		ObjectMeta: metav1.ObjectMeta{Name: options.NodeName},
	}
	return n, collect(host, &n.Facts, Sources(options))
}

// collect has the sources fill in the facts.
func collect(host *Host, facts *v1alpha1.NodeFacts, sources []Source) []Problem {
	var problems []Problem
	for _, source := range sources {
		for _, err := range flatten(source.Collect(host, facts)) {
			problems = append(problems, Problem{Source: source.Name(), Err: err})
		}
	}
	return problems
}

// Reader reads the facts of one host again and again: the files, which change, apart from
// all else.
type Reader struct {
	host     *Host
	sources  []Source
	files    profileFiles
	settings v1alpha1.NodeFacts
}

// NewReader makes a reader that has read nothing yet.
func NewReader(host *Host, options Options) *Reader {
	files := profileFiles{newContents(options.GOARCH)}
	sources := Sources(options)
	return &Reader{host: host, sources: sources[:len(sources)-1], files: files}
}

// Settings reads all but the profiles, and says in which directory of the host those are.
func (r *Reader) Settings() (seccompRoot string, problems []Problem) {
	r.settings = v1alpha1.NodeFacts{}
	problems = collect(r.host, &r.settings, r.sources)
	return r.settings.SeccompRoot, problems
}

// Profiles reads the profiles, in the directory that Settings found, and returns all facts.
// After some time it returns although not everything has been judged; complete is false
// then, and the next call goes on from there.
func (r *Reader) Profiles(limit time.Duration) (facts *v1alpha1.NodeFacts, problems []Problem, complete bool) {
	facts = r.settings.DeepCopy()
	r.files.contents.bound(limit)
	problems = collect(r.host, facts, []Source{r.files})
	return facts, problems, !r.files.contents.waiting
}

// flatten takes apart what errors.Join put together.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
