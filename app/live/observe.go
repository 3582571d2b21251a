package live

import (
	"bytes"
	"time"
)

// Delivery is what the browser of one page has just accepted.
type Delivery struct {
	// At is when it was accepted.
	At time.Time
	// Topics says up to which version the page shows each of them now. A topic that ends
	// in "/" stands for all below it.
	Topics Versions
	// Sent says that there was a frame. Without one the page had it all when it was
	// opened.
	Sent bool
	// Elements are the ids of what the frame has replaced on the page.
	Elements []string
}

// Observe has f called for each frame that a page has accepted, and for each page that
// needed none. It stands before Run; f is called by many pages at once and must be quick.
func (h *Hub) Observe(f func(Delivery)) { h.observe = f }

// delivered tells of what take or catchUp has left in p.delivery.
func (p *page) delivered() {
	d := p.delivery
	if p.delivery = nil; d == nil {
		return
	}
	d.At = time.Now()
	p.feed.hub.observe(*d)
}

// elements returns the ids of what an event's fragments replace: see views.Push.
func elements(html []byte) (ids []string) {
	const before = `<hx-partial id="`
	for {
		_, after, found := bytes.Cut(html, []byte(before))
		id, rest, ends := bytes.Cut(after, []byte(`"`))
		if !found || !ends {
			return ids
		}
		ids = append(ids, string(id))
		html = rest
	}
}
