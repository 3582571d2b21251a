package live

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/a-h/templ"
)

// However often it is notified, a page that rests asks no sooner, and gets what it missed when it is rested.
func TestAPageRestsBetweenTwoAnswers(t *testing.T) {
	t.Parallel()
	const rest = 50 * time.Millisecond
	h, _ := newHub(t, nil)
	s := newStore()
	page := s.page("people/me")
	var mu sync.Mutex
	var began, ended []time.Time
	since := page.Since
	page.Rest = rest
	page.Since = func(ctx context.Context, at Versions) (templ.Component, Versions, error) {
		mu.Lock()
		defer mu.Unlock()
		began = append(began, time.Now())
		defer func() { ended = append(ended, time.Now()) }()
		return since(ctx, at)
	}
	address, _ := serve(t, h.Personal(), always(page), nil)
	s.commit("people/me")
	b := open(t, address, "", "")
	b.until(t, "people/me", 1)
	for value := int64(1); value < 500; {
		for range 100 {
			value++
			notify(h, s.commit("people/me"))
		}
		b.until(t, "people/me", value)
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range began[1:] {
		if gap := began[i+1].Sub(ended[i]); gap < rest {
			t.Errorf("asked again after %s", gap)
		}
	}
}

// Pages that rest take nothing from those that don't.
func TestPagesThatRestHoldUpNoOther(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s, other := newStore(), newStore()
	feed := h.Personal()
	page := s.page("people/me")
	page.Rest = time.Hour
	resting, _ := serve(t, feed, always(page), nil)
	visitors, _ := serve(t, feed, always(other.page("people/you")), nil)
	s.commit("people/me")
	other.commit("people/you")
	for range 2 * h.limits.sinces {
		open(t, resting, "", "").until(t, "people/me", 1)
	}
	visitor := open(t, visitors, "", "")
	visitor.until(t, "people/you", 1)
	asked := s.answered()
	for _, value := range []int64{2, 3, 4} {
		notify(h, s.commit("people/me"))
		notify(h, other.commit("people/you"))
		visitor.until(t, "people/you", value)
	}
	if n := s.answered() - asked; n != 0 {
		t.Errorf("pages that rest asked %d times", n)
	}
}
