// SPDX-License-Identifier: Apache-2.0

// Command audit prints each seccomp record of the kernel until it is told to end, one line
// a record: syscall, number, process id and executable, with a tab between them. It must
// run in the initial network namespace. In the end it says on stderr what was lost.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/seccompgate/seccompgate/recording"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	listener, err := recording.Listen(recording.Buffer)
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Fprintln(os.Stderr, "listening")
	err = listener.Receive(ctx, func(r *recording.Record) {
		name, ok := r.Call.Name()
		if !ok {
			name = "-"
		}
		fmt.Printf("%s\t%d\t%d\t%q\n", name, r.Call.Number, r.PID, r.Exe)
	})
	if err != nil {
		return err
	}
	if lost := listener.Losses(); lost.Overruns > 0 || lost.Missing > 0 {
		return fmt.Errorf("records were lost: %+v", lost)
	}
	return nil
}
