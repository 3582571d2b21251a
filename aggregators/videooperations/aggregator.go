// Package videooperations tells what came of what people asked for their videos, in
// the table video_operations. aggregator.go writes it, queries.go reads it, topic.go
// names what changed.
package videooperations

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// Aggregator projects the category videoPublishing.
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
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: publishingmsg.Category, Tables: []string{"video_operations"}, Apply: apply}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	last := outcomes{}
	handlers := []messagestore.Handler{
		on(last, func(e publishingmsg.UploadBegun) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.UploadRejected) Operation { return Operation{VideoID: e.VideoID, Reason: e.Reason} }),
		on(last, func(e publishingmsg.UploadAbandoned) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.VideoPublishingStarted) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.VideoPublishingRejected) Operation {
			return Operation{VideoID: e.VideoID, Reason: e.Reason}
		}),
		on(last, func(e publishingmsg.VideoPlayable) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.VideoPublished) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.VideoPublishingFailed) Operation {
			return Operation{VideoID: e.VideoID, Reason: e.Reason}
		}),
		on(last, func(e publishingmsg.VideoPublishingCanceled) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.VideoNamed) Operation { return Operation{VideoID: e.VideoID, Value: e.Name} }),
		on(last, func(e publishingmsg.VideoNameRejected) Operation {
			return Operation{VideoID: e.VideoID, Reason: e.Reason, Value: e.Name}
		}),
		on(last, func(e publishingmsg.VideoDescribed) Operation {
			return Operation{VideoID: e.VideoID, Value: e.Description}
		}),
		on(last, func(e publishingmsg.VideoDescriptionRejected) Operation {
			return Operation{VideoID: e.VideoID, Reason: e.Reason, Value: e.Description}
		}),
		on(last, func(e publishingmsg.VisibilityChanged) Operation {
			return Operation{VideoID: e.VideoID, Value: e.Visibility}
		}),
		on(last, func(e publishingmsg.VisibilityChangeRejected) Operation {
			return Operation{VideoID: e.VideoID, Reason: e.Reason, Value: e.Visibility}
		}),
		on(last, func(e publishingmsg.VideoDeleted) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.VideoDeletionRejected) Operation {
			return Operation{VideoID: e.VideoID, Reason: e.Reason}
		}),
		on(last, func(e publishingmsg.CaptionsAdded) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.CaptionsRemoved) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.CaptionsRejected) Operation {
			return Operation{VideoID: e.VideoID, Reason: e.Reason}
		}),
		on(last, func(e publishingmsg.ChaptersSet) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.ChaptersRemoved) Operation { return Operation{VideoID: e.VideoID} }),
		on(last, func(e publishingmsg.ChaptersRejected) Operation {
			return Operation{VideoID: e.VideoID, Reason: e.Reason}
		}),
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
		INSERT INTO video_operations (trace_id, video_id, user_id, outcome, reason, value, at)
		SELECT trace_id, video_id, user_id, outcome, reason, value, at FROM json_populate_recordset(NULL::video_operations, $1)
		ON CONFLICT (trace_id) DO UPDATE SET video_id = excluded.video_id, user_id = excluded.user_id,
			outcome = excluded.outcome, reason = excluded.reason, value = excluded.value, at = excluded.at`,
		slices.Collect(maps.Values(last)))
	if err != nil {
		return nil, fmt.Errorf("change %d video operations: %w", len(last), err)
	}
	for traceID := range last {
		topics = append(topics, Topic(traceID))
	}
	return topics, nil
}

// outcomes are the last ones in a batch, by trace.
type outcomes map[string]Operation

// on notes an event of the type of T as the outcome of its trace. read returns what
// the event itself says.
func on[T messagestore.Body](last outcomes, read func(T) Operation) messagestore.Handler {
	return messagestore.On(func(_ context.Context, m messagestore.Message[T]) error {
		if !answers(m.Type, m.Metadata.CausationMessageStreamName) {
			return nil
		}
		o := read(m.Data)
		o.TraceID, o.Outcome, o.At = m.Metadata.TraceID, m.Type, m.Time.UTC()
		if messagestore.ValidID(m.Metadata.UserID) {
			o.UserID = m.Metadata.UserID
		}
		if messagestore.ValidID(o.TraceID) && messagestore.ValidID(o.VideoID) { // else nobody waits for it
			last[o.TraceID] = o
		}
		return nil
	})
}

// answers reports whether an event is what came of a request: one that a command
// caused, or what a started publication led to. The trace goes on in whatever else
// follows from such an event, and would hide it. An event that names no cause is of
// another program, whose outcomes count.
func answers(kind string, cause messagestore.Stream) bool {
	switch kind {
	case publishingmsg.VideoPlayable{}.MessageType(), publishingmsg.VideoPublished{}.MessageType(), publishingmsg.VideoPublishingFailed{}.MessageType():
		return true
	}
	return cause == "" || cause.Category() == publishingmsg.Category.Commands()
}
