package live

import (
	"context"
	"sync/atomic"
)

// Cache keeps what was made from view data until one of the projections that it was made from changes: a page that
// nobody's events touch is made once, however many ask for it. While the hub hears nothing, nothing is kept.
type Cache[T any] struct {
	hub         *Hub
	projections []string
	kept        atomic.Pointer[kept[T]]
	making      chan struct{} // capacity 1: one makes it while the others wait
}

type kept[T any] struct {
	value T
	of    moment
}

// moment says what had been heard when something was made.
type moment struct {
	hearing  bool
	listens  uint64 // how often listening was begun anew
	notified uint64 // notifications of the projections
}

// NewCache returns an empty cache for what is made from these projections.
func NewCache[T any](hub *Hub, projections ...string) *Cache[T] {
	return &Cache[T]{hub: hub, projections: projections, making: make(chan struct{}, 1)}
}

// Get returns what is kept, or makes it. What make says is not to be kept, the next one makes again.
func (c *Cache[T]) Get(ctx context.Context, make func(context.Context) (value T, keep bool, err error)) (T, error) {
	if k := c.kept.Load(); k != nil && k.of.hearing && k.of == c.hub.moment(c.projections) {
		return k.value, nil
	}
	select {
	case c.making <- struct{}{}:
		defer func() { <-c.making }()
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
	// Read before the view data is: what commits in between makes this moment an old one.
	now := c.hub.moment(c.projections)
	if k := c.kept.Load(); k != nil && k.of.hearing && k.of == now {
		return k.value, nil
	}
	value, keep, err := make(ctx)
	if err == nil && keep {
		c.kept.Store(&kept[T]{value, now})
	}
	return value, err
}

func (h *Hub) moment(projections []string) moment {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := moment{hearing: h.hearing, listens: h.listens}
	for _, name := range projections {
		m.notified += h.heard[name]
	}
	return m
}
