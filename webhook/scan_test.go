// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/randfill"

	"github.com/seccompgate/seccompgate/webhook/review"
)

// compareScan wants the scanner to be unsure, or to read what the library reads.
func compareScan(t *testing.T, body []byte) (sure bool) {
	t.Helper()
	got, sure := scan(body)
	if !sure {
		return false
	}
	var want admissionReview
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatalf("the scanner is sure of what the library refuses: %v\n%q", err, body)
	}
	// Where a value begins is told with or without the space before it.
	texts := func(r *admissionReview) (texts []string) {
		if r.Request != nil {
			for _, o := range []*object{&r.Request.Object, &r.Request.OldObject} {
				texts = append(texts, string(o.text(body)))
				o.start, o.end = 0, 0
			}
		}
		return texts
	}
	if diff := cmp.Diff(texts(&want), texts(&got)); diff != "" {
		t.Errorf("texts of the objects (-library +scanner):\n%s", diff)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(object{})); diff != "" {
		t.Errorf("%q (-library +scanner):\n%s", body, diff)
	}
	return true
}

// FuzzScan sends any text; the seeds are texts of which one rule of JSON or another is
// the crux.
func FuzzScan(f *testing.F) {
	for _, size := range sizes {
		f.Add(benchReview(f, size.containers, size.mixed))
	}
	for _, tc := range unsure() {
		f.Add([]byte(tc))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		compareScan(t, body)
		// Most of what a fuzzer makes is cut short before it gets to an object.
		compareScan(t, fmt.Appendf(nil, `{"request":{"uid":"u","object":%s}}`, body))
	})
}

// TestScanMutilated compares what is read of texts that were right before some of their
// bytes were changed.
func TestScanMutilated(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const bytes = "{}[]\":,\\ntu0-.e \x00\x80"
	whole, sure := benchReview(t, 1, false), 0
	const rounds = 5_000
	for range rounds {
		body := slices.Clone(whole)
		for range 1 + random.IntN(2) {
			at, with := random.IntN(len(body)), bytes[random.IntN(len(bytes))]
			switch random.IntN(3) {
			case 0:
				body[at] = with
			case 1:
				body = slices.Insert(body, at, with)
			default:
				body = slices.Delete(body, at, min(at+1+random.IntN(20), len(body)))
			}
		}
		if compareScan(t, body) {
			sure++
		}
		if t.Failed() {
			return
		}
	}
	if sure < rounds/20 || sure > rounds*19/20 {
		t.Errorf("sure of %d of %d texts: neither side is tried enough", sure, rounds)
	}
}

// unsure are texts that are left to the library.
func unsure() []string {
	texts := []string{
		``, `[]`, `7`, `{`, `{}x`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `{"a":1 "b":2}`, `{,}`, `{"":}`,
		`{"a":1,"a":2}`, `{"kind":"a","kind":"b"}`, `{"a":{"b":[{"c":1,"c":1}]}}`, `{"a":1,"\u0061":2}`,
		`{"kind":1}`, `{"kind":[]}`, `{"kind":{}}`, `{"kind":true}`, `{"request":[]}`, `{"request":"a"}`,
		`{"request":{"dryRun":"true"}}`, `{"request":{"dryRun":1}}`, `{"request":{"userInfo":{"groups":"a"}}}`,
		`{"request":{"userInfo":{"groups":["a",]}}}`, `{"request":{"userInfo":{"groups":["a" "b"]}}}`,
		`{"request":{"object":{"metadata":{"labels":{"a":"1","a":"2"}}}}}`,
		`{"request":{"object":{"spec":{"tolerations":[{"tolerationSeconds":1.5}]}}}}`,
		`{"request":{"object":{"spec":{"tolerations":[{"tolerationSeconds":1e400}]}}}}`,
		`{"request":{"object":{"spec":{"affinity":{"nodeAffinity":7}}}}}`,
		strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100),
	}
	for _, v := range []string{
		`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `+1`, `0x1`, `NaN`, `tru`, `nul`, `falsee`, `"`, `"\`, `"\x"`, `"\u12"`, `"\ud800"`, `"\ud800\udc00"`, `"\uD800"`,
		"\"\x00\"", "\"\n\"", "\"\x80\"", "\"\xff\xfe\"", `'a'`, `[1,]`, `[,]`, `[1`, `{"a":[}]`, "\u00a0 1", "\x00",
	} {
		texts = append(texts, `{"a":`+v+`}`, `{"kind":`+v+`}`)
	}
	return texts
}

// TestScanIsUnsure leaves to the library, which knows how to say it, what is wrong and what
// is rare.
func TestScanIsUnsure(t *testing.T) {
	for _, text := range unsure() {
		if _, sure := scan([]byte(text)); sure {
			t.Errorf("sure of %q", text)
		}
	}
}

// TestScanIsSure of all that API servers send: else it would be for nothing.
func TestScanIsSure(t *testing.T) {
	texts := [][]byte{
		[]byte(" {\r\n\t\"kind\" : \"a\\n\\u003c\\\"\u00e4\" , \"x\" : [ ] , \"y\":{ } , \"request\" : null }\n"),
		[]byte(`{"a":[0,-1,1.5,-0.25e+7,1E9,true,false,null,"\u00e4\/\b",{"k:{\"name\":\"a\\\\\"}":1}]}`),
		[]byte(`{"request":{"userInfo":{"groups":[null,""],"username":null},"dryRun":null,"oldObject":null,"object":{"spec":null,"template":null,"metadata":{"labels":null,"annotations":{"a":null}}}}}`),
	}
	for _, size := range sizes {
		texts = append(texts, benchReview(t, size.containers, size.mixed))
	}
	for _, text := range texts {
		if !compareScan(t, text) {
			t.Errorf("unsure of %s", text)
		}
	}
}

// TestScanReadsEveryField fills every field that has a tag.
func TestScanReadsEveryField(t *testing.T) {
	fill := randfill.NewWithSeed(1).NilChance(0).NumElements(2, 2).Funcs(
		func(v *jsontext.Value, _ randfill.Continue) { *v = jsontext.Value(`[{"name":"a"}]`) },
		func(v *string, c randfill.Continue) { *v = fmt.Sprint("s", c.Uint64()) },
		func(v *bool, _ randfill.Continue) { *v = true },
		func(v *int64, _ randfill.Continue) { *v = 300 },
	)
	var o review.Object
	fill.Fill(&o)
	object, err := json.Marshal(&o)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Appendf(nil, `{"apiVersion":"a","kind":"b","request":{"uid":"c","kind":{"group":"d","kind":"e","version":"f"},
		"resource":{"group":"g","resource":"h"},"subResource":"i","name":"j","namespace":"k","operation":"l",
		"userInfo":{"username":"m","groups":["n"],"uid":"o"},"dryRun":true,"object":%s,"oldObject":%s}}`, object, object)
	if !compareScan(t, body) {
		t.Fatalf("unsure of %.2000s", body)
	}
	got, _ := scan(body)
	if diff := cmp.Diff(o, got.Request.Object.value); diff != "" {
		t.Errorf("object (-filled +read):\n%s", diff)
	}
}
