package creatorsvideos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/messagestore"
)

// State is how far a video has come.
type State string

const (
	// Uploading: its file is being handed in.
	Uploading State = "uploading"
	// Publishing: it is being transcoded.
	Publishing State = "publishing"
	// Playable: it can be watched, while more renditions are being made.
	Playable State = "playable"
	// Published: all of it is there.
	Published State = "published"
	// Failed: it could not be published; [Video.Reason] says why.
	Failed State = "failed"
	// Canceled: its owner stopped the work.
	Canceled State = "canceled"
)

// Video is a video as its owner sees it.
type Video struct {
	// ID is the video's UUID, also the id of its streams.
	ID string `json:"video_id"`
	// OwnerID is the UUID of who publishes it; empty where that is not known.
	OwnerID string `json:"owner_id,omitzero"`
	// Title is the latest accepted name; empty until one was given.
	Title string `json:"title"`
	// Description is plain text; it may be empty.
	Description string `json:"description"`
	// State is how far it has come.
	State State `json:"state"`
	// Visibility is who may find and watch it: [publishingmsg.Public],
	// [publishingmsg.Unlisted] or [publishingmsg.Private].
	Visibility string `json:"visibility"`
	// FileName is what its file was called on the owner's machine; it may be empty.
	FileName string `json:"file_name"`
	// Bytes is the length of that file; zero where it is not known.
	Bytes int64 `json:"bytes"`
	// Reason is a code that says why it failed; empty otherwise.
	Reason string `json:"reason"`
	// Attempt is the attempt at publishing it that State is about; it counts from 1.
	Attempt int `json:"attempt"`
	// Duration is its length; zero where it is not known.
	Duration time.Duration `json:"-"`
	// Width and Height are the size of its picture in pixels; zero where not known.
	Width  int `json:"width"`
	Height int `json:"height"`
	// Poster is the URL path of the still picture; empty where there is none.
	Poster string `json:"poster"`
	// Renditions are those that are done, the smallest first: "240p", "360p".
	Renditions []string `json:"renditions"`
	// Captions are in the order in which they were added.
	Captions []Captions `json:"captions"`
	// Chapters is the URL path of a WebVTT file; empty where there is none.
	Chapters string `json:"chapters"`
	// BegunAt is when the upload began, in UTC, and where none did: when the rest began.
	BegunAt time.Time `json:"begun_at,omitzero"`
	// PublishedAt is when all of it was there, in UTC; zero before.
	PublishedAt time.Time `json:"published_at,omitzero"`
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

// ErrNotFound is returned for a video that does not exist or is deleted, and for an
// upload that was given up.
var ErrNotFound = errors.New("no such video")

// Queries reads the videos.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// Of returns a person's videos, the newest first, and the version of the view data
// that says so.
func (q Queries) Of(ctx context.Context, ownerID string) (list []Video, version int64, err error) {
	if !messagestore.ValidID(ownerID) {
		return nil, 0, nil
	}
	// One statement, so one snapshot: the version is that of exactly these rows.
	rows, err := q.views.Query(ctx, `
		SELECT c.version, to_jsonb(v) FROM checkpoint c LEFT JOIN creators_videos v ON v.owner_id = $1 AND v.begun_at IS NOT NULL
		WHERE c.name = '`+Name+`' ORDER BY v.begun_at DESC, v.video_id`, ownerID)
	if err != nil {
		return nil, 0, fmt.Errorf("read the videos of a person: %w", err)
	}
	var known *row
	_, err = pgx.ForEachRow(rows, []any{&version, &known}, func() error {
		if known != nil { // the row of somebody without videos holds the version only
			list = append(list, known.video())
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the videos of a person: %w", err)
	}
	return list, version, nil
}

// ByID returns one video and the version of the view data. It fails with
// [ErrNotFound].
func (q Queries) ByID(ctx context.Context, videoID string) (Video, int64, error) {
	if !messagestore.ValidID(videoID) {
		return Video{}, 0, ErrNotFound
	}
	var known row
	var version int64
	err := q.views.QueryRow(ctx, `
		SELECT c.version, to_jsonb(v) FROM checkpoint c JOIN creators_videos v ON v.video_id = $1 AND v.begun_at IS NOT NULL
		WHERE c.name = '`+Name+`'`, videoID).Scan(&version, &known)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Video{}, 0, fmt.Errorf("read video %s: %w", videoID, err)
	}
	return known.video(), version, nil
}

// row is one of the table.
type row struct {
	Video
	Milliseconds int64 `json:"duration_ms"`
}

func (r *row) video() Video {
	v := r.Video
	v.Duration = time.Duration(r.Milliseconds) * time.Millisecond
	v.BegunAt, v.PublishedAt = v.BegunAt.UTC(), v.PublishedAt.UTC()
	return v
}
