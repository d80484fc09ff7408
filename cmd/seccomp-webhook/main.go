// SPDX-License-Identifier: Apache-2.0

// Command seccomp-webhook serves the admission webhooks of seccompgate.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/seccompgate/seccompgate/certs"
	"github.com/seccompgate/seccompgate/inventory"
	"github.com/seccompgate/seccompgate/policies"
	"github.com/seccompgate/seccompgate/webhook"
	"github.com/seccompgate/seccompgate/webhook/review"
)

// badInput is what the user has to correct.
type badInput struct{ err error }

func (b badInput) Error() string { return b.err.Error() }
func (b badInput) Unwrap() error { return b.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var bad badInput
	switch {
	case err == nil:
	case errors.As(err, &bad):
		fmt.Fprintln(os.Stderr, "seccomp-webhook:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "seccomp-webhook:", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return badInput{err}
	case o.version:
		_, err := fmt.Fprintln(stdout, "seccomp-webhook", version())
		return err
	}
	handler := slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: slog.Level(-o.verbosity)})
	log := logr.FromSlogHandler(handler)
	slog.SetDefault(slog.New(handler)) // the HTTP server's own words are JSON as well
	klog.SetLogger(log)
	ctrllog.SetLogger(log)
	s, err := newServer(ctx, o, log)
	if err != nil {
		return err
	}
	return s.serve(ctx)
}

// server is everything that is wired together.
type server struct {
	server ctrlwebhook.Server
	// background is what runs beside the server, until the context ends. An error ends
	// everything.
	background []func(context.Context) error
}

// newServer is the whole wiring.
func newServer(ctx context.Context, o options, log logr.Logger) (*server, error) {
	settings, err := o.settings()
	if err != nil {
		return nil, badInput{err}
	}
	metrics := webhook.NewMetrics()
	rules, err := webhook.LoadPolicies(ctx, policies.Options{
		Directory:  o.policies,
		Parameters: map[string]any{"missingProfile": string(settings.MissingProfile)},
		Remember:   *settings.Limits.RememberedDecisions,
	}, metrics, log)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, badInput{fmt.Errorf("%w; name a readable directory with --policies", err)}
	case err != nil:
		return nil, badInput{err}
	}
	s := &server{background: []func(context.Context) error{quietly(rules.Follow)}}

	files, err := o.certificate(log)
	if err != nil {
		return nil, err
	}
	s.background = append(s.background, files.Start)

	store := &inventory.Store{}
	reviewing := review.Config{Policies: rules.Current, Facts: store.Index, Synced: store.Synced, Settings: settings}
	serving := webhook.Options{Policies: rules.Current, Settings: settings, Metrics: metrics, Log: log}
	checks := []webhook.Check{{Name: "certificate", Test: func(context.Context) error { return files.Healthy() }}}
	if o.standalone {
		serving.Namespaces, reviewing.AnyName, err = o.readInventory(store)
		if err != nil {
			return nil, badInput{err}
		}
	} else {
		loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
		config, err := loader.ClientConfig()
		if err != nil {
			return nil, badInput{fmt.Errorf("find the API server: %w; set KUBECONFIG, run inside a cluster, or use --standalone", err)}
		}
		namespace, _, err := loader.Namespace()
		if err != nil {
			return nil, badInput{fmt.Errorf("find the namespace of the agents: %w", err)}
		}
		client, err := newClient(config)
		if err != nil {
			return nil, err
		}
		serving.Namespaces, serving.Pods = store, webhook.APIPods{Client: client.CoreV1().RESTClient()}
		s.background = append(s.background, func(ctx context.Context) error {
			return inventory.Watch(ctx, config, namespace, store, log)
		})
		checks = append(checks, webhook.Check{Name: "inventory", Test: func(context.Context) error {
			if !store.Synced() {
				return errors.New("the nodes and namespaces have not been read yet")
			}
			return nil
		}})
		if o.registration != "" {
			registration := &webhook.Registration{
				Client: client.AdmissionregistrationV1(), Name: o.registration, Verify: files.Verify,
				Exempt: settings.Exemptions.Namespaces, Log: log,
			}
			checks = append(checks, webhook.Check{Name: "registration", Test: registration.Test})
		}
	}
	if err := errors.Join(metrics.Register(inventoryMetrics(store)), metrics.Register(expiryMetric(files))); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if serving.Reviewer, err = review.New(reviewing); err != nil {
		return nil, err
	}
	serving.Ready = webhook.NewReadiness(metrics, log, checks...)
	s.background = append(s.background, quietly(serving.Ready.Watch))
	mux := http.NewServeMux()
	if err := webhook.Register(mux, serving); err != nil {
		return nil, err
	}
	s.server = ctrlwebhook.NewServer(ctrlwebhook.Options{
		Host: o.host(), Port: o.port, WebhookMux: mux,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { certs.ConfigureTLS(c, files) }},
	})
	return s, nil
}

// serve runs the server and everything beside it until the context ends or one of them
// fails.
func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beside sync.WaitGroup
	for _, run := range s.background {
		beside.Go(func() {
			if err := run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	err := s.server.Start(ctx)
	var listening *net.OpError
	if errors.As(err, &listening) && listening.Op == "listen" {
		err = fmt.Errorf("%w; choose another --port or --bind-address", err)
	}
	if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	cancel(nil)
	beside.Wait()
	return err
}

func quietly(run func(context.Context)) func(context.Context) error {
	return func(ctx context.Context) error {
		run(ctx)
		return nil
	}
}

func (o *options) host() string {
	if o.bindAddress == "" && o.standalone {
		return "127.0.0.1"
	}
	return o.bindAddress
}

// certificate opens the serving certificate; without a cluster, one is made.
func (o *options) certificate(log logr.Logger) (*certs.Files, error) {
	if o.standalone {
		if _, err := certs.WriteFiles(o.certDir, certs.Options{DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}); err != nil {
			return nil, badInput{err}
		}
	}
	files, err := certs.NewFiles(filepath.Join(o.certDir, certs.CertificateFile), filepath.Join(o.certDir, certs.KeyFile), certs.FilesOptions{})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, badInput{fmt.Errorf("%w; name a directory that has both with --cert-dir, or have one filled with --standalone", err)}
	case err != nil:
		return nil, badInput{err}
	}
	if note := files.Note(); note != "" {
		log.Info("Certificate is slower than it need be", "note", note)
	}
	return files, nil
}

// noLabels are the namespaces of a webhook without a cluster: each is known, with labels
// only where the inventory gives some.
type noLabels map[string]map[string]string

// NamespaceLabels returns the labels of a namespace.
func (n noLabels) NamespaceLabels(name string) (map[string]string, bool) { return n[name], true }

// readInventory fills the store from a file. Without one nothing is known of the nodes,
// and every well-formed name is that of a profile.
func (o *options) readInventory(store *inventory.Store) (namespaces noLabels, anyName bool, err error) {
	if o.inventory == "" {
		store.Set(inventory.NewIndex(inventory.Objects{}))
		return nil, true, nil
	}
	file, err := os.Open(o.inventory)
	if err != nil {
		return nil, false, fmt.Errorf("read inventory: %w; name a readable file with --inventory", err)
	}
	defer file.Close() //nolint:errcheck // nothing was written
	objects, labels, err := inventory.ReadObjects(file, o.inventory)
	if err != nil {
		return nil, false, err
	}
	store.Set(inventory.NewIndex(objects))
	return labels, false, nil
}

func newClient(config *rest.Config) (*kubernetes.Clientset, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "seccomp-webhook/" + version()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return client, nil
}

// inventoryMetrics counts nodes when it is asked.
func inventoryMetrics(store *inventory.Store) prometheus.Collector {
	return collector{
		desc: prometheus.NewDesc("seccompgate_inventory_nodes", "Nodes by whether their profiles are known.", []string{"state"}, nil),
		collect: func(emit func(float64, ...string)) {
			index := store.Index()
			emit(float64(index.Nodes()-index.Unknown()), "known")
			emit(float64(index.Unknown()), "unknown")
		},
	}
}

func expiryMetric(files *certs.Files) prometheus.Collector {
	return collector{
		desc: prometheus.NewDesc("seccompgate_certificate_expiry_timestamp_seconds", "When the served certificate expires, in seconds since 1970.", []string{"certificate"}, nil),
		collect: func(emit func(float64, ...string)) {
			emit(float64(files.NotAfter().Unix()), "leaf")
		},
	}
}

// collector is a gauge that is computed when it is asked for.
type collector struct {
	desc    *prometheus.Desc
	collect func(emit func(value float64, labels ...string))
}

// Describe implements prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	c.collect(func(value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, value, labels...)
	})
}

// version is what the build says of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "v0.1.0-dev"
}
