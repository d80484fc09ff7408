// SPDX-License-Identifier: Apache-2.0

// Command seccomp-controller writes to the cluster what seccompgate keeps there.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/controller"
)

// badInput is what the user has to correct.
type badInput struct{ err error }

func (b badInput) Error() string { return b.err.Error() }
func (b badInput) Unwrap() error { return b.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "seccomp-controller:", err)
	var bad badInput
	if errors.As(err, &bad) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return badInput{err}
	case o.version:
		_, err := fmt.Fprintln(stdout, "seccomp-controller", version())
		return err
	}
	handler := slog.NewJSONHandler(stderr, nil)
	log := logr.FromSlogHandler(handler)
	slog.SetDefault(slog.New(handler)) // the HTTP server's own words are JSON as well
	klog.SetLogger(log)
	ctrllog.SetLogger(log)
	settings, err := o.settings()
	if err != nil {
		return badInput{err}
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	config, err := loader.ClientConfig()
	if err != nil {
		return badInput{fmt.Errorf("find the API server: %w; set KUBECONFIG or run inside a cluster", err)}
	}
	config.UserAgent = "seccomp-controller/" + version()
	config.QPS = -1 // the API server shares itself out
	if o.once {
		return once(ctx, config, settings, log)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return badInput{fmt.Errorf("find the namespace of the lease: %w", err)}
	}
	return o.serve(ctx, config, namespace, settings, log)
}

// once does what there is to do now.
func once(ctx context.Context, config *rest.Config, settings *v1alpha1.ControllerConfig, log logr.Logger) error {
	if settings.Certificate == nil {
		log.Info("Nothing to do: the configuration has no certificate")
		return nil
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	certificate := controller.Certificate{Client: client, Config: *settings.Certificate, Log: log}
	return certificate.Once(ctx)
}

// version is what the build says of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v0.1.0-dev"
}
