package live

import (
	"slices"
	"testing"
)

// TestDeliveriesAreObserved: a page that has all, frames of a round and of Since are told
// of when they are accepted.
func TestDeliveriesAreObserved(t *testing.T) {
	h, _ := newHub(t, nil)
	seen := make(chan Delivery, 10)
	h.Observe(func(d Delivery) { seen <- d })
	s := newStore()
	s.commit("counts/a")
	address, _ := serve(t, h.Feed(s.render), always(s.page("counts/a", "counts/below/")), nil)

	b := open(t, address, "?at=counts=1", "")
	if d := <-seen; d.Sent || d.Topics["counts/a"] != 1 || d.Topics["counts/below/"] != 1 || d.At.IsZero() {
		t.Errorf("of a page that has all: %+v", d)
	}
	notify(h, s.commit("counts/a"))
	b.until(t, "counts/a", s.value("counts/a"))
	if d := <-seen; !d.Sent || len(d.Topics) != 1 || d.Topics["counts/a"] != 2 {
		t.Errorf("of a frame: %+v", d)
	}
	h.Resync()
	notify(h, s.commit("counts/below/b"))
	b.until(t, "counts/below/b", s.value("counts/below/b"))
	for d := range seen { // Resync alone may have been answered before the commit
		if d.Topics["counts/below/b"] == 3 || d.Topics["counts/below/"] == 3 {
			break
		}
	}
	b.leave()
}

func TestElementsOfAFrame(t *testing.T) {
	t.Parallel()
	for html, want := range map[string][]string{
		"":                       nil,
		"<p>text</p>":            nil,
		`<hx-partial id="cut`:    nil,
		`<hx-partial id="one">…`: {"one"},
		"<hx-partial id=\"one\" hx-swap=\"outerMorph\"><b id=\"no\"></b></hx-partial>\n<hx-partial id=\"two\">": {"one", "two"},
	} {
		if got := elements([]byte(html)); !slices.Equal(got, want) {
			t.Errorf("%s: %q", html, got)
		}
	}
}
