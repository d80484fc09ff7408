// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seccomp-controller": main})
}

// TestScripts runs the program itself: one file per case. What it does to a cluster is
// tested in e2e.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a program that must end with the exit code and print nothing.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	coded, ok := err.(interface{ ExitCode() int })
	if !ok || coded.ExitCode() != want {
		ts.Fatalf("%s ends with %v, want exit code %d", args[1], err, want)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("%s prints %q, want nothing", args[1], out)
	}
}
