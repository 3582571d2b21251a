// Package live keeps open pages up to date. An aggregator notifies a topic inside the transaction that changed its
// rows; the hub renders that topic once for each kind of page that shows it, and sends the fragment to every browser
// with such a page open, as a server-sent event.
//
// What a person sees has no gap: every frame's id says up to which version of each projection the page is complete,
// the browser returns it when it reconnects, and the page's Since answers with what changed after it. The id never
// claims too much. Several topics of one transaction arrive as separate notifications, so a frame that carries a
// topic notified at version V claims V-1: at worst something is sent twice.
//
// A browser that reads slowly gets the newest fragment of each topic instead of a queue of old ones; one that accepts
// nothing for ten seconds is cut; neither is noticed by anyone else.
//
// The routes must be spared middleware that buffers, compresses or times out.
package live

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/a-h/templ"
	"github.com/r3labs/sse/v2"
)

// Hub is the process's meeting point of notifications and open pages. Make it with New.
type Hub struct {
	log     *slog.Logger
	limits  limits
	wire    *sse.Server
	wake    chan struct{}  // capacity 1: something is to be rendered
	observe func(Delivery) // nil: nobody does
	slots   chan struct{}  // taken while a page's Since runs
	open    sync.WaitGroup // of pages; none is added once closed is set

	mu       sync.Mutex // before a page's
	closed   bool
	feeds    []*Feed
	pages    map[*page]struct{}
	notified Versions          // of the newest notification of each projection
	rendered uint64            // renders that went well, ever
	polled   Versions          // as the last Poll said
	covered  Versions          // up to which pages were brought without a notification
	hearing  bool              // the LISTEN connection stands
	listens  uint64            // times that it was made
	heard    map[string]uint64 // notifications of each projection

	streams, frames, cut, notifications atomic.Uint64
	sinceFails                          atomic.Bool
}

// limits are fields, not constants, so that tests need not wait for them.
type limits struct {
	pages        int           // open at once
	heartbeat    time.Duration // without a frame, after which a comment is sent
	lifetime     time.Duration // of a connection, give or take a tenth: reconnecting authorises the page again
	write        time.Duration // for a frame to be accepted, before the page is cut
	farewell     time.Duration // for the end of a response to be accepted
	leave        time.Duration // that Run waits for pages to leave
	renders      int           // of topics at the same time
	sinces       int           // calls at the same time
	query        time.Duration // for one render or Since
	retryMin     time.Duration // before the first retry of a render or Since, doubling …
	retryMax     time.Duration // … up to this
	tries        int           // of one topic while others can be rendered
	restEachPage time.Duration // between rounds, for each page that the last one reached
}

// New makes a hub for up to 10,000 open pages. It does no I/O; Run makes it work.
func New(log *slog.Logger) *Hub {
	h := &Hub{
		log: log,
		limits: limits{
			pages:        10_000,
			heartbeat:    20 * time.Second,
			lifetime:     10 * time.Minute,
			write:        10 * time.Second,
			farewell:     time.Second,
			leave:        5 * time.Second,
			renders:      8,
			sinces:       8,
			query:        5 * time.Second,
			retryMin:     100 * time.Millisecond,
			retryMax:     5 * time.Second,
			tries:        5,
			restEachPage: 20 * time.Microsecond,
		},
		wire:     sse.New(),
		wake:     make(chan struct{}, 1),
		pages:    map[*page]struct{}{},
		notified: Versions{},
		heard:    map[string]uint64{},
	}
	h.slots = make(chan struct{}, h.limits.sinces)
	h.wire.AutoReplay, h.wire.AutoStream, h.wire.SplitData, h.wire.BufferSize = false, false, true, 1
	h.wire.Headers = map[string]string{"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
	return h
}

// Feed adds a kind of page. Its render makes the fragment of a topic, once per change for all of the feed's pages;
// it must end when its context does. A nil or empty component sends nothing.
func (h *Hub) Feed(render func(ctx context.Context, topic string) (templ.Component, error)) *Feed {
	f := &Feed{hub: h, render: render, showing: map[string]map[*page]struct{}{}, changes: map[string]change{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feeds = append(h.feeds, f)
	return f
}

// Personal adds a kind of page that each person sees in another way. A notification makes every page that shows its
// topic ask its own Since, which decides anew what this person may see.
func (h *Hub) Personal() *Feed { return h.Feed(nil) }

// Run renders what was notified and hands it to the pages until ctx ends. Then it closes the hub, and returns when
// the last page has left: an error if that takes more than five seconds, else nil.
func (h *Hub) Run(ctx context.Context) error {
	retry := time.NewTimer(0)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-h.wake:
		case <-retry.C:
		}
		reached, next := h.round(ctx)
		retry.Stop()
		if !next.IsZero() {
			retry.Reset(time.Until(next))
		}
		// A burst of notifications for thousands of pages would otherwise take all there is of the processor.
		if rest := time.Duration(reached) * h.limits.restEachPage; rest > time.Millisecond {
			pause(ctx, rest)
		}
	}
	h.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		h.open.Wait()
	}()
	select {
	case <-gone:
		return nil
	case <-time.After(h.limits.leave):
		return fmt.Errorf("stop the live hub: %d pages are still open after %s", h.Stats().Pages, h.limits.leave)
	}
}

// Close ends every stream and refuses new ones with 503, for ever. Register it with http.Server.RegisterOnShutdown,
// because Shutdown waits for streams. It doesn't wait for them to end.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for p := range h.pages {
		p.cancel()
	}
}

// Notify takes the payload of a NOTIFY views, "<topic> <version>". The topic's first path segment is the
// projection's name ("viewcounts/abc" → "viewcounts"), and the version that of the transaction that notified.
// Payloads of one projection must come in the order of their commits. Notify waits neither for a database nor for a
// browser, and several notifications of a topic become one render. What is malformed is logged and dropped.
func (h *Hub) Notify(payload string) {
	h.notifications.Add(1)
	topic, version, err := parseNotification(payload)
	if err != nil {
		h.log.Warn("live notification dropped", "error", err)
		return
	}
	name := projectionOf(topic)
	h.mu.Lock()
	defer h.mu.Unlock()
	if version < h.notified[name] {
		h.log.Info("projection went back, every live page is brought up to date", "projection", name, "from", h.notified[name], "to", version)
		h.fallBehind()
		delete(h.polled, name)
		delete(h.covered, name)
	}
	h.notified[name] = version
	h.heard[name]++
	for _, f := range h.feeds {
		if f.render == nil {
			for p := range f.pagesOf(topic) {
				p.fallBehind()
			}
			continue
		}
		if f.shows(topic) {
			// A topic that waits for its next try keeps waiting.
			c := f.changes[topic]
			c.version = version
			f.changes[topic] = c
			signal(h.wake)
		}
	}
}

// Resync brings every open page up to date from its own versions. Call it when LISTEN was issued on a new connection,
// before the first Notify from that: what was notified in between is lost.
func (h *Hub) Resync() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hearing = true
	h.listens++
	h.polled = nil
	h.fallBehind()
}

// Poll takes the version of each projection as it stands, about every second, on the connection that listens. A
// version that was there a poll ago and of which no notification has come since was not heard of: every page is
// brought up to date.
func (h *Hub) Poll(versions Versions) {
	h.mu.Lock()
	defer h.mu.Unlock()
	missed := false
	for name, version := range h.polled {
		if max(h.notified[name], h.covered[name]) < version {
			h.covered[name] = version
			missed = true
		}
	}
	if h.polled == nil { // the first poll since Resync, which covers what it finds
		h.covered = maps.Clone(versions)
	}
	h.polled = versions
	if missed {
		h.log.Warn("a notification of view data was lost, every live page is brought up to date")
		h.listens++
		h.fallBehind()
	}
}

// Deaf says that the LISTEN connection is lost. Pages stay open; a Cache keeps nothing until Resync.
func (h *Hub) Deaf() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hearing = false
	h.log.Warn("the connection that listens for changes of view data is lost")
}

// fallBehind makes every page ask Since, which covers all that was notified so far.
func (h *Hub) fallBehind() {
	for _, f := range h.feeds {
		clear(f.changes)
	}
	for p := range h.pages {
		p.fallBehind()
	}
}

// Stats are a hub's figures since it was made.
type Stats struct {
	Pages         int    // open now
	Frames        uint64 // sent, without heartbeats
	Cut           uint64 // pages that accepted nothing for ten seconds
	Notifications uint64 // received, malformed ones included
}

// Stats returns the hub's figures of this moment.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{Pages: len(h.pages), Frames: h.frames.Load(), Cut: h.cut.Load(), Notifications: h.notifications.Load()}
}

// backoff is the pause after the given number of tries, with jitter so that pages don't return all at once.
func (l limits) backoff(tries int) time.Duration {
	d := l.retryMax
	if shift := tries - 1; shift < 10 {
		d = min(d, l.retryMin<<shift)
	}
	return d/2 + rand.N(d/2+1)
}

// around returns d give or take a tenth.
func around(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// signal leaves a token for the one who waits; one token is enough.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
