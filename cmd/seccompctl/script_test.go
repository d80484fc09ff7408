// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

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
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"elide": elide},
	})
}

var (
	sarifVersion = regexp.MustCompile(`"version": "v[^"]*"`)
	sarifRules   = regexp.MustCompile(`(?s)"rules": \[\n.*?\n {10}\]`)
)

// elide shortens a SARIF file to what neither a release nor the text of a rule changes.
func elide(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: elide FILE")
	}
	text := ts.ReadFile(args[0])
	if !sarifVersion.MatchString(text) || !sarifRules.MatchString(text) {
		ts.Fatalf("%s has no version or no rules", args[0])
	}
	text = sarifRules.ReplaceAllString(sarifVersion.ReplaceAllString(text, `"version": "..."`), `"rules": [...]`)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// TestEveryVerbHasAScript: a verb is added with its script.
func TestEveryVerbHasAScript(t *testing.T) {
	for _, c := range commands(streams{}) {
		if _, err := os.Stat(filepath.Join("testdata", "script", c.Name()+".txtar")); err != nil {
			t.Errorf("verb %s has no script: %v", c.Name(), err)
		}
	}
}

// TestSignalEndsReading: Ctrl-C ends a command that waits for input.
func TestSignalEndsReading(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "seccompctl", "check", "-f", pipe)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// Opening it waits for the reader.
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close() //nolint:errcheck // nothing was written
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
			t.Errorf("ended with %v, want SIGINT", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still waits for input")
	}
}
