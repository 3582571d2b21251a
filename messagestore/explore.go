package messagestore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
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
	var of any
	key, whole, cut := ``, ``, 64 // how an index begins, what it holds the beginning of, and how much
	switch {
	case q.Stream != "":
		of = string(q.Stream)
	case q.Category != "":
		key, of = `message_store.category(stream_name)`, string(q.Category)
	case q.Type != "":
		whole, cut, of = `type`, 200, q.Type
	case q.TraceID != "":
		whole, of = `metadata ->> 'traceId'`, q.TraceID
	case q.UserID != "":
		whole, of = `metadata ->> 'userId'`, q.UserID
	case q.CausedBy != 0:
		whole, of = `metadata ->> 'causationMessageGlobalPosition'`, strconv.FormatInt(q.CausedBy, 10)
	}
	text, _ := of.(string)
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return nil, nil // Postgres would refuse the question, and holds no such text
	}
	value, which := `$1::text`, ``
	if whole != "" {
		key, value = fmt.Sprintf(`"left"(%s, %d)`, whole, cut), fmt.Sprintf(`"left"($1, %d)`, cut)
		if len(text) >= cut { // only then: it has the planner expect so few that it sorts them
			which = ` AND ` + whole + ` = $1`
		}
	}
	bound := cmp.Or(q.After, q.Before, math.MaxInt64)
	comes, stays, direction := `<`, `>=`, `DESC`
	if q.After != 0 {
		comes, stays, direction = `>`, `<=`, `ASC`
	}
	var where, order string
	args := []any{of, bound, q.Limit}
	switch {
	case q.Stream != "": // its index knows positions in the stream
		from := `(SELECT position FROM message_store.messages WHERE global_position = $2 AND stream_name = $1)`
		if q.Before == 0 && q.After == 0 {
			from = `$2`
		}
		where, order = `stream_name = $1 AND position `+comes+` `+from, `position `+direction
	case of == nil:
		where, order, args = `global_position `+comes+` $1`, `global_position `+direction, args[1:]
	default:
		// Compared as a row and not by equality, and ordered by both columns: else the planner
		// walks the primary key past everything else when it expects to find enough there.
		where = `(` + key + `, global_position) ` + comes + ` (` + value + `, $2) AND ` + key + ` ` + stays + ` ` + value + which
		order = key + ` ` + direction + `, global_position ` + direction
	}
	data := `NULL::jsonb AS data`
	if q.Data {
		data = `data`
	}
	limit := ` LIMIT $` + strconv.Itoa(len(args))
	page, err := s.messages(ctx, `messages WHERE `+where+` ORDER BY `+order+limit, data, args...)
	if err != nil {
		return nil, fmt.Errorf("find messages: %w", err)
	}
	if q.After != 0 {
		slices.Reverse(page)
	}
	return page, nil
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
