// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type item = metav1.PartialObjectMetadata

// heard is what a follower told.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) say(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *heard) follower(client *Client) *follower[item] {
	return &follower[item]{
		client: client, path: "/items", query: map[string][]string{"fieldSelector": {"metadata.name=a"}}, log: logr.Discard(),
		metadata: func(i *item) *metav1.ObjectMeta { return &i.ObjectMeta },
		list: func(items []item) {
			var names []string
			for i := range items {
				names = append(names, items[i].Name)
			}
			h.say("list %v", names)
		},
		set:    func(i *item) { h.say("set %s", i.Name) },
		remove: func(i *item) { h.say("remove %s", i.Name) },
	}
}

func line(kind, name, version string) string {
	return fmt.Sprintf(`{"type":%q,"object":{"metadata":{"name":%q,"resourceVersion":%q}}}`+"\n", kind, name, version)
}

// TestFollow: a watch goes on where the last one ended, also after the API server was away,
// and everything is read anew only when that is not possible.
func TestFollow(t *testing.T) {
	var h heard
	ctx, stop := context.WithCancel(t.Context())
	list := `{"metadata":{"resourceVersion":"10"},"items":[{"metadata":{"name":"a"}}]}`
	api, client := newAPI(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 0:
			_, _ = w.Write([]byte(list))
		case 1: // ends as it was asked to
			_, _ = w.Write([]byte(line("ADDED", "b", "11") + line("MODIFIED", "b", "12") + line("DELETED", "b", "13") + line("BOOKMARK", "", "20")))
		case 2: // a restart of the API server
			http.Error(w, "", http.StatusServiceUnavailable)
		case 3: // it has forgotten
			status := apierrors.NewResourceExpired("too old").ErrStatus
			_, _ = fmt.Fprintf(w, `{"type":"ERROR","object":{"kind":"Status","code":%d,"reason":%q,"message":"too old"}}`, status.Code, status.Reason)
		case 4:
			_, _ = w.Write([]byte(strings.Replace(list, "10", "30", 1)))
		case 5:
			stop()
			<-r.Context().Done()
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.follower(client).run(ctx)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not come to the end")
	}
	if d := cmp.Diff([]string{"list [a]", "set b", "set b", "remove b", "list [a]"}, h.lines); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
	var got []string
	for _, r := range api.requests() {
		path, query, _ := strings.Cut(r, "?")
		version := ""
		for _, part := range strings.Split(query, "&") {
			if strings.HasPrefix(part, "resourceVersion=") || strings.HasPrefix(part, "watch=") {
				version += " " + part
			}
		}
		got = append(got, path+version)
		if !strings.Contains(query, "fieldSelector=metadata.name%3Da") {
			t.Errorf("%s does not select", r)
		}
	}
	want := []string{
		"GET /items resourceVersion=0", "GET /items resourceVersion=10 watch=true", "GET /items resourceVersion=20 watch=true",
		"GET /items resourceVersion=20 watch=true", "GET /items resourceVersion=0", "GET /items resourceVersion=30 watch=true",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
}

// TestFollowHearsNonsense: an event that is none ends the watch.
func TestFollowHearsNonsense(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"ADDED","object":[1]}`:  "watch: read object: json: cannot unmarshal array into Go value of type v1.PartialObjectMetadata",
		`{"type":"HELLO","object":{}}`:   `watch: event of type "HELLO"`,
		`{"type":"ADDED"`:                "watch: unexpected EOF",
		`{"type":"ERROR","object":"no"}`: "watch: read error: json: cannot unmarshal string into Go value of type v1.Status",
	} {
		_, client := newAPI(t, func(_ int, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
		var h heard
		f := h.follower(client)
		f.version = "1"
		if err := f.once(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
