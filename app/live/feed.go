package live

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
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
	// Since tells what changed after the given versions, and the versions of the snapshot that says so; a nil
	// component means nothing did. A row changed when the version that it carries, that of the transaction that
	// last changed it, is greater than the page's. Since is called when the page connects and whenever notifications
	// may have been lost; it must end when its context does.
	Since func(ctx context.Context, at Versions) (templ.Component, Versions, error)
	// Rest is the least time between an answer of Since and the next call, 0 for none. What is notified meanwhile is
	// answered at once then. A page that rests holds up no other.
	Rest time.Duration
}

// Serve answers with the page's event stream, and returns when that has ended. What the browser already has is told
// by its Last-Event-ID, else by ?at=; where that is malformed everything is sent. Serve answers 503 with Retry-After
// when the hub is closed or full.
func (f *Feed) Serve(c echo.Context, show Page) error {
	h := f.hub
	ctx, cancel := context.WithTimeout(c.Request().Context(), around(h.limits.lifetime))
	defer cancel()
	p := &page{feed: f, Page: show, sent: versionsOf(c), behind: true, cancel: cancel, wake: make(chan struct{}, 1)}
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
	// Whatever the server's ReadTimeout. It also finds a writer without deadlines, which could cut nobody.
	if err := w.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear the read deadline of a live page: %w", err)
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

func versionsOf(c echo.Context) Versions {
	text := c.Request().Header.Get("Last-Event-ID")
	if text == "" {
		text = c.QueryParam("at")
	}
	versions, err := ParseVersions(text)
	if err != nil {
		return nil
	}
	return versions
}

func (f *Feed) open(p *page) bool {
	h := f.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.pages) >= h.limits.pages {
		return false
	}
	h.open.Add(1)
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
	h.open.Done()
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
