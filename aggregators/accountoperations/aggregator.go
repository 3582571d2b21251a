// Package accountoperations tells what came of what people asked of their accounts,
// in the table account_operations. aggregator.go writes it, queries.go reads it,
// topic.go names what changed.
package accountoperations

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// Aggregator projects the category identity.
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
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: identitymsg.Category, Tables: []string{"account_operations"}, Apply: apply}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	last := outcomes{}
	handlers := []messagestore.Handler{
		on(last, func(e identitymsg.EmailConfirmed) (string, string) { return e.UserID, "" }),
		on(last, func(e identitymsg.EmailConfirmationRejected) (string, string) { return e.UserID, e.Reason }),
		on(last, func(e identitymsg.ConfirmationRequested) (string, string) { return e.UserID, "" }),
		on(last, func(e identitymsg.PasswordChanged) (string, string) { return e.UserID, "" }),
		on(last, func(e identitymsg.PasswordChangeRejected) (string, string) { return e.UserID, e.Reason }),
		on(last, func(e identitymsg.EmailChangeRequested) (string, string) { return e.UserID, "" }),
		on(last, func(e identitymsg.EmailChanged) (string, string) { return e.UserID, "" }),
		on(last, func(e identitymsg.EmailChangeRejected) (string, string) { return e.UserID, e.Reason }),
		on(last, func(e identitymsg.RoleGranted) (string, string) { return e.UserID, "" }),
		on(last, func(e identitymsg.RoleRevoked) (string, string) { return e.UserID, "" }),
		on(last, func(e identitymsg.RoleChangeRejected) (string, string) { return e.UserID, e.Reason }),
	}
	for _, m := range b.Messages {
		if err := messagestore.Handle(ctx, m, handlers...); err != nil {
			return nil, err
		}
	}
	if len(last) == 0 {
		return nil, nil
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO account_operations (trace_id, user_id, outcome, reason, at)
		SELECT trace_id, user_id, outcome, reason, at FROM json_populate_recordset(NULL::account_operations, $1)
		ON CONFLICT (trace_id) DO UPDATE SET user_id = excluded.user_id, outcome = excluded.outcome, reason = excluded.reason, at = excluded.at`,
		slices.Collect(maps.Values(last)))
	if err != nil {
		return nil, fmt.Errorf("change %d account operations: %w", len(last), err)
	}
	for traceID := range last {
		topics = append(topics, Topic(traceID))
	}
	return topics, nil
}

// outcomes are the last ones in a batch, by trace.
type outcomes map[string]Operation

// on notes an event of the type of T as the outcome of its trace. read returns the
// person and the reason that it names.
func on[T messagestore.Body](last outcomes, read func(T) (userID, reason string)) messagestore.Handler {
	return messagestore.On(func(_ context.Context, m messagestore.Message[T]) error {
		if !answers(m.Metadata.CausationMessageStreamName) {
			return nil
		}
		traceID := m.Metadata.TraceID
		userID, reason := read(m.Data)
		if messagestore.ValidID(traceID) && messagestore.ValidID(userID) { // else nobody waits for it
			last[traceID] = Operation{TraceID: traceID, UserID: userID, Outcome: m.Type, Reason: reason, At: m.Time.UTC()}
		}
		return nil
	})
}

// answers reports whether an event with this cause is what came of a request: one that
// a command caused. The trace goes on in what follows from such an event, and would
// hide it: after a password was set by a link, EmailConfirmed follows from
// PasswordChanged, but the person asked for a password and waits to hear of that. An
// event that names no cause is of another program, whose outcomes count.
func answers(cause messagestore.Stream) bool {
	return cause == "" || cause.Category() == identitymsg.Category.Commands()
}
