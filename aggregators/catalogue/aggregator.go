// Package catalogue lists the videos that can be watched, in the table catalogue.
// aggregator.go writes it, queries.go reads it, topic.go names what changed.
package catalogue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

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
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: publishingmsg.Category, Tables: []string{"catalogue"}, Apply: apply}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	c := changes{videos: map[string]*row{}}
	handlers := []messagestore.Handler{
		messagestore.On(c.publishingStarted), messagestore.On(c.playable), messagestore.On(c.published),
		messagestore.On(c.publishingFailed), messagestore.On(c.publishingCanceled),
		messagestore.On(c.named), messagestore.On(c.described), messagestore.On(c.visibilityChanged), messagestore.On(c.deleted),
		messagestore.On(c.captionsAdded), messagestore.On(c.captionsRemoved), messagestore.On(c.chaptersSet), messagestore.On(c.chaptersRemoved),
	}
	for _, m := range b.Messages {
		if err := messagestore.Handle(ctx, m, handlers...); err != nil {
			return nil, err
		}
	}
	if len(c.all) == 0 {
		return nil, nil
	}
	if err := c.read(ctx, tx); err != nil {
		return nil, fmt.Errorf("read %d videos of the catalogue: %w", len(c.videos), err)
	}
	for _, change := range c.all {
		change()
	}
	if err := c.write(ctx, tx, b.Version); err != nil {
		return nil, fmt.Errorf("change %d videos of the catalogue: %w", len(c.videos), err)
	}
	if c.visible {
		topics = append(topics, Topic)
	}
	return topics, nil
}

// state is how far a video has come; the empty one is that of a video that cannot be
// watched yet.
type state string

const (
	playable  state = "playable"
	published state = "published"
	// stopped: the attempt failed or was canceled.
	stopped state = "stopped"
	// deleted: the row stays, so that nothing that comes late makes it anew.
	deleted state = "deleted"
)

// row is one of the table.
type row struct {
	Video
	Milliseconds int64 `json:"duration_ms"`
	State        state `json:"state"`
	Attempt      int   `json:"attempt"` // that State is about
}

// changes are those of one batch.
type changes struct {
	all     []func()
	videos  map[string]*row // that they are about
	visible bool            // one of them is of a video that can be watched, or could be until then
}

func (c *changes) add(videoID string, apply func(*row)) {
	if !messagestore.ValidID(videoID) { // it is no video's
		return
	}
	c.videos[videoID] = newRow(videoID)
	c.all = append(c.all, func() {
		r := c.videos[videoID]
		if r.State == deleted {
			return
		}
		before := r.watchable()
		apply(r)
		c.visible = c.visible || before || r.watchable()
	})
}

func newRow(videoID string) *row {
	return &row{Video: Video{ID: videoID, Visibility: publishingmsg.Public, Captions: []Captions{}}}
}

func (c *changes) read(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT to_jsonb(v) FROM catalogue v WHERE video_id = ANY($1::uuid[])`, slices.Collect(maps.Keys(c.videos)))
	if err != nil {
		return err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[row])
	for _, r := range known {
		c.videos[r.ID] = &r
	}
	return err
}

func (c *changes) write(ctx context.Context, tx pgx.Tx, version int64) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO catalogue (video_id, owner_id, title, description, state, attempt, visibility, duration_ms, width, height,
			source, hls, poster, storyboard, captions, chapters, published_at, published_position, version)
		SELECT video_id, owner_id, title, description, state, attempt, visibility, duration_ms, width, height,
			source, hls, poster, storyboard, captions, chapters, published_at, published_position, $2
		FROM json_populate_recordset(NULL::catalogue, $1)
		ON CONFLICT (video_id) DO UPDATE SET owner_id = excluded.owner_id, title = excluded.title, description = excluded.description,
			state = excluded.state, attempt = excluded.attempt, visibility = excluded.visibility, duration_ms = excluded.duration_ms,
			width = excluded.width, height = excluded.height, source = excluded.source, hls = excluded.hls, poster = excluded.poster,
			storyboard = excluded.storyboard, captions = excluded.captions, chapters = excluded.chapters,
			published_at = excluded.published_at, published_position = excluded.published_position, version = excluded.version`,
		slices.Collect(maps.Values(c.videos)), version)
	return err
}

func (r *row) watchable() bool { return r.State == playable || r.State == published }

// over reports whether an attempt has ended without a video. A worker that has not
// heard of it may still write what it made.
func (r *row) over(attempt int) bool {
	return attempt < r.Attempt || attempt == r.Attempt && r.State == stopped
}

// appear lets a video be watched. It keeps its place in the list while it can be.
func (r *row) appear(s state, attempt int, ownerID string, at time.Time, position int64) {
	r.State, r.Attempt = s, attempt
	if r.OwnerID == "" && messagestore.ValidID(ownerID) {
		r.OwnerID = ownerID
	}
	if r.Position == 0 {
		r.PublishedAt, r.Position = at.UTC(), position
	}
}

// vanish ends an attempt; what it made is gone.
func (r *row) vanish(s state, attempt int) {
	r.State, r.Attempt = s, attempt
	r.Source, r.HLS, r.Poster, r.Storyboard, r.PublishedAt, r.Position = "", "", "", "", time.Time{}, 0
}

func (c *changes) publishingStarted(_ context.Context, m messagestore.Message[publishingmsg.VideoPublishingStarted]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if m.Data.Attempt >= r.Attempt {
			r.vanish("", m.Data.Attempt)
		}
	})
	return nil
}

func (c *changes) playable(_ context.Context, m messagestore.Message[publishingmsg.VideoPlayable]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if r.over(m.Data.Attempt) || r.State == published {
			return
		}
		r.appear(playable, m.Data.Attempt, m.Data.OwnerID, m.Time, m.GlobalPosition)
		r.HLS, r.Poster, r.Milliseconds, r.Width, r.Height = m.Data.HLSURI, m.Data.PosterURI, m.Data.DurationMS, m.Data.Width, m.Data.Height
	})
	return nil
}

func (c *changes) published(_ context.Context, m messagestore.Message[publishingmsg.VideoPublished]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if r.over(m.Data.Attempt) {
			return
		}
		r.appear(published, m.Data.Attempt, m.Data.OwnerID, m.Time, m.GlobalPosition)
		r.Source, r.HLS, r.Poster, r.Storyboard = m.Data.TranscodedURI, m.Data.HLSURI, m.Data.PosterURI, m.Data.StoryboardURI
		r.Milliseconds, r.Width, r.Height = m.Data.DurationMS, m.Data.Width, m.Data.Height
	})
	return nil
}

func (c *changes) publishingFailed(_ context.Context, m messagestore.Message[publishingmsg.VideoPublishingFailed]) error {
	c.add(m.Data.VideoID, func(r *row) { r.stop(m.Data.Attempt) })
	return nil
}

func (c *changes) publishingCanceled(_ context.Context, m messagestore.Message[publishingmsg.VideoPublishingCanceled]) error {
	c.add(m.Data.VideoID, func(r *row) { r.stop(m.Data.Attempt) })
	return nil
}

func (r *row) stop(attempt int) {
	if !r.over(attempt) && r.State != published {
		r.vanish(stopped, attempt)
	}
}

func (c *changes) named(_ context.Context, m messagestore.Message[publishingmsg.VideoNamed]) error {
	c.add(m.Data.VideoID, func(r *row) { r.Title = m.Data.Name })
	return nil
}

func (c *changes) described(_ context.Context, m messagestore.Message[publishingmsg.VideoDescribed]) error {
	c.add(m.Data.VideoID, func(r *row) { r.Description = m.Data.Description })
	return nil
}

func (c *changes) visibilityChanged(_ context.Context, m messagestore.Message[publishingmsg.VisibilityChanged]) error {
	c.add(m.Data.VideoID, func(r *row) { r.Visibility = m.Data.Visibility })
	return nil
}

func (c *changes) deleted(_ context.Context, m messagestore.Message[publishingmsg.VideoDeleted]) error {
	c.add(m.Data.VideoID, func(r *row) {
		*r = *newRow(m.Data.VideoID)
		r.State = deleted
	})
	return nil
}

func (c *changes) captionsAdded(_ context.Context, m messagestore.Message[publishingmsg.CaptionsAdded]) error {
	c.add(m.Data.VideoID, func(r *row) {
		r.Captions = append(without(r.Captions, m.Data.CaptionsID), Captions{m.Data.CaptionsID, m.Data.Language, m.Data.Label, m.Data.URI})
	})
	return nil
}

func (c *changes) captionsRemoved(_ context.Context, m messagestore.Message[publishingmsg.CaptionsRemoved]) error {
	c.add(m.Data.VideoID, func(r *row) { r.Captions = without(r.Captions, m.Data.CaptionsID) })
	return nil
}

func without(all []Captions, id string) []Captions {
	return slices.DeleteFunc(all, func(c Captions) bool { return c.ID == id })
}

func (c *changes) chaptersSet(_ context.Context, m messagestore.Message[publishingmsg.ChaptersSet]) error {
	c.add(m.Data.VideoID, func(r *row) { r.Chapters = m.Data.URI })
	return nil
}

func (c *changes) chaptersRemoved(_ context.Context, m messagestore.Message[publishingmsg.ChaptersRemoved]) error {
	c.add(m.Data.VideoID, func(r *row) { r.Chapters = "" })
	return nil
}
