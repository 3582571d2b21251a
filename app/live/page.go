package live

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"github.com/r3labs/sse/v2"
)

// Feed is one kind of page: those whose topics are rendered alike. Make it with Hub.Feed.
type Feed struct {
	hub     *Hub
	render  func(ctx context.Context, topic string) (templ.Component, error)
	showing map[string]map[*page]struct{} // by topic, or prefix that ends in "/"; guarded by hub.mu
	changes map[string]change             // by topic; guarded by hub.mu
}

// Page is what one open page shows.
type Page struct {
	// Topics that the page shows: exact names, or prefixes that end in "/" and mean every topic below.
	Topics []string
	// Since tells what changed after the given positions, and the positions of the snapshot that says so; a nil
	// component means nothing did. A row changed when the position that it carries, that of the transaction that
	// last changed it, is greater than the page's. Since is called when the page connects and whenever notifications
	// may have been lost; it must end when its context does.
	Since func(ctx context.Context, at Positions) (templ.Component, Positions, error)
}

// Serve answers with the page's event stream, and returns when that has ended. What the browser already has is told
// by its Last-Event-ID, else by ?at=; where that is malformed everything is sent. Serve answers 503 with Retry-After
// when the hub is closed or full.
func (f *Feed) Serve(c echo.Context, show Page) error {
	h := f.hub
	ctx, cancel := context.WithTimeout(c.Request().Context(), around(h.limits.lifetime))
	defer cancel()
	p := &page{feed: f, Page: show, sent: positionsOf(c), behind: true, cancel: cancel, wake: make(chan struct{}, 1)}
	if !f.open(p) {
		c.Response().Header().Set("Retry-After", strconv.Itoa(5+rand.N(10)))
		return echo.NewHTTPError(http.StatusServiceUnavailable, "Live updates are not available at the moment.")
	}
	defer f.leave(p)
	w := &writer{
		ResponseWriter: c.Response(),
		control:        http.NewResponseController(c.Response()),
		http1:          c.Request().ProtoMajor == 1,
		hub:            h,
		cancel:         cancel,
		flushed:        make(chan struct{}, 1),
	}
	// http.Server.ReadTimeout would otherwise end the request.
	if err := w.control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}

	stream := strconv.FormatUint(h.streams.Add(1), 36)
	h.wire.CreateStream(stream)
	pageDone := make(chan struct{})
	go func() {
		defer close(pageDone)
		defer w.end()
		if w.waitFlush(ctx) { // Before that nobody listens to the stream, and a frame would be lost.
			p.follow(ctx, func(e *sse.Event) bool {
				h.wire.Publish(stream, e)
				return w.waitFlush(ctx)
			})
		}
	}()
	// The library gets a request of its own: it would refuse our Last-Event-ID, which is no number.
	r := (&http.Request{URL: &url.URL{RawQuery: "stream=" + stream}}).WithContext(ctx)
	h.wire.ServeHTTP(w, r)
	cancel()
	<-pageDone
	h.wire.RemoveStream(stream) // Any earlier, and a goroutine of the library would wait for ever to leave the stream.
	return nil
}

func positionsOf(c echo.Context) Positions {
	text := c.Request().Header.Get("Last-Event-ID")
	if text == "" {
		text = c.QueryParam("at")
	}
	positions, err := ParsePositions(text)
	if err != nil {
		return nil
	}
	return positions
}

func (f *Feed) open(p *page) bool {
	h := f.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.pages) >= h.limits.pages {
		return false
	}
	h.pages[p] = struct{}{}
	for _, topic := range p.Topics {
		if f.showing[topic] == nil {
			f.showing[topic] = map[*page]struct{}{}
		}
		f.showing[topic][p] = struct{}{}
	}
	return true
}

func (f *Feed) leave(p *page) {
	h := f.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pages, p)
	for _, topic := range p.Topics {
		delete(f.showing[topic], p)
		if len(f.showing[topic]) == 0 {
			delete(f.showing, topic)
		}
	}
	h.checkGone()
}

// pagesOf yields the pages that show a topic, with hub.mu held.
func (f *Feed) pagesOf(topic string) iter.Seq[*page] {
	return func(yield func(*page) bool) {
		for end := range len(topic) + 1 {
			if end < len(topic) && (end == 0 || topic[end-1] != '/') {
				continue
			}
			for p := range f.showing[topic[:end]] {
				if !yield(p) {
					return
				}
			}
		}
	}
}

func (f *Feed) shows(topic string) bool {
	for range f.pagesOf(topic) {
		return true
	}
	return false
}

// page is an open page: what its browser has, and what it is still to get.
type page struct {
	feed *Feed
	Page
	cancel context.CancelFunc
	wake   chan struct{} // capacity 1: there may be something to send

	mu     sync.Mutex
	sent   Positions           // replaced, never changed
	behind bool                // Since is to be asked before anything else is sent
	dirty  map[string]fragment // the newest of each topic
	held   map[string]int64    // positions of topics whose render failed: nothing is sent before they are there
}

// fragment is a rendered topic, at least as new as its position.
type fragment struct {
	position int64
	html     []byte
}

func (p *page) mark(fragments map[string]fragment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dirty == nil {
		p.dirty = fragments
	}
	for topic, f := range fragments {
		p.dirty[topic] = f
		delete(p.held, topic)
	}
	signal(p.wake)
}

func (p *page) hold(topic string, position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[string]int64{}
	}
	p.held[topic] = position
}

// fallBehind makes the page ask Since, whose answer covers all that the page was still to get.
func (p *page) fallBehind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behind, p.dirty, p.held = true, nil, nil
	signal(p.wake)
}

func (p *page) isBehind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behind
}

// follow sends what the page is to get, a frame at a time, until ctx ends or send says that it is over.
func (p *page) follow(ctx context.Context, send func(*sse.Event) bool) {
	h := p.feed.hub
	heartbeat, retry := time.NewTimer(h.limits.heartbeat), time.NewTimer(0)
	defer heartbeat.Stop()
	defer retry.Stop()
	tries, waiting := 0, true
	for {
		event := p.take()
		if event == nil {
			var slots chan struct{} // nil: no Since now
			if !waiting && p.isBehind() {
				slots = h.slots
			}
			select {
			case <-ctx.Done():
				return
			case <-p.wake:
				continue
			case <-retry.C:
				waiting = false
				continue
			case <-heartbeat.C:
				event = &sse.Event{Comment: []byte("heartbeat")}
			case slots <- struct{}{}:
				var err error
				event, err = p.catchUp(ctx)
				<-slots
				if err != nil {
					tries++
					waiting = true
					retry.Reset(h.limits.backoff(tries))
					continue
				}
				tries = 0
				if event == nil {
					continue
				}
			}
		}
		if !send(event) {
			return
		}
		if len(event.Data) > 0 {
			h.frames.Add(1)
		}
		heartbeat.Reset(h.limits.heartbeat)
	}
}

// take makes one frame of everything that is dirty.
func (p *page) take() *sse.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.behind || len(p.dirty) == 0 {
		return nil
	}
	for topic, position := range p.held {
		if position > p.sent[projectionOf(topic)] {
			return nil
		}
	}
	claim := maps.Clone(p.sent)
	var html [][]byte
	for _, topic := range slices.Sorted(maps.Keys(p.dirty)) {
		f, name := p.dirty[topic], projectionOf(topic)
		if f.position <= p.sent[name] {
			continue // An answer of Since had it, and maybe a newer one.
		}
		claim[name] = max(claim[name], f.position-1)
		if len(f.html) > 0 {
			html = append(html, f.html)
		}
	}
	p.sent, p.dirty = claim, nil
	switch len(html) {
	case 0:
		return nil
	case 1: // Shared with every page that shows it.
		return &sse.Event{ID: []byte(claim.String()), Data: html[0]}
	}
	return &sse.Event{ID: []byte(claim.String()), Data: bytes.Join(html, []byte("\n"))}
}

// catchUp makes one frame of what Since says.
func (p *page) catchUp(ctx context.Context) (*sse.Event, error) {
	h := p.feed.hub
	p.mu.Lock()
	at := p.sent
	p.behind = false // First: who falls behind while Since reads has to read again.
	p.mu.Unlock()
	var now Positions
	html, err := h.fragment(ctx, strings.Join(p.Topics, " "), func(ctx context.Context) (component templ.Component, err error) {
		component, now, err = p.Since(ctx, maps.Clone(at))
		if err == nil && now.before(at) {
			// The page is from before its projection was emptied and filled again: its positions say nothing.
			component, now, err = p.Since(ctx, Positions{})
		}
		return component, err
	})
	if err != nil {
		p.fallBehind()
		if ctx.Err() == nil && h.sinceFails.CompareAndSwap(false, true) {
			h.log.Warn("live pages cannot be brought up to date", "topics", p.Topics, "error", err)
		}
		return nil, err
	}
	if h.sinceFails.CompareAndSwap(true, false) {
		h.log.Info("live pages are brought up to date again")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = Positions{}
	maps.Copy(p.sent, now)
	if len(html) == 0 {
		return nil, nil
	}
	return &sse.Event{ID: []byte(p.sent.String()), Data: html}, nil
}
