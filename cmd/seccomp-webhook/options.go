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

const usage = `seccomp-webhook serves admission: it injects the seccomp profiles that labels name, and
judges pods by rules. It reads the cluster and writes nothing to it.

Usage:
  seccomp-webhook [--config FILE] [--cert-dir DIR] ...
  seccomp-webhook --standalone --port N --cert-dir DIR [--config FILE] [--inventory FILE] [--policies DIR]

Flags:
`

// options are the command line.
type options struct {
	config       string
	certDir      string
	bindAddress  string
	port         int
	policies     string
	registration string
	standalone   bool
	inventory    string
	verbosity    int
	version      bool
}

func parseOptions(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := pflag.NewFlagSet("seccomp-webhook", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() { fmt.Fprint(stdout, usage, flags.FlagUsages()) }
	flags.StringVar(&o.config, "config", "", "`FILE` with a WebhookConfig; without it every setting has its default")
	flags.StringVar(&o.certDir, "cert-dir", "/etc/seccompgate/tls", "`DIR` with tls.crt and tls.key, which may be replaced at any time")
	flags.StringVar(&o.bindAddress, "bind-address", "", "`IP` to listen on (default all; the loopback address with --standalone)")
	flags.IntVar(&o.port, "port", 9443, "port `N` to listen on, for everything: admission, /healthz, /readyz, /metrics")
	flags.StringVar(&o.policies, "policies", "", "`DIR` with rules of your own, which may be replaced at any time")
	flags.StringVar(&o.registration, "registration", "seccompgate", "`NAME` of the webhook configurations whose CA bundle is verified before the first request; empty for none")
	flags.BoolVar(&o.standalone, "standalone", false, "serve without an API server; makes a certificate when --cert-dir is empty")
	flags.StringVar(&o.inventory, "inventory", "", "`FILE` with Node, SeccompNode, ProfileSet, LocalhostProfile, SeccompPolicy and Namespace objects, with --standalone")
	flags.IntVar(&o.verbosity, "verbosity", 0, "0 logs what operators need, 1 every decision")
	flags.BoolVar(&o.version, "version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w; see seccomp-webhook --help", err)
	}
	return o, o.validate(flags)
}

func (o *options) validate(flags *pflag.FlagSet) error {
	var errs []error
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q; everything is said by flags, see seccomp-webhook --help", flags.Arg(0)))
	}
	if o.port < 1 || o.port > 65535 {
		errs = append(errs, fmt.Errorf("--port %d: use 1 to 65535", o.port))
	}
	if o.inventory != "" && !o.standalone {
		errs = append(errs, errors.New("--inventory is for --standalone; with an API server the inventory is read from there"))
	}
	if o.standalone && flags.Changed("registration") {
		errs = append(errs, errors.New("--registration needs an API server; leave it out with --standalone"))
	}
	return errors.Join(errs...)
}

// settings reads the configuration file.
func (o *options) settings() (v1alpha1.WebhookConfig, error) {
	if o.config == "" {
		c := v1alpha1.WebhookConfig{}
		c.Default()
		return c, nil
	}
	text, err := os.ReadFile(o.config)
	if err != nil {
		return v1alpha1.WebhookConfig{}, fmt.Errorf("read configuration: %w; name a readable file with --config", err)
	}
	c, err := v1alpha1.LoadWebhookConfig(text, o.config)
	if err != nil {
		return v1alpha1.WebhookConfig{}, err
	}
	return *c, nil
}
