// Package viewcounts counts views: of each video in the table view_counts and of
// all in view_total. aggregator.go writes them, queries.go reads them, topic.go
// names what changed.
package viewcounts

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
)

// Aggregator projects the category viewing.
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
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: viewingmsg.Category, Tables: []string{"view_counts", "view_total"}, Apply: apply}),
	}
}

// counts is what one batch adds: a thousand views of ten videos are ten rows.
type counts map[string]int64

func (c counts) videoViewed(_ context.Context, m messagestore.Message[viewingmsg.VideoViewed]) error {
	c[m.Data.VideoID]++
	return nil
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	viewed := counts{}
	on := messagestore.On(viewed.videoViewed)
	for _, m := range b.Messages {
		if err := messagestore.Handle(ctx, m, on); err != nil {
			return nil, err
		}
	}
	if len(viewed) == 0 {
		return nil, nil
	}
	var total int64
	videos, added := make([]string, 0, len(viewed)), make([]int64, 0, len(viewed))
	for video, n := range viewed {
		videos, added = append(videos, video), append(added, n)
		topics = append(topics, Topic(video))
		total += n
	}
	var batch pgx.Batch
	batch.Queue(`
		INSERT INTO view_counts AS c (video_id, views, version)
		SELECT video_id, added, $3 FROM unnest($1::uuid[], $2::bigint[]) AS viewed(video_id, added)
		ON CONFLICT (video_id) DO UPDATE SET views = c.views + excluded.views, version = excluded.version`, videos, added, b.Version)
	batch.Queue(`
		INSERT INTO view_total AS t (videos_watched, version) VALUES ($1, $2)
		ON CONFLICT (singleton) DO UPDATE SET videos_watched = t.videos_watched + excluded.videos_watched, version = excluded.version`, total, b.Version)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("add %d views: %w", total, err)
	}
	return append(topics, TotalTopic), nil
}
