package authenticate

import (
	"context"
	"sync"
	"time"
)

// clock is a time that only waiting moves on.
type clock struct {
	mu     sync.Mutex
	at     time.Time
	waited []time.Duration
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(max(0, d))
	c.waited = append(c.waited, d)
	return ctx.Err()
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *clock) later(d time.Duration) { c.set(c.now().Add(d)) }

// last returns the last wait.
func (c *clock) last() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waited) == 0 {
		return 0
	}
	return c.waited[len(c.waited)-1]
}
