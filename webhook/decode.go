// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seccompgate/seccompgate/webhook/review"
)

// maxBody bounds an AdmissionReview in bytes. The API server takes objects of up to 3 MiB
// and sends the old one beside the new one; 7 MiB is what other webhooks settled on for
// two of them and the rest.
const maxBody = 7 << 20

// keptBuffer is the largest buffer that goes back into the pool: what one huge review
// needed must not stay for ever.
const keptBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func releaseBuffer(b *bytes.Buffer) {
	if b.Cap() <= keptBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// admissionReview is what is read of an AdmissionReview. Its strings are copies: nothing
// in it points into the body.
type admissionReview struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Request    *request `json:"request"`
}

type request struct {
	UID       string `json:"uid"`
	Kind      gvk    `json:"kind"`
	Resource  gvr    `json:"resource"`
	Sub       string `json:"subResource"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Operation string `json:"operation"`
	UserInfo  struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	} `json:"userInfo"`
	DryRun    bool   `json:"dryRun"`
	Object    object `json:"object"`
	OldObject object `json:"oldObject"`
}

type gvk struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
}

type gvr struct {
	Group    string `json:"group"`
	Resource string `json:"resource"`
}

// object is an object of a request: what decides is read in the same pass as the review,
// and where it stands in the body is kept for the few who need all of it.
type object struct {
	present    bool
	value      review.Object
	start, end int64
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *object) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' {
		return dec.SkipValue()
	}
	o.start = dec.InputOffset()
	if err := json.UnmarshalDecode(dec, &o.value); err != nil {
		return err
	}
	o.present, o.end = true, dec.InputOffset()
	return nil
}

// of returns the object, nil when there is none.
func (o *object) of() *review.Object {
	if !o.present {
		return nil
	}
	return &o.value
}

// text is the object as it stands in the body.
func (o *object) text(body []byte) []byte {
	if !o.present {
		return nil
	}
	// The offset before a value is that of what separates it from its name.
	return bytes.TrimLeft(body[o.start:o.end], ": \t\r\n")
}

// malformed is a request that cannot be answered, with the HTTP status that says so.
type malformed struct {
	status int
	uid    string
	err    error
}

func (m *malformed) Error() string { return m.err.Error() }
func (m *malformed) Unwrap() error { return m.err }

// read reads the body of a request into buf.
func read(r *http.Request, buf *bytes.Buffer) error {
	if r.Method != http.MethodPost {
		return &malformed{status: http.StatusMethodNotAllowed, err: fmt.Errorf("method %s: send an AdmissionReview with POST", r.Method)}
	}
	if r.ContentLength > 0 && r.ContentLength <= maxBody {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	switch {
	case n > maxBody:
		return &malformed{
			status: http.StatusRequestEntityTooLarge, uid: findUID(buf.Bytes()),
			err: fmt.Errorf("body has more than %d bytes; no object that an API server stores is as large", maxBody),
		}
	case err != nil:
		return &malformed{status: http.StatusBadRequest, uid: findUID(buf.Bytes()), err: fmt.Errorf("read body: %w", err)}
	default:
		return nil
	}
}

// decode reads an AdmissionReview in one pass, and again where the scanner is unsure.
func decode(body []byte) (*request, error) {
	review, sure := scan(body)
	var err error
	if !sure {
		review = admissionReview{}
		err = json.Unmarshal(body, &review)
	}
	bad := func(err error) error {
		m := &malformed{status: http.StatusBadRequest, err: err}
		if review.Request != nil {
			m.uid = review.Request.UID
		}
		if m.uid == "" {
			m.uid = findUID(body)
		}
		return m
	}
	if err != nil {
		return nil, bad(fmt.Errorf("decode AdmissionReview: %w", plain(err)))
	}
	switch {
	case review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview":
		return nil, bad(fmt.Errorf("decode AdmissionReview: it is a %q of %q; send an AdmissionReview of admission.k8s.io/v1", review.Kind, review.APIVersion))
	case review.Request == nil:
		return nil, bad(errors.New("decode AdmissionReview: it has no request"))
	case review.Request.UID == "":
		return nil, bad(errors.New("decode AdmissionReview: request.uid is empty"))
	default:
		return review.Request, nil
	}
}

// plain takes the package's name out of a decoder's message.
func plain(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && syntax.Err != nil {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Errorf("%s: %w at byte %d", syntax.JSONPointer, syntax.Err, syntax.ByteOffset)
		}
		return fmt.Errorf("%w at byte %d", syntax.Err, syntax.ByteOffset)
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		cause := semantic.Err
		if cause == nil {
			cause = fmt.Errorf("JSON %s does not fit", kindName(semantic.JSONKind))
		}
		if semantic.JSONPointer == "" {
			return cause
		}
		return fmt.Errorf("%s: %w", semantic.JSONPointer, cause)
	}
	return err
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	default:
		return k.String()
	}
}

// findUID looks for request.uid in a body that is no AdmissionReview, or not all of one.
// It takes one pass, whatever the body is.
func findUID(body []byte) string {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if !enter(dec, "request") || !enter(dec, "uid") || dec.PeekKind() != '"' {
		return ""
	}
	uid, err := dec.ReadToken()
	if err != nil {
		return ""
	}
	return uid.String()
}

// enter goes into the object that comes next, up to the value of a name.
func enter(dec *jsontext.Decoder, name string) bool {
	if dec.PeekKind() != '{' {
		return false
	}
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for {
		t, err := dec.ReadToken()
		switch {
		case err != nil || t.Kind() != '"': // or the object has ended
			return false
		case t.String() == name:
			return true
		case dec.SkipValue() != nil:
			return false
		}
	}
}
