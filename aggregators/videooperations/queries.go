package videooperations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/messagestore"
)

// Operation is what came of something that was asked for a video.
type Operation struct {
	// TraceID is the trace of the request.
	TraceID string `json:"trace_id"`
	// VideoID is the UUID of the video.
	VideoID string `json:"video_id"`
	// UserID is the UUID of who asked; empty where the messages do not say.
	UserID string `json:"user_id,omitzero"`
	// Outcome is the type of the last event of the trace: "VideoNamed".
	Outcome string `json:"outcome"`
	// Reason is a code that says why it was refused or failed; empty where it was not.
	Reason string `json:"reason"`
	// Value is the name, the description or the visibility that was taken or refused;
	// empty for anything else.
	Value string `json:"value"`
	// At is the time of that event, in UTC.
	At time.Time `json:"at"`
}

// Queries reads the operations.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// Of returns what came of a request, whether anything did yet, and the version of the
// view data that says so.
func (q Queries) Of(ctx context.Context, traceID string) (o Operation, found bool, version int64, err error) {
	var key *string // null is no trace
	if messagestore.ValidID(traceID) {
		key = &traceID
	}
	// One statement, so one snapshot: the version is that of exactly this row.
	var row *Operation
	err = q.views.QueryRow(ctx, `
		SELECT c.version, to_jsonb(o) FROM checkpoint c LEFT JOIN video_operations o ON o.trace_id = $1
		WHERE c.name = '`+Name+`'`, key).Scan(&version, &row)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Operation{}, false, 0, fmt.Errorf("read a video operation: %w", err)
	}
	if row == nil {
		return Operation{}, false, version, nil
	}
	row.At = row.At.UTC()
	return *row, true, version, nil
}
