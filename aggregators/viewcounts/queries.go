package viewcounts

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Queries reads the counts.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// Counts are counts as they stood together at one version of the view data.
type Counts struct {
	// Version is that version.
	Version int64
	// Total is the number of videos watched, over all videos.
	Total int64
	// Of holds the views of those videos that have any.
	Of map[string]int64
}

// Of returns the counts of some videos and the total.
func (q Queries) Of(ctx context.Context, videoIDs ...string) (Counts, error) {
	return q.read(ctx, `v.video_id = ANY($1)`, videoIDs)
}

// Since returns the counts of those of some videos that changed after a version.
// A version from the future (the view data was made anew) changes everything.
func (q Queries) Since(ctx context.Context, version int64, videoIDs ...string) (Counts, error) {
	return q.read(ctx, `v.video_id = ANY($1) AND (v.version > $2 OR c.version < $2)`, videoIDs, version)
}

func (q Queries) read(ctx context.Context, which string, args ...any) (Counts, error) {
	// One statement, so one snapshot: the version is that of exactly these counts.
	rows, err := q.views.Query(ctx, `
		SELECT c.version, coalesce(t.videos_watched, 0), v.video_id, v.views
		FROM checkpoint c LEFT JOIN view_total t ON true LEFT JOIN view_counts v ON `+which+`
		WHERE c.name = '`+Name+`'`, args...)
	if err != nil {
		return Counts{}, fmt.Errorf("read view counts: %w", err)
	}
	counts := Counts{Of: map[string]int64{}}
	var video *string
	var views *int64
	_, err = pgx.ForEachRow(rows, []any{&counts.Version, &counts.Total, &video, &views}, func() error {
		if video != nil {
			counts.Of[*video] = *views
		}
		return nil
	})
	if err != nil {
		return Counts{}, fmt.Errorf("read view counts: %w", err)
	}
	return counts, nil
}
