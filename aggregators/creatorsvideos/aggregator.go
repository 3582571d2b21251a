// Package creatorsvideos shows people the videos that they publish, in the table
// creators_videos. aggregator.go writes it, queries.go reads it, topic.go names what
// changed.
package creatorsvideos

import (
	"cmp"
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
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: publishingmsg.Category, Tables: []string{"creators_videos"}, Apply: apply}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	c := changes{videos: map[string]*row{}}
	handlers := []messagestore.Handler{
		messagestore.On(c.uploadBegun), messagestore.On(c.uploadAbandoned),
		messagestore.On(c.publishingStarted), messagestore.On(c.renditionTranscoded), messagestore.On(c.playable), messagestore.On(c.published),
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
		return nil, fmt.Errorf("read %d videos: %w", len(c.videos), err)
	}
	for _, change := range c.all {
		change()
	}
	if err := c.write(ctx, tx); err != nil {
		return nil, fmt.Errorf("change %d videos: %w", len(c.videos), err)
	}
	owners := map[string]bool{}
	for _, r := range c.videos {
		if r.OwnerID != "" && !owners[r.OwnerID] {
			owners[r.OwnerID], topics = true, append(topics, Topic(r.OwnerID))
		}
	}
	return topics, nil
}

// States of videos that nobody is shown.
const (
	abandoned State = "abandoned"
	deleted   State = "deleted"
)

// changes are those of one batch.
type changes struct {
	all    []func()
	videos map[string]*row // that they are about
}

func (c *changes) add(videoID string, apply func(*row)) {
	if !messagestore.ValidID(videoID) { // it is no video's
		return
	}
	c.videos[videoID] = newRow(videoID)
	c.all = append(c.all, func() {
		if r := c.videos[videoID]; r.State != deleted {
			apply(r)
		}
	})
}

func newRow(videoID string) *row {
	return &row{Video: Video{ID: videoID, Visibility: publishingmsg.Public, Renditions: []string{}, Captions: []Captions{}}}
}

func (c *changes) read(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT to_jsonb(v) FROM creators_videos v WHERE video_id = ANY($1::uuid[])`, slices.Collect(maps.Keys(c.videos)))
	if err != nil {
		return err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[row])
	for _, r := range known {
		c.videos[r.ID] = &r
	}
	return err
}

func (c *changes) write(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO creators_videos (video_id, owner_id, title, description, state, visibility, file_name, bytes, reason, attempt,
			duration_ms, width, height, poster, renditions, captions, chapters, begun_at, published_at)
		SELECT video_id, owner_id, title, description, state, visibility, file_name, bytes, reason, attempt,
			duration_ms, width, height, poster, renditions, captions, chapters, begun_at, published_at
		FROM json_populate_recordset(NULL::creators_videos, $1)
		ON CONFLICT (video_id) DO UPDATE SET owner_id = excluded.owner_id, title = excluded.title, description = excluded.description,
			state = excluded.state, visibility = excluded.visibility, file_name = excluded.file_name, bytes = excluded.bytes,
			reason = excluded.reason, attempt = excluded.attempt, duration_ms = excluded.duration_ms, width = excluded.width, height = excluded.height,
			poster = excluded.poster, renditions = excluded.renditions, captions = excluded.captions, chapters = excluded.chapters,
			begun_at = excluded.begun_at, published_at = excluded.published_at`, slices.Collect(maps.Values(c.videos)))
	return err
}

// began notes whose video it is and since when: the first event that says so counts.
func (r *row) began(ownerID string, at time.Time) {
	if r.OwnerID == "" && messagestore.ValidID(ownerID) {
		r.OwnerID = ownerID
	}
	if r.BegunAt.IsZero() {
		r.BegunAt = at.UTC()
	}
}

// over reports whether an attempt has ended without a video. A worker that has not
// heard of it may still write what it made.
func (r *row) over(attempt int) bool {
	return attempt < r.Attempt || attempt == r.Attempt && (r.State == Failed || r.State == Canceled)
}

// stop ends an attempt; what it made is gone.
func (r *row) stop(attempt int, state State, reason string) {
	r.Attempt, r.State, r.Reason, r.Poster, r.Renditions = attempt, state, reason, "", []string{}
}

func (c *changes) uploadBegun(_ context.Context, m messagestore.Message[publishingmsg.UploadBegun]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if r.State == "" || r.State == abandoned {
			r.began(m.Data.OwnerID, m.Time)
			r.State, r.FileName, r.Bytes = Uploading, m.Data.FileName, m.Data.Bytes
		}
	})
	return nil
}

func (c *changes) uploadAbandoned(_ context.Context, m messagestore.Message[publishingmsg.UploadAbandoned]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if r.State == "" || r.State == Uploading {
			r.State, r.BegunAt = abandoned, time.Time{}
		}
	})
	return nil
}

func (c *changes) publishingStarted(_ context.Context, m messagestore.Message[publishingmsg.VideoPublishingStarted]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if m.Data.Attempt < r.Attempt {
			return
		}
		r.began(m.Data.OwnerID, m.Time)
		r.stop(m.Data.Attempt, Publishing, "")
		r.FileName, r.Bytes = cmp.Or(m.Data.FileName, r.FileName), cmp.Or(m.Data.Bytes, r.Bytes)
	})
	return nil
}

func (c *changes) renditionTranscoded(_ context.Context, m messagestore.Message[publishingmsg.RenditionTranscoded]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if r.over(m.Data.Attempt) || slices.Contains(r.Renditions, m.Data.Name) {
			return
		}
		r.Renditions = append(r.Renditions, m.Data.Name)
		slices.SortFunc(r.Renditions, func(a, b string) int { // "240p" is less than "1080p"
			return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
		})
	})
	return nil
}

func (c *changes) playable(_ context.Context, m messagestore.Message[publishingmsg.VideoPlayable]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if r.over(m.Data.Attempt) || r.State == Published {
			return
		}
		r.began(m.Data.OwnerID, m.Time)
		r.Attempt, r.State, r.Reason = m.Data.Attempt, Playable, ""
		r.Poster, r.Milliseconds, r.Width, r.Height = m.Data.PosterURI, m.Data.DurationMS, m.Data.Width, m.Data.Height
	})
	return nil
}

func (c *changes) published(_ context.Context, m messagestore.Message[publishingmsg.VideoPublished]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if r.over(m.Data.Attempt) {
			return
		}
		r.began(m.Data.OwnerID, m.Time)
		r.Attempt, r.State, r.Reason = m.Data.Attempt, Published, ""
		r.Poster, r.Milliseconds, r.Width, r.Height = m.Data.PosterURI, m.Data.DurationMS, m.Data.Width, m.Data.Height
		if r.PublishedAt.IsZero() {
			r.PublishedAt = m.Time.UTC()
		}
	})
	return nil
}

func (c *changes) publishingFailed(_ context.Context, m messagestore.Message[publishingmsg.VideoPublishingFailed]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if !r.over(m.Data.Attempt) && r.State != Published {
			r.began(m.Data.OwnerID, m.Time)
			r.stop(m.Data.Attempt, Failed, cmp.Or(m.Data.Reason, unknown))
		}
	})
	return nil
}

// unknown is the reason of a failure that says none.
const unknown = "unknown"

func (c *changes) publishingCanceled(_ context.Context, m messagestore.Message[publishingmsg.VideoPublishingCanceled]) error {
	c.add(m.Data.VideoID, func(r *row) {
		if !r.over(m.Data.Attempt) && r.State != Published {
			r.stop(m.Data.Attempt, Canceled, "")
		}
	})
	return nil
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
		ownerID := r.OwnerID
		*r = *newRow(m.Data.VideoID)
		r.OwnerID, r.State = ownerID, deleted
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
