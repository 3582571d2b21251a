package messagestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ControlCategory is the category of the events by which people steer subscriptions:
// "subscription-<name>". Every process follows it and obeys, so it does not matter which
// of them is active, and who did what stays written down.
const ControlCategory Category = "subscription"

// SubscriptionPaused says that a subscription handles nothing further. What it has begun
// it finishes.
type SubscriptionPaused struct {
	// Subscription is its name.
	Subscription string `json:"subscription"`
}

// SubscriptionResumed says that a subscription goes on.
type SubscriptionResumed struct {
	// Subscription is its name.
	Subscription string `json:"subscription"`
}

// SubscriptionStepped lets a paused subscription handle messages up to a global position.
type SubscriptionStepped struct {
	// Subscription is its name.
	Subscription string `json:"subscription"`
	// UpTo is a global position, the last to be handled.
	UpTo int64 `json:"upTo"`
}

// ParkedStreamRetried says that somebody asked for another attempt at a parked stream.
type ParkedStreamRetried struct {
	// Subscription is its name.
	Subscription string `json:"subscription"`
	// Stream is the parked stream.
	Stream Stream `json:"stream"`
}

// ParkedMessageSkipped says that a subscription leaves out the message that a stream was
// parked for, and goes on with the one after it.
type ParkedMessageSkipped struct {
	// Subscription is its name.
	Subscription string `json:"subscription"`
	// Stream is the parked stream.
	Stream Stream `json:"stream"`
	// Position is that of the message in its stream.
	Position int64 `json:"position"`
	// Reason is why, in the words of who decided it.
	Reason string `json:"reason"`
}

// MessageType returns "SubscriptionPaused".
func (SubscriptionPaused) MessageType() string { return "SubscriptionPaused" }

// MessageType returns "SubscriptionResumed".
func (SubscriptionResumed) MessageType() string { return "SubscriptionResumed" }

// MessageType returns "SubscriptionStepped".
func (SubscriptionStepped) MessageType() string { return "SubscriptionStepped" }

// MessageType returns "ParkedStreamRetried".
func (ParkedStreamRetried) MessageType() string { return "ParkedStreamRetried" }

// MessageType returns "ParkedMessageSkipped".
func (ParkedMessageSkipped) MessageType() string { return "ParkedMessageSkipped" }

// ErrNoSubscription is returned for a name that no subscription has.
var ErrNoSubscription = errors.New("no such subscription")

// Pause has a subscription handle nothing further, in all processes.
func (s *Subscriptions) Pause(ctx context.Context, name string, options ...WriteOption) error {
	return s.control(ctx, name, SubscriptionPaused{name}, options)
}

// Resume has a paused subscription go on.
func (s *Subscriptions) Resume(ctx context.Context, name string, options ...WriteOption) error {
	return s.control(ctx, name, SubscriptionResumed{name}, options)
}

// Step has a paused subscription handle the next message of its category and no other. It
// fails with [ErrNoMessage] where none waits. Asking again before that message is handled
// changes nothing.
func (s *Subscriptions) Step(ctx context.Context, name string, options ...WriteOption) error {
	sub, err := s.named(name)
	if err != nil {
		return err
	}
	saved, err := sub.worker.saved(ctx)
	if err != nil {
		return fmt.Errorf("position of %s: %w", name, err)
	}
	position := max(saved.Position, sub.Status().Position)
	var next []Raw
	if sub.category == "" { // a limit may stand behind a hole
		next, err = sub.store.messages(ctx, `messages WHERE global_position > $1 ORDER BY global_position LIMIT 1`, `NULL::jsonb AS data`, position)
	} else {
		next, err = sub.store.ReadCategory(ctx, sub.category, CategoryQuery{From: position + 1, Limit: 1, Group: sub.group})
	}
	if err != nil {
		return err
	}
	if len(next) == 0 {
		return fmt.Errorf("step %s: %w", name, ErrNoMessage)
	}
	return s.control(ctx, name, SubscriptionStepped{name, next[0].GlobalPosition}, options)
}

// Retry asks for another attempt at a parked stream and writes down that somebody did.
func (s *Subscriptions) Retry(ctx context.Context, name string, stream Stream, options ...WriteOption) error {
	if err := s.control(ctx, name, ParkedStreamRetried{name, stream}, options); err != nil {
		return err
	}
	sub, err := s.named(name)
	if err != nil {
		return err
	}
	return sub.Release(ctx, stream)
}

// ErrNotParked is returned where a stream is not parked for the message that is to be skipped.
var ErrNotParked = errors.New("the stream is not parked for this message")

// Skip leaves out the message at a position of a parked stream, for good, and goes on with
// the next one. It fails with [ErrNotParked] unless the stream is parked for that very
// message; where that ends just then, the event is written and has no effect.
func (s *Subscriptions) Skip(ctx context.Context, name string, stream Stream, position int64, reason string, options ...WriteOption) error {
	sub, err := s.named(name)
	if err != nil {
		return err
	}
	saved, err := sub.worker.saved(ctx)
	if err != nil {
		return fmt.Errorf("parked streams of %s: %w", name, err)
	}
	if p, parked := saved.Parked[stream]; !parked || p.Position != position {
		return fmt.Errorf("skip %d of %s for %s: %w", position, stream, name, ErrNotParked)
	}
	if err := s.control(ctx, name, ParkedMessageSkipped{name, stream, position, reason}, options); err != nil {
		return err
	}
	if err := sub.worker.release(ctx, stream, &position); err != nil {
		return fmt.Errorf("skip %d of %s for %s: %w", position, stream, name, err)
	}
	sub.nudge()
	return nil
}

func (s *Subscriptions) control(ctx context.Context, name string, event Body, options []WriteOption) error {
	sub, err := s.named(name)
	if err != nil {
		return err
	}
	if _, err := sub.store.Write(ctx, ControlCategory.Stream(name), event, options...); err != nil {
		return err
	}
	s.wakeControls()
	return nil
}

func (s *Subscriptions) named(name string) (*Subscription, error) {
	i := slices.IndexFunc(s.all, func(sub *Subscription) bool { return sub.name == name })
	if i < 0 {
		return nil, fmt.Errorf("%q: %w", name, ErrNoSubscription)
	}
	return s.all[i], nil
}

// unlimited is the limit of a subscription that is not paused.
const unlimited int64 = math.MaxInt64

// past reports whether a message may not be handled yet.
func (s *Subscription) past(position int64) bool { return position > s.limit.Load() }

// paused reports whether the subscription handles nothing but what steps allow.
func (s *Subscription) paused() bool { return s.limit.Load() != unlimited }

func (s *Subscription) limitTo(limit int64) {
	s.limit.Store(limit)
	s.set(func(status *Status) {
		status.Paused = limit != unlimited
		switch {
		case status.State == Draining:
		case status.Paused:
			status.State = Paused
		case status.State == Paused:
			status.State = CatchingUp
		}
	})
	s.nudge()
}

// obeyControls follows the events that steer subscriptions until ctx ends. begun is closed
// once all that there were at the start are obeyed.
func (s *Subscriptions) obeyControls(ctx context.Context, begun chan<- struct{}) {
	store, wasBegun := s.all[0].store, false
	for attempt := 1; ctx.Err() == nil; {
		events, err := store.ReadCategory(ctx, ControlCategory, CategoryQuery{From: s.controlled.Load() + 1})
		if err != nil {
			if ctx.Err() == nil && attempt%10 == 1 {
				s.log.Warn("what steers the subscriptions cannot be read", "error", ErrorText(err))
			}
			pause(ctx, s.all[0].retryIn(attempt))
			attempt++
			continue
		}
		attempt = 1
		for _, event := range events {
			s.obey(ctx, event)
			s.controlled.Store(event.GlobalPosition)
		}
		if len(events) == pageSize {
			continue
		}
		if !wasBegun {
			wasBegun = true
			close(begun)
		}
		select {
		case <-s.controls:
		case <-ctx.Done():
		}
	}
}

func (s *Subscriptions) obey(ctx context.Context, event Raw) {
	limit := func(name string, to func(now int64) int64) {
		if sub, err := s.named(name); err == nil { // else it is another program's
			sub.limitTo(to(sub.limit.Load()))
		}
	}
	err := Handle(ctx, event,
		On(func(_ context.Context, m Message[SubscriptionPaused]) error {
			limit(m.Data.Subscription, func(int64) int64 { return 0 })
			return nil
		}),
		On(func(_ context.Context, m Message[SubscriptionResumed]) error {
			limit(m.Data.Subscription, func(int64) int64 { return unlimited })
			return nil
		}),
		On(func(_ context.Context, m Message[SubscriptionStepped]) error {
			limit(m.Data.Subscription, func(now int64) int64 { // of one that goes on all the same it limits nothing
				return max(now, m.Data.UpTo)
			})
			return nil
		}))
	if err != nil {
		s.log.Error("an event that steers a subscription is left out", "message", event, "error", ErrorText(err))
	}
}
