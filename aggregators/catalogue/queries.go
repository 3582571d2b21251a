package catalogue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/messagestore"
)

// Video is one lesson that can be watched.
type Video struct {
	// ID is the video's UUID, also the id of its streams.
	ID string `json:"video_id"`
	// OwnerID is the UUID of who published it; empty where that is not known.
	OwnerID string `json:"owner_id,omitzero"`
	// Title is the latest accepted name; empty until one was given.
	Title string `json:"title"`
	// Description is plain text; it may be empty.
	Description string `json:"description"`
	// Visibility is who may find and watch it: [publishingmsg.Public],
	// [publishingmsg.Unlisted] or [publishingmsg.Private].
	Visibility string `json:"visibility"`
	// Duration is the length of the video; zero where it is not known.
	Duration time.Duration `json:"-"`
	// Width and Height are the size of the picture in pixels; zero where not known.
	Width  int `json:"width"`
	Height int `json:"height"`
	// HLS is the URL path of the master playlist; empty where there is none.
	HLS string `json:"hls"`
	// Source is the URL path of one playable file; empty while only HLS is there.
	Source string `json:"source"`
	// Poster is the URL path of the still picture; empty where there is none.
	Poster string `json:"poster"`
	// Storyboard is the URL path of a WebVTT file of small pictures for the seek bar;
	// empty where there is none.
	Storyboard string `json:"storyboard"`
	// Captions are in the order in which they were added.
	Captions []Captions `json:"captions"`
	// Chapters is the URL path of a WebVTT file; empty where there is none.
	Chapters string `json:"chapters"`
	// PublishedAt is when it could first be watched, in UTC.
	PublishedAt time.Time `json:"published_at,omitzero"`
	// Position is the global position since which that is so: the key of the list.
	Position int64 `json:"published_position,omitzero"`
}

// Captions are the captions of a video in one language.
type Captions struct {
	// ID is their UUID.
	ID string `json:"id"`
	// Language is a BCP 47 tag: "en".
	Language string `json:"language"`
	// Label is what the menu calls them: "English".
	Label string `json:"label"`
	// URI is the URL path of the WebVTT file.
	URI string `json:"uri"`
}

// ErrNotFound is returned for a video that does not exist or cannot be watched.
var ErrNotFound = errors.New("no such video")

// Queries reads the catalogue.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// List is a part of the catalogue as it stood at one version of the view data.
type List struct {
	// Version is that version.
	Version int64
	// Videos are the public videos, the newest first.
	Videos []Video
	// More says that there are older ones: those before the last one's position.
	More bool
}

// Newest returns up to limit public videos that appeared before a position (0: the
// newest of all).
func (q Queries) Newest(ctx context.Context, before int64, limit int) (List, error) {
	// One statement, so one snapshot: the version is that of exactly these rows.
	rows, err := q.views.Query(ctx, `
		SELECT c.version, to_jsonb(v) FROM checkpoint c LEFT JOIN (
			SELECT * FROM catalogue
			WHERE published_position IS NOT NULL AND visibility = 'public' AND ($1::bigint = 0 OR published_position < $1)
			ORDER BY published_position DESC LIMIT $2
		) v ON true WHERE c.name = '`+Name+`' ORDER BY v.published_position DESC`, before, limit+1)
	if err != nil {
		return List{}, fmt.Errorf("read the catalogue: %w", err)
	}
	var list List
	var known *row
	_, err = pgx.ForEachRow(rows, []any{&list.Version, &known}, func() error {
		if known != nil { // the row of an empty catalogue holds its version only
			list.Videos = append(list.Videos, known.video())
		}
		return nil
	})
	if err != nil {
		return List{}, fmt.Errorf("read the catalogue: %w", err)
	}
	if len(list.Videos) > limit {
		list.Videos, list.More = list.Videos[:limit], true
	}
	return list, nil
}

// Video returns one video that can be watched, by whomever, and the version of the
// view data: whoever calls it looks at its visibility. It fails with [ErrNotFound].
func (q Queries) Video(ctx context.Context, id string) (Video, int64, error) {
	if !messagestore.ValidID(id) {
		return Video{}, 0, ErrNotFound
	}
	var known row
	var version int64
	err := q.views.QueryRow(ctx, `
		SELECT c.version, to_jsonb(v) FROM checkpoint c JOIN catalogue v ON v.video_id = $1 AND v.published_position IS NOT NULL
		WHERE c.name = '`+Name+`'`, id).Scan(&version, &known)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Video{}, 0, fmt.Errorf("read video %s: %w", id, err)
	}
	return known.video(), version, nil
}

// Access returns who may watch a video that can be watched, and whose it is; ownerID
// is empty where that is not known. It fails with [ErrNotFound].
func (q Queries) Access(ctx context.Context, videoID string) (visibility, ownerID string, err error) {
	if !messagestore.ValidID(videoID) {
		return "", "", ErrNotFound
	}
	err = q.views.QueryRow(ctx, `
		SELECT visibility, coalesce(owner_id::text, '') FROM catalogue WHERE video_id = $1 AND published_position IS NOT NULL`,
		videoID).Scan(&visibility, &ownerID)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return "", "", fmt.Errorf("read who may watch video %s: %w", videoID, err)
	}
	return visibility, ownerID, nil
}

func (r *row) video() Video {
	v := r.Video
	v.Duration = time.Duration(r.Milliseconds) * time.Millisecond
	v.PublishedAt = v.PublishedAt.UTC()
	return v
}
