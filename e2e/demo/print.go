// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seccompgate/seccompgate/e2e/cluster"
)

// width of the text beside a decision: what a terminal of usual size has.
const (
	width  = 100
	indent = "            "
)

// labels of seccompgate on namespaces, in the order of the columns.
var modes = []string{"enforce", "warn", "audit", "profile"}

// printSetting shows what decides: the labels of the namespaces and the files of the nodes.
func (d *demo) printSetting(setting []*unstructured.Unstructured) error {
	heading("Namespaces and nodes")
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "NAMESPACE\tENFORCE\tWARN\tAUDIT\tPROFILE")
	for _, o := range setting {
		if o.GetKind() != "Namespace" {
			continue
		}
		row := []string{o.GetName()}
		for _, m := range modes {
			value := o.GetLabels()["seccompgate.io/"+m]
			if value == "" {
				value = "-"
			}
			row = append(row, value)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Println()
	return printNodes(setting)
}

func printNodes(setting []*unstructured.Unstructured) error {
	sets := map[string][]any{}
	facts := map[string]map[string]any{}
	for _, o := range setting {
		switch o.GetKind() {
		case "ProfileSet":
			sets[o.GetName()], _, _ = unstructured.NestedSlice(o.Object, "profiles")
		case "SeccompNode":
			facts[o.GetName()], _, _ = unstructured.NestedMap(o.Object, "facts")
		}
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "NODE\tPROFILES ON ITS DISK")
	for _, o := range setting {
		if o.GetKind() != "Node" {
			continue
		}
		known, reported := facts[o.GetName()]
		if !reported {
			fmt.Fprintf(t, "%s\tunknown: it has not reported\n", o.GetName())
			continue
		}
		files, _ := known["profiles"].([]any)
		if name, _ := known["profileSet"].(string); name != "" {
			files = sets[name]
		}
		var paths []string
		for _, f := range files {
			if file, ok := f.(map[string]any); ok {
				paths = append(paths, fmt.Sprint(file["path"]))
			}
		}
		for i, line := range wrap(strings.Join(paths, ", "), width-20) {
			name := o.GetName()
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(t, "%s\t%s\n", name, line)
		}
	}
	return t.Flush()
}

// verdict is one word for an answer.
func verdict(o *unstructured.Unstructured, a *cluster.Answer) string {
	switch {
	case !a.Allowed():
		return "DENIED"
	case len(injected(o, a)) > 0:
		return "INJECTED"
	case len(a.Warnings) > 0:
		return "WARNED"
	default:
		return "ADMITTED"
	}
}

func (d *demo) printDecision(e cluster.Example, a *cluster.Answer) {
	o := e.Object
	fmt.Printf("%-10s  %s %s in namespace %s\n", verdict(o, a), strings.ToLower(o.GetKind()), o.GetName(), e.Namespace)
	asked := cluster.Profiles(template(o))
	for _, place := range places(asked) {
		say("asks for", fmt.Sprintf("%s (%s)", asked[place], place))
	}
	for _, request := range requests(o) {
		say("asks for", request)
	}
	if len(asked) == 0 && len(requests(o)) == 0 {
		text := "nothing"
		if name := d.profiles[e.Namespace]; name != "" {
			text += ", in a namespace with the label seccompgate.io/profile=" + name
		}
		say("asks for", text)
	}
	for _, line := range injected(o, a) {
		say("injected", line)
	}
	if !a.Allowed() {
		for i, reason := range reasons(a.Message) {
			if i == 0 {
				say("because", reason)
			} else {
				say("", reason)
			}
		}
	}
	for _, w := range a.Warnings {
		say("warning", strings.TrimPrefix(w, "seccompgate: "))
	}
}

// printPods shows what became of the pods of a Deployment: the controllers make them a
// moment later.
func (d *demo) printPods(ctx context.Context, e cluster.Example, a *cluster.Answer) error {
	want, _, _ := unstructured.NestedInt64(a.Object.Object, "spec", "replicas")
	prefix := e.Object.GetName() + "-"
	var made []corev1.Pod
	var denied string
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		made = nil
		pods, err := d.cluster.Client.CoreV1().Pods(e.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, pod := range pods.Items {
			if strings.HasPrefix(pod.Name, prefix) {
				made = append(made, pod)
			}
		}
		events, err := d.cluster.Client.CoreV1().Events(e.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, event := range events.Items {
			if event.Reason == "FailedCreate" && strings.HasPrefix(event.InvolvedObject.Name, prefix) {
				denied = event.Message
			}
		}
		return denied != "" || len(made) >= int(want), nil
	})
	if err != nil {
		return fmt.Errorf("wait for the pods of deployment %s: %w", e.Object.GetName(), err)
	}
	if denied != "" {
		for i, reason := range reasons(denied) {
			if i == 0 {
				reason = "denied: " + reason
			}
			say("its pods", reason)
		}
		return nil
	}
	for _, pod := range made {
		text := "admitted without a profile"
		if pod.Spec.SecurityContext != nil && pod.Spec.SecurityContext.SeccompProfile != nil {
			p := pod.Spec.SecurityContext.SeccompProfile
			text = "was injected: no profile -> " + string(p.Type)
			if p.LocalhostProfile != nil {
				text += " " + *p.LocalhostProfile
			}
		}
		say("its pods", pod.Name+" "+text)
	}
	return nil
}

// say prints a line of a decision, and goes on under itself when it is long.
func say(what, text string) {
	for i, line := range wrap(text, width-len(indent)-10) {
		if i > 0 {
			what = ""
		}
		fmt.Printf("%s%-9s %s\n", indent, what, line)
	}
}

// template is the pod that an object is or makes.
func template(o *unstructured.Unstructured) *unstructured.Unstructured {
	for _, path := range [][]string{{"spec", "template"}, {"spec", "jobTemplate", "spec", "template"}} {
		if t, found, _ := unstructured.NestedMap(o.Object, path...); found {
			return &unstructured.Unstructured{Object: t}
		}
	}
	return o
}

// places are where profiles stand: the pod first, as it is what containers inherit.
func places(profiles map[string]string) []string {
	return slices.SortedFunc(maps.Keys(profiles), func(a, b string) int {
		if (a == "pod") != (b == "pod") {
			if a == "pod" {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
}

// requests are the labels and annotations of ours that a pod has.
func requests(o *unstructured.Unstructured) []string {
	metadata, _, _ := unstructured.NestedMap(template(o).Object, "metadata")
	var out []string
	for _, field := range []string{"labels", "annotations"} {
		values, _ := metadata[field].(map[string]any)
		keys := slices.Sorted(maps.Keys(values))
		slices.Reverse(keys) // the pod's own before those for containers
		for _, key := range keys {
			if strings.Contains(key, "seccompgate.io/") {
				out = append(out, fmt.Sprintf("%s=%v (%s)", key, values[key], strings.TrimSuffix(field, "s")))
			}
		}
	}
	return out
}

// injected says where the stored object has a profile that the sent one had not.
func injected(o *unstructured.Unstructured, a *cluster.Answer) []string {
	if !a.Allowed() {
		return nil
	}
	before, after := cluster.Profiles(template(o)), cluster.Profiles(template(a.Object))
	var out []string
	for _, place := range places(after) {
		if before[place] != after[place] {
			was := before[place]
			if was == "" {
				was = "no profile"
			}
			out = append(out, fmt.Sprintf("%s: %s -> %s", place, was, after[place]))
		}
	}
	return out
}

// reasons are the findings of a denial, without the API server's words before them.
func reasons(message string) []string {
	_, text, found := strings.Cut(message, "denied the request: ")
	if !found {
		return []string{message}
	}
	return strings.Split(strings.ReplaceAll(text, "; [", "\n["), "\n")
}

// rules are the ids in a message.
func rules(message string) []string {
	var ids []string
	for _, m := range regexp.MustCompile(`\[[a-z-]+\] `).FindAllString(message, -1) {
		ids = append(ids, strings.TrimSpace(m))
	}
	return ids
}

// printAudit shows what the API server's audit log has about the same requests.
func (d *demo) printAudit(ctx context.Context) error {
	heading("The API server's audit log")
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "OBJECT\tDECISION\tFINDINGS")
	for i, e := range d.examples {
		annotations, err := d.cluster.Audited(ctx, d.answers[i].AuditID)
		if err != nil {
			return err
		}
		decision, findings := "-", "-"
		for key, value := range annotations {
			switch _, name, _ := strings.Cut(key, "seccompgate.io/"); name {
			case "decision":
				decision = value
			case "findings":
				findings = value
			}
		}
		if !d.answers[i].Allowed() {
			findings = strings.Join(rules(d.answers[i].Message), ", ") // the event has the message
		}
		for j, line := range wrap(findings, width-50) {
			if j > 0 {
				fmt.Fprintf(t, "\t\t%s\n", line)
				continue
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", e.Namespace+"/"+e.Object.GetName(), decision, line)
		}
	}
	return t.Flush()
}

func (d *demo) printCount() {
	count := map[string]int{}
	for i, e := range d.examples {
		count[verdict(e.Object, d.answers[i])]++
	}
	fmt.Printf("\n%d objects: %d injected, %d admitted as they are, %d admitted with a warning, %d denied.\n",
		len(d.examples), count["INJECTED"], count["ADMITTED"], count["WARNED"], count["DENIED"])
}

// wrap breaks text between words into lines of at most limit characters, where that is
// possible.
func wrap(text string, limit int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > limit {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
