package live

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/a-h/templ"
)

// change is what a feed still has to render of one topic.
type change struct {
	version  int64     // of the newest notification
	tries    int       // that failed
	due      time.Time // of the next try, when one has failed
	rendered uint64    // the hub's, when the first try failed
}

// job is a change on its way through a round.
type job struct {
	change
	feed  *Feed
	topic string
	html  []byte
	err   error
}

// round renders all that is due, then hands it to the pages. It tells how many pages it reached, and when the next
// failed render is due (zero: none failed).
func (h *Hub) round(ctx context.Context) (reached int, next time.Time) {
	jobs := h.takeDue(time.Now())
	slots := make(chan struct{}, h.limits.renders)
	var renders sync.WaitGroup
	for i := range jobs {
		j := &jobs[i]
		slots <- struct{}{}
		renders.Go(func() {
			defer func() { <-slots }()
			j.html, j.err = h.fragment(ctx, j.topic, func(ctx context.Context) (templ.Component, error) {
				return j.feed.render(ctx, j.topic)
			})
		})
	}
	renders.Wait()
	if ctx.Err() != nil {
		return 0, time.Time{}
	}
	return h.deliver(jobs)
}

func (h *Hub) takeDue(now time.Time) []job {
	h.mu.Lock()
	defer h.mu.Unlock()
	var jobs []job
	for _, f := range h.feeds {
		for topic, c := range f.changes {
			if c.due.After(now) {
				continue
			}
			delete(f.changes, topic)
			if f.shows(topic) {
				jobs = append(jobs, job{feed: f, topic: topic, change: c})
			}
		}
	}
	return jobs
}

// deliver marks on every page what the round rendered for it, all at once, because a frame's id claims that the page
// has everything notified before the newest of it. A page that shows a topic whose render failed is held until that
// topic is there too, for the same reason.
func (h *Hub) deliver(jobs []job) (reached int, next time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	marks := map[*page]map[string]fragment{}
	var failed []job
	for _, j := range jobs {
		if j.err != nil {
			failed = append(failed, j)
			continue
		}
		h.rendered++
		if j.version > h.notified[projectionOf(j.topic)] {
			continue // Its projection went back meanwhile, and every page is asking Since.
		}
		var ids []string
		if h.observe != nil {
			ids = elements(j.html)
		}
		for p := range j.feed.pagesOf(j.topic) {
			if marks[p] == nil {
				marks[p] = map[string]fragment{}
			}
			marks[p][j.topic] = fragment{version: j.version, html: j.html, elements: ids}
		}
	}
	h.retryLater(failed)
	for _, f := range h.feeds {
		for topic, c := range f.changes {
			if c.tries == 0 {
				continue
			}
			if next.IsZero() || c.due.Before(next) {
				next = c.due
			}
			for p := range f.pagesOf(topic) {
				p.hold(topic, c.version)
			}
		}
	}
	for p, fragments := range marks {
		p.mark(fragments)
	}
	return len(marks), next
}

// retryLater keeps what failed. When the database is away everything fails, and is tried for ever. A topic that
// fails while others don't is given up, or its pages would be held for ever: they are brought up to date by Since.
func (h *Hub) retryLater(failed []job) {
	if len(failed) == 0 {
		return
	}
	h.log.Warn("live render failed", "topic", failed[0].topic, "error", failed[0].err, "failed_topics", len(failed))
	tries := 0
	for _, j := range failed {
		tries = max(tries, j.tries+1)
	}
	due := time.Now().Add(h.limits.backoff(tries)) // the same for all, so that they share a round
	for _, j := range failed {
		j.tries++
		if j.tries == 1 {
			j.rendered = h.rendered
		}
		if j.tries >= h.limits.tries && h.rendered > j.rendered {
			h.log.Error("live render given up", "topic", j.topic, "tries", j.tries, "error", j.err)
			for p := range j.feed.pagesOf(j.topic) {
				p.fallBehind()
			}
			continue
		}
		if newer, again := j.feed.changes[j.topic]; again {
			j.version = newer.version
		}
		j.due = due
		j.feed.changes[j.topic] = j.change
	}
}

// fragment makes the HTML of one component, within the time for a query. A panic on the way is an error.
func (h *Hub) fragment(ctx context.Context, subject string, build func(context.Context) (templ.Component, error)) (html []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			h.log.Error("live fragment panicked", "topic", subject, "panic", v, "stack", string(debug.Stack()))
			html, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, h.limits.query)
	defer cancel()
	component, err := build(ctx)
	if err != nil || component == nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := component.Render(ctx, &b); err != nil {
		return nil, err
	}
	// A carriage return ends a line of an event stream, and what follows it would be lost. To HTML it is a line's end too.
	html = bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n"))
	html = bytes.ReplaceAll(html, []byte("\r"), []byte("\n"))
	return bytes.TrimSpace(html), nil
}
