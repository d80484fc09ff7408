// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// requestTimeout bounds every request but a watch.
	requestTimeout = 30 * time.Second
	// maxAnswer in bytes: a list of a thousand profiles of the largest size that the API
	// server stores would be larger, and would not fit the memory of an agent either.
	maxAnswer = 64 << 20
	// maxErrorAnswer in bytes.
	maxErrorAnswer = 64 << 10
)

// Client makes the few requests that an agent makes, as JSON. It is not client-go, whose
// informers alone take as much memory as all of an agent does.
type Client struct {
	http *http.Client
	// base is the URL of the API server, without a slash at its end.
	base string
	// token returns what authenticates the agent; it changes while the agent runs. Empty
	// when the connection itself does.
	token     func() (string, error)
	userAgent string
}

// request is one request to the API server.
type request struct {
	method string
	path   string
	query  url.Values
	// accept is the media type wanted; empty means plain JSON.
	accept string
	// body is sent as JSON unless it is nil.
	body any
}

const (
	mediaJSON = "application/json"
	// mediaMetadata asks for no more of an object than its metadata.
	mediaMetadata     = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	mediaMetadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
)

// do sends a request and decodes the answer into what into points to, unless that is nil.
// What the API server refuses is an error of package apimachinery/pkg/api/errors.
func (c *Client) do(ctx context.Context, r request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := c.open(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // nothing was written
	if into == nil {
		return nil
	}
	limited := &io.LimitedReader{R: body, N: maxAnswer + 1}
	if err := json.NewDecoder(limited).Decode(into); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("more than %d MiB", maxAnswer>>20)
		}
		return fmt.Errorf("read answer to %s %s: %w", r.method, r.path, err)
	}
	return nil
}

// open sends a request; the caller reads and closes the answer.
func (c *Client) open(ctx context.Context, r request) (io.ReadCloser, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept", mediaJSON)
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", mediaJSON)
	}
	token, err := c.token()
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, errors.Join(refusal(r, response), response.Body.Close())
	}
	return response.Body, nil
}

// refusal is what an answer that is no success says.
func refusal(r request, response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorAnswer)) // what came is better than nothing
	var status metav1.Status
	if err := json.Unmarshal(text, &status); err == nil && status.Kind == "Status" && status.Code != 0 {
		return &apierrors.StatusError{ErrStatus: status}
	}
	return apierrors.NewGenericServerResponse(response.StatusCode, r.method, schema.GroupResource{}, r.path, string(text), 0, true)
}
