// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"

	"github.com/seccompgate/seccompgate/api/v1alpha1"
	"github.com/seccompgate/seccompgate/inventory"
)

const (
	// profilesCondition is the type of a condition of nodes that are or were held back.
	profilesCondition corev1.NodeConditionType = "SeccompProfilesReady"

	reasonVerified = "ProfilesVerified"
	reasonHeld     = "ProfilesNotVerified"

	// holdPatience is how long a node is held back before that is worth a word: an agent
	// takes some seconds to start and to write.
	holdPatience = 30 * time.Second
	// holdReminder is when it is said again.
	holdReminder = 10 * time.Minute
	// maxLacking bounds the profiles that a message names.
	maxLacking = 5
)

// StartupTaint lets pods on a node once the node has every profile that it is to have. The
// node registers with the taint, and nothing puts it there again.
//
// A node that does not get its profiles stays held back: with the taint it is no node
// that a pod could land on, without it every pod that names the profile would be denied.
// An event and a condition of the node say what it waits for.
type StartupTaint struct {
	Client kubernetes.Interface
	// Facts are what is known of the nodes.
	Facts  *inventory.Store
	Events events.EventRecorder
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	Log logr.Logger

	held map[string]hold
}

// hold is a node that is held back.
type hold struct {
	since, said time.Time
	// why it was said to be.
	why string
}

// Start works until the context ends.
func (s *StartupTaint) Start(ctx context.Context) error {
	return follow(ctx, s.Facts, s.Log, s.sync)
}

// sync looks at all nodes with the taint. It is done when there are none: what is to be
// said of the others is a matter of time.
func (s *StartupTaint) sync(ctx context.Context, index *inventory.Index) (done bool, err error) {
	held := make(map[string]hold)
	var errs []error
	for _, node := range index.Tainted(v1alpha1.NotReadyTaint) {
		why := waitsFor(index, node)
		if why == "" {
			errs = append(errs, s.release(ctx, node))
			continue
		}
		h, known := s.held[node]
		if !known {
			h.since = s.now()
		}
		if s.due(h, why) {
			if err := s.say(ctx, node, why); err != nil {
				errs = append(errs, err)
			} else {
				h.said, h.why = s.now(), why
			}
		}
		held[node] = h
	}
	s.held = held
	return len(held) == 0, errors.Join(errs...)
}

// due says whether it is time to say why a node is held back.
func (s *StartupTaint) due(h hold, why string) bool {
	if h.said.IsZero() {
		return s.now().Sub(h.since) >= holdPatience
	}
	after := holdReminder
	if h.why != why {
		after = holdPatience
	}
	return s.now().Sub(h.said) >= after
}

// waitsFor is why a node is held back, empty when it need not be.
func waitsFor(index *inventory.Index, node string) string {
	lacking := index.Lacking(node)
	switch {
	case !index.Reported(node):
		return "the node has not reported its profiles; see whether seccomp-agent runs on it"
	case len(lacking) == 0:
		return ""
	}
	names := slices.Sorted(maps.Keys(lacking))
	parts := make([]string, 0, maxLacking+1)
	for _, name := range names[:min(len(names), maxLacking)] {
		parts = append(parts, fmt.Sprintf("LocalhostProfile %s is %s: %s", name, lacking[name].State, lacking[name].Reason))
	}
	if more := len(names) - maxLacking; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// release takes the taint away, and no other: the patch fails when another one has come
// into its place.
func (s *StartupTaint) release(ctx context.Context, name string) error {
	node, err := s.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read node %s: %w", name, withRemedy(err))
	}
	var patch []operation
	for i, taint := range slices.Backward(node.Spec.Taints) { // the last first, so that indexes stay right
		if taint.Key == v1alpha1.NotReadyTaint {
			at := fmt.Sprintf("/spec/taints/%d", i)
			patch = append(patch, operation{Op: "test", Path: at, Value: taint}, operation{Op: "remove", Path: at})
		}
	}
	if len(patch) == 0 {
		return nil // somebody was faster, and the index has not heard of it
	}
	text, err := json.Marshal(append([]operation{{Op: "test", Path: "/metadata/uid", Value: node.UID}}, patch...))
	if err != nil {
		return fmt.Errorf("release node %s: %w", name, err)
	}
	if _, err := s.Client.CoreV1().Nodes().Patch(ctx, name, types.JSONPatchType, text, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("release node %s: %w", name, withRemedy(err))
	}
	s.Log.Info("Node has its profiles and takes pods", "node", name)
	s.Events.Eventf(node, nil, corev1.EventTypeNormal, reasonVerified, "Release", "the node has the profiles that it is to have; the taint %s was removed", v1alpha1.NotReadyTaint)
	if i := slices.IndexFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == profilesCondition }); i < 0 {
		return nil // it was never said to be held back
	}
	return s.condition(ctx, node, corev1.ConditionTrue, reasonVerified, "the node has the profiles that it is to have")
}

// operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// say tells people why the node is held back.
func (s *StartupTaint) say(ctx context.Context, name, why string) error {
	node, err := s.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read node %s: %w", name, withRemedy(err))
	}
	s.Log.Info("Node is held back", "node", name, "why", why)
	s.Events.Eventf(node, nil, corev1.EventTypeWarning, reasonHeld, "Hold", "the taint %s stays: %s", v1alpha1.NotReadyTaint, why)
	return s.condition(ctx, node, corev1.ConditionFalse, reasonHeld, why)
}

// condition writes one condition of the node and leaves the kubelet's as they are: the list
// is merged by type.
func (s *StartupTaint) condition(ctx context.Context, node *corev1.Node, status corev1.ConditionStatus, reason, message string) error {
	now := metav1.NewTime(s.now())
	c := corev1.NodeCondition{Type: profilesCondition, Status: status, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now}
	for _, before := range node.Status.Conditions {
		if before.Type == profilesCondition && before.Status == status {
			c.LastTransitionTime = before.LastTransitionTime
		}
	}
	text, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{c}}})
	if err != nil {
		return fmt.Errorf("write condition of node %s: %w", node.Name, err)
	}
	if _, err := s.Client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{}, "status"); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write condition of node %s: %w", node.Name, withRemedy(err))
	}
	return nil
}

func (s *StartupTaint) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}
