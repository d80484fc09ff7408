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
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

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
	log := logr.FromSlogHandler(slog.NewJSONHandler(stderr, nil))
	klog.SetLogger(log)
	settings, err := o.settings()
	if err != nil {
		return badInput{err}
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return badInput{fmt.Errorf("find the API server: %w; set KUBECONFIG or run inside a cluster", err)}
	}
	config.UserAgent = "seccomp-controller/" + version()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	return once(ctx, client, settings, log)
}

// once does what there is to do now.
func once(ctx context.Context, client kubernetes.Interface, settings *v1alpha1.ControllerConfig, log logr.Logger) error {
	if settings.Certificate == nil {
		log.Info("Nothing to do: the configuration has no certificate")
		return nil
	}
	certificate := controller.Certificate{Client: client, Config: *settings.Certificate, Log: log}
	return certificate.Ensure(ctx)
}

// version is what the build says of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v0.1.0-dev"
}
