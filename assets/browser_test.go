package assets_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"videotutorials/aggregators/catalogue"
	"videotutorials/assets"
	"videotutorials/views"
)

// The script leans on inner parts of htmx's stream extension. These tests hold it to what it
// promises, in a real browser, against a site whose answers can be chosen.

const videoID = "3f1c0b52-6a1e-4a55-9d0a-0b6c3f6f1a01"

// site is a home page and a watch page with a total that can be changed while they are open.
type site struct {
	url string

	mu       sync.Mutex
	total    int64
	streams  map[chan struct{}]bool // open ones; each is woken by a signal or ended by closing
	asked    int                    // requests for the stream
	recorded int                    // requests to record a viewing
	live     func(http.ResponseWriter) bool
	record   func(http.ResponseWriter) bool
}

func newSite(t *testing.T) *site {
	t.Helper()
	if err := assets.Check(); err != nil {
		t.Fatal(err)
	}
	s := &site{total: 41, streams: map[chan struct{}]bool{}}
	lesson := views.Lesson{Video: catalogue.Video{ID: videoID, Title: "A lesson", Source: "/none.mp4"}}
	mux := http.NewServeMux()
	mux.Handle(assets.Prefix, assets.Handler())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		p, total := s.page(r)
		s.write(w, r, views.HomePage(p, views.Home{Lessons: []views.Lesson{lesson}, VideosWatched: total}))
	})
	mux.HandleFunc("GET "+views.WatchPath(videoID), func(w http.ResponseWriter, r *http.Request) {
		p, _ := s.page(r)
		s.write(w, r, views.WatchPage(p, views.Watch{Lesson: lesson}))
	})
	mux.HandleFunc("POST "+views.RecordViewingPath(videoID), func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.recorded++
		answer := s.record
		s.mu.Unlock()
		if answer != nil && answer(w) {
			return
		}
		s.write(w, r, views.Viewing(videoID, views.ViewingState{Status: views.ViewingCounted}))
	})
	mux.HandleFunc("GET /live", s.stream)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.endStreams()
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL
	return s
}

func (s *site) page(r *http.Request) (views.Page, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return views.Page{
		AppName: "Test", CSS: assets.URL("app.css"), JS: assets.URL("app.js"), Icon: assets.URL("favicon.svg"),
		Live: fmt.Sprintf("/live?after=%d", s.total), Path: r.URL.Path,
	}, s.total
}

func (s *site) write(w http.ResponseWriter, r *http.Request, c templ.Component) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:")
	// A browser that left is no failure of the site.
	_ = c.Render(r.Context(), w)
}

// stream sends the total whenever it differs from what the reader has.
func (s *site) stream(w http.ResponseWriter, r *http.Request) {
	wake := make(chan struct{}, 1)
	s.mu.Lock()
	s.asked++
	answer := s.live
	s.mu.Unlock()
	if answer != nil && answer(w) {
		return
	}
	known := r.Header.Get("Last-Event-ID")
	if known == "" {
		known = r.URL.Query().Get("after")
	}
	s.mu.Lock()
	s.streams[wake] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, wake)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	for {
		s.mu.Lock()
		total := s.total
		s.mu.Unlock()
		if now := fmt.Sprint(total); now != known {
			known = now
			var fragment strings.Builder
			if err := views.Push(views.VideosWatchedID, views.VideosWatched(total)).Render(r.Context(), &fragment); err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "id: %s\ndata: %s\n\n", now, strings.ReplaceAll(fragment.String(), "\n", "\ndata: ")); err != nil {
				return
			}
		}
		if flush() != nil {
			return
		}
		select {
		case _, more := <-wake:
			if !more {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (s *site) watched() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	for wake := range s.streams {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

func (s *site) endStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for wake := range s.streams {
		delete(s.streams, wake)
		close(wake)
	}
}

func (s *site) answerStream(answer func(http.ResponseWriter) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = answer
}

func (s *site) answerRecord(answer func(http.ResponseWriter) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = answer
}

func (s *site) numbers() (streams, asked, recorded int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams), s.asked, s.recorded
}

func status(code int) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool {
		w.WriteHeader(code)
		return true
	}
}

func browser(t *testing.T) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Fatal("these tests need Chromium: install the package chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("blink-settings", "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	do(t, ctx, chromedp.Navigate("about:blank"))
	return ctx
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition in the page, also while the page is being replaced by another.
func until(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	var last error
	err := eventually(ctx, func() bool {
		var holds bool
		last = chromedp.Run(ctx, chromedp.Evaluate(`Boolean(`+condition+`)`, &holds))
		return holds
	})
	if err != nil {
		var body string
		seen := chromedp.Run(ctx, chromedp.Evaluate(`document.body.dataset.live + ': ' + document.body.innerText`, &body))
		t.Fatalf("the page never had %s: %v; it shows %s", condition, errors.Join(err, last, seen), body)
	}
}

func (s *site) untilCurrent(t *testing.T, ctx context.Context) {
	t.Helper()
	s.mu.Lock()
	total := s.total
	s.mu.Unlock()
	until(t, ctx, fmt.Sprintf(`document.querySelector('[data-videos-watched]').dataset.videosWatched === '%d'`, total))
}

const (
	isOpen         = `document.body.dataset.live === 'open'`
	isReconnecting = `document.body.dataset.live === 'reconnecting'`
	isClosed       = `document.body.dataset.live === 'closed'`
	hasWords       = `document.querySelector('.line-note').textContent !== ''`
	hasNoWords     = `document.querySelector('.line-note').textContent === ''`
)

// A change of pages that is skipped is no error of the page: watched tests throw for those.
func TestSkippedTransitionIsNoError(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	do(t, ctx, chromedp.Evaluate(`for (const name of ['pageswap', 'pagereveal']) {
		const ready = Promise.reject(new DOMException('Transition was skipped', 'AbortError'))
		dispatchEvent(Object.defineProperty(new Event(name), 'viewTransition', { value: { ready } }))
	}
	// The browser tells of them in order, and of this one last.
	window.unhandled = []
	addEventListener('unhandledrejection', (event) => {
		event.preventDefault()
		unhandled.push(event.reason.message)
	})
	Promise.reject(new Error('the last'))`, nil))
	until(t, ctx, `window.unhandled.includes('the last')`)
	until(t, ctx, `window.unhandled.length === 1`)
}

func TestLineFollows(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	do(t, ctx, chromedp.Navigate(s.url))
	until(t, ctx, isOpen)
	s.watched()
	s.untilCurrent(t, ctx)
}

func TestLineFirstConnectionFails(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	s.answerStream(status(http.StatusServiceUnavailable))
	do(t, ctx, chromedp.Navigate(s.url))
	until(t, ctx, isReconnecting)
	until(t, ctx, hasWords)
	s.watched()
	s.answerStream(nil)
	until(t, ctx, isOpen)
	s.untilCurrent(t, ctx)
	until(t, ctx, hasNoWords)
}

func TestLineBreaks(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	do(t, ctx, chromedp.Navigate(s.url), chromedp.Evaluate(`window.before = true`, nil))
	until(t, ctx, isOpen)
	s.watched()
	s.untilCurrent(t, ctx)
	s.answerStream(status(http.StatusBadGateway))
	s.endStreams()
	until(t, ctx, isReconnecting)
	until(t, ctx, hasWords)
	s.watched()
	s.answerStream(nil)
	s.untilCurrent(t, ctx)
	until(t, ctx, hasNoWords)
	until(t, ctx, `window.before`)
}

func TestLineEndsWhereItIsRefused(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusForbidden, http.StatusGone} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			s, ctx := newSite(t), browser(t)
			do(t, ctx, chromedp.Navigate(s.url))
			until(t, ctx, isOpen)
			s.answerStream(status(code))
			s.endStreams()
			until(t, ctx, isClosed)
			until(t, ctx, hasWords)
			do(t, ctx, chromedp.Evaluate(`window.before = true`, nil), chromedp.Reload())
			until(t, ctx, `!window.before && `+isClosed)
			if _, asked, _ := s.numbers(); asked != 3 {
				t.Errorf("the stream was asked for %d times, want 3: opened, refused, refused after the reload", asked)
			}
		})
	}
}

// A stream that ends as soon as it begins counts as a success to the extension.
func TestLineDoesNotHammer(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	s.answerStream(func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		return true
	})
	asked := func(n int) func() bool {
		return func() bool { _, asked, _ := s.numbers(); return asked >= n }
	}
	do(t, ctx, chromedp.Navigate(s.url))
	if err := eventually(ctx, asked(1)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := eventually(ctx, asked(5)); err != nil {
		t.Fatal(err)
	}
	// Four pauses at full speed take 1.2 s at most. Here each is twice as long as the one
	// before, so that even the shortest take 3 s.
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("the stream was asked for five times in %s", took)
	}
}

// Ten pages over HTTP/1.1, where a browser has six connections.
func TestLineTenTabs(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	do(t, ctx, chromedp.Navigate(s.url))
	until(t, ctx, isOpen)
	var tabs []context.Context
	for i := range 10 {
		var id target.ID
		do(t, ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
			id, err = target.CreateTarget(s.url).WithBackground(i%2 == 0).Do(ctx)
			return err
		}))
		tab, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(id))
		t.Cleanup(cancel)
		do(t, tab)
		tabs = append(tabs, tab)
	}
	front := chromedp.ActionFunc(func(ctx context.Context) error { return page.BringToFront().Do(ctx) })
	for range 2 {
		for _, tab := range tabs {
			do(t, tab, front)
			s.watched()
			s.untilCurrent(t, tab)
		}
	}
	for _, tab := range tabs { // a sweep that waits for nothing
		do(t, tab, front)
	}
	last := tabs[len(tabs)-1]
	s.watched()
	s.untilCurrent(t, last)
	if err := eventually(t.Context(), func() bool { streams, _, _ := s.numbers(); return streams == 1 }); err != nil {
		streams, _, _ := s.numbers()
		t.Errorf("%d streams are open, want that of the tab in front", streams)
	}
}

func TestLineComesBackWithThePage(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	do(t, ctx, chromedp.Navigate(s.url))
	until(t, ctx, isOpen)
	do(t, ctx, chromedp.Evaluate(`window.kept = true; document.querySelector('.card a').click()`, nil))
	until(t, ctx, `document.body.className === 'watch' && `+isOpen)
	s.watched()
	// Back gives no load event where the page was kept whole.
	do(t, ctx, chromedp.Evaluate(`history.back()`, nil))
	until(t, ctx, `document.body.className === 'home' && window.kept`)
	s.untilCurrent(t, ctx)
	s.watched()
	s.untilCurrent(t, ctx)
}

// plays lets the video claim that these ranges were played, so that no file is needed.
func plays(ranges string) chromedp.Action {
	return chromedp.Evaluate(`{
		const ranges = `+ranges+`
		const video = document.querySelector('video')
		Object.defineProperty(video, 'played', { configurable: true, value: {
			length: ranges.length, start: (i) => ranges[i][0], end: (i) => ranges[i][1] } })
		video.dispatchEvent(new Event('timeupdate'))
	}`, nil)
}

func hasStatus(status views.ViewingStatus) string {
	name := string(status)
	if name == "" {
		name = "waiting"
	}
	return fmt.Sprintf(`document.querySelector('.viewing').dataset.viewingStatus === '%s'`, name)
}

func TestViewingCountsWhatWasPlayed(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	do(t, ctx, chromedp.Navigate(s.url+views.WatchPath(videoID)))
	until(t, ctx, isOpen)
	do(t, ctx, plays(`[[0, 4], [300, 305.5]]`))
	until(t, ctx, hasStatus(views.ViewingWaiting))
	if _, _, recorded := s.numbers(); recorded != 0 {
		t.Fatal("9.5 s were played, and the viewing is recorded already")
	}
	do(t, ctx, plays(`[[0, 4.5], [300, 305.5]]`), plays(`[[0, 5], [300, 306]]`),
		chromedp.Evaluate(`{ const form = document.querySelector('.record-viewing'); form.requestSubmit(); form.requestSubmit() }`, nil))
	until(t, ctx, hasStatus(views.ViewingCounted))
	do(t, ctx, plays(`[[0, 60]]`))
	if _, _, recorded := s.numbers(); recorded != 1 {
		t.Errorf("the viewing was sent %d times", recorded)
	}
}

func TestViewingIsSentUntilItArrives(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	s.answerRecord(status(http.StatusServiceUnavailable))
	do(t, ctx, chromedp.Navigate(s.url+views.WatchPath(videoID)))
	until(t, ctx, isOpen)
	do(t, ctx, plays(`[[0, 10]]`))
	until(t, ctx, hasStatus(views.ViewingRetrying))
	s.answerRecord(nil)
	until(t, ctx, hasStatus(views.ViewingCounted))
}

func TestViewingIsRefused(t *testing.T) {
	t.Parallel()
	s, ctx := newSite(t), browser(t)
	s.answerRecord(status(http.StatusForbidden))
	do(t, ctx, chromedp.Navigate(s.url+views.WatchPath(videoID)))
	until(t, ctx, isOpen)
	do(t, ctx, plays(`[[0, 10]]`))
	until(t, ctx, hasStatus(views.ViewingFailed))
	if _, _, recorded := s.numbers(); recorded != 1 {
		t.Errorf("the viewing was sent %d times", recorded)
	}
}

func eventually(ctx context.Context, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
