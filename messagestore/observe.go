package messagestore

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Observation is what a subscription has just done.
type Observation struct {
	// Subscription is its name.
	Subscription string
	// Messages are what it handled: one for a component's handler, those of a committed
	// transaction for a projection.
	Messages []Raw
	// Began and Ended frame the work.
	Began, Ended time.Time
	// Projected says that it is a projection's transaction, whose Topics and Version these
	// are.
	Projected bool
	Topics    []string
	Version   int64
	// Wrote are the messages that a handler has written, but those that were there before.
	Wrote []Written
	// Err is why a handler's try failed; a transaction that failed is not observed.
	Err error
}

// Observe has f called with all that the subscriptions do, from many goroutines. It stands
// before Run; f must be quick and keep the messages unchanged.
func (s *Subscriptions) Observe(f func(Observation)) {
	for _, sub := range s.all {
		sub.observe = f
	}
}

// observed has a message handled and tells of it; nobody is told of a type that has no
// handler.
func (s *Subscription) observed(ctx context.Context, m Raw, handlers []Handler) error {
	if !handles(handlers, m.Type) {
		return nil
	}
	if s.observe == nil {
		return about(m, Handle(ctx, m, handlers...))
	}
	var mu sync.Mutex
	o := Observation{Subscription: s.name, Messages: []Raw{m}, Began: time.Now()}
	err := Handle(NoteWrites(ctx, func(w Written) {
		mu.Lock()
		defer mu.Unlock()
		o.Wrote = append(o.Wrote, w)
	}), m, handlers...)
	mu.Lock()
	told := o
	mu.Unlock()
	told.Ended, told.Err = time.Now(), err
	s.observe(told)
	return about(m, err)
}

func about(m Raw, err error) error {
	if err == nil {
		return nil
	}
	return handling{err, m}
}

func handles(handlers []Handler, kind string) bool {
	return slices.ContainsFunc(handlers, func(h Handler) bool { return h.kind == kind })
}

// Handles returns the types that a component's subscription handles; nil for a projection.
func (s *Subscription) Handles() (kinds []string) {
	for _, h := range s.handlers {
		kinds = append(kinds, h.kind)
	}
	return kinds
}
