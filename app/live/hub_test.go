package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

func TestAPageGetsWhatChangedAfterItsVersions(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s := newStore()
	s.commit("views/a")
	s.commit("views/b")
	s.commit("views/c")
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	for _, test := range []struct {
		name, query, lastEventID string
		want                     map[string]int64
	}{
		{"no versions: everything", "", "", map[string]int64{"views/a": 1, "views/b": 1, "views/c": 1}},
		{"?at=", "?at=views=1", "", map[string]int64{"views/b": 1, "views/c": 1}},
		{"Last-Event-ID rules", "?at=views=1", "views=2", map[string]int64{"views/c": 1}},
		{"malformed ?at=: everything", "?at=views", "", map[string]int64{"views/a": 1, "views/b": 1, "views/c": 1}},
		{"malformed Last-Event-ID: everything", "?at=views=1", "17", map[string]int64{"views/a": 1, "views/b": 1, "views/c": 1}},
		{"versions that never were: everything", "?at=views=1000", "", map[string]int64{"views/a": 1, "views/b": 1, "views/c": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := open(t, address, test.query, test.lastEventID)
			if f := b.next(t); !maps.Equal(f.values(), test.want) || f.id != "views=3" {
				t.Errorf("got id %s: %q", f.id, f.data)
			}
			for header, want := range map[string]string{
				"Content-Type":      "text/event-stream",
				"Cache-Control":     "no-store",
				"X-Accel-Buffering": "no",
			} {
				if got := b.response.Header.Get(header); got != want {
					t.Errorf("%s: got %q", header, got)
				}
			}
		})
	}
}

func TestAFrameClaimsNoMoreThanThePageHas(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s := newStore()
	s.commit("views/a")
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	b := open(t, address, "", "")
	if f := b.next(t); f.id != "views=1" {
		t.Fatalf("got %s: %q", f.id, f.data)
	}
	payloads := s.commit("views/a", "views/b")
	h.Notify(payloads[0])
	if f := b.next(t); f.id != "views=1" || !maps.Equal(f.values(), map[string]int64{"views/a": 2}) {
		t.Fatalf("one topic of two: got %s: %q", f.id, f.data)
	}
	h.Notify(payloads[1])
	if f := b.next(t); f.id != "views=1" || !maps.Equal(f.values(), map[string]int64{"views/b": 1}) {
		t.Fatalf("the other one: got %s: %q", f.id, f.data)
	}
	notify(h, s.commit("views/c"))
	if f := b.next(t); f.id != "views=2" || !maps.Equal(f.values(), map[string]int64{"views/c": 1}) {
		t.Fatalf("the next transaction: got %s: %q", f.id, f.data)
	}
}

func TestATopicIsRenderedOnceForEachKindOfPage(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	home, watch := newStore(), newStore()
	homeFeed, watchFeed := h.Feed(home.render), h.Feed(watch.render)
	homeAddress, _ := serve(t, homeFeed, always(home.page("views/", "titles/x")), nil)
	watchAddress, _ := serve(t, watchFeed, always(watch.page("views/a")), nil)
	home.commit("views/a")
	watch.commit("views/a")
	first, second := open(t, homeAddress, "", ""), open(t, homeAddress, "", "")
	other := open(t, watchAddress, "", "")
	for _, b := range []*browser{first, second, other} {
		b.next(t)
	}

	// "viewsmore/a" has the prefix's letters, not the prefix; nobody shows it.
	home.commit("views/b")
	watch.commit("views/b")
	for _, payload := range []string{"viewsmore/a 2", "titles/y 2", "views/b 2"} {
		h.Notify(payload)
	}
	first.until(t, "views/b", 1)
	second.until(t, "views/b", 1)
	home.commit("views/a")
	notify(h, watch.commit("views/a"))
	first.until(t, "views/a", 2)
	second.until(t, "views/a", 2)
	if f := other.next(t); !maps.Equal(f.values(), map[string]int64{"views/a": 2}) {
		t.Errorf("the other kind of page got %q", f.data)
	}
	for topic, want := range map[string]int{"views/a": 1, "views/b": 1, "viewsmore/a": 0, "titles/y": 0} {
		if got := home.rendered(topic); got != want {
			t.Errorf("%s was rendered %d times for the home page", topic, got)
		}
	}
	if a, b := watch.rendered("views/a"), watch.rendered("views/b"); a != 1 || b != 0 {
		t.Errorf("for the watch page views/a was rendered %d times and views/b %d", a, b)
	}
	if stats := h.Stats(); stats.Pages != 3 || stats.Notifications != 4 || stats.Frames != 8 {
		t.Errorf("got %+v", stats)
	}
}

func TestAPersonalTopicReachesNobodyElse(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s := newStore()
	address, _ := serve(t, h.Feed(s.render), func(c echo.Context) Page {
		return s.page("mail/"+c.QueryParam("user"), "news")
	}, nil)
	ann, bob := open(t, address, "?user=ann", ""), open(t, address, "?user=bob", "")
	eventually(t, "both pages open", func() bool { return h.Stats().Pages == 2 })
	notify(h, s.commit("mail/ann"))
	ann.until(t, "mail/ann", 1)
	notify(h, s.commit("news"))
	ann.until(t, "news", 1)
	if f := bob.next(t); !maps.Equal(f.values(), map[string]int64{"news": 1}) {
		t.Errorf("bob got %q", f.data)
	}
}

func TestMalformedNotificationsAreDropped(t *testing.T) {
	t.Parallel()
	h, log := newHub(t, nil)
	h.Notify("no version")
	if !log.has("live notification dropped") || h.Stats().Notifications != 1 {
		t.Errorf("got %+v", h.Stats())
	}
}

func TestResyncBringsWhatWasMissed(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s := newStore()
	s.commit("views/a")
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	b := open(t, address, "", "")
	b.until(t, "views/a", 1)
	s.commit("views/a") // Nobody is told.
	s.commit("views/b")
	h.Resync()
	if f := b.next(t); !maps.Equal(f.values(), map[string]int64{"views/a": 2, "views/b": 1}) || f.id != "views=3" {
		t.Errorf("got %s: %q", f.id, f.data)
	}
}

func TestAProjectionIsFilledAgainUnderAnOpenPage(t *testing.T) {
	t.Parallel()
	h, log := newHub(t, nil)
	s := newStore()
	for range 50 {
		notify(h, s.commit("views/a"))
	}
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	b := open(t, address, "", "")
	b.until(t, "views/a", 50)
	s.mu.Lock()
	s.rows, s.at, s.version = map[string]row{}, Versions{}, 0
	s.mu.Unlock()
	b.ids = nil // They start again.
	notify(h, s.commit("views/a"))
	b.until(t, "views/a", 1)
	notify(h, s.commit("views/a"))
	if f := b.until(t, "views/a", 2); f.id != "views=1" {
		t.Errorf("got %s", f.id)
	}
	if !log.has("projection went back") {
		t.Error("it was not logged")
	}
}

var errAway = errors.New("the database is away")

func TestARenderThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]func(string) error{
		"error": func(string) error { return errAway },
		"panic": func(string) error { panic("of a template") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := newHub(t, nil)
			s := newStore()
			s.commit("views/a")
			address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
			b := open(t, address, "", "")
			b.until(t, "views/a", 1)
			s.fail(failure)
			notify(h, s.commit("views/a", "views/b"))
			eventually(t, "tried ten times", func() bool { return s.rendered("views/a") >= 10 && s.rendered("views/b") >= 10 })
			notify(h, s.commit("views/c"))
			s.fail(nil)
			want := map[string]int64{"views/a": 2, "views/b": 1, "views/c": 1}
			got := map[string]int64{}
			for !maps.Equal(got, want) {
				f := b.next(t)
				if c := f.values()["views/c"]; c == 1 && (f.values()["views/a"] != 2 || f.values()["views/b"] != 1) {
					t.Errorf("what came later arrived first: %q", f.data)
				}
				maps.Copy(got, f.values())
			}
			if !log.has("views/a") {
				t.Error("the failures are not in the log")
			}
		})
	}
}

func TestATopicThatKeepsFailingHoldsUpNobodyForEver(t *testing.T) {
	t.Parallel()
	h, log := newHub(t, nil)
	s := newStore()
	s.commit("views/good")
	s.commit("views/bad")
	s.fail(func(topic string) error {
		if topic == "views/bad" {
			return errors.New("this one cannot be rendered")
		}
		return nil
	})
	address, _ := serve(t, h.Feed(s.render), func(c echo.Context) Page { return s.page("views/" + c.QueryParam("only")) }, nil)
	both, one := open(t, address, "", ""), open(t, address, "?only=good", "")
	both.until(t, "views/bad", 1)
	one.until(t, "views/good", 1)
	notify(h, s.commit("views/bad"))
	eventually(t, "tried", func() bool { return s.rendered("views/bad") > 0 })
	for value := int64(2); !log.has("given up"); value++ {
		notify(h, s.commit("views/good"))
		one.until(t, "views/good", value) // not held
	}
	both.until(t, "views/bad", 2) // by Since
	notify(h, s.commit("views/good"))
	both.until(t, "views/good", s.value("views/good"))
}

func TestAPageThatConnectsWhileATopicFailsMissesNothing(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, func(l *limits) { l.retryMin, l.retryMax = time.Hour, time.Hour })
	s := newStore()
	s.commit("views/a")
	s.commit("views/bad")
	s.fail(func(topic string) error {
		if topic == "views/bad" {
			return errAway
		}
		return nil
	})
	address, _ := serve(t, h.Feed(s.render), func(c echo.Context) Page { return s.page("views/" + c.QueryParam("only")) }, nil)
	first, witness := open(t, address, "", ""), open(t, address, "?only=a", "")
	first.until(t, "views/bad", 1)
	witness.until(t, "views/a", 1)
	notify(h, s.commit("views/bad"))
	eventually(t, "tried", func() bool { return s.rendered("views/bad") == 1 })
	late := open(t, address, "", "")
	late.until(t, "views/bad", 2)
	notify(h, s.commit("views/bad")) // waits for its retry
	notify(h, s.commit("views/a"))
	witness.until(t, "views/a", 2)
	h.Resync()
	if f := late.next(t); !maps.Equal(f.values(), map[string]int64{"views/a": 2, "views/bad": 3}) {
		t.Errorf("got %s: %q", f.id, f.data)
	}
}

func TestAPageOpensWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	h, log := newHub(t, func(l *limits) { l.heartbeat = time.Millisecond })
	s := newStore()
	s.commit("views/a")
	var tries atomic.Int64
	s.fail(func(string) error { tries.Add(1); return errAway })
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	b := open(t, address, "", "")
	eventually(t, "tried five times", func() bool { return tries.Load() >= 5 })
	if f := b.any(t); f.comment == "" {
		t.Errorf("got %q", f.data)
	}
	s.fail(func(string) error { panic("of a query") })
	eventually(t, "the panic logged", func() bool { return log.has("live fragment panicked") })
	s.fail(nil)
	b.until(t, "views/a", 1)
	eventually(t, "the recovery logged", func() bool { return log.has("brought up to date again") })
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, func(l *limits) { l.heartbeat = time.Millisecond })
	s := newStore()
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	b := open(t, address, "", "")
	for range 3 {
		if f := b.any(t); f.comment == "" {
			t.Fatalf("got %+v", f)
		}
	}
	if got := h.Stats().Frames; got != 0 {
		t.Errorf("%d frames were counted", got)
	}
}

func TestAConnectionEndsByItself(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, func(l *limits) { l.lifetime = 50 * time.Millisecond })
	s := newStore()
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	b := open(t, address, "", "")
	if err := b.end(t); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	eventually(t, "no page", func() bool { return h.Stats().Pages == 0 })
}

func TestWhatAFragmentMayHold(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	var html atomic.Value
	rendered := make(chan struct{})
	feed := h.Feed(func(context.Context, string) (templ.Component, error) {
		defer func() { rendered <- struct{}{} }()
		if html.Load() == nil {
			return nil, nil
		}
		return templ.Raw(html.Load().(string)), nil
	})
	caughtUp := make(chan struct{}, 1)
	address, _ := serve(t, feed, always(Page{Topics: []string{"views/a"}, Since: func(context.Context, Versions) (templ.Component, Versions, error) {
		caughtUp <- struct{}{}
		return templ.Raw("\r\n \n"), Versions{"views": 0}, nil
	}}), nil)
	b := open(t, address, "", "")
	<-caughtUp
	h.Notify("views/a 1") // No component: nothing is sent.
	<-rendered
	for i, test := range []struct{ html, want string }{
		{"a\rb\r\nc\n\nid: 7\n", "a\nb\nc\n\nid: 7"},
		{"\n\r", ""},
		{"", ""},
		{": not a comment", ": not a comment"},
		{strings.Repeat("ä", 100_000), strings.Repeat("ä", 100_000)},
	} {
		html.Store(test.html)
		h.Notify("views/a " + Versions{"": int64(i + 2)}.String()[1:])
		<-rendered
		if test.want == "" {
			continue
		}
		if f := b.next(t); f.data != test.want {
			t.Errorf("%.40q arrived as %.40q", test.html, f.data)
		}
	}
}

func TestAFullHubRefuses(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, func(l *limits) { l.pages = 2 })
	s := newStore()
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	first := open(t, address, "", "")
	open(t, address, "", "")
	refused(t, address)
	first.leave()
	eventually(t, "one page less", func() bool { return h.Stats().Pages == 1 })
	open(t, address, "", "")
	h.Close()
	eventually(t, "no page", func() bool { return h.Stats().Pages == 0 })
	refused(t, address)
}

func refused(t *testing.T, address string) {
	t.Helper()
	b, err := connect(&http.Transport{}, address, "", "")
	if err != nil {
		t.Fatal(err)
	}
	b.leave()
	if b.response.StatusCode != http.StatusServiceUnavailable || b.response.Header.Get("Retry-After") == "" {
		t.Errorf("got %d, Retry-After %q", b.response.StatusCode, b.response.Header.Get("Retry-After"))
	}
}

func TestReconnectingPagesAndRendersTakeTurns(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	var sinces, renders counter
	answered := make(chan struct{}, 100)
	first, rendering := make(chan struct{}), make(chan struct{})
	feed := h.Feed(func(ctx context.Context, topic string) (templ.Component, error) {
		renders.enter()
		defer renders.leave()
		release := rendering
		if topic == "views/first" {
			release = first
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return templ.Raw("x"), nil
	})
	address, _ := serve(t, feed, always(Page{Topics: []string{"views/"}, Since: func(ctx context.Context, at Versions) (templ.Component, Versions, error) {
		sinces.enter()
		defer sinces.leave()
		eventually(t, "eight at work", func() bool { return sinces.most.Load() == 8 })
		answered <- struct{}{}
		return nil, Versions{"views": 0}, nil
	}}), nil)
	for range 50 {
		open(t, address, "", "")
	}
	for range 50 {
		<-answered
	}
	// One round is kept at work until all fifty are notified, so that the next one has them all.
	h.Notify("views/first 0")
	eventually(t, "the first at work", func() bool { return renders.now.Load() == 1 })
	for i := range 50 {
		h.Notify(fmt.Sprintf("views/%d %d", i, i))
	}
	close(first)
	eventually(t, "eight at work", func() bool { return renders.now.Load() == 8 })
	close(rendering)
	eventually(t, "a frame for each page", func() bool { return h.Stats().Frames >= 50 })
	if sinces.most.Load() != 8 || renders.most.Load() != 8 {
		t.Errorf("%d calls of Since and %d renders at the same time", sinces.most.Load(), renders.most.Load())
	}
}
