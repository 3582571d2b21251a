package messagestore

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"
)

// Body is the data of a message. Its type name is stated, never reflected, so
// that renaming a Go type cannot change what is stored.
type Body interface {
	// MessageType returns the type as it is stored: "VideoViewed".
	MessageType() string
}

// Versioned is a [Body] whose form is not the first that its type has had. The version is
// written into the metadata.
type Versioned interface {
	// SchemaVersion counts the forms from 1.
	SchemaVersion() int
}

// Message is one message of the store with its data decoded as T.
type Message[T any] struct {
	// ID is the message's UUID, unique in the whole store.
	ID string
	// Stream is the stream that the message stands in.
	Stream Stream
	// Type is the message's type as it is stored.
	Type string
	// Position counts within the stream, from 0.
	Position int64
	// GlobalPosition counts over all streams, from 1, with holes where a write was
	// rolled back.
	GlobalPosition int64
	// Time is when the transaction that wrote the message began, in UTC.
	Time time.Time
	// Metadata says where the message comes from.
	Metadata Metadata
	// Data is the body.
	Data T
}

// Raw is a message whose body and metadata are still JSON. Reading a million of
// them decodes nothing.
type Raw struct {
	ID             string
	Stream         Stream
	Type           string
	Position       int64
	GlobalPosition int64
	Time           time.Time
	Data           json.RawMessage
	RawMetadata    json.RawMessage
}

// Metadata is what a message says about its origin. The names are those of
// Eventide and of the book; the zero value of a field is left out.
type Metadata struct {
	// TraceID is the same for everything that one request of a person set off.
	TraceID string `json:"traceId,omitempty"`
	// UserID is the person on whose behalf the message was written.
	UserID string `json:"userId,omitempty"`
	// OriginStreamName is the stream whose component is waiting for the outcome.
	OriginStreamName Stream `json:"originStreamName,omitempty"`
	// CorrelationStreamName is the stream that began the work; a category can be
	// read filtered by its category.
	CorrelationStreamName Stream `json:"correlationStreamName,omitempty"`
	// CausationMessageStreamName is the stream of the message that caused this one.
	CausationMessageStreamName Stream `json:"causationMessageStreamName,omitempty"`
	// CausationMessagePosition is the position of the causing message in its stream.
	CausationMessagePosition *int64 `json:"causationMessagePosition,omitempty"`
	// CausationMessageGlobalPosition is the causing message's global position.
	CausationMessageGlobalPosition int64 `json:"causationMessageGlobalPosition,omitempty"`
	// ReplyStreamName is where the sender expects an answer.
	ReplyStreamName Stream `json:"replyStreamName,omitempty"`
	// SchemaVersion is the version of the body's form; 0 and 1 are the first.
	SchemaVersion int `json:"schemaVersion,omitempty"`
	// Traceparent is the W3C trace context of the span that wrote the message.
	Traceparent string `json:"traceparent,omitempty"`
}

// Metadata decodes the message's metadata.
func (r Raw) Metadata() (Metadata, error) {
	var m Metadata
	if len(r.RawMetadata) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(r.RawMetadata, &m); err != nil {
		return m, fmt.Errorf("metadata of %s %s at %d: %w", r.Type, r.Stream, r.Position, err)
	}
	return m, nil
}

// traceID returns the message's trace; empty where it has none.
func (r Raw) traceID() string {
	m, _ := r.Metadata() // what cannot be read names no trace
	return m.TraceID
}

// LogValue names the message and leaves its data out: it may be personal.
func (r Raw) LogValue() slog.Value { return logValue(r.Stream, r.Type, r.Position, r.GlobalPosition) }

// LogValue names the message and leaves its data out: it may be personal.
func (m Message[T]) LogValue() slog.Value {
	return logValue(m.Stream, m.Type, m.Position, m.GlobalPosition)
}

func logValue(s Stream, kind string, position, global int64) slog.Value {
	return slog.GroupValue(slog.String("type", kind), slog.String("stream", string(s)),
		slog.Int64("position", position), slog.Int64("global_position", global))
}

// Decode returns the message with its body decoded as T. Unknown fields are
// ignored, so that a reader keeps working when a newer writer adds one.
func Decode[T any](r Raw) (Message[T], error) {
	m := Message[T]{ID: r.ID, Stream: r.Stream, Type: r.Type, Position: r.Position, GlobalPosition: r.GlobalPosition, Time: r.Time}
	if len(r.Data) > 0 {
		if err := json.Unmarshal(r.Data, &m.Data); err != nil {
			return m, fmt.Errorf("data of %s %s at %d: %w", r.Type, r.Stream, r.Position, err)
		}
	}
	var err error
	m.Metadata, err = r.Metadata()
	return m, err
}

// NewID returns a random UUID (version 4).
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return formatUUID(b, 4)
}

// DeriveID returns the UUID (version 5) of what its parts name. Whoever derives
// the same id twice writes the message once: the store refuses the second with
// [ErrDuplicateID]. A handler derives from the causing message's id, its own name
// and a number; a page from what must count once.
func DeriveID(parts ...string) string {
	h := sha1.New()
	h.Write(derivedNamespace[:])
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p)))) // "a","bc" and "ab","c" differ
		h.Write([]byte{':'})
		h.Write([]byte(p))
	}
	var b [16]byte
	copy(b[:], h.Sum(nil))
	return formatUUID(b, 5)
}

// derivedNamespace is a random UUID chosen once: changing it changes every
// derived id, and with it what counts as already written.
var derivedNamespace = [16]byte{0x8d, 0x0b, 0x5a, 0x0f, 0x3c, 0x52, 0x4f, 0x0e, 0x9a, 0x61, 0x27, 0xd4, 0xc1, 0x7e, 0xb6, 0x35}

func formatUUID(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// ValidID reports whether s is a UUID in its canonical lower-case form.
func ValidID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
