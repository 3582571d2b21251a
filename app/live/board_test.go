package live

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
)

// A notice reaches every process, wakes the pages that show its topic, and goes when it
// is taken down or its time is over.
func TestABoardIsSharedAndForgets(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h, _ := newHub(t, nil)
	far, _ := newHub(t, nil)
	var boards []*Board
	send := func(_ context.Context, payload string) error {
		for _, b := range boards {
			b.Heard(payload)
		}
		return nil
	}
	here, there := NewBoard(h, send), NewBoard(far, send)
	boards = []*Board{here, there}

	shows := func(b *Board) Page {
		return Page{Topics: []string{"progress/me/"}, Since: func(context.Context, Versions) (templ.Component, Versions, error) {
			var percent string
			b.Get("progress/me/film", &percent)
			return templ.Raw("[" + percent + "]"), Versions{"counts": 1}, nil
		}}
	}
	addr, _ := serve(t, far.Personal(), always(shows(there)), nil)
	page := open(t, addr, "", "")
	until := func(want string) {
		t.Helper()
		for string(page.next(t).data) != want {
		}
	}
	until("[]")
	if err := here.Post(ctx, "progress/me/film", "40 %", time.Hour); err != nil {
		t.Fatal(err)
	}
	until("[40 %]")
	if below := there.Below("progress/me/"); string(below["progress/me/film"]) != `"40 %"` || len(there.Below("progress/you/")) != 0 {
		t.Errorf("below: %v", below)
	}
	if err := here.Remove(ctx, "progress/me/film"); err != nil {
		t.Fatal(err)
	}
	until("[]")
	if err := here.Post(ctx, "progress/me/film", "50 %", time.Minute); err != nil {
		t.Fatal(err)
	}
	until("[50 %]")
	there.expire(time.Now().Add(time.Hour))
	until("[]")
	if _, kept := here.Below("progress/me/")["progress/me/film"]; !kept {
		t.Error("one process took down what another one's clock says is over")
	}
}

// A page whose topic is rendered for all gets it too, beside the topics of projections.
func TestABoardWakesSharedPages(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	var b *Board
	b = NewBoard(h, func(_ context.Context, payload string) error { b.Heard(payload); return nil })
	feed := h.Feed(func(_ context.Context, topic string) (templ.Component, error) {
		return templ.Raw(string(b.Below("watching/")[topic])), nil
	})
	addr, _ := serve(t, feed, always(Page{Topics: []string{"watching/film/", "counts"}, Since: func(context.Context, Versions) (templ.Component, Versions, error) {
		return templ.Raw("begun"), Versions{"counts": 7}, nil
	}}), nil)
	page := open(t, addr, "", "")
	if f := page.next(t); string(f.data) != "begun" {
		t.Fatalf("%q", f.data)
	}
	for n := 1; n <= 3; n++ {
		for range 3 { // what is only repeated is told once
			if err := b.Post(context.Background(), "watching/film/here", n, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if f := page.next(t); string(f.data) != string(rune('0'+n)) || !strings.HasPrefix(f.id, "counts=7,watching=") {
			t.Fatalf("%s: %q", f.id, f.data)
		}
	}
}

func TestABoardTakesNothingElse(t *testing.T) {
	t.Parallel()
	h, log := newHub(t, nil)
	b := NewBoard(h, func(context.Context, string) error { return errors.New("away") })
	for _, payload := range []string{"", "x", "progress/me/film", "progress/me/film x 1", "progress/me/ 1000 1", "progress/me/film 1000 {", "/x 1000 1"} {
		b.Heard(payload)
	}
	if len(b.Below("")) != 0 || !log.has("notice dropped") {
		t.Errorf("taken: %v", b.Below(""))
	}
	if err := b.Post(context.Background(), "progress/me/film", 1, time.Second); err == nil {
		t.Error("no error when nobody could be told")
	}
	if err := b.Post(context.Background(), "progress/me/film", strings.Repeat("x", 8000), time.Second); err == nil {
		t.Error("more was posted than a notification can hold")
	}
}
