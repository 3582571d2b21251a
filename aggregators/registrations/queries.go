package registrations

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/messagestore"
)

// Registration is how far a registration has come. A time is zero where that has not
// happened; times are those of the messages, in UTC.
type Registration struct {
	// UserID is the UUID of the person.
	UserID string `json:"user_id"`
	// Email is the address as the person typed it; empty while only QueuedAt is known.
	Email string `json:"email"`
	// RegisteredAt is when the person became one.
	RegisteredAt time.Time `json:"registered_at,omitzero"`
	// QueuedAt is when the welcome mail was handed over to be sent.
	QueuedAt time.Time `json:"queued_at,omitzero"`
	// SentAt is when the mail server had taken it.
	SentAt time.Time `json:"sent_at,omitzero"`
	// ConfirmedAt is when the person first confirmed an address, by whatever link.
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
	// FailedReason says why the welcome mail will never be sent; empty otherwise.
	FailedReason string `json:"failed_reason"`
	// RejectedReason says why the person was not registered; empty otherwise.
	RejectedReason string `json:"rejected_reason"`
}

// LogValue names the person and leaves out what is personal.
func (r Registration) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user_id", r.UserID))
}

// Queries reads the registrations.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// Of returns a person's registration, whether anything is known of it, and the
// version of each of the two projections ([Name], [MailName]) that says so. Either may
// be ahead of the other: a mail may be queued before its person is registered here.
func (q Queries) Of(ctx context.Context, userID string) (r Registration, found bool, versions map[string]int64, err error) {
	var key *string // null is nobody
	if messagestore.ValidID(userID) {
		key = &userID
	}
	// One statement, so one snapshot: the versions are those of exactly this row.
	rows, err := q.views.Query(ctx, `
		SELECT c.name, c.version, to_jsonb(r) FROM checkpoint c LEFT JOIN registrations r ON r.user_id = $1
		WHERE c.name IN ('`+Name+`', '`+MailName+`')`, key)
	if err != nil {
		return r, false, nil, fmt.Errorf("read a registration: %w", err)
	}
	versions = map[string]int64{Name: 0, MailName: 0}
	var name string
	var version int64
	var row *Registration
	_, err = pgx.ForEachRow(rows, []any{&name, &version, &row}, func() error {
		versions[name] = version
		if row != nil {
			r, found = *row, true
		}
		return nil
	})
	if err != nil {
		return Registration{}, false, nil, fmt.Errorf("read a registration: %w", err)
	}
	for _, at := range []*time.Time{&r.RegisteredAt, &r.QueuedAt, &r.SentAt, &r.ConfirmedAt} {
		*at = at.UTC()
	}
	return r, found, versions, nil
}
