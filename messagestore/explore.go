package messagestore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Query says which messages [Store.Find] returns. At most one of the fields up to
// CausedBy is set; without any it is all messages.
type Query struct {
	Stream   Stream
	Category Category
	Type     string
	// TraceID and UserID are those of the metadata.
	TraceID, UserID string
	// CausedBy is the global position of the message that caused those wanted.
	CausedBy int64
	// Before leaves only messages below a global position, the nearest first; 0 begins
	// with the newest there is. In a query for a stream it is a message of that stream.
	Before int64
	// After, where it is not 0, leaves only messages above a global position and returns
	// those nearest to it.
	After int64
	// Limit is the greatest number of messages; 0 is 50.
	Limit int
	// Data says that the bodies are wanted; without it Data of each message is nil: a body
	// may be a megabyte.
	Data bool
}

// Find returns messages, the newest first. It is for people who look around: who must
// not miss a message reads with [Store.ReadCategory] or [Store.All], because a message
// may become visible after one with a greater global position.
//
// Type, trace, user and cause are looked up in indexes that Message DB does not have by
// itself; without them a query reads all messages.
func (s *Store) Find(ctx context.Context, q Query) ([]Raw, error) {
	if q.Limit == 0 {
		q.Limit = 50
	}
	// Each is ordered by all columns of its index, because the planner would otherwise
	// walk the primary key past everything else when it expects to find enough there.
	var which, key string
	var of any
	switch {
	case q.Stream != "":
		which, key, of = `stream_name = $1`, `stream_name`, string(q.Stream)
	case q.Category != "":
		which, key, of = `message_store.category(stream_name) = $1`, `message_store.category(stream_name)`, string(q.Category)
	case q.Type != "":
		which, key, of = `"left"(type, 200) = "left"($1, 200) AND type = $1`, `"left"(type, 200)`, q.Type
	case q.TraceID != "":
		which, key, of = metadataIs("traceId"), metadataKey("traceId"), q.TraceID
	case q.UserID != "":
		which, key, of = metadataIs("userId"), metadataKey("userId"), q.UserID
	case q.CausedBy != 0:
		which, key, of = metadataIs("causationMessageGlobalPosition"), metadataKey("causationMessageGlobalPosition"), fmt.Sprint(q.CausedBy)
	default:
		which, key, of = `$1 = ''`, ``, ""
	}
	if text := fmt.Sprint(of); strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return nil, nil // Postgres would refuse the question, and holds no such text
	}
	at, position := `global_position`, `$2::bigint`
	if q.Stream != "" { // whose index knows positions in the stream
		at, position = `position`, `(SELECT position FROM message_store.messages WHERE global_position = $2 AND stream_name = $1)`
	}
	bound, direction := q.Before, `DESC`
	switch {
	case q.After != 0:
		bound, direction = q.After, `ASC`
		which += ` AND ` + at + ` > ` + position
	case q.Before != 0:
		which += ` AND ` + at + ` < ` + position
	default:
		which += ` AND $2::bigint = 0`
	}
	order := at + ` ` + direction
	if key != "" {
		order = key + ` ` + direction + `, ` + order
	}
	data := `NULL::jsonb AS data`
	if q.Data {
		data = `data`
	}
	page, err := s.messages(ctx, `messages WHERE `+which+` ORDER BY `+order+` LIMIT $3`, data, of, bound, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("find messages: %w", err)
	}
	if q.After != 0 {
		slices.Reverse(page)
	}
	return page, nil
}

func metadataKey(name string) string { return `"left"(metadata ->> '` + name + `', 64)` }

func metadataIs(name string) string {
	return metadataKey(name) + ` = "left"($1, 64) AND metadata ->> '` + name + `' = $1`
}

// ByID returns the message with an id, a UUID. It fails with [ErrNoMessage].
func (s *Store) ByID(ctx context.Context, id string) (Raw, error) {
	if !ValidID(id) {
		return Raw{}, ErrNoMessage
	}
	return s.one(ctx, `messages WHERE id = $1::uuid`, id)
}

// At returns the message at a position of a stream. It fails with [ErrNoMessage].
func (s *Store) At(ctx context.Context, stream Stream, position int64) (Raw, error) {
	return s.one(ctx, `messages WHERE stream_name = $1 AND position = $2`, string(stream), position)
}

func (s *Store) one(ctx context.Context, source string, args ...any) (Raw, error) {
	page, err := s.messages(ctx, source, `data`, args...)
	if err != nil {
		return Raw{}, fmt.Errorf("read a message: %w", err)
	}
	if len(page) == 0 {
		return Raw{}, ErrNoMessage
	}
	return page[0], nil
}

// Head returns the global position of the last message of the store, 0 for none.
func (s *Store) Head(ctx context.Context) (int64, error) { return s.head(ctx, "") }
