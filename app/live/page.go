package live

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/r3labs/sse/v2"
)

// page is an open page: what its browser has, and what it is still to get.
type page struct {
	feed *Feed
	Page
	cancel   context.CancelFunc
	wake     chan struct{} // capacity 1: there may be something to send
	delivery *Delivery     // of the frame that is on its way; for the goroutine of follow only

	mu     sync.Mutex
	sent   Versions            // replaced, never changed
	behind bool                // Since is to be asked before anything else is sent
	dirty  map[string]fragment // the newest of each topic
	held   map[string]int64    // versions of topics whose render failed: nothing is sent before they are there
}

// fragment is a rendered topic, at least as new as its version.
type fragment struct {
	version  int64
	html     []byte
	elements []string
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

func (p *page) hold(topic string, version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[string]int64{}
	}
	p.held[topic] = version
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
	tries, waiting := 0, false
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
				if p.Rest > 0 {
					waiting = true
					retry.Reset(p.Rest)
				}
				if event == nil {
					p.delivered()
					continue
				}
			}
		}
		if !send(event) {
			return
		}
		p.delivered()
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
	for topic, version := range p.held {
		if version > p.sent[projectionOf(topic)] {
			return nil
		}
	}
	claim := maps.Clone(p.sent)
	var html [][]byte
	var delivery *Delivery
	if p.feed.hub.observe != nil {
		delivery = &Delivery{Topics: Versions{}, Sent: true}
	}
	for _, topic := range slices.Sorted(maps.Keys(p.dirty)) {
		f, name := p.dirty[topic], projectionOf(topic)
		if f.version <= p.sent[name] {
			continue // An answer of Since had it, and maybe a newer one.
		}
		claim[name] = max(claim[name], f.version-1)
		if len(f.html) > 0 {
			html = append(html, f.html)
			if delivery != nil {
				delivery.Topics[topic] = f.version
				delivery.Elements = append(delivery.Elements, f.elements...)
			}
		}
	}
	p.sent, p.dirty = claim, nil
	if len(html) > 0 {
		p.delivery = delivery
	}
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
	var now Versions
	html, err := h.fragment(ctx, strings.Join(p.Topics, " "), func(ctx context.Context) (component templ.Component, err error) {
		component, now, err = p.Since(ctx, maps.Clone(at))
		if err == nil && now.before(at) {
			// The page is from before its projection was emptied and filled again: its versions say nothing.
			component, now, err = p.Since(ctx, Versions{})
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
	p.sent = Versions{}
	maps.Copy(p.sent, now)
	if h.observe != nil {
		p.delivery = &Delivery{Topics: Versions{}, Sent: len(html) > 0, Elements: elements(html)}
		for _, topic := range p.Topics {
			p.delivery.Topics[topic] = now[projectionOf(topic)]
		}
	}
	if len(html) == 0 {
		return nil, nil
	}
	return &sse.Event{ID: []byte(p.sent.String()), Data: html}, nil
}
