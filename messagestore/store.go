package messagestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	// ErrWrongExpectedVersion is returned by [Store.Write] when the stream is not at
	// the version that [ExpectedVersion] demands. Fetch the entity again and decide
	// again. Message DB checks this before the message's id.
	ErrWrongExpectedVersion = errors.New("wrong expected version")
	// ErrDuplicateID is returned by [Store.Write] when a message with the id of
	// [WithID] is already in the store: what was to be written is already there.
	ErrDuplicateID = errors.New("a message with this id is already in the store")
	// ErrNoMessage is returned by [Store.Last] for a stream without such a message.
	ErrNoMessage = errors.New("no such message")
)

// NoStream is the expected version of a stream that has no message yet.
const NoStream int64 = -1

// pageSize is how many messages one read of a stream fetches.
const pageSize = 1000

// Store reads and writes Message DB. It is safe for concurrent use.
type Store struct {
	pool        *pgxpool.Pool
	writes      sync.Map // *writeCounts by Category
	traceparent func(id, traceID string) string
}

// New returns a store over a pool of connections to the database that Message DB
// is installed in. The connections need "message_store,public" as their
// search_path: Message DB's functions call one another without naming the schema.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Trace has each message that is written say in its metadata in which span that was: f
// returns the W3C trace context for a message's id and trace, or nothing. Without it a
// message that follows another one says what that one said. It stands before the first
// write.
func (s *Store) Trace(f func(id, traceID string) string) { s.traceparent = f }

// WriteOption sets what a write says beyond stream and body.
type WriteOption func(*write)

type write struct {
	id       string
	expected *int64
	metadata Metadata
}

// ExpectedVersion lets the write succeed only if the last message of the stream
// has this position ([NoStream]: there is none). Otherwise it fails with
// [ErrWrongExpectedVersion].
func ExpectedVersion(version int64) WriteOption { return func(w *write) { w.expected = &version } }

// WithID gives the message its id, a UUID; without it the id is random.
func WithID(id string) WriteOption { return func(w *write) { w.id = id } }

// WithMetadata sets the message's metadata.
func WithMetadata(m Metadata) WriteOption { return func(w *write) { w.metadata = m } }

// Follow takes the trace, the user, the correlation and the reply stream of the
// message that caused this one, and names it as the cause.
func Follow[T any](cause Message[T]) WriteOption {
	m := cause.Metadata
	position := cause.Position
	return WithMetadata(Metadata{
		TraceID: m.TraceID, UserID: m.UserID, OriginStreamName: m.OriginStreamName, Traceparent: m.Traceparent,
		CorrelationStreamName: m.CorrelationStreamName, ReplyStreamName: m.ReplyStreamName,
		CausationMessageStreamName: cause.Stream, CausationMessagePosition: &position,
		CausationMessageGlobalPosition: cause.GlobalPosition,
	})
}

// Origin names the stream whose component is waiting for the outcome; it stands after
// [Follow] or [WithMetadata].
func Origin(stream Stream) WriteOption {
	return func(w *write) { w.metadata.OriginStreamName = stream }
}

// Write appends a message to a stream and returns its position in the stream.
// It fails with [ErrWrongExpectedVersion] or [ErrDuplicateID] where the options
// ask for it; after any other error the message may or may not have been written,
// and writing it again with the same id is safe.
func (s *Store) Write(ctx context.Context, stream Stream, body Body, options ...WriteOption) (int64, error) {
	var w write
	for _, option := range options {
		option(&w)
	}
	if w.id == "" {
		w.id = NewID()
	}
	data, err := json.Marshal(body)
	if err != nil {
		return 0, fmt.Errorf("write %s to %s: %w", body.MessageType(), stream, err)
	}
	if v, ok := body.(Versioned); ok && w.metadata.SchemaVersion == 0 {
		w.metadata.SchemaVersion = v.SchemaVersion()
	}
	if s.traceparent != nil {
		if says := s.traceparent(w.id, w.metadata.TraceID); says != "" {
			w.metadata.Traceparent = says
		}
	}
	metadata, err := json.Marshal(w.metadata)
	if err != nil {
		return 0, fmt.Errorf("write %s to %s: %w", body.MessageType(), stream, err)
	}
	var position int64
	err = s.pool.QueryRow(ctx, `SELECT message_store.write_message($1, $2, $3, $4::jsonb, $5::jsonb, $6)`,
		w.id, string(stream), body.MessageType(), string(data), string(metadata), w.expected).Scan(&position)
	if err != nil {
		err = writeError(err)
	}
	s.count(stream.Category(), err)
	if err != nil {
		return 0, fmt.Errorf("write %s to %s: %w", body.MessageType(), stream, err)
	}
	note(ctx, Written{ID: w.id, Stream: stream, Type: body.MessageType(), Position: position, Metadata: w.metadata})
	return position, nil
}

func writeError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if pg.Code == "P0001" && strings.HasPrefix(pg.Message, "Wrong expected version") {
			return fmt.Errorf("%w (%s)", ErrWrongExpectedVersion, pg.Message)
		}
		if pg.Code == "23505" && pg.ConstraintName == "messages_id" {
			return ErrDuplicateID
		}
	}
	return err
}

// Read returns the messages of a stream from a position on, to its end, however
// long it is.
func (s *Store) Read(ctx context.Context, stream Stream, from int64) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		for {
			page, err := s.messages(ctx, `get_stream_messages($1, $2, $3)`, `data`, string(stream), from, pageSize)
			if err != nil {
				yield(Raw{}, fmt.Errorf("read %s from %d: %w", stream, from, err))
				return
			}
			for _, m := range page {
				if !yield(m, nil) {
					return
				}
				from = m.Position + 1
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// Last returns the last message of a stream, or the last of one type where kind
// is not empty. It fails with [ErrNoMessage] where there is none.
func (s *Store) Last(ctx context.Context, stream Stream, kind string) (Raw, error) {
	page, err := s.messages(ctx, `get_last_stream_message($1, nullif($2::varchar, ''))`, `data`, string(stream), kind)
	if err != nil {
		return Raw{}, fmt.Errorf("last message of %s: %w", stream, err)
	}
	if len(page) == 0 {
		return Raw{}, fmt.Errorf("last message of %s: %w", stream, ErrNoMessage)
	}
	return page[0], nil
}

// Version returns the position of the last message of a stream, [NoStream] where
// there is none.
func (s *Store) Version(ctx context.Context, stream Stream) (int64, error) {
	version := NoStream
	err := s.pool.QueryRow(ctx, `SELECT coalesce(message_store.stream_version($1), -1)`, string(stream)).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("version of %s: %w", stream, err)
	}
	return version, nil
}

// Has reports whether a message with this id is in the store.
func (s *Store) Has(ctx context.Context, id string) (has bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM message_store.messages WHERE id = $1::uuid)`, id).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("look for message %s: %w", id, err)
	}
	return has, nil
}

// CategoryQuery narrows [Store.ReadCategory].
type CategoryQuery struct {
	// From is the first global position wanted.
	From int64
	// Limit is the greatest number of messages; 0 is 1,000.
	Limit int
	// Correlation leaves only messages whose correlation stream is of this category.
	Correlation Category
	// Group leaves only the streams of one member of a consumer group.
	Group Group
}

// Group is one slot of a consumer group: the streams of a category are divided
// among its members by their cardinal id. The zero value reads all streams.
type Group struct {
	// Member is the slot, from 0.
	Member int
	// Size is the number of slots.
	Size int
}

// ReadCategory returns messages of all streams of a category in the order of
// their global positions. Message DB lets one transaction at a time write to a
// category, so the messages of one category become visible in that order.
func (s *Store) ReadCategory(ctx context.Context, category Category, q CategoryQuery) ([]Raw, error) {
	if q.Limit == 0 {
		q.Limit = pageSize
	}
	var member, size *int
	if q.Group.Size > 0 {
		member, size = &q.Group.Member, &q.Group.Size
	}
	page, err := s.messages(ctx, `get_category_messages($1, $2, $3, nullif($4::varchar, ''), $5, $6)`, `data`,
		string(category), q.From, q.Limit, string(q.Correlation), member, size)
	if err != nil {
		return nil, fmt.Errorf("read category %s from %d: %w", category, q.From, err)
	}
	return page, nil
}

// head returns the global position of a category's last message, 0 for none; that of the
// last message of all where the category is empty.
func (s *Store) head(ctx context.Context, category Category) (head int64, err error) {
	if category == "" {
		err = s.pool.QueryRow(ctx, `SELECT coalesce(max(global_position), 0) FROM message_store.messages`).Scan(&head)
	} else {
		err = s.pool.QueryRow(ctx, `
			SELECT coalesce((SELECT global_position FROM message_store.messages WHERE message_store.category(stream_name) = $1
				ORDER BY message_store.category(stream_name) DESC, global_position DESC LIMIT 1), 0)`, string(category)).Scan(&head)
	}
	if err != nil {
		return 0, fmt.Errorf("head of %s: %w", category, err)
	}
	return head, nil
}

// messages reads from a function or table of Message DB; data is how the body is asked for.
func (s *Store) messages(ctx context.Context, source, data string, args ...any) ([]Raw, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, stream_name, type, position, global_position, time, `+data+`, metadata FROM message_store.`+source, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Raw, err error) {
		err = row.Scan(&m.ID, &m.Stream, &m.Type, &m.Position, &m.GlobalPosition, &m.Time, (*[]byte)(&m.Data), (*[]byte)(&m.RawMetadata))
		return m, err
	})
}
