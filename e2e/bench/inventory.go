// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Sizes of the cluster that is known.
const (
	nodes    = 15_000
	pools    = 10
	profiles = 200
)

// writeInventory describes 15,000 nodes in ten pools with 200 profiles each.
func writeInventory(file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // Close is checked below
	enc := json.NewEncoder(out)
	write := func(v any) {
		if err == nil {
			err = enc.Encode(v)
		}
	}
	type object = map[string]any
	for name, labels := range namespaces {
		write(object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name, "labels": labels}})
	}
	files := make([]object, 0, profiles)
	for i := range profiles {
		files = append(files, object{
			"path": fmt.Sprintf("profiles/shared-%d.json", i), "digest": fmt.Sprintf("sha256:%064x", i), "valid": true,
			"analysis": object{"defaultAction": "SCMP_ACT_ERRNO", "grade": "tight", "architectures": []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}},
		})
	}
	for i := range nodes {
		name := fmt.Sprintf("node-%05d", i)
		write(object{
			"apiVersion": "v1", "kind": "Node",
			"metadata": object{"name": name, "labels": object{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "pool": fmt.Sprint(i % pools)}},
			"status":   object{"nodeInfo": object{"operatingSystem": "linux", "architecture": "amd64"}},
		})
		facts := object{
			"seccompRoot": "/var/lib/kubelet/seccomp", "profiles": files[:2], "architectures": []string{"SCMP_ARCH_X86_64"},
			"runtimes": []object{{"name": "containerd", "version": "2.1.4", "lowLevel": "runc", "lowLevelVersion": "1.3.0"}},
		}
		if i < pools {
			facts["profiles"] = files
		}
		write(object{"apiVersion": "seccompgate.io/v1alpha1", "kind": "SeccompNode", "metadata": object{"name": name}, "facts": facts})
	}
	return errors.Join(err, out.Close())
}
