// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what scripts compare with")

func TestMain(m *testing.M) {
	program := func(name string) func() {
		return func() { os.Exit(run(name, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})) }
	}
	testscript.Main(m, map[string]func(){
		"seccompctl":          program("seccompctl"),
		"kubectl-seccompgate": program("kubectl-seccompgate"),
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: *update, RequireExplicitExec: true})
}

// TestEveryVerbHasAScript: a verb is added with its script.
func TestEveryVerbHasAScript(t *testing.T) {
	for _, c := range commands(streams{}) {
		if _, err := os.Stat(filepath.Join("testdata", "script", c.Name()+".txtar")); err != nil {
			t.Errorf("verb %s has no script: %v", c.Name(), err)
		}
	}
}
