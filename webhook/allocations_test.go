// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"strings"
	"testing"
)

// TestAllocations is the gate on what a request may cost: counts of allocations do not
// depend on the machine, times do.
func TestAllocations(t *testing.T) {
	most := map[string]float64{
		PathValidate + "/small": 42, PathValidate + "/medium": 58, PathValidate + "/medium-mixed": 62, PathValidate + "/huge": 180,
		PathValidate + " evaluated/small": 235, PathValidate + " evaluated/medium": 270, PathValidate + " evaluated/medium-mixed": 290, PathValidate + " evaluated/huge": 570,
		PathValidate + " remembered/small": 48, PathValidate + " remembered/medium": 65, PathValidate + " remembered/medium-mixed": 72, PathValidate + " remembered/huge": 190,
		PathMutate + "/small": 42, PathMutate + "/medium": 58, PathMutate + "/medium-mixed": 60, PathMutate + "/huge": 185,
	}
	const evaluated, remembered = " evaluated", " remembered"
	fresh, remembering := benchRig(t), rememberingRig(t)
	for _, path := range []string{PathValidate, PathValidate + evaluated, PathValidate + remembered, PathMutate} {
		for _, size := range sizes {
			t.Run(path+"/"+size.name, func(t *testing.T) {
				r := fresh
				if strings.HasSuffix(path, remembered) {
					r = remembering
				}
				url, what, _ := strings.Cut(path, " ")
				body := benchReview(t, size.containers, size.mixed)
				if what != "" {
					body = doubtful(body)
				}
				c := newCall(t, url, body)
				got := testing.AllocsPerRun(200, func() {
					if status := c.serve(r); status != http.StatusOK {
						t.Fatalf("status %d", status)
					}
				})
				if limit := most[path+"/"+size.name] * allocationFactor; got > limit {
					t.Errorf("%v allocations, want at most %v", got, limit)
				}
				t.Logf("%v allocations", got)
			})
		}
	}
}
