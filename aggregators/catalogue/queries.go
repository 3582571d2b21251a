package catalogue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Video is one published lesson as the site lists it.
type Video struct {
	// ID is the video's UUID, also the id of its streams.
	ID string
	// Title is the latest accepted name; empty until one was given.
	Title string
	// Description is one or two plain sentences; it may be empty.
	Description string
	// Duration is the length of the video; zero where it is not known.
	Duration time.Duration
	// Source is the URL path of the playable file.
	Source string
	// Poster is the URL path of the still picture; empty where there is none.
	Poster string
	// PublishedAt is when the video was published, in UTC.
	PublishedAt time.Time
	// Position is the global position at which it was published: the key of the list.
	Position int64
}

// ErrNotFound is returned for a video that does not exist or is not published.
var ErrNotFound = errors.New("no such video")

// Queries reads the catalogue.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// List is a part of the catalogue as it stood at one version of the view data.
type List struct {
	// Version is that version.
	Version int64
	// Videos are the published videos, the newest first.
	Videos []Video
	// More says that there are older ones: those before the last one's position.
	More bool
}

// Newest returns up to limit videos that were published before a position (0: the
// newest of all).
func (q Queries) Newest(ctx context.Context, before int64, limit int) (List, error) {
	// One statement, so one snapshot: the version is that of exactly these rows.
	rows, err := q.views.Query(ctx, `
		SELECT c.version, v.* FROM checkpoint c LEFT JOIN (
			SELECT video_id, title, description, duration_ms, source, poster, published_at, published_position
			FROM catalogue WHERE published_position IS NOT NULL AND ($1::bigint = 0 OR published_position < $1)
			ORDER BY published_position DESC LIMIT $2
		) v ON true WHERE c.name = '`+Name+`' ORDER BY v.published_position DESC`, before, limit+1)
	if err != nil {
		return List{}, fmt.Errorf("read the catalogue: %w", err)
	}
	var list List
	for rows.Next() {
		video, version, err := scan(rows)
		if err != nil {
			return List{}, fmt.Errorf("read the catalogue: %w", err)
		}
		list.Version = version
		if video.ID != "" {
			list.Videos = append(list.Videos, video)
		}
	}
	if err := rows.Err(); err != nil {
		return List{}, fmt.Errorf("read the catalogue: %w", err)
	}
	if len(list.Videos) > limit {
		list.Videos, list.More = list.Videos[:limit], true
	}
	return list, nil
}

// Video returns one published video and the version of the view data. It fails
// with [ErrNotFound].
func (q Queries) Video(ctx context.Context, id string) (Video, int64, error) {
	video, version, err := scan(q.views.QueryRow(ctx, `
		SELECT c.version, v.video_id, v.title, v.description, v.duration_ms, v.source, v.poster, v.published_at, v.published_position
		FROM checkpoint c JOIN catalogue v ON v.video_id = $1 AND v.published_position IS NOT NULL WHERE c.name = '`+Name+`'`, id))
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Video{}, 0, fmt.Errorf("read video %s: %w", id, err)
	}
	return video, version, nil
}

func scan(row pgx.Row) (v Video, version int64, err error) {
	var id, title, description, source, poster *string
	var duration, position *int64
	var published *time.Time
	err = row.Scan(&version, &id, &title, &description, &duration, &source, &poster, &published, &position)
	if err != nil || id == nil { // the row of an empty catalogue holds its version only
		return v, version, err
	}
	return Video{ID: *id, Title: *title, Description: *description, Duration: time.Duration(*duration) * time.Millisecond,
		Source: *source, Poster: *poster, PublishedAt: *published, Position: *position}, version, nil
}
