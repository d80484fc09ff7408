// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResolve(t *testing.T) {
	var (
		unconfined     = &Ref{Type: Unconfined}
		runtimeDefault = &Ref{Type: RuntimeDefault}
		file           = &Ref{Type: Localhost, Path: "./a.json"}
	)
	for _, tc := range []struct {
		name           string
		pod, container *Ref
		privileged     bool
		want           Effective
	}{
		{"nobody says anything", nil, nil, false, Effective{Ref{}, OriginUnset}},
		{"pod", runtimeDefault, nil, false, Effective{*runtimeDefault, OriginPod}},
		{"container", nil, file, false, Effective{*file, OriginContainer}},
		{"container before pod", runtimeDefault, unconfined, false, Effective{*unconfined, OriginContainer}},
		{"path exactly as written", file, nil, false, Effective{Ref{Type: Localhost, Path: "./a.json"}, OriginPod}},
		{"privileged alone", nil, nil, true, Effective{Ref{Type: Unconfined}, OriginPrivileged}},
		{"privileged before all fields", runtimeDefault, file, true, Effective{Ref{Type: Unconfined}, OriginPrivileged}},
		{"a field without type is a field", runtimeDefault, &Ref{}, false, Effective{Ref{}, OriginContainer}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, Resolve(tc.pod, tc.container, tc.privileged)); d != "" {
				t.Errorf("Resolve (-want +got):\n%s", d)
			}
		})
	}
}

func BenchmarkResolve(b *testing.B) {
	pod, container := &Ref{Type: RuntimeDefault}, &Ref{Type: Localhost, Path: "seccompgate/app.json"}
	b.ReportAllocs()
	for b.Loop() {
		if e := Resolve(pod, container, false); e.Origin != OriginContainer {
			b.Fatal(e)
		}
	}
}

func TestResolveAllocatesNothing(t *testing.T) {
	pod := &Ref{Type: Localhost, Path: "seccompgate/app.json"}
	if n := testing.AllocsPerRun(100, func() { _ = Resolve(pod, nil, false) }); n != 0 {
		t.Errorf("Resolve allocates %v times, want 0", n)
	}
}
