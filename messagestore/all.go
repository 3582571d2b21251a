package messagestore

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
)

// AllReader reads the messages of all categories in the order of their global
// positions, each once and without missing any. Asking for positions greater than
// the last one seen would miss some: positions are given out before the commit, so
// across categories a smaller one can become visible after a greater one.
//
// The reader returns only the contiguous prefix. At a hole it notes which
// transactions hold the lock that every writer of messages holds; when none of
// them is left, whatever is still missing was rolled back and never comes.
//
// It is for audit, export and administration; what follows one category reads
// that category. It is not safe for concurrent use.
type AllReader struct {
	store    *Store
	data     string // how the bodies are asked for
	position int64
	upTo     int64           // the hole and what follows is resolved up to here
	writers  map[string]bool // who could still fill the hole; nil: no hole is being watched
}

// All returns a reader of all messages after a global position (0: from the start).
func (s *Store) All(after int64) *AllReader {
	return &AllReader{store: s, data: `data`, position: after}
}

// WithoutData leaves out the bodies, which may be a megabyte each, and returns the reader.
func (r *AllReader) WithoutData() *AllReader {
	r.data = `NULL::jsonb AS data`
	return r
}

// Position returns the global position up to which everything was read.
func (r *AllReader) Position() int64 { return r.position }

// Next returns further messages, about limit at most. None means that there is nothing
// more yet, or that a transaction is still under way that could come first: ask
// again later.
func (r *AllReader) Next(ctx context.Context, limit int) ([]Raw, error) {
	page, err := r.page(ctx, `messages WHERE global_position > $1 ORDER BY global_position LIMIT $2`, r.position, limit)
	if err != nil {
		return nil, err
	}
	n := 0
	for n < len(page) && page[n].GlobalPosition == r.position+1 {
		r.position++
		n++
	}
	if n > 0 || len(page) == 0 {
		if r.position >= r.upTo {
			r.writers = nil
		}
		return page[:n], nil
	}
	// The locks are read after the page: a writer that appears later takes a greater
	// position than any in the page.
	writing, err := r.writing(ctx)
	if err != nil {
		return nil, err
	}
	if r.writers == nil {
		r.writers, r.upTo = writing, page[len(page)-1].GlobalPosition
	} else {
		for w := range r.writers {
			if !writing[w] {
				delete(r.writers, w)
			}
		}
	}
	if len(r.writers) > 0 {
		return nil, nil
	}
	// A new statement: its snapshot sees what the last of the writers committed.
	page, err = r.page(ctx, `messages WHERE global_position > $1 AND global_position <= $2 ORDER BY global_position`, r.position, r.upTo)
	if err != nil {
		return nil, err
	}
	r.position, r.writers = r.upTo, nil
	return page, nil
}

// settledTries is how often [Store.Settled] looks whether those have ended who were writing.
const settledTries = 20

// Settled returns a global position, at or near the last message's, up to which every message
// there will ever be is there: who begins to follow all messages at it misses none. Where a
// transaction that is writing does not end within about half a second, it is a position
// before the first hole among the last 10,000.
func (s *Store) Settled(ctx context.Context) (int64, error) {
	head, err := s.head(ctx, "")
	if err != nil {
		return 0, err
	}
	// Read after the head: whoever begins to write later takes a greater position.
	r := s.All(head)
	waited, err := r.writing(ctx)
	for try := 0; err == nil && len(waited) > 0 && try < settledTries && ctx.Err() == nil; try++ {
		pause(ctx, time.Duration(try+1)*2*time.Millisecond)
		var writing map[string]bool
		if writing, err = r.writing(ctx); err == nil {
			maps.DeleteFunc(waited, func(w string, _ bool) bool { return !writing[w] })
		}
	}
	if err != nil || len(waited) == 0 {
		return head, err
	}
	err = s.pool.QueryRow(ctx, `
		SELECT coalesce(min(p) - 1, $1) FROM generate_series(greatest($1::bigint - 10000, 1), $1::bigint) AS p
		WHERE NOT EXISTS (SELECT FROM message_store.messages WHERE global_position = p)`, head).Scan(&head)
	if err != nil {
		return 0, fmt.Errorf("look for holes before %d: %w", head, err)
	}
	return head, nil
}

func (r *AllReader) page(ctx context.Context, source string, args ...any) ([]Raw, error) {
	page, err := r.store.messages(ctx, source, r.data, args...)
	if err != nil {
		return nil, fmt.Errorf("read all messages after %d: %w", r.position, err)
	}
	return page, nil
}

func (r *AllReader) writing(ctx context.Context) (map[string]bool, error) {
	rows, err := r.store.pool.Query(ctx, `
		SELECT DISTINCT virtualtransaction FROM pg_locks
		WHERE locktype = 'relation' AND relation = 'message_store.messages'::regclass AND mode = 'RowExclusiveLock' AND granted
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err != nil {
		return nil, fmt.Errorf("who is writing messages: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("who is writing messages: %w", err)
	}
	writing := map[string]bool{}
	for _, id := range ids {
		writing[id] = true
	}
	return writing, nil
}
