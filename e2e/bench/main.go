// SPDX-License-Identifier: Apache-2.0

// Command bench compares the webhook with Pod Security Admission's own webhook server over
// HTTPS, in one run and with one core for each: requests per second of pods that were sent
// before, of new ones that have names of their own, of pods that look to the rules unlike
// any before, so that no answer is remembered, and of pods of which both servers have
// something to say, sent before or unlike any before.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

var (
	// Short rounds: a machine that others share changes its speed within seconds, and the
	// ratio is of two measurements side by side.
	duration = flag.Duration("duration", time.Second, "of one measurement")
	rounds   = flag.Int("rounds", 11, "measurements of each kind and server, of which the median counts")
	parallel = flag.Int("parallel", 16, "requests in flight")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// server is one of the two that are compared.
type server struct {
	name        string
	cmd         *exec.Cmd
	connections []*connection
}

func run(ctx context.Context) (err error) {
	if runtime.NumCPU() < 2 {
		return errors.New("two cores are needed: one for the server, one for the load")
	}
	dir, err := os.MkdirTemp("", "seccompgate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	for name, pkg := range map[string]string{"psa": "k8s.io/pod-security-admission/cmd/webhook", "seccomp-webhook": "./cmd/seccomp-webhook"} {
		where := filepath.Join(root, "e2e")
		if name == "seccomp-webhook" {
			where = root
		}
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, name), pkg)
		build.Dir, build.Env = where, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	// Pod Security Admission reads namespaces from an API server.
	c, err := cluster.Start(ctx, cluster.Options{Dir: filepath.Join(dir, "cluster"), Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	for name, labels := range namespaces {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
		if _, err := c.Client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return err
		}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: serviceAccount}}
		if _, err := c.Client.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	inventory := filepath.Join(dir, "inventory.json")
	if err := writeInventory(inventory); err != nil {
		return err
	}

	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(exemptions), 0o600); err != nil {
		return err
	}

	certificate := mkdir(dir, "tls")
	memory, err := shippedEnvironment(filepath.Join(root, "manifests", "base", "webhook", "deployment.yaml"))
	if err != nil {
		return err
	}
	own, err := start(ctx, "seccompgate", "https://127.0.0.1:18444", "/validate?timeout=3s", memory, filepath.Join(dir, "seccomp-webhook"),
		"--standalone", "--port", "18444", "--cert-dir", certificate, "--inventory", inventory, "--config", config)
	if err != nil {
		return err
	}
	defer own.stop()
	// With the same certificate, so that connections cost the same.
	psa, err := start(ctx, "PSA's webhook", "https://127.0.0.1:18443", "/", nil, filepath.Join(dir, "psa"),
		"--kubeconfig", c.Kubeconfig, "--secure-port", "18443", "--bind-address", "127.0.0.1", "--disable-http2-serving",
		"--tls-cert-file", filepath.Join(certificate, "tls.crt"), "--tls-private-key-file", filepath.Join(certificate, "tls.key"))
	if err != nil {
		return err
	}
	defer psa.stop()
	return compare(ctx, c.Client, psa, own)
}

// exemptions are asked of every request, and are of no pod that is sent.
const exemptions = `apiVersion: seccompgate.io/v1alpha1
kind: WebhookConfig
exemptions:
  namespaces: [kube-system, kube-node-lease, monitoring]
  usernames: [system:serviceaccount:backup:restore]
  runtimeClasses: [kata]
`

// shippedEnvironment is the environment that the first container of a Deployment is given in
// plain text. Each server runs as it is shipped; the manifests of the other one set none.
func shippedEnvironment(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the shipped Deployment: %w", err)
	}
	var deployment appsv1.Deployment
	if err := yaml.Unmarshal(text, &deployment); err != nil {
		return nil, fmt.Errorf("read the shipped Deployment: %w", err)
	}
	var env []string
	for _, v := range deployment.Spec.Template.Spec.Containers[0].Env {
		if v.ValueFrom == nil {
			env = append(env, v.Name+"="+v.Value)
		}
	}
	return env, nil
}

func mkdir(parent, name string) string {
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		panic(err) // in a directory of our own
	}
	return dir
}

// start runs a server on the first core and waits until it is ready.
func start(ctx context.Context, name, address, path string, env []string, program string, args ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", "0", program}, args...)...)
	cmd.Env = append(append(os.Environ(), env...), "GOMAXPROCS=1")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, cmd: cmd}
	client, said := newClient(), ""
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		res, err := client.Get(address + "/readyz")
		if err == nil {
			text, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return s, s.connect(ctx, address, path)
			}
			said = res.Status + " " + string(text)
		} else {
			said = err.Error()
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, fmt.Errorf("%s is not ready: %s\n%s", name, said, log.String())
		}
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func newClient() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: tlsConfig()}}
}

func tlsConfig() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} //nolint:gosec // our own servers on the loopback address
}

// connection sends requests without what a client for all purposes adds: with that, the
// load would need more of its core than the server of its own, and be measured in its place.
type connection struct {
	*tls.Conn
	reader *bufio.Reader
	head   string
	answer bytes.Buffer
}

func (s *server) connect(ctx context.Context, address, path string) error {
	u, err := url.Parse(address + path)
	if err != nil {
		return err
	}
	dialer := tls.Dialer{Config: tlsConfig()}
	for range *parallel {
		c, err := dialer.DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return err
		}
		s.connections = append(s.connections, &connection{
			Conn: c.(*tls.Conn), reader: bufio.NewReader(c),
			head: "POST " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUser-Agent: kube-apiserver-admission\r\nContent-Type: application/json\r\nAccept: application/json, */*\r\n",
		})
	}
	return nil
}

// request is the text of a request, as the API server writes it.
func (c *connection) request(body []byte) []byte {
	return fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", c.head, len(body), body)
}

// send sends a request and reads the answer, which must allow, with warnings or without.
func (c *connection) send(request []byte, warned bool) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	c.answer.Reset()
	_, err = c.answer.ReadFrom(res.Body)
	switch {
	case err != nil:
		return err
	case !bytes.Contains(c.answer.Bytes(), []byte(`"allowed":true`)) || bytes.Contains(c.answer.Bytes(), []byte(`"warnings":`)) != warned:
		return fmt.Errorf("%s %.500s", res.Status, c.answer.Bytes())
	}
	return nil
}

// measured is what one measurement gave.
type measured struct {
	perSecond float64
	p99       time.Duration
}

func compare(ctx context.Context, client kubernetes.Interface, psa, own *server) error {
	// The load keeps off the servers' core, as far as one process can.
	if out, err := exec.CommandContext(ctx, "taskset", "-a", "-c", "-p", "1", fmt.Sprint(os.Getpid())).CombinedOutput(); err != nil {
		return fmt.Errorf("taskset: %w\n%s", err, out)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "pods\tserver\trequests/s\tp99\tratio")
	for _, size := range []int{1, 4} {
		for _, kind := range []kind{seenBefore, newNames, unlikeAny, warnedBefore, warnedAnew} {
			body, err := review(ctx, client, size, kind)
			switch {
			case err != nil:
				return err
			case kind != seenBefore && kind != warnedBefore && len(kind.digits(body)) == 0:
				return fmt.Errorf("pods that are %s would all be equal: %s", kind, body)
			}
			results := make(map[*server][]measured)
			var ratios []float64
			for range *rounds {
				for _, s := range []*server{psa, own} {
					m, err := measure(ctx, s, body, kind)
					if err != nil {
						return err
					}
					results[s] = append(results[s], m)
				}
				last := len(ratios)
				ratios = append(ratios, results[own][last].perSecond/results[psa][last].perSecond)
			}
			for _, s := range []*server{psa, own} {
				ratio := 1.0
				if s == own {
					ratio = median(ratios, cmp.Compare)
				}
				m := median(results[s], func(a, b measured) int { return cmp.Compare(a.perSecond, b.perSecond) })
				fmt.Fprintf(w, "%d containers, %.1f KB, %s\t%s\t%.0f\t%.1f ms\t%.2f\n", size, float64(len(body))/1000, kind, s.name, m.perSecond, float64(m.p99.Microseconds())/1000, ratio)
			}
		}
	}
	return w.Flush()
}

func median[T any](all []T, compare func(a, b T) int) T {
	sorted := slices.SortedFunc(slices.Values(all), compare)
	return sorted[len(sorted)/2]
}

var serial atomic.Int64

// measure sends pods to a server for a while, over connections that are kept.
func measure(ctx context.Context, s *server, body []byte, kind kind) (measured, error) {
	var (
		wg        sync.WaitGroup
		lock      sync.Mutex
		latencies []time.Duration
		failed    error
	)
	start := time.Now()
	end := start.Add(*duration)
	for _, c := range s.connections {
		wg.Go(func() {
			own := make([]time.Duration, 0, 1<<14)
			request := c.request(body)
			digits := kind.digits(request)
			var err error
			for begun := time.Now(); err == nil && ctx.Err() == nil && begun.Before(end); {
				if len(digits) > 0 {
					number := fmt.Sprintf("%09d", serial.Add(1))
					for _, d := range digits {
						copy(d, number)
					}
				}
				err = c.send(request, kind.warned())
				done := time.Now()
				own = append(own, done.Sub(begun))
				begun = done
			}
			lock.Lock()
			defer lock.Unlock()
			latencies = append(latencies, own...)
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	if failed = errors.Join(failed, ctx.Err()); failed != nil {
		return measured{}, fmt.Errorf("%s: %w", s.name, failed)
	}
	slices.Sort(latencies)
	return measured{float64(len(latencies)) / time.Since(start).Seconds(), latencies[len(latencies)*99/100]}, nil
}
