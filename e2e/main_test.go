// SPDX-License-Identifier: Apache-2.0

// Package e2e tests seccompgate as it is shipped, on a real API server.
//
// All tests share one cluster (package cluster), and each has namespaces of its own. What
// can be said as "this object, in such a namespace, gets that answer" is a file in
// testdata/cases; everything that starts, stops or breaks something is a Go test.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// shared is what all tests share. Tests that change it put it back.
var shared *suite

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "seccompgate-e2e-")
	if err != nil {
		return fail(fmt.Errorf("make directory: %w", err))
	}
	ctx := context.Background()
	c, err := cluster.Start(ctx, cluster.Options{Dir: dir, Progress: os.Stderr})
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			code = fail(errors.Join(errors.New("the cluster did not end well"), err))
		}
	}()
	if shared, err = newSuite(c); err != nil {
		return fail(err)
	}
	if err := shared.install(ctx, overlay); err != nil {
		return fail(err)
	}
	return m.Run()
}
