// Package registrations tells how far each registration has come, in the table
// registrations. aggregator.go writes it, queries.go reads it, topic.go names what
// changed.
package registrations

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

// Aggregator projects the category identity and, for the mails that are on their
// way, the commands of sendEmail.
type Aggregator struct {
	store *messagestore.Store
	views *pgxpool.Pool
}

// New returns the aggregator; views leads to the view data.
func New(store *messagestore.Store, views *pgxpool.Pool) *Aggregator {
	return &Aggregator{store, views}
}

// Subscriptions returns what the aggregator follows. Both projections write the same
// rows, each its own columns and in the order of the key, so that neither waits for
// the other in a circle.
func (a *Aggregator) Subscriptions() []*messagestore.Subscription {
	return []*messagestore.Subscription{
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: identitymsg.Category, Tables: []string{"registrations"}, Apply: apply}),
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: MailName, Category: sendemailmsg.Category.Commands(), Tables: []string{"registrations"}, Apply: applyMail}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	c := changes{people: map[string]*Registration{}}
	handlers := []messagestore.Handler{
		messagestore.On(c.registered), messagestore.On(c.registrationRejected),
		messagestore.On(c.registrationEmailSent), messagestore.On(c.registrationEmailFailed),
		messagestore.On(c.emailConfirmed), messagestore.On(c.emailChanged),
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
		return nil, fmt.Errorf("read %d registrations: %w", len(c.people), err)
	}
	for _, change := range c.all {
		change()
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO registrations (user_id, email, registered_at, sent_at, confirmed_at, failed_reason, rejected_reason)
		SELECT user_id, email, registered_at, sent_at, confirmed_at, failed_reason, rejected_reason
		FROM json_populate_recordset(NULL::registrations, $1) ORDER BY user_id
		ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, registered_at = excluded.registered_at, sent_at = excluded.sent_at,
			confirmed_at = excluded.confirmed_at, failed_reason = excluded.failed_reason, rejected_reason = excluded.rejected_reason`,
		slices.Collect(maps.Values(c.people)))
	if err != nil {
		return nil, fmt.Errorf("change %d registrations: %w", len(c.people), err)
	}
	for userID := range c.people {
		topics = append(topics, Topic(userID))
	}
	return topics, nil
}

// changes are those of one batch.
type changes struct {
	all    []func()
	people map[string]*Registration // whom they are about
}

func (c *changes) add(userID string, apply func(*Registration)) {
	if messagestore.ValidID(userID) { // else it is nobody's
		c.people[userID] = &Registration{UserID: userID}
		c.all = append(c.all, func() { apply(c.people[userID]) })
	}
}

// read takes the rows as they are. Nobody else writes the columns of this
// projection, so they stay so until it writes them.
func (c *changes) read(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT to_jsonb(r) FROM registrations r WHERE user_id = ANY($1::uuid[])`, slices.Collect(maps.Keys(c.people)))
	if err != nil {
		return err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[Registration])
	for _, r := range known {
		c.people[r.UserID] = &r
	}
	return err
}

func (c *changes) registered(_ context.Context, m messagestore.Message[identitymsg.Registered]) error {
	c.add(m.Data.UserID, func(r *Registration) {
		if r.RegisteredAt.IsZero() {
			r.Email, r.RegisteredAt, r.RejectedReason = m.Data.Email, m.Time.UTC(), ""
		}
	})
	return nil
}

func (c *changes) registrationRejected(_ context.Context, m messagestore.Message[identitymsg.RegistrationRejected]) error {
	c.add(m.Data.UserID, func(r *Registration) {
		// Who is registered stays so, whatever else is tried under their id.
		if r.RegisteredAt.IsZero() {
			r.Email, r.RejectedReason = m.Data.Email, cmp.Or(m.Data.Reason, unknown)
		}
	})
	return nil
}

func (c *changes) registrationEmailSent(_ context.Context, m messagestore.Message[identitymsg.RegistrationEmailSent]) error {
	c.add(m.Data.UserID, func(r *Registration) { first(&r.SentAt, m.Time) })
	return nil
}

func (c *changes) registrationEmailFailed(_ context.Context, m messagestore.Message[identitymsg.RegistrationEmailFailed]) error {
	c.add(m.Data.UserID, func(r *Registration) { r.FailedReason = cmp.Or(m.Data.Reason, unknown) })
	return nil
}

func (c *changes) emailConfirmed(_ context.Context, m messagestore.Message[identitymsg.EmailConfirmed]) error {
	c.add(m.Data.UserID, func(r *Registration) { first(&r.ConfirmedAt, m.Time) })
	return nil
}

func (c *changes) emailChanged(_ context.Context, m messagestore.Message[identitymsg.EmailChanged]) error {
	c.add(m.Data.UserID, func(r *Registration) { first(&r.ConfirmedAt, m.Time) })
	return nil
}

// unknown is the reason of a refusal that says none: it is one nonetheless.
const unknown = "unknown"

func first(at *time.Time, now time.Time) {
	if at.IsZero() {
		*at = now.UTC()
	}
}

// queued are the welcome mails that a batch asks to send, by person.
type queued map[string]*Registration

func (q queued) send(_ context.Context, m messagestore.Message[sendemailmsg.Send]) error {
	origin := m.Metadata.OriginStreamName
	userID := origin.ID()
	welcome := origin.Category() == identitymsg.Category && messagestore.ValidID(userID) && m.Data.EmailID == identitymsg.WelcomeEmailID(userID)
	if welcome && q[userID] == nil {
		q[userID] = &Registration{UserID: userID, QueuedAt: m.Time.UTC()}
	}
	return nil
}

func applyMail(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	q := queued{}
	on := messagestore.On(q.send)
	for _, m := range b.Messages {
		if err := messagestore.Handle(ctx, m, on); err != nil {
			return nil, err
		}
	}
	if len(q) == 0 {
		return nil, nil
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO registrations AS r (user_id, queued_at)
		SELECT user_id, queued_at FROM json_populate_recordset(NULL::registrations, $1) ORDER BY user_id
		ON CONFLICT (user_id) DO UPDATE SET queued_at = coalesce(r.queued_at, excluded.queued_at)`,
		slices.Collect(maps.Values(q)))
	if err != nil {
		return nil, fmt.Errorf("queue %d welcome mails: %w", len(q), err)
	}
	for userID := range q {
		topics = append(topics, MailTopic(userID))
	}
	return topics, nil
}
