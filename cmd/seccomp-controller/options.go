// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

const usage = `seccomp-controller writes to the cluster what seccompgate keeps there: the webhook's serving
certificate, its CA bundle in the registered webhooks, and the status of SeccompPolicies. Of
several replicas, one works.

Usage:
  seccomp-controller --config FILE
  seccomp-controller --once --config FILE

Flags:
`

// options are the command line.
type options struct {
	config      string
	bindAddress string
	port        int
	once        bool
	version     bool
}

// parseOptions reads the command line; who asks for help finds it on stdout.
func parseOptions(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := pflag.NewFlagSet("seccomp-controller", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() { fmt.Fprint(stdout, usage, flags.FlagUsages()) }
	flags.StringVar(&o.config, "config", "", "`FILE` with a ControllerConfig")
	flags.StringVar(&o.bindAddress, "bind-address", "", "`IP` to listen on (default all)")
	flags.IntVar(&o.port, "port", 8080, "port `N` to listen on, without TLS: /healthz, /readyz, /metrics")
	flags.BoolVar(&o.once, "once", false, "do what there is to do, and exit")
	flags.BoolVar(&o.version, "version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w; see seccomp-controller --help", err)
	}
	if o.version {
		return o, nil
	}
	var errs []error
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q; everything is said by flags, see seccomp-controller --help", flags.Arg(0)))
	}
	if o.port < 1 || o.port > 65535 {
		errs = append(errs, fmt.Errorf("--port %d: use 1 to 65535", o.port))
	}
	if o.config == "" {
		errs = append(errs, errors.New("--config is missing; name a file with a ControllerConfig"))
	}
	return o, errors.Join(errs...)
}

func (o *options) settings() (*v1alpha1.ControllerConfig, error) {
	text, err := os.ReadFile(o.config)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w; name a readable file with --config", err)
	}
	return v1alpha1.LoadControllerConfig(text, o.config)
}
