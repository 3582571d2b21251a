package adminsummary

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/messagestore"
)

// Stream is what is known of one stream.
type Stream struct {
	Stream   messagestore.Stream
	Category messagestore.Category
	// Messages is how many it has.
	Messages int64
	// LastType, LastPosition (global) and LastAt (UTC) are those of its last message.
	LastType     string
	LastPosition int64
	LastAt       time.Time
}

// Category is what is known of one category.
type Category struct {
	Category          messagestore.Category
	Streams, Messages int64
	// LastPosition (global) and LastAt (UTC) are those of its last message.
	LastPosition int64
	LastAt       time.Time
}

// Totals are sums over all categories.
type Totals struct{ Messages, Streams, Categories int64 }

// Type is how many messages of a type there are in a category with one version of the form.
type Type struct {
	// Key tells it from all others; a UUID.
	Key      string
	Type     string
	Category messagestore.Category
	// SchemaVersion is that of the metadata; 1 where it says none.
	SchemaVersion int
	Messages      int64
	// LastPosition (global) and LastAt (UTC) are those of the last one.
	LastPosition int64
	LastAt       time.Time
}

// User is what is known of what a person did.
type User struct {
	ID string
	// RegisteredAt is zero for somebody of whom no registration is known.
	RegisteredAt time.Time
	// RegisteredPosition is the global position of the registration.
	RegisteredPosition int64
	// Messages are those written on the person's behalf.
	Messages, Viewings, SignIns int64
	// LastAt is when the last of them was, in UTC.
	LastAt time.Time
}

// Page is a part of a list that has the newest first, by a global position.
type Page struct {
	// Before leaves only what is below a position; 0 begins with the newest.
	Before int64
	// After, where it is not 0, leaves only what is above a position, and takes what is
	// nearest to it.
	After int64
	// Limit is the greatest number of rows; 0 is 50.
	Limit int
}

// ErrNotFound is returned for a stream or a person of whom nothing is known.
var ErrNotFound = errors.New("nothing is known of it")

// Queries reads the summary.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// Version returns the version of the view data.
func (q Queries) Version(ctx context.Context) (version int64, err error) {
	err = q.views.QueryRow(ctx, `SELECT version FROM checkpoint WHERE name = '`+Name+`'`).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("version of the summary: %w", err)
	}
	return version, nil
}

// Streams returns streams, those with the newest messages first: of one category, or of
// all where it is empty.
func (q Queries) Streams(ctx context.Context, category messagestore.Category, p Page) ([]Stream, error) {
	if !isText(string(category)) {
		return nil, nil
	}
	from := `SELECT stream, category, messages, last_type, last_position, last_at FROM admin_streams`
	if category == "" {
		return page[Stream](ctx, q, from, ``, `last_position`, p)
	}
	// Compared as a row and not by equality, and ordered by both columns: else the planner
	// walks another index past all other categories when it expects to find enough there.
	key := `("left"(category, 200), last_position)`
	if p.After != 0 {
		from += ` WHERE ` + key + ` > ("left"($1, 200), $2::bigint) AND "left"(category, 200) <= "left"($1, 200) AND category = $1
			ORDER BY "left"(category, 200), last_position LIMIT $3`
	} else {
		from += ` WHERE ` + key + ` < ("left"($1, 200), $2::bigint) AND "left"(category, 200) >= "left"($1, 200) AND category = $1
			ORDER BY "left"(category, 200) DESC, last_position DESC LIMIT $3`
	}
	return read[Stream](ctx, q, from, p, string(category))
}

// Stream returns one stream. It fails with [ErrNotFound].
func (q Queries) Stream(ctx context.Context, name messagestore.Stream) (Stream, error) {
	if !isText(string(name)) {
		return Stream{}, ErrNotFound
	}
	return one[Stream](ctx, q, `SELECT stream, category, messages, last_type, last_position, last_at FROM admin_streams WHERE stream = $1`, string(name))
}

// With returns the streams of all categories that have an id, those with the newest messages
// first.
func (q Queries) With(ctx context.Context, id string) ([]Stream, error) {
	if !isText(id) {
		return nil, nil
	}
	return list[Stream](ctx, q, `
		SELECT s.stream, s.category, s.messages, s.last_type, s.last_position, s.last_at
		FROM admin_categories c JOIN admin_streams s ON s.stream = c.category || '-' || $1::text
		ORDER BY s.last_position DESC`, id)
}

const categories = `SELECT category, streams, messages, last_position, last_at FROM admin_categories`

// Categories returns categories by their names, those after one, up to a number.
func (q Queries) Categories(ctx context.Context, after string, limit int) ([]Category, error) {
	if !isText(after) {
		return nil, nil
	}
	// An empty name is one as well, and the first.
	return list[Category](ctx, q, categories+` WHERE category > $1 OR $1 = '' ORDER BY category LIMIT $2`, after, limit)
}

// Category returns one category. It fails with [ErrNotFound].
func (q Queries) Category(ctx context.Context, name messagestore.Category) (Category, error) {
	if !isText(string(name)) {
		return Category{}, ErrNotFound
	}
	return one[Category](ctx, q, categories+` WHERE category = $1`, string(name))
}

// Totals returns the sums over all categories.
func (q Queries) Totals(ctx context.Context) (Totals, error) {
	return one[Totals](ctx, q, `SELECT coalesce(sum(messages), 0)::bigint, coalesce(sum(streams), 0)::bigint, count(*) FROM admin_categories`)
}

// Types returns types by category, name and version, those after the one with a key, up
// to a number. Without a key it begins with the first; after a key that there is not, there
// are none.
func (q Queries) Types(ctx context.Context, key string, limit int) ([]Type, error) {
	from, args := `SELECT key::text, type, category, schema_version, messages, last_position, last_at FROM admin_types`, []any{limit}
	switch {
	case key != "" && !messagestore.ValidID(key):
		return nil, nil
	case key != "":
		from += ` WHERE (category, type, schema_version) > (SELECT category, type, schema_version FROM admin_types WHERE key = $2)`
		args = append(args, key)
	}
	return list[Type](ctx, q, from+` ORDER BY category, type, schema_version LIMIT $1`, args...)
}

const users = `SELECT user_id::text, coalesce(registered_at, '0001-01-01Z'), coalesce(registered_position, 0), messages, viewings, sign_ins, last_at FROM admin_users`

// Users returns people who have registered, the newest first.
func (q Queries) Users(ctx context.Context, p Page) ([]User, error) {
	return page[User](ctx, q, users, `registered_position IS NOT NULL AND `, `registered_position`, p)
}

// User returns one person. It fails with [ErrNotFound].
func (q Queries) User(ctx context.Context, id string) (User, error) {
	if !messagestore.ValidID(id) {
		return User{}, ErrNotFound
	}
	return one[User](ctx, q, users+` WHERE user_id = $1`, id)
}

func page[T any](ctx context.Context, q Queries, from, which, key string, p Page) ([]T, error) {
	if p.After != 0 {
		from += ` WHERE ` + which + key + ` > $1 ORDER BY ` + key + ` LIMIT $2`
	} else {
		from += ` WHERE ` + which + key + ` < $1 ORDER BY ` + key + ` DESC LIMIT $2`
	}
	return read[T](ctx, q, from, p)
}

func read[T any](ctx context.Context, q Queries, sql string, p Page, args ...any) ([]T, error) {
	bound := cmp.Or(p.After, p.Before, math.MaxInt64)
	rows, err := list[T](ctx, q, sql, append(args, bound, cmp.Or(p.Limit, 50))...)
	if p.After != 0 {
		slices.Reverse(rows)
	}
	return rows, err
}

func list[T any](ctx context.Context, q Queries, sql string, args ...any) ([]T, error) {
	rows, err := q.views.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the summary: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		return nil, fmt.Errorf("read the summary: %w", err)
	}
	return list, nil
}

func one[T any](ctx context.Context, q Queries, sql string, args ...any) (T, error) {
	rows, err := q.views.Query(ctx, sql, args...)
	if err != nil {
		return *new(T), fmt.Errorf("read the summary: %w", err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[T])
	if errors.Is(err, pgx.ErrNoRows) {
		return row, ErrNotFound
	}
	if err != nil {
		return row, fmt.Errorf("read the summary: %w", err)
	}
	return row, nil
}

// isText reports whether Postgres can hold s.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
