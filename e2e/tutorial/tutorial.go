// SPDX-License-Identifier: Apache-2.0

// Package tutorial runs the three experiments of examples/tutorial on a real node: what
// its README tells to do by hand.
package tutorial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// namespace of namespace.yaml.
const namespace = "tutorial"

// Twelve are the calls that nginx makes to serve its page, as the tutorial lists them.
func Twelve() []cluster.Call {
	return []cluster.Call{
		{Name: "accept4", Number: 288},
		{Name: "close", Number: 3},
		{Name: "epoll_ctl", Number: 233},
		{Name: "epoll_wait", Number: 232},
		{Name: "fstat", Number: 5},
		{Name: "openat", Number: 257},
		{Name: "recvfrom", Number: 45},
		{Name: "sendfile", Number: 40},
		{Name: "setsockopt", Number: 54},
		{Name: "stat", Number: 4},
		{Name: "write", Number: 1},
		{Name: "writev", Number: 20},
	}
}

// Tutorial is a cluster that the experiments can be made on.
type Tutorial struct {
	cluster *cluster.Cluster
	dir     string // examples/tutorial
}

// Prepare makes the namespace, copies the profiles to the node, and waits until
// seccompgate knows that they are there.
func Prepare(ctx context.Context, c *cluster.Cluster) (*Tutorial, error) {
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	t := &Tutorial{cluster: c, dir: filepath.Join(root, "examples", "tutorial")}
	if err := t.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare tutorial: %w", err)
	}
	return t, nil
}

func (t *Tutorial) prepare(ctx context.Context) error {
	if _, err := t.cluster.MustKubectl(ctx, "", "apply", "-f", filepath.Join(t.dir, "namespace.yaml")); err != nil {
		return err
	}
	if err := t.cluster.WaitForServiceAccount(ctx, namespace, "default"); err != nil {
		return err
	}
	for _, name := range []string{"audit.json", "violation.json", "fine-grained.json"} {
		content, err := os.ReadFile(filepath.Join(t.dir, "profiles", name))
		if err != nil {
			return err
		}
		if err := t.cluster.Node.WriteFile("var/lib/kubelet/seccomp/profiles/"+name, content); err != nil {
			return err
		}
	}
	return t.waitKnown(ctx)
}

// waitKnown waits until every profile is one that the node has, and no longer a file of
// which nothing is known.
func (t *Tutorial) waitKnown(ctx context.Context) error {
	var last []string
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = nil
		for _, file := range []string{"audit-pod.yaml", "violation-pod.yaml", "finegrained-pod.yaml"} {
			_, answer, err := t.create(ctx, file, true)
			if err != nil {
				return false, err
			}
			last = append(last, answer.Warnings...)
			last = append(last, answer.Message)
		}
		return !strings.Contains(strings.Join(last, " "), "profile-missing"), nil
	})
	if err != nil {
		return fmt.Errorf("wait until seccompgate knows the node's profiles: %w: %q", err, last)
	}
	return nil
}

// Admitted is what the API server said to a pod that it took.
type Admitted struct {
	Pod      *unstructured.Unstructured
	Warnings []string
}

// Audit is the first experiment.
type Audit struct {
	Admitted

	// Page is what nginx answered.
	Page string
	// Calls are those it made to answer, each once, sorted by name.
	Calls []cluster.Call
}

// Audit runs nginx under a profile that logs every call and blocks none, and reads from
// the kernel's audit records which calls it makes to serve a page.
func (t *Tutorial) Audit(ctx context.Context) (*Audit, error) {
	a := &Audit{}
	err := t.run(ctx, "audit-pod.yaml", &a.Admitted)
	if err != nil {
		return nil, err
	}
	address, err := t.waitReady(ctx, a.Pod.GetName())
	if err != nil {
		return nil, err
	}
	// Once before it counts: the container is ready when nginx has only begun to start.
	if _, err := get(ctx, net.JoinHostPort(address, "80")); err != nil {
		return nil, err
	}
	a.Calls, err = t.cluster.Calls(ctx, "/usr/sbin/nginx", func() (err error) {
		a.Page, err = get(ctx, net.JoinHostPort(address, "80"))
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(a.Calls, func(x, y cluster.Call) int { return strings.Compare(x.Name, y.Name) })
	a.Calls = slices.Compact(a.Calls)
	return a, nil
}

// Violation is the second experiment.
type Violation struct {
	Admitted

	// Reason and Message are the kubelet's.
	Reason, Message string
}

// Violation runs a pod under a profile that fails every call. seccompgate warns of it; the
// kubelet finds out by trying.
func (t *Tutorial) Violation(ctx context.Context) (*Violation, error) {
	v := &Violation{}
	if err := t.run(ctx, "violation-pod.yaml", &v.Admitted); err != nil {
		return nil, err
	}
	_, err := t.waitPod(ctx, v.Pod.GetName(), func(p *corev1.Pod) bool {
		for _, s := range p.Status.ContainerStatuses {
			if end := s.LastTerminationState.Terminated; end != nil && s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff" {
				v.Reason, v.Message = end.Reason, end.Message
				return true
			}
		}
		return false
	})
	return v, err
}

// FineGrained is the third experiment.
type FineGrained struct {
	Admitted

	// Page is what the program answered.
	Page string
	// Outside is what a program in the same container says that makes a call which the
	// profile does not name.
	Outside string
}

// FineGrained runs a pod under a profile that allows what its program needs, and makes a
// call there that it does not allow.
func (t *Tutorial) FineGrained(ctx context.Context) (*FineGrained, error) {
	f := &FineGrained{}
	if err := t.run(ctx, "finegrained-pod.yaml", &f.Admitted); err != nil {
		return nil, err
	}
	address, err := t.waitReady(ctx, f.Pod.GetName())
	if err != nil {
		return nil, err
	}
	if f.Page, err = get(ctx, net.JoinHostPort(address, "5678")); err != nil {
		return nil, err
	}
	r, err := t.cluster.Kubectl(ctx, "", "--namespace="+namespace, "exec", f.Pod.GetName(), "--", "/probe", "once")
	if err != nil {
		return nil, err
	}
	if r.Code == 0 {
		return nil, fmt.Errorf("a call outside the profile succeeds: %s", r.Stdout)
	}
	f.Outside = strings.TrimSpace(r.Stdout)
	return f, nil
}

// run makes a pod, which has to be admitted.
func (t *Tutorial) run(ctx context.Context, file string, a *Admitted) error {
	pod, answer, err := t.create(ctx, file, false)
	if err != nil {
		return err
	}
	if !answer.Allowed() {
		return fmt.Errorf("%s: %s", file, answer.Message)
	}
	a.Pod, a.Warnings = pod, answer.Warnings
	return nil
}

func (t *Tutorial) create(ctx context.Context, file string, dryRun bool) (*unstructured.Unstructured, *cluster.Answer, error) {
	objects, err := cluster.ReadObjects(filepath.Join(t.dir, file))
	if err != nil {
		return nil, nil, err
	}
	if len(objects) != 1 {
		return nil, nil, fmt.Errorf("%s has %d objects, want 1", file, len(objects))
	}
	if err := replaceImages(objects[0]); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	answer, err := t.cluster.Send(ctx, cluster.Request{Object: objects[0], Namespace: namespace, DryRun: dryRun})
	return objects[0], answer, err
}

// replaceImages puts images that are on the node in the place of those of a registry.
func replaceImages(pod *unstructured.Unstructured) error {
	local := map[string]string{"nginx:1.29": cluster.NginxImage, "hashicorp/http-echo:1.0": cluster.EchoImage}
	containers, _, err := unstructured.NestedSlice(pod.Object, "spec", "containers")
	if err != nil {
		return err
	}
	for _, c := range containers {
		container, ok := c.(map[string]any)
		if !ok {
			return errors.New("a container is no object")
		}
		image, known := local[fmt.Sprint(container["image"])]
		if !known {
			return fmt.Errorf("image %v is not on the node", container["image"])
		}
		container["image"] = image
	}
	return unstructured.SetNestedSlice(pod.Object, containers, "spec", "containers")
}

// waitReady waits until a pod is ready, and returns its address.
func (t *Tutorial) waitReady(ctx context.Context, name string) (address string, err error) {
	pod, err := t.waitPod(ctx, name, func(p *corev1.Pod) bool {
		return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	})
	if err != nil {
		return "", err
	}
	return pod.Status.PodIP, nil
}

func (t *Tutorial) waitPod(ctx context.Context, name string, done func(*corev1.Pod) bool) (pod *corev1.Pod, err error) {
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		pod, err = t.cluster.Client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && done(pod), err
	})
	if err != nil && pod != nil {
		return nil, fmt.Errorf("wait for pod %s: %w: %+v", name, err, pod.Status.ContainerStatuses)
	}
	return pod, err
}

// get asks for a page as curl does. Programs may listen a moment after their container is
// ready, when it has no probe.
func get(ctx context.Context, address string) (page string, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	var last error
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
		if err != nil {
			return false, err
		}
		response, err := client.Do(request)
		if err != nil {
			last = err
			return false, nil
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s answers %s", address, response.Status)
		}
		page = strings.TrimSpace(string(text))
		return true, err
	})
	if err != nil {
		return "", fmt.Errorf("get page: %w", errors.Join(err, last))
	}
	return page, nil
}
