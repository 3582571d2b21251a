package signins

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/messagestore"
)

// SignIn is one log-in, or one that failed.
type SignIn struct {
	// ID is the session's, a UUID; that of the message where no session began.
	ID string `json:"id"`
	// At is when it was, in UTC.
	At time.Time `json:"at,omitzero"`
	// Browser says in a few words with what: "Firefox on Linux"; it may be empty.
	Browser string `json:"browser"`
	// FailedReason says why it failed; empty where a session began.
	FailedReason string `json:"failed_reason"`
	// EndedAt is when the session ended, in UTC, at the latest 90 days after it began;
	// zero where it did not. One that ended by a change of the password, or that nobody
	// used any more, is not marked.
	EndedAt time.Time `json:"ended_at,omitzero"`
	// EndedReason says how it ended.
	EndedReason string `json:"ended_reason"`
}

// longest is how long a session goes on at most: package web, which keeps the cookies,
// takes none for signed in that is older. The two belong together: a session that were
// left out here while its cookie still worked could not be ended from elsewhere.
const longest = 90 * 24 * time.Hour

// Queries reads the sign-ins.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// Of returns the newest sign-ins of a person, up to limit, and whatever session is still
// open, up to as many more: strangers who fail to log in push no session off the list.
// The newest stand first. The version is that of the view data that says so.
func (q Queries) Of(ctx context.Context, userID string, limit int) (list []SignIn, version int64, err error) {
	var key *string // null is nobody
	if messagestore.ValidID(userID) {
		key = &userID
	}
	over := time.Now().Add(-longest) // what began by then has ended
	// One statement, so one snapshot: the version is that of exactly these rows.
	rows, err := q.views.Query(ctx, `
		SELECT c.version, to_jsonb(s) FROM checkpoint c LEFT JOIN (
			(SELECT id, at, browser, failed_reason, ended_at, ended_reason FROM sign_ins
			WHERE user_id = $1 AND at IS NOT NULL ORDER BY user_id, at DESC, id LIMIT $2)
			UNION
			(SELECT id, at, browser, failed_reason, ended_at, ended_reason FROM sign_ins
			WHERE user_id = $1 AND at IS NOT NULL AND ended_at IS NULL AND failed_reason = '' AND at > $3 ORDER BY user_id, at DESC LIMIT $2)
		) s ON true WHERE c.name = '`+Name+`' ORDER BY s.at DESC, s.id`, key, limit, over)
	if err != nil {
		return nil, 0, fmt.Errorf("read sign-ins: %w", err)
	}
	var s *SignIn
	_, err = pgx.ForEachRow(rows, []any{&version, &s}, func() error {
		if s != nil { // else there is none
			s.At, s.EndedAt = s.At.UTC(), s.EndedAt.UTC()
			if s.FailedReason == "" && s.EndedAt.IsZero() && !s.At.After(over) {
				s.EndedAt = s.At.Add(longest)
			}
			list = append(list, *s)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read sign-ins: %w", err)
	}
	return list, version, nil
}

// Ended reports whether a session is over. What is no id of a session is.
func (q Queries) Ended(ctx context.Context, sessionID string) (ended bool, err error) {
	if !messagestore.ValidID(sessionID) {
		return true, nil
	}
	err = q.views.QueryRow(ctx, `SELECT EXISTS (SELECT FROM sign_ins WHERE id = $1 AND ended_at IS NOT NULL)`, sessionID).Scan(&ended)
	if err != nil {
		return false, fmt.Errorf("ask whether a session has ended: %w", err)
	}
	return ended, nil
}

// Open returns the sessions of a person that have begun and not ended, nor outlasted
// what a session lasts.
func (q Queries) Open(ctx context.Context, userID string) (sessionIDs []string, err error) {
	if !messagestore.ValidID(userID) {
		return nil, nil
	}
	rows, err := q.views.Query(ctx, `
		SELECT id::text FROM sign_ins WHERE user_id = $1 AND at IS NOT NULL AND ended_at IS NULL AND failed_reason = '' AND at > $2 ORDER BY id`,
		userID, time.Now().Add(-longest))
	if err != nil {
		return nil, fmt.Errorf("read open sessions: %w", err)
	}
	if sessionIDs, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("read open sessions: %w", err)
	}
	return sessionIDs, nil
}
