package live

import (
	"maps"
	"testing"
)

// A page that each person sees in their own way asks its own Since whenever one of its
// topics changes, nobody renders for it, and pages of other topics hear nothing.
func TestAPersonalPageAsksForItself(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s, other := newStore(), newStore()
	feed := h.Personal()
	mine, _ := serve(t, feed, always(s.page("people/me")), nil)
	theirs, _ := serve(t, feed, always(other.page("people/you")), nil)
	s.commit("people/me")
	other.commit("people/you")
	me, you := open(t, mine, "", ""), open(t, theirs, "", "")
	me.next(t)
	you.next(t)
	asked := other.answered()

	notify(h, s.commit("people/me"))
	if f := me.next(t); f.id != "people=2" || !maps.Equal(f.values(), map[string]int64{"people/me": 2}) {
		t.Errorf("got %s: %q", f.id, f.data)
	}
	if n := s.rendered("people/me"); n != 0 {
		t.Errorf("rendered %d times for all", n)
	}
	if n := other.answered(); n != asked {
		t.Errorf("the other person's page asked %d times more", n-asked)
	}
	h.Resync()
	notify(h, s.commit("people/me"))
	me.until(t, "people/me", 3)
}
