package recordviewings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"videotutorials/app/live"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
)

// A private video is as unknown to others as one that nobody has; an unlisted one is shown
// to whoever has its link, and to no search engine.
func TestWhoMayWatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.first.browser(messagestore.NewID())
	stranger, berta := s.first.browser(""), s.first.browser(messagestore.NewID())
	unknown := stranger.get("/videos/" + messagestore.NewID())
	if unknown.status != http.StatusNotFound {
		t.Fatalf("%d", unknown.status)
	}
	for _, visibility := range []string{publishingmsg.Public, publishingmsg.Unlisted, publishingmsg.Private} {
		id := s.has(anna.user, visibility)
		for who, b := range map[string]*browser{"the owner": anna, "somebody else": berta, "a stranger": stranger} {
			what := visibility + " to " + who
			a := b.get("/videos/" + id)
			if visibility == publishingmsg.Private && b != anna {
				if a.status != http.StatusNotFound || strings.Contains(a.body, "A lesson") {
					t.Errorf("%s: %d", what, a.status)
				}
				if a := b.get("/videos/" + id + "/live"); a.status != http.StatusNotFound {
					t.Errorf("the stream, %s: %d", what, a.status)
				}
				if a := b.post("/record-viewing/" + id); a.status != http.StatusNotFound {
					t.Errorf("a viewing, %s: %d", what, a.status)
				}
				continue
			}
			if a.status != http.StatusOK || !strings.Contains(a.body, "A lesson") ||
				strings.Contains(a.body, "Change this video") != (b == anna) ||
				strings.Contains(a.body, "noindex") != (visibility != publishingmsg.Public) {
				t.Errorf("%s: %d\n%s", what, a.status, a.body)
			}
			if stored := strings.Contains(a.header.Get("Cache-Control"), "no-store"); stored != (visibility == publishingmsg.Private) {
				t.Errorf("%s: %s", what, a.header.Get("Cache-Control"))
			}
			if a := b.post("/record-viewing/" + id); a.status != http.StatusSeeOther {
				t.Errorf("a viewing, %s: %d", what, a.status)
			}
		}
		views := 3
		if visibility == publishingmsg.Private {
			views = 1
		}
		if version, err := s.store.Version(s.ctx, viewingmsg.Category.Stream(id)); err != nil || int(version)+1 != views {
			t.Errorf("%s: %d views, %v", visibility, version+1, err)
		}
	}
	for _, path := range []string{"/videos/x", "/videos/x/live"} {
		if a := anna.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	// Of a video without an owner nobody is the owner, least of all who is not signed in.
	id := s.has("", publishingmsg.Private)
	if a := stranger.get("/videos/" + id); a.status != http.StatusNotFound {
		t.Errorf("a private video of nobody: %d", a.status)
	}
}

// Who watches is counted over all processes, at once when they come and when they leave,
// and those of a process that ends are taken back.
func TestWatchingNow(t *testing.T) {
	t.Parallel()
	s := start(t)
	here, there := s.first, s.process()
	id, other := s.has(messagestore.NewID(), publishingmsg.Public), s.has(messagestore.NewID(), publishingmsg.Public)
	if n := watching(here.browser("").get("/videos/" + id).body); n != "1" {
		t.Errorf("a page of the first says that %q watch", n)
	}
	first, _ := here.browser("").watches(id)
	s.until(first, "1")
	second, leave := there.browser("").watches(id)
	s.until(first, "2")
	s.until(second, "2")
	third, _ := there.browser("").watches(id)
	s.until(first, "3")
	s.until(third, "3")
	aside, _ := here.browser("").watches(other)
	s.until(aside, "1")
	leave()
	s.until(first, "2")
	there.stop()
	<-there.over
	s.until(first, "1")
	if n := watching(here.browser("").get("/videos/" + id).body); n != "1" {
		t.Errorf("a page says that %q watch", n)
	}
}

// What could not be told is told again, and who has left meanwhile is not told of.
func TestAudienceIsToldAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	away, tried := true, make(chan struct{}, 1)
	var board *live.Board
	board = live.NewBoard(live.New(slog.New(slog.DiscardHandler)), func(_ context.Context, payload string) error {
		mu.Lock()
		defer mu.Unlock()
		defer func() {
			select {
			case tried <- struct{}{}:
			default: // nobody waits for so many
			}
		}()
		if away {
			return errors.New("away")
		}
		board.Heard(payload)
		return nil
	})
	a := newAudience(board)
	a.again = 10 * time.Millisecond
	leave := a.enter("film")
	a.enter("film")
	a.enter("other")()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	over := make(chan struct{})
	go func() { defer close(over); a.run(ctx) }()
	await := func(want string) {
		t.Helper()
		for {
			select {
			case <-tried:
			case <-ctx.Done():
				t.Fatalf("%v, want %s", board.Below(""), want)
			}
			if fmt.Sprintf("%s", board.Below("")) == want {
				return
			}
		}
	}
	<-tried
	mu.Lock()
	away = false
	mu.Unlock()
	await("map[" + watchingTopics("film") + a.process + ":2]")
	leave()
	await("map[" + watchingTopics("film") + a.process + ":1]")
	stop()
	<-over
	if left := board.Below(""); len(left) != 0 {
		t.Errorf("left on the board: %s", left)
	}
}

func TestTranscript(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.first.browser("")
	id := s.has(messagestore.NewID(), publishingmsg.Public)
	page := b.get("/videos/" + id)
	if page.status != http.StatusOK || strings.Contains(page.body, "data-transcript") {
		t.Errorf("%d\n%s", page.status, page.body)
	}
	english := s.keeps(id+"/captions-1.vtt", "WEBVTT\n\n01:01.500 --> 01:04.000\n<v Ann>Fish &amp; <i>chips</i>\n")
	german := s.keeps(id+"/captions-2.vtt", "WEBVTT\n\n00:01.000 --> 00:04.000\nFisch\n")
	chapters := s.keeps(id+"/chapters-1.vtt", "WEBVTT\n\n00:00.000 --> 00:10.000\nThe sea\n")
	s.happened(id, publishingmsg.CaptionsAdded{VideoID: id, CaptionsID: messagestore.NewID(), Language: "en", Label: "English", URI: english})
	s.happened(id, publishingmsg.CaptionsAdded{VideoID: id, CaptionsID: messagestore.NewID(), Language: "de", Label: "Deutsch", URI: german})
	s.happened(id, publishingmsg.ChaptersSet{VideoID: id, URI: chapters})
	for range 2 { // and once more when the files are gone: they are kept
		page = b.get("/videos/" + id)
		for _, want := range []string{`data-start="61.5"`, "Fish &amp; chips", "The sea", english, german} {
			if !strings.Contains(page.body, want) {
				t.Errorf("no %q in\n%s", want, page.body)
			}
		}
		if strings.Contains(page.body, "Fisch") {
			t.Error("the transcript is of other captions, too")
		}
		if err := s.media.DeleteBelow(s.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	// Whatever the files are, the video plays.
	for i, uri := range []string{s.keeps(id+"/captions-3.vtt", "no captions"), "/media/" + id + "/captions-4.vtt", "/media/../x", "https://example.com/x.vtt"} {
		other := s.has(messagestore.NewID(), publishingmsg.Public)
		s.happened(other, publishingmsg.CaptionsAdded{VideoID: other, CaptionsID: messagestore.NewID(), Language: "en", Label: "English", URI: uri})
		if page := b.get("/videos/" + other); page.status != http.StatusOK || !strings.Contains(page.body, "video.mp4") || strings.Contains(page.body, "data-transcript") {
			t.Errorf("%s: %d\n%s", uri, page.status, page.body)
		}
		if logged := s.first.logs.String(); strings.Count(logged, "WARN") != 1 {
			t.Errorf("%d: %s", i, logged)
		}
	}
}

// Memory holds a few files, however many are asked for.
func TestTextsAreForgotten(t *testing.T) {
	t.Parallel()
	s := start(t)
	texts := newTexts(s.media)
	for i := range textsKept + 10 {
		uri := s.keeps(fmt.Sprintf("film/captions-%d.vtt", i), fmt.Sprintf("WEBVTT\n\n00:01.000 --> 00:04.000\n%d\n", i))
		cues, err := texts.of(s.ctx, uri)
		if err != nil || len(cues) != 1 || cues[0].Text != fmt.Sprint(i) || len(texts.cues) > textsKept {
			t.Fatalf("%v, %v, %d kept", cues, err, len(texts.cues))
		}
	}
}

// A link to a moment says it in seconds; what is none leads to the beginning.
func TestStart(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.first.browser("")
	id := s.has(messagestore.NewID(), publishingmsg.Public)
	for query, want := range map[string]string{"?t=12.5": "video.mp4#t=12.5", "?t=": `video.mp4"`, "?t=-1": `video.mp4"`, "?t=NaN": `video.mp4"`, "?t=1e300": `video.mp4"`, "?t=x": `video.mp4"`} {
		if page := b.get("/videos/" + id + query).body; !strings.Contains(page, want) {
			t.Errorf("%s: no %s in\n%s", query, want, page)
		}
	}
}
