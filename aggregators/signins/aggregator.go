// Package signins tells when somebody logged in as a person or tried to, and which
// sessions are over, in the table sign_ins. aggregator.go writes it, queries.go reads
// it, topic.go names what changed.
package signins

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/messagestore"
)

// Aggregator projects the category authentication.
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
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: authenticationmsg.Category, Tables: []string{"sign_ins"}, Apply: apply}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	c := changes{rows: map[string]*row{}, people: map[string]bool{}}
	handlers := []messagestore.Handler{messagestore.On(c.userLoggedIn), messagestore.On(c.userLoginFailed), messagestore.On(c.sessionEnded)}
	for _, m := range b.Messages {
		if err := messagestore.Handle(ctx, m, handlers...); err != nil {
			return nil, err
		}
	}
	if len(c.all) == 0 {
		return nil, nil
	}
	if err := c.read(ctx, tx); err != nil {
		return nil, fmt.Errorf("read %d sign-ins: %w", len(c.rows), err)
	}
	for _, change := range c.all {
		change()
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO sign_ins (id, user_id, at, browser, failed_reason, ended_at, ended_reason)
		SELECT id, user_id, at, browser, failed_reason, ended_at, ended_reason FROM json_populate_recordset(NULL::sign_ins, $1)
		ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, at = excluded.at, browser = excluded.browser,
			failed_reason = excluded.failed_reason, ended_at = excluded.ended_at, ended_reason = excluded.ended_reason`,
		slices.Collect(maps.Values(c.rows)))
	if err != nil {
		return nil, fmt.Errorf("change %d sign-ins: %w", len(c.rows), err)
	}
	for userID := range c.people {
		topics = append(topics, Topic(userID))
	}
	return topics, nil
}

// row is one of the table; its zero value is a session that nothing is known of.
type row struct {
	SignIn
	UserID string `json:"user_id"`
}

// changes are those of one batch.
type changes struct {
	all    []func()
	rows   map[string]*row // that they are about
	people map[string]bool // whom they are about
}

func (c *changes) add(id, userID string, apply func(*row)) {
	c.rows[id], c.people[userID] = &row{SignIn: SignIn{ID: id}}, true
	c.all = append(c.all, func() { apply(c.rows[id]) })
}

func (c *changes) read(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT to_jsonb(s) FROM sign_ins s WHERE id = ANY($1::uuid[])`, slices.Collect(maps.Keys(c.rows)))
	if err != nil {
		return err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[row])
	for _, r := range known {
		c.rows[r.ID] = &r
	}
	return err
}

func (c *changes) userLoggedIn(_ context.Context, m messagestore.Message[authenticationmsg.UserLoggedIn]) error {
	if !messagestore.ValidID(m.Data.UserID) {
		return nil
	}
	id := m.Data.SessionID
	if !messagestore.ValidID(id) { // another program has other sessions
		id = m.ID
	}
	c.add(id, m.Data.UserID, func(r *row) {
		if !r.At.IsZero() {
			return // a session begins once
		}
		if r.UserID != m.Data.UserID { // nobody ends somebody else's
			*r = row{SignIn: SignIn{ID: id}, UserID: m.Data.UserID}
		}
		r.At, r.Browser = m.Time.UTC(), m.Data.Browser
	})
	return nil
}

func (c *changes) userLoginFailed(_ context.Context, m messagestore.Message[authenticationmsg.UserLoginFailed]) error {
	if !messagestore.ValidID(m.Data.UserID) { // nobody has the address that was tried
		return nil
	}
	c.add(m.ID, m.Data.UserID, func(r *row) {
		r.UserID, r.At, r.Browser, r.FailedReason = m.Data.UserID, m.Time.UTC(), m.Data.Browser, cmp.Or(m.Data.Reason, unknown)
	})
	return nil
}

// unknown is the reason of a failure that says none: no session began nonetheless.
const unknown = "unknown"

func (c *changes) sessionEnded(_ context.Context, m messagestore.Message[authenticationmsg.SessionEnded]) error {
	if !messagestore.ValidID(m.Data.UserID) || !messagestore.ValidID(m.Data.SessionID) {
		return nil
	}
	c.add(m.Data.SessionID, m.Data.UserID, func(r *row) {
		if r.UserID == "" {
			r.UserID = m.Data.UserID
		}
		if r.UserID == m.Data.UserID && r.EndedAt.IsZero() {
			r.EndedAt, r.EndedReason = m.Time.UTC(), m.Data.Reason
		}
	})
	return nil
}
