// Package adminsummary counts what there is in the message store: streams, categories,
// types with the versions of their form, and what each person has done. aggregator.go
// writes the tables, queries.go reads them, topic.go names what changed.
package adminsummary

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
)

// Aggregator projects all messages.
type Aggregator struct {
	store *messagestore.Store
	views *pgxpool.Pool
}

// New returns the aggregator; views leads to the view data.
func New(store *messagestore.Store, views *pgxpool.Pool) *Aggregator {
	return &Aggregator{store, views}
}

// Subscriptions returns what the aggregator follows.
func (a *Aggregator) Subscriptions() []*messagestore.Subscription {
	return []*messagestore.Subscription{
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{
			Name: Name, Apply: apply, WithoutData: true, Tables: []string{"admin_streams", "admin_categories", "admin_types", "admin_users"},
		}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	c := changes{streams: map[messagestore.Stream]*stream{}, categories: map[messagestore.Category]*category{}, types: map[string]*kind{}, users: map[string]*user{}}
	for _, m := range b.Messages {
		c.add(m)
	}
	var batch pgx.Batch
	batch.Queue(`
		INSERT INTO admin_streams AS s SELECT * FROM json_populate_recordset(NULL::admin_streams, $1)
		ON CONFLICT (stream) DO UPDATE SET messages = s.messages + excluded.messages,
			last_type = CASE WHEN excluded.last_position > s.last_position THEN excluded.last_type ELSE s.last_type END,
			last_at = CASE WHEN excluded.last_position > s.last_position THEN excluded.last_at ELSE s.last_at END,
			last_position = greatest(s.last_position, excluded.last_position)`, inOrder(c.streams))
	batch.Queue(`
		INSERT INTO admin_categories AS c SELECT * FROM json_populate_recordset(NULL::admin_categories, $1)
		ON CONFLICT (category) DO UPDATE SET streams = c.streams + excluded.streams, messages = c.messages + excluded.messages,
			last_at = CASE WHEN excluded.last_position > c.last_position THEN excluded.last_at ELSE c.last_at END,
			last_position = greatest(c.last_position, excluded.last_position)`, inOrder(c.categories))
	batch.Queue(`
		INSERT INTO admin_types AS t SELECT * FROM json_populate_recordset(NULL::admin_types, $1)
		ON CONFLICT (key) DO UPDATE SET messages = t.messages + excluded.messages,
			last_at = CASE WHEN excluded.last_position > t.last_position THEN excluded.last_at ELSE t.last_at END,
			last_position = greatest(t.last_position, excluded.last_position)`, inOrder(c.types))
	topics = []string{StreamsTopic, CategoriesTopic, TypesTopic}
	if len(c.users) > 0 {
		topics = append(topics, UsersTopic)
		batch.Queue(`
			INSERT INTO admin_users AS u SELECT * FROM json_populate_recordset(NULL::admin_users, $1)
			ON CONFLICT (user_id) DO UPDATE SET
				registered_at = coalesce(u.registered_at, excluded.registered_at),
				registered_position = coalesce(u.registered_position, excluded.registered_position),
				messages = u.messages + excluded.messages, viewings = u.viewings + excluded.viewings,
				sign_ins = u.sign_ins + excluded.sign_ins, last_at = greatest(u.last_at, excluded.last_at)`, inOrder(c.users))
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("count %d messages: %w", len(b.Messages), err)
	}
	return topics, nil
}

// inOrder returns the rows by their keys, so that no two transactions wait for each other.
func inOrder[K ~string, V any](rows map[K]V) []V {
	list := make([]V, 0, len(rows))
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		list = append(list, rows[key])
	}
	return list
}

// changes is what the messages of one batch add.
type changes struct {
	streams    map[messagestore.Stream]*stream
	categories map[messagestore.Category]*category
	types      map[string]*kind
	users      map[string]*user
}

type stream struct {
	Stream   messagestore.Stream   `json:"stream"`
	Category messagestore.Category `json:"category"`
	Messages int64                 `json:"messages"`
	LastType string                `json:"last_type"`
	last
}

type category struct {
	Category messagestore.Category `json:"category"`
	Streams  int64                 `json:"streams"`
	Messages int64                 `json:"messages"`
	last
}

type kind struct {
	Key           string                `json:"key"`
	Type          string                `json:"type"`
	Category      messagestore.Category `json:"category"`
	SchemaVersion int                   `json:"schema_version"`
	Messages      int64                 `json:"messages"`
	last
}

type user struct {
	UserID             string     `json:"user_id"`
	RegisteredAt       *time.Time `json:"registered_at"`
	RegisteredPosition *int64     `json:"registered_position"`
	Messages           int64      `json:"messages"`
	Viewings           int64      `json:"viewings"`
	SignIns            int64      `json:"sign_ins"`
	LastAt             time.Time  `json:"last_at"`
}

type last struct {
	Position int64     `json:"last_position"`
	At       time.Time `json:"last_at"`
}

func (c *changes) add(m messagestore.Raw) {
	metadata, err := m.Metadata()
	if err != nil || metadata.SchemaVersion < 1 || metadata.SchemaVersion > 1<<20 { // what another program wrote is counted all the same
		metadata.SchemaVersion = 1
	}
	at := last{m.GlobalPosition, m.Time.UTC()}
	of := m.Stream.Category()

	s := entry(c.streams, m.Stream, stream{Stream: m.Stream, Category: of})
	s.Messages++
	s.LastType, s.last = m.Type, at

	g := entry(c.categories, of, category{Category: of})
	g.Messages++
	g.last = at
	if m.Position == 0 {
		g.Streams++
	}

	key := messagestore.DeriveID(m.Type, string(of), strconv.Itoa(metadata.SchemaVersion))
	k := entry(c.types, key, kind{Key: key, Type: m.Type, Category: of, SchemaVersion: metadata.SchemaVersion})
	k.Messages++
	k.last = at

	if messagestore.ValidID(metadata.UserID) {
		u := entry(c.users, metadata.UserID, user{UserID: metadata.UserID})
		u.Messages++
		u.LastAt = at.At
		if m.Type == (viewingmsg.VideoViewed{}).MessageType() && of == viewingmsg.Category {
			u.Viewings++
		}
	}
	if id := m.Stream.ID(); messagestore.ValidID(id) {
		switch {
		case of == identitymsg.Category && m.Type == (identitymsg.Registered{}).MessageType():
			u := entry(c.users, id, user{UserID: id, LastAt: at.At})
			u.RegisteredAt, u.RegisteredPosition = &at.At, &at.Position
		case of == authenticationmsg.Category && m.Type == (authenticationmsg.UserLoggedIn{}).MessageType():
			u := entry(c.users, id, user{UserID: id})
			u.SignIns++
			u.LastAt = at.At
		}
	}
}

// entry returns the row of a key, a new one where there is none yet.
func entry[K comparable, V any](rows map[K]*V, key K, fresh V) *V {
	if rows[key] == nil {
		rows[key] = &fresh
	}
	return rows[key]
}
