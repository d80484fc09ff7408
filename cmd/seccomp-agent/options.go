// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
)

const usage = `seccomp-agent keeps the profiles of one node: it writes the LocalhostProfiles that the
node is to have, repairs them, and tells which profiles the node really has and how its
kubelet and kernel are set up.

Usage:
  seccomp-agent [--config FILE] [--root DIR] --node-name N
  seccomp-agent --once --root DIR --node-name N [-o yaml|json]
  seccomp-agent --purge --root DIR

What cannot be read is left out, which means unknown, and told on standard error. The API
server is the one of KUBECONFIG, or of the cluster that this runs in.

Flags:
`

// options are the command line, and the file that it names.
type options struct {
	config      v1alpha1.AgentConfig
	file        string
	once        bool
	purge       bool
	output      string
	bindAddress string
	port        int
	version     bool
}

// parseOptions reads the command line; who asks for help finds it on stdout.
func parseOptions(args []string, stdout io.Writer) (options, error) {
	var o options
	var root, nodeName string
	flags := pflag.NewFlagSet("seccomp-agent", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() { fmt.Fprint(stdout, usage, flags.FlagUsages()) }
	flags.BoolVar(&o.once, "once", false, "print what the node would publish, and exit; needs no API server")
	flags.BoolVar(&o.purge, "purge", false, "remove the profiles that seccompgate wrote, also those that pods name, and exit; needs no API server")
	flags.StringVar(&root, "root", "/", "`DIR` that is the node's /")
	flags.StringVar(&nodeName, "node-name", "", "name `N` of the Node object")
	flags.StringVarP(&o.output, "output", "o", "yaml", "`FORMAT` of --once: yaml or json")
	flags.StringVar(&o.file, "config", "", "`FILE` with an AgentConfig; flags outrank it")
	flags.StringVar(&o.bindAddress, "bind-address", "", "`IP` to listen on (default all)")
	flags.IntVar(&o.port, "port", 8080, "port `N` to listen on, without TLS: /healthz, /readyz, /metrics")
	flags.BoolVar(&o.version, "version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w; see seccomp-agent --help", err)
	}
	if o.version {
		return o, nil
	}
	o.config.Default()
	if o.file != "" {
		text, err := os.ReadFile(o.file)
		if err != nil {
			return o, fmt.Errorf("read configuration: %w; name a readable file with --config", err)
		}
		config, err := v1alpha1.LoadAgentConfig(text, o.file)
		if err != nil {
			return o, err
		}
		o.config = *config
	}
	if flags.Changed("root") || o.file == "" {
		o.config.Root = root
	}
	if flags.Changed("node-name") {
		o.config.NodeName = nodeName
	}
	return o, o.validate(flags)
}

func (o *options) validate(flags *pflag.FlagSet) error {
	var errs []error
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q; everything is said by flags, see seccomp-agent --help", flags.Arg(0)))
	}
	if o.once && o.purge {
		errs = append(errs, errors.New("--once and --purge contradict each other; use one"))
	}
	if o.config.Root == "" {
		errs = append(errs, errors.New("--root is empty; name the directory that is the node's /"))
	}
	if o.config.NodeName == "" && !o.purge {
		errs = append(errs, errors.New("--node-name is missing; give the name of the Node object"))
	} else if problems := validation.IsDNS1123Subdomain(o.config.NodeName); o.config.NodeName != "" && len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--node-name %q: no Node can have this name: %s", o.config.NodeName, problems[0]))
	}
	if o.output != "yaml" && o.output != "json" {
		errs = append(errs, fmt.Errorf("--output %q: use yaml or json", o.output))
	}
	if o.port < 1 || o.port > 65535 {
		errs = append(errs, fmt.Errorf("--port %d: use 1 to 65535", o.port))
	}
	return errors.Join(errs...)
}

func (o *options) encode(n *v1alpha1.SeccompNode) ([]byte, error) {
	if o.output == "yaml" {
		return yaml.Marshal(n)
	}
	text, err := json.MarshalIndent(n, "", "  ")
	return append(text, '\n'), err
}
