// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// A watch ends after five to ten minutes, so that agents do not cling to one of several
	// API servers.
	shortestWatch = 5 * time.Minute
	// watchGrace is what an API server may take longer than it was asked to.
	watchGrace = 30 * time.Second
)

// follower keeps a copy of the objects of one path: it lists them, and watches what
// changes, until the context ends. What was read stays when the API server is away.
type follower[T any] struct {
	client *Client
	path   string
	query  url.Values
	// accept and acceptList are the media types of an object and of a list.
	accept, acceptList string
	// metadata of an object.
	metadata func(*T) *metav1.ObjectMeta
	// list takes all objects; set and remove take one.
	list   func([]T)
	set    func(*T)
	remove func(*T)
	log    logr.Logger

	version string
}

// run follows until the context ends.
func (f *follower[T]) run(ctx context.Context) {
	var wait backoff
	for ctx.Err() == nil {
		err := f.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			wait.reset()
			// The API server ended the watch, as it was asked to, or because it ends itself: in
			// that case all agents notice at once.
			sleep(ctx, chance(firstWait))
			continue
		}
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			f.version = "" // too old to go on from: read all again
		}
		d := wait.next(err)
		f.log.Info("Reading the API server failed; what was read before stays in force", "path", f.path, "error", err.Error(), "again", d.String())
		sleep(ctx, d)
	}
}

// once reads all, unless there is a version to go on from, and watches.
func (f *follower[T]) once(ctx context.Context) error {
	if f.version == "" {
		if err := f.readAll(ctx); err != nil {
			return err
		}
	}
	return f.watch(ctx)
}

func (f *follower[T]) readAll(ctx context.Context) error {
	var list struct {
		metav1.ListMeta `json:"metadata"`
		Items           []T `json:"items"`
	}
	query := maps.Clone(f.query)
	if query == nil {
		query = url.Values{}
	}
	query.Set("resourceVersion", "0") // what the API server holds in memory is good enough
	if err := f.client.do(ctx, request{method: http.MethodGet, path: f.path, query: query, accept: f.acceptList}, &list); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	f.list(list.Items)
	f.version = list.ResourceVersion
	return nil
}

// watchEvent is one line of a watch.
type watchEvent struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

func (f *follower[T]) watch(ctx context.Context) error {
	length := shortestWatch + chance(shortestWatch)
	ctx, cancel := context.WithTimeout(ctx, length+watchGrace)
	defer cancel()
	query := maps.Clone(f.query)
	if query == nil {
		query = url.Values{}
	}
	query.Set("watch", "true")
	query.Set("allowWatchBookmarks", "true")
	query.Set("resourceVersion", f.version)
	query.Set("timeoutSeconds", strconv.Itoa(int(length.Seconds())))
	body, err := f.client.open(ctx, request{method: http.MethodGet, path: f.path, query: query, accept: f.accept})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer body.Close() //nolint:errcheck // nothing was written
	for decoder := json.NewDecoder(body); ; {
		var event watchEvent
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if err := f.take(event); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
}

func (f *follower[T]) take(event watchEvent) error {
	if event.Type == "ERROR" {
		var status metav1.Status
		if err := json.Unmarshal(event.Object, &status); err != nil {
			return fmt.Errorf("read error: %w", err)
		}
		return &apierrors.StatusError{ErrStatus: status}
	}
	o := new(T)
	if err := json.Unmarshal(event.Object, o); err != nil {
		f.version = ""
		return fmt.Errorf("read object: %w", err)
	}
	switch event.Type {
	case "ADDED", "MODIFIED":
		f.set(o)
	case "DELETED":
		f.remove(o)
	case "BOOKMARK":
	default:
		return fmt.Errorf("event of type %q", event.Type)
	}
	f.version = f.metadata(o).ResourceVersion
	return nil
}
