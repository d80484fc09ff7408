// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"testing"
)

func load(t testing.TB) *Set {
	t.Helper()
	s, err := Load(t.Context(), Options{Parameters: map[string]any{"missingProfile": "any"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sample(n int) *Input {
	in := &Input{Version: "v1", Kind: "Pod", Operation: "CREATE",
		Annotations: map[string]string{"prometheus.io/scrape": "true", "sidecar.istio.io/status": "x", "kubectl.kubernetes.io/restartedAt": "y"},
		Pod:         Pod{Profile: Declared{Type: "Localhost", LocalhostProfile: "seccompgate/app.json", Origin: "pod", Field: "spec.securityContext.seccompProfile"}},
		Nodes:       Nodes{Eligible: 5, SeccompRoots: []string{"/var/lib/kubelet/seccomp"}},
		Profiles: map[string]*Profile{"seccompgate/app.json": {Valid: true, DefaultAction: "SCMP_ACT_ERRNO", Digests: []string{"sha256:abc"}, ExpectedDigest: "sha256:abc",
			Nodes: ProfileNodes{Eligible: 5, Have: 5}}},
		Parameters: map[string]any{"missingProfile": "any"},
	}
	requested := &Requested{Name: "app", Source: "pod label", Field: "metadata.labels[seccompgate.io/profile]", Known: true, InEffect: true, Type: "Localhost", Path: "seccompgate/app.json"}
	for i := range n {
		in.Containers = append(in.Containers, Container{Name: "container-name", Index: i, Kind: "container", Field: "spec.containers[0]", Image: "registry/x",
			Declared:  Declared{Type: "Localhost", LocalhostProfile: "seccompgate/app.json", Origin: "label", Field: "spec.securityContext.seccompProfile"},
			Profile:   Effective{Type: "Localhost", LocalhostProfile: "seccompgate/app.json", Origin: "label"},
			Requested: requested,
		})
	}
	return in
}

func BenchmarkEvaluate(b *testing.B) {
	s := load(b)
	b.Log(s.reads)
	for _, n := range []int{1, 4} {
		in := sample(n)
		b.Run("", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, err := s.Evaluate(b.Context(), in)
				if err != nil || len(f) != 0 {
					b.Fatal(f, err)
				}
			}
		})
		b.Run("input", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				in.toValue(s.reads, s.parameters)
			}
		})
	}
}

func BenchmarkZ(b *testing.B) {
	s := load(b)
	in := sample(4)
	for b.Loop() {
		s.Evaluate(b.Context(), in)
	}
}
