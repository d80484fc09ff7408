// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	kubeSystemAccount = "system:serviceaccount:kube-system:"
	maxUsername       = 1024
)

// Validate says everything that is wrong with a configuration that has its defaults.
func (c *WebhookConfig) Validate() field.ErrorList {
	defaults := field.NewPath("defaults")
	errs := oneOf(c.Defaults.Enforce, Levels(), defaults.Child("enforce"))
	errs = append(errs, oneOf(c.Defaults.Warn, Levels(), defaults.Child("warn"))...)
	errs = append(errs, oneOf(c.Defaults.Audit, Levels(), defaults.Child("audit"))...)
	if c.DefaultProfile != "" && c.DefaultProfile != RuntimeDefaultName {
		errs = append(errs, validateProfileName(c.DefaultProfile, field.NewPath("defaultProfile"))...)
	}

	at := field.NewPath("exemptions")
	errs = append(errs, names(c.Exemptions.Namespaces, at.Child("namespaces"), func(name string, at *field.Path) field.ErrorList {
		return validateExactName(name, "Namespace", validation.IsDNS1123Label, at)
	})...)
	errs = append(errs, names(c.Exemptions.Usernames, at.Child("usernames"), validateUsername)...)
	errs = append(errs, names(c.Exemptions.RuntimeClasses, at.Child("runtimeClasses"), func(name string, at *field.Path) field.ErrorList {
		return validateExactName(name, "RuntimeClass", validation.IsDNS1123Subdomain, at)
	})...)

	errs = append(errs, oneOf(c.MissingProfile, []MissingProfile{MissingOnAny, MissingOnAll}, field.NewPath("missingProfile"))...)
	errs = append(errs, oneOf(c.UnknownNodes, []UnknownNodes{UnknownWarn, UnknownDeny}, field.NewPath("unknownNodes"))...)

	at = field.NewPath("limits")
	errs = append(errs, number(c.Limits.ConcurrentRequests, 1, MaxConcurrentRequests, at.Child("concurrentRequests"))...)
	errs = append(errs, number(c.Limits.WaitingRequests, 1, MaxWaitingRequests, at.Child("waitingRequests"))...)
	if d := c.Limits.Timeout.Duration; d < MinTimeout || d > MaxTimeout {
		errs = append(errs, field.Invalid(at.Child("timeout"), d.String(), fmt.Sprintf("use %s to %s", MinTimeout, MaxTimeout)))
	}
	if n := c.Limits.RememberedDecisions; n != nil {
		errs = append(errs, number(*n, 0, MaxRememberedDecisions, at.Child("rememberedDecisions"))...)
	}
	return errs
}

// names judges each of a list of names, which must differ.
func names(list []string, at *field.Path, check func(string, *field.Path) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for i, name := range list {
		if slices.Contains(list[:i], name) {
			errs = append(errs, field.Duplicate(at.Index(i), shorten(name)))
			continue
		}
		errs = append(errs, check(name, at.Index(i))...)
	}
	return errs
}

// validateExactName refuses patterns by their own message: who can make a namespace can
// make one that a pattern exempts.
func validateExactName(name, kind string, check func(string) []string, at *field.Path) field.ErrorList {
	if strings.ContainsAny(name, "*?") {
		return field.ErrorList{field.Invalid(at, shorten(name), fmt.Sprintf("is a pattern; write the exact name of each %s", kind))}
	}
	return validateName(name, kind, check, at)
}

// validateUsername refuses users whose exemption would be one of everybody, and names
// that no user has.
func validateUsername(name string, at *field.Path) field.ErrorList {
	invalid := func(detail string) field.ErrorList {
		return field.ErrorList{field.Invalid(at, shorten(name), detail)}
	}
	const namespaceInstead = "; exempt the namespaces that need it"
	switch {
	case name == "":
		return field.ErrorList{field.Required(at, "write the name of a user, such as system:serviceaccount:backup:restore")}
	case len(name) > maxUsername:
		return invalid(fmt.Sprintf("has %d bytes; use at most %d", len(name), maxUsername))
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, isControl):
		return invalid("has white space around it or a control character in it; write the exact name")
	case strings.ContainsAny(name, "*?"):
		return invalid("is a pattern; write the exact name of each user")
	case name == "system:nodes" || strings.HasPrefix(name, "system:node:"):
		return invalid("is a node or the group of them; what a kubelet may create is a mirror pod, which is reported and never denied anyway; remove it")
	case isGroup(name):
		return invalid("is a group, and exemptions name users; write the exact name of each user")
	case name == "system:anonymous":
		return invalid("exempting it exempts everybody who does not log in; remove it")
	case name == "system:kube-controller-manager":
		return invalid("exempting it exempts every Deployment, StatefulSet, DaemonSet and Job of the cluster" + namespaceInstead)
	}
	if account, ours := strings.CutPrefix(name, kubeSystemAccount); ours {
		if kind := makesPodsOf(account); kind != "" {
			return invalid(fmt.Sprintf("exempting it exempts every %s of the cluster%s", kind, namespaceInstead))
		}
	}
	return nil
}

// makesPodsOf is the kind of workload whose pods are created, directly or not, by a
// service account of the kube-controller-manager; empty for other accounts.
func makesPodsOf(account string) string {
	switch account {
	case "replicaset-controller", "deployment-controller":
		return "Deployment"
	case "replication-controller":
		return "ReplicationController"
	case "statefulset-controller":
		return "StatefulSet"
	case "daemon-set-controller":
		return "DaemonSet"
	case "job-controller":
		return "Job"
	case "cronjob-controller":
		return "CronJob"
	default:
		return ""
	}
}

// isGroup says whether the name is that of a group which Kubernetes itself knows.
func isGroup(name string) bool {
	switch name {
	case "system:masters", "system:authenticated", "system:unauthenticated", "system:serviceaccounts", "system:bootstrappers",
		"system:monitoring", "kubeadm:cluster-admins":
		return true
	default:
		return strings.HasPrefix(name, "system:serviceaccounts:") || strings.HasPrefix(name, "system:bootstrappers:")
	}
}

// Validate says everything that is wrong with a configuration that has its defaults.
func (c *ControllerConfig) Validate() field.ErrorList {
	if c.Certificate == nil {
		return nil
	}
	at := field.NewPath("certificate")
	errs := validateObjectName(c.Certificate.Secret, "Secret", validation.IsDNS1123Subdomain, at.Child("secret"))
	errs = append(errs, validateObjectName(c.Certificate.Service, "Service", validation.IsDNS1035Label, at.Child("service"))...)
	errs = append(errs, validateName(c.Certificate.Registration, "ValidatingWebhookConfiguration", validation.IsDNS1123Subdomain, at.Child("registration"))...)
	if d := c.Certificate.Validity.Duration; d < MinCertificateValidity {
		return append(errs, field.Invalid(at.Child("validity"), d.String(), fmt.Sprintf("use %s or more", MinCertificateValidity)))
	}
	if d, latest := c.Certificate.RenewAfter.Duration, c.Certificate.latestRenewal(); d < MinCertificateRenewAfter || d > latest {
		errs = append(errs, field.Invalid(at.Child("renewAfter"), d.String(), fmt.Sprintf("use %s to %s, two thirds of the validity", MinCertificateRenewAfter, latest)))
	}
	return errs
}

func validateObjectName(o ObjectName, kind string, check func(string) []string, at *field.Path) field.ErrorList {
	errs := validateName(o.Namespace, "Namespace", validation.IsDNS1123Label, at.Child("namespace"))
	return append(errs, validateName(o.Name, kind, check, at.Child("name"))...)
}

// Validate says everything that is wrong with a configuration that has its defaults.
func (c *AgentConfig) Validate() field.ErrorList {
	var errs field.ErrorList
	if !path.IsAbs(c.Root) || path.Clean(c.Root) != c.Root {
		errs = append(errs, field.Invalid(field.NewPath("root"), shorten(c.Root), `is not an absolute path in its cleaned form; write one such as "/host"`))
	}
	if c.NodeName != "" {
		errs = append(errs, validateName(c.NodeName, "Node", validation.IsDNS1123Subdomain, field.NewPath("nodeName"))...)
	}
	errs = append(errs, atLeast(c.Rehash.Duration, MinRehash, field.NewPath("rehash"))...)
	return append(errs, atLeast(c.Sweep.Duration, MinSweep, field.NewPath("sweep"))...)
}

func atLeast(d, least time.Duration, at *field.Path) field.ErrorList {
	if d < least {
		return field.ErrorList{field.Invalid(at, d.String(), fmt.Sprintf("use %s or more", least))}
	}
	return nil
}
