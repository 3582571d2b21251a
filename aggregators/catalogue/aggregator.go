// Package catalogue lists the videos that can be watched, in the table catalogue.
// aggregator.go writes it, queries.go reads it, topic.go names what changed.
package catalogue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// Aggregator projects the category videoPublishing.
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
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: publishingmsg.Category, Apply: apply}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	c := changes{version: b.Version}
	handlers := []messagestore.Handler{messagestore.On(c.videoPublished), messagestore.On(c.videoNamed), messagestore.On(c.videoDescribed)}
	for _, m := range b.Messages {
		if err := messagestore.Handle(ctx, m, handlers...); err != nil {
			return nil, err
		}
	}
	if c.rows.Len() == 0 {
		return nil, nil
	}
	if err := tx.SendBatch(ctx, &c.rows).Close(); err != nil {
		return nil, fmt.Errorf("change the catalogue: %w", err)
	}
	return []string{Topic}, nil
}

// changes are the statements of one batch, sent in one round trip.
type changes struct {
	version int64
	rows    pgx.Batch
}

func (c *changes) videoPublished(_ context.Context, m messagestore.Message[publishingmsg.VideoPublished]) error {
	// A second VideoPublished is a new rendition: the video keeps its place in the list.
	c.rows.Queue(`
		INSERT INTO catalogue AS c (video_id, source, poster, duration_ms, published_at, published_position, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (video_id) DO UPDATE SET source = excluded.source, poster = excluded.poster, duration_ms = excluded.duration_ms,
			published_at = coalesce(c.published_at, excluded.published_at),
			published_position = coalesce(c.published_position, excluded.published_position), version = excluded.version`,
		m.Data.VideoID, m.Data.TranscodedURI, m.Data.PosterURI, m.Data.DurationMS, m.Time.UTC(), m.GlobalPosition, c.version)
	return nil
}

func (c *changes) videoNamed(_ context.Context, m messagestore.Message[publishingmsg.VideoNamed]) error {
	c.rows.Queue(`
		INSERT INTO catalogue (video_id, title, version) VALUES ($1, $2, $3)
		ON CONFLICT (video_id) DO UPDATE SET title = excluded.title, version = excluded.version`,
		m.Data.VideoID, m.Data.Name, c.version)
	return nil
}

func (c *changes) videoDescribed(_ context.Context, m messagestore.Message[publishingmsg.VideoDescribed]) error {
	c.rows.Queue(`
		INSERT INTO catalogue (video_id, description, version) VALUES ($1, $2, $3)
		ON CONFLICT (video_id) DO UPDATE SET description = excluded.description, version = excluded.version`,
		m.Data.VideoID, m.Data.Description, c.version)
	return nil
}
