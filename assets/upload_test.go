package assets_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/chromedp"
	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/exp/slog"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/assets"
	"videotutorials/views"
)

// portal is the page of a creator before a real tus server that can be held up, be away or
// refuse.
type portal struct {
	url    string
	server *httptest.Server
	dir    string
	shown  views.Portal
	away   atomic.Bool
	uphold atomic.Pointer[hold]
	refuse atomic.Pointer[answer] // instead of what the server would answer to an upload

	mu     sync.Mutex
	tus    []string          // method and offset of each request of an upload
	saved  map[string]string // what was saved last, by the path of the form and the field
	atOnce int               // uploads that are sent now
	most   int               // and the most there were at once
	field  func(w http.ResponseWriter, r *http.Request) bool
}

type answer struct {
	status int
	body   string
}

// hold lets so many bytes of an upload pass, and the rest when it is over.
type hold struct {
	left  atomic.Int64
	begun chan struct{} // closed when the rest is waited for
	once  sync.Once
	over  chan struct{}
}

func (p *portal) hold(bytes int64) *hold {
	h := &hold{begun: make(chan struct{}), over: make(chan struct{})}
	h.left.Store(bytes)
	p.uphold.Store(h)
	return h
}

func (h *hold) release(p *portal) {
	p.uphold.Store(nil)
	close(h.over)
}

// passes lets so many bytes more pass.
func (h *hold) passes(p *portal, bytes int64) *hold {
	more := p.hold(bytes)
	close(h.over)
	return more
}

type held struct {
	io.ReadCloser
	p *portal
}

func (b held) Read(into []byte) (int, error) {
	if h := b.p.uphold.Load(); h != nil {
		if h.left.Add(-int64(len(into))) < 0 {
			h.once.Do(func() { close(h.begun) })
			<-h.over
		}
	}
	return b.ReadCloser.Read(into)
}

func newPortal(t *testing.T) *portal {
	t.Helper()
	p := &portal{dir: t.TempDir(), saved: map[string]string{}, shown: views.Portal{UploadLimits: views.UploadLimits{MostBytes: 64 << 20, Quota: 100 << 20, Used: 10 << 20, MostLength: time.Hour}}}
	store := handler.NewStoreComposer()
	files := filestore.New(p.dir)
	store.UseCore(files)
	store.UseTerminater(files)
	tus, err := handler.NewUnroutedHandler(handler.Config{
		BasePath: views.UploadsPath, StoreComposer: store, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Cors: &handler.CorsConfig{Disable: true},
		PreUploadCreateCallback: func(handler.HookEvent) (handler.HTTPResponse, handler.FileInfoChanges, error) {
			id := make([]byte, 16)
			_, _ = rand.Read(id)
			return handler.HTTPResponse{}, handler.FileInfoChanges{ID: hex.EncodeToString(id)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(assets.Prefix, assets.Handler())
	mux.HandleFunc("GET "+views.CreatorsPortalPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", strictPolicy)
		_ = views.CreatorsPortalPage(views.Page{
			AppName: "Test", CSS: assets.URL("app.css"), JS: assets.URL("app.js"), UploadJS: assets.URL("upload.js"), Icon: assets.URL("favicon.svg"),
			Uploads: true, SignedIn: true, Path: views.CreatorsPortalPath,
		}, p.shown).Render(r.Context(), w)
	})
	mux.Handle(views.UploadsPath+"/", http.StripPrefix(views.UploadsPath, tus.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.note(r.Method + " " + r.Header.Get("Upload-Offset"))
		if a := p.refuse.Load(); a != nil {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(a.status)
			fmt.Fprint(w, a.body)
			return
		}
		switch r.Method {
		case http.MethodPost:
			tus.PostFile(w, r)
		case http.MethodHead:
			tus.HeadFile(w, r)
		case http.MethodPatch:
			p.sends(1)
			defer p.sends(-1)
			tus.PatchFile(w, r)
		case http.MethodDelete:
			tus.DelFile(w, r)
		}
	}))))
	mux.Handle("POST "+views.UploadsPath, http.RedirectHandler(views.UploadsPath+"/", http.StatusPermanentRedirect))
	mux.HandleFunc("POST "+views.UploadFormPath+"/{id}/{field}", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		p.mu.Lock()
		answer := p.field
		p.mu.Unlock()
		if answer != nil && answer(w, r) {
			return
		}
		p.mu.Lock()
		field := r.PathValue("field")
		p.saved[r.PathValue("id")+" "+field] = r.PostForm.Get(field)
		p.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		_ = views.FieldSaved(field+"-note", "Saved.").Render(r.Context(), w)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.away.Load() {
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodPatch {
			r.Body = held{r.Body, p}
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		if h := p.uphold.Load(); h != nil {
			h.release(p)
		}
		server.CloseClientConnections()
		server.Close()
	})
	p.server, p.url = server, server.URL+views.CreatorsPortalPath
	return p
}

func (p *portal) answerFields(answer func(http.ResponseWriter, *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.field = answer
}

func (p *portal) note(request string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tus = append(p.tus, request)
}

func (p *portal) sends(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.atOnce += n
	p.most = max(p.most, p.atOnce)
}

func (p *portal) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.tus...)
}

func (p *portal) savedAs(video, field string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.saved[video+" "+field]
}

// newFile makes a file of random bytes.
func newFile(t *testing.T, name string, bytes int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, bytes)
	_, _ = rand.Read(content)
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// has reports that the server has the file of a video, whole.
func (p *portal) has(t *testing.T, video string, content []byte) {
	t.Helper()
	stored, err := os.ReadFile(filepath.Join(p.dir, strings.ReplaceAll(video, "-", "")))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, content) {
		t.Errorf("the server has %d bytes, which are not the %d that were sent", len(stored), len(content))
	}
}

func (p *portal) open(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(p.url))
	until(t, ctx, `document.querySelector('#upload[data-upload-ready]')`)
}

func choose(files ...string) chromedp.Action {
	return chromedp.SetUploadFiles("#upload-file", files, chromedp.ByQuery)
}

// card is the nth card of the page.
func card(n int) string { return fmt.Sprintf(`document.querySelectorAll('[data-upload]')[%d]`, n) }

func isIn(n int, state string) string { return card(n) + `?.dataset.state === '` + state + `'` }

func says(n int, words string) string {
	return fmt.Sprintf(`%s.querySelector('[data-upload-status]').textContent.includes(%q)`, card(n), words)
}

func press(n int, button string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf(`{ const button = %s.querySelector('[data-upload-%s]'); if (button.hidden) throw Error('%s is hidden'); button.click() }`, card(n), button, button), nil)
}

func idOf(t *testing.T, ctx context.Context, n int) string {
	t.Helper()
	until(t, ctx, card(n)+`.dataset.video`)
	var id string
	do(t, ctx, chromedp.Evaluate(card(n)+`.dataset.video`, &id))
	return id
}

func TestUploadArrives(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, content := newFile(t, "A lesson.mp4", 3<<20)
	p.open(t, ctx)
	do(t, ctx, choose(path))
	until(t, ctx, isIn(0, "finished"))
	p.has(t, idOf(t, ctx, 0), content)
	until(t, ctx, card(0)+`.querySelector('[data-upload-facts]').textContent === '100 % · 3 MB of 3 MB'`)
	until(t, ctx, card(0)+`.querySelector('a[data-upload-link]').pathname === '`+views.CreatorsVideoPath(idOf(t, ctx, 0))+`'`)
	until(t, ctx, noRefusals)
}

// sent is how much of a file passes before an upload is held up: what a connection takes on its
// own is less than the rest.
const sent, whole = 2 << 20, 24 << 20

func (h *hold) await(t *testing.T) {
	t.Helper()
	select {
	case <-h.begun:
	case <-time.After(20 * time.Second):
		t.Fatal("the upload never came that far")
	}
}

// goesOn reports that the upload was taken up where it was, and not begun anew.
func (p *portal) goesOn(t *testing.T) {
	t.Helper()
	begun, resumed := 0, false
	for _, request := range p.requests() {
		method, offset, _ := strings.Cut(request, " ")
		switch {
		case method == http.MethodPost:
			begun++
		case method == http.MethodPatch && offset != "0":
			resumed = true
		}
	}
	if begun != 1 || !resumed {
		t.Errorf("the server was asked for %q: want one upload that is taken up in the middle", p.requests())
	}
}

func TestUploadIsPaused(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, content := newFile(t, "long.mp4", whole)
	hold := p.hold(sent)
	p.open(t, ctx)
	const facts = `.querySelector('[data-upload-facts]').textContent`
	// Between two looks the clock goes on by as much as it takes to know how fast bytes move.
	do(t, ctx, chromedp.Evaluate(`{ let looks = 0; performance.now = () => 300 * looks++ }`, nil), choose(path))
	hold.await(t)
	until(t, ctx, card(0)+facts)
	hold = hold.passes(p, sent)
	until(t, ctx, isIn(0, "uploading")+` && / · [\d.]+ [kMG]B a second · (a few seconds|about \d+ (s|min|h)) left$/.test(`+card(0)+facts+`)`)
	do(t, ctx, press(0, "pause"))
	hold.release(p)
	until(t, ctx, isIn(0, "paused")+` && /^Paused at \d+ %/.test(`+card(0)+`.querySelector('[data-upload-status]').textContent)`)
	until(t, ctx, `!/second|left/.test(`+card(0)+facts+`)`)
	if err := eventually(ctx, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.atOnce == 0 }); err != nil {
		t.Fatal("the upload goes on though it is paused")
	}
	do(t, ctx, press(0, "resume"))
	until(t, ctx, isIn(0, "finished"))
	p.has(t, idOf(t, ctx, 0), content)
	p.goesOn(t)
}

func TestUploadSurvivesTheServer(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, content := newFile(t, "long.mp4", whole)
	hold := p.hold(sent)
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	p.away.Store(true)
	p.server.CloseClientConnections()
	hold.release(p)
	until(t, ctx, isIn(0, "offline")+` && `+says(0, "No connection. It goes on by itself"))
	// A server that comes back says for a while that it is not there; that begins nothing anew.
	p.refuse.Store(&answer{status: http.StatusBadGateway})
	p.away.Store(false)
	before := len(p.requests())
	if err := eventually(ctx, func() bool { return len(p.requests()) > before }); err != nil {
		t.Fatal("the upload was not tried again")
	}
	p.refuse.Store(nil)
	do(t, ctx, chromedp.Evaluate(`window.dispatchEvent(new Event('online'))`, nil))
	until(t, ctx, isIn(0, "finished"))
	p.has(t, idOf(t, ctx, 0), content)
	p.goesOn(t)
}

func TestUploadOutlivesItsPage(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, content := newFile(t, "long.mp4", whole)
	hold := p.hold(sent)
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	video := idOf(t, ctx, 0)
	do(t, ctx, chromedp.Navigate("about:blank"))
	p.server.CloseClientConnections() // a request may outlive its page for a moment
	hold.release(p)
	// All is taken already, for the server counts what is on its way.
	p.shown.Used = p.shown.Quota
	// How far it is, the page does not know before it goes on.
	p.refuse.Store(&answer{status: http.StatusBadGateway})
	p.open(t, ctx)
	do(t, ctx, choose(path))
	until(t, ctx, isIn(0, "offline"))
	do(t, ctx, press(0, "pause"))
	until(t, ctx, isIn(0, "paused")+` && `+says(0, "Paused. Press"))
	p.refuse.Store(nil)
	do(t, ctx, press(0, "resume"))
	until(t, ctx, isIn(0, "finished"))
	if again := idOf(t, ctx, 0); again != video {
		t.Errorf("the upload went on as %s, which was %s", again, video)
	}
	p.has(t, video, content)
	p.goesOn(t)
}

func TestUploadThatWasRemovedBeginsAnew(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, content := newFile(t, "long.mp4", whole)
	hold := p.hold(sent)
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	video := idOf(t, ctx, 0)
	do(t, ctx, chromedp.Navigate("about:blank"))
	p.server.CloseClientConnections() // a request may outlive its page for a moment
	hold.release(p)
	if err := eventually(ctx, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.atOnce == 0 }); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", ".info"} {
		if err := os.Remove(filepath.Join(p.dir, strings.ReplaceAll(video, "-", "")+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	p.open(t, ctx)
	do(t, ctx, choose(path))
	until(t, ctx, isIn(0, "finished"))
	again := idOf(t, ctx, 0)
	if again == video {
		t.Error("what was removed went on")
	}
	p.has(t, again, content)
}

func TestUploadIsCanceled(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, _ := newFile(t, "long.mp4", whole)
	hold := p.hold(sent)
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	video := idOf(t, ctx, 0)
	do(t, ctx, press(0, "cancel"))
	until(t, ctx, isIn(0, "canceled"))
	hold.release(p)
	if err := eventually(ctx, func() bool {
		_, err := os.Stat(filepath.Join(p.dir, strings.ReplaceAll(video, "-", "")+".info"))
		return os.IsNotExist(err)
	}); err != nil {
		t.Errorf("the server still has it: %q", p.requests())
	}
	until(t, ctx, `Object.keys(localStorage).every((key) => !key.startsWith('upload '))`)
}

func TestUploadsTakeTurns(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	var files []string
	var contents [][]byte
	for i := range 3 {
		path, content := newFile(t, fmt.Sprintf("part %d.mp4", i), 3<<20)
		files, contents = append(files, path), append(contents, content)
	}
	hold := p.hold(1 << 20)
	p.open(t, ctx)
	do(t, ctx, choose(files...))
	hold.await(t)
	until(t, ctx, isIn(0, "finishing")+` && `+isIn(1, "waiting")+` && `+isIn(2, "waiting"))
	// A second page waits too.
	other, otherContent := newFile(t, "other.mp4", 3<<20)
	second, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p.open(t, second)
	do(t, second, choose(other))
	until(t, second, isIn(0, "waiting"))
	hold.release(p)
	for n, content := range contents {
		until(t, ctx, isIn(n, "finished"))
		p.has(t, idOf(t, ctx, n), content)
	}
	until(t, second, isIn(0, "finished"))
	p.has(t, idOf(t, second, 0), otherContent)
	if p.most != 1 {
		t.Errorf("%d files were sent at once", p.most)
	}
}

func TestUploadLimits(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	p.shown.MostBytes, p.shown.Quota, p.shown.Used = 4<<20, 10<<20, 5<<20
	p.open(t, ctx)
	empty, _ := newFile(t, "empty.mp4", 0)
	large, _ := newFile(t, "large.mp4", 4<<20+1)
	one, _ := newFile(t, "one.mp4", 3<<20)
	two, _ := newFile(t, "two.mp4", 3<<20)
	hold := p.hold(0)
	do(t, ctx, choose(empty, large, one, two))
	for n, state := range []string{"empty-file", "too-large", "uploading", "over-quota"} {
		until(t, ctx, isIn(n, state)+` && `+card(n)+`.querySelector('[data-upload-status]').textContent === `+card(n)+`.querySelector('[data-word="`+state+`"]').textContent`)
	}
	hold.release(p)
	until(t, ctx, isIn(2, "finished"))
	if n := strings.Count(strings.Join(p.requests(), ";"), http.MethodPost); n != 1 {
		t.Errorf("the server was asked for %q: want one upload", p.requests())
	}
}

func TestUploadIsRefusedInWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer
		state, words string
		over         bool // it cannot go on
	}{
		{answer{http.StatusRequestEntityTooLarge, "ERR_SIZE: This is more than fits.\n"}, "too-large", "This is more than fits.", true},
		{answer{http.StatusForbidden, "over-quota"}, "over-quota", "", false},
		{answer{http.StatusTooManyRequests, "too-many-uploads"}, "too-many-uploads", "You have many uploads", false},
		{answer{http.StatusInsufficientStorage, "The disk here is full."}, "no-room", "The disk here is full.", false},
		{answer{http.StatusUnprocessableEntity, ""}, "refused", "did not take this file", true},
		{answer{http.StatusUnauthorized, "no"}, "logged-out", "You are logged out", false},
	} {
		t.Run(c.state, func(t *testing.T) {
			t.Parallel()
			p, ctx := newPortal(t), watched(t)
			p.refuse.Store(&c.answer)
			path, content := newFile(t, "some.mp4", 1<<20)
			p.open(t, ctx)
			do(t, ctx, choose(path))
			until(t, ctx, isIn(0, c.state)+` && `+says(0, c.words))
			if c.over {
				until(t, ctx, card(0)+`.querySelector('[data-upload-resume]').hidden && `+card(0)+`.querySelector('[data-upload-cancel]').hidden`)
				do(t, ctx, press(0, "dismiss"))
				until(t, ctx, `!document.querySelector('[data-upload]')`)
				return
			}
			p.refuse.Store(nil)
			do(t, ctx, press(0, "resume"))
			until(t, ctx, isIn(0, "finished"))
			p.has(t, idOf(t, ctx, 0), content)
		})
	}
}

func TestUploadCannotBeRead(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, _ := newFile(t, "moved.mp4", whole)
	hold := p.hold(sent)
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	do(t, ctx, press(0, "pause"))
	hold.release(p)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, press(0, "resume"))
	until(t, ctx, isIn(0, "unreadable"))
}

func typeInto(n int, name, text string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf(`{ const input = %s.querySelector('[name=%s]'); input.value = %q; input.dispatchEvent(new Event('input', { bubbles: true })) }`, card(n), name, text), nil)
}

func leave(n int, name string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf(`%s.querySelector('[name=%s]').dispatchEvent(new Event('change', { bubbles: true }))`, card(n), name), nil)
}

func note(n int, name, kind string) string {
	return fmt.Sprintf(`%s.querySelector('[data-upload-note=%s] [data-field=%s]')`, card(n), name, kind)
}

func TestWhatIsTypedAboutAnUploadIsSaved(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, _ := newFile(t, "lesson.mp4", whole)
	hold := p.hold(sent)
	var tries atomic.Int64
	p.answerFields(func(w http.ResponseWriter, r *http.Request) bool {
		if tries.Add(1) == 1 { // the video that is begun is not known there yet
			http.NotFound(w, r)
			return true
		}
		if r.PostForm.Get("name") != "  " {
			return false
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = views.FieldProblem("name-note", "blank").Render(r.Context(), w)
		return true
	})
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	video := idOf(t, ctx, 0)
	do(t, ctx, typeInto(0, "title", "  "), leave(0, "title"))
	until(t, ctx, note(0, "title", "problem"))
	do(t, ctx, typeInto(0, "title", "What an event is"), leave(0, "title"), typeInto(0, "description", "And what it is not."))
	until(t, ctx, note(0, "title", "saved"))
	until(t, ctx, note(0, "description", "saved")) // also of a field that is never left
	if name, description := p.savedAs(video, "name"), p.savedAs(video, "description"); name != "What an event is" || description != "And what it is not." {
		t.Errorf("saved are %q and %q", name, description)
	}
	hold.release(p)
	until(t, ctx, isIn(0, "finished"))
}

func TestWhatIsTypedAboutAnUploadIsNotLost(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, _ := newFile(t, "lesson.mp4", whole)
	hold := p.hold(sent)
	var tries atomic.Int64
	p.answerFields(func(w http.ResponseWriter, _ *http.Request) bool {
		tries.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	video := idOf(t, ctx, 0)
	do(t, ctx, typeInto(0, "title", "Kept"), leave(0, "title"), typeInto(0, "description", "Kept too"))
	until(t, ctx, card(0)+`.querySelector('[data-upload-note=title]').textContent.startsWith('Not saved yet')`)
	do(t, ctx, chromedp.Navigate("about:blank"))
	p.server.CloseClientConnections() // a request may outlive its page for a moment
	hold.release(p)
	// The same file has its words again.
	p.open(t, ctx)
	hold = p.hold(0)
	do(t, ctx, choose(path))
	until(t, ctx, card(0)+`.querySelector('[name=title]').value === 'Kept' && `+card(0)+`.querySelector('[name=description]').value === 'Kept too'`)
	do(t, ctx, chromedp.Navigate("about:blank"))
	p.server.CloseClientConnections() // a request may outlive its page for a moment
	hold.release(p)
	// And they are saved as soon as a page finds the server, whatever became of the file.
	p.answerFields(nil)
	p.open(t, ctx)
	if err := eventually(ctx, func() bool {
		return p.savedAs(video, "name") == "Kept" && p.savedAs(video, "description") == "Kept too"
	}); err != nil {
		t.Fatalf("what was typed was not saved after %d tries", tries.Load())
	}
}

// What was saved is shown again where the upload goes on, and saved again only when it is changed.
func TestWhatIsSavedIsShownAgain(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, _ := newFile(t, "lesson.mp4", whole)
	hold := p.hold(sent)
	var saved atomic.Int64
	p.answerFields(func(http.ResponseWriter, *http.Request) bool { saved.Add(1); return false })
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	video := idOf(t, ctx, 0)
	do(t, ctx, typeInto(0, "title", "Said once"), leave(0, "title"))
	until(t, ctx, note(0, "title", "saved"))
	do(t, ctx, chromedp.Navigate("about:blank"))
	p.server.CloseClientConnections() // a request may outlive its page for a moment
	hold.release(p)
	p.open(t, ctx)
	do(t, ctx, choose(path))
	until(t, ctx, card(0)+`.querySelector('[name=title]').value === 'Said once'`)
	until(t, ctx, isIn(0, "finished"))
	if title, n := p.savedAs(video, "name"), saved.Load(); title != "Said once" || n != 1 {
		t.Errorf("%q was saved, %d times", title, n)
	}
	// It is over, so nothing of it is remembered.
	until(t, ctx, `!Object.keys(localStorage).some((key) => key.startsWith('upload '))`)
	// The card is one line, and can be closed.
	until(t, ctx, `getComputedStyle(`+card(0)+`.querySelector('[data-upload-fields]')).display === 'none'`)
	do(t, ctx, press(0, "dismiss"))
	until(t, ctx, `!document.querySelector('[data-upload]')`)
	// The same file once more is another video, which has no words yet.
	do(t, ctx, choose(path))
	until(t, ctx, card(0)+`.querySelector('[name=title]').value === ''`)
	until(t, ctx, isIn(0, "finished"))
	if again := idOf(t, ctx, 0); again == video || p.savedAs(again, "name") != "" {
		t.Errorf("the same file once more is %s, called %q", again, p.savedAs(again, "name"))
	}
}

// What is left is pushed, and what stands in the list is not counted twice, nor what stood there.
func TestRoomIsLive(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	p.shown.Quota, p.shown.Used = 5<<20, 0
	p.open(t, ctx)
	one, _ := newFile(t, "one.mp4", 3<<20)
	two, _ := newFile(t, "two.mp4", 2<<20)
	three, _ := newFile(t, "three.mp4", 1<<20)
	four, _ := newFile(t, "four.mp4", 3<<20)
	// lists pushes the list with one video, and what room that leaves.
	lists := func(n int, bytes int64, left string) {
		t.Helper()
		id, limits := idOf(t, ctx, n), p.shown.UploadLimits
		limits.Used = bytes
		own := []views.CreatorsVideo{{Video: creatorsvideos.Video{ID: id, State: creatorsvideos.Publishing, Bytes: bytes}}}
		for id, fragment := range map[string]templ.Component{views.CreatorsVideosID: views.CreatorsVideos(own), views.UploadLimitsID: views.UploadRoom(limits)} {
			var html strings.Builder
			if err := fragment.Render(t.Context(), &html); err != nil {
				t.Fatal(err)
			}
			do(t, ctx, chromedp.Evaluate(fmt.Sprintf(`htmx.swap({ text: %q, target: document.getElementById('%s'), swap: 'outerMorph', sourceElement: document.body })`, html.String(), id), nil))
		}
		until(t, ctx, fmt.Sprintf(`document.getElementById('%s').textContent.includes('You have %s of 5 MB left.') && [...document.querySelectorAll('[data-creators-video]')].map((row) => row.dataset.creatorsVideo).join() === '%s'`, views.UploadLimitsID, left, id))
	}
	do(t, ctx, choose(one))
	until(t, ctx, isIn(0, "finished"))
	lists(0, 3<<20, "2 MB")
	do(t, ctx, choose(two))
	until(t, ctx, isIn(1, "finished"))
	do(t, ctx, choose(three))
	until(t, ctx, isIn(2, "over-quota"))
	// The first one is deleted, while the second one appears.
	lists(1, 2<<20, "3 MB")
	do(t, ctx, choose(four))
	until(t, ctx, isIn(3, "finished"))
}

func TestLeavingIsWarnedOfWhileAnUploadRuns(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, _ := newFile(t, "lesson.mp4", whole)
	const warned = `(() => { const event = new Event('beforeunload', { cancelable: true }); return !dispatchEvent(event) })()`
	hold := p.hold(sent)
	p.open(t, ctx)
	until(t, ctx, `!`+warned)
	do(t, ctx, choose(path))
	hold.await(t)
	until(t, ctx, warned)
	do(t, ctx, press(0, "pause"))
	until(t, ctx, `!`+warned)
	hold.release(p)
	do(t, ctx, press(0, "resume"))
	until(t, ctx, isIn(0, "finished")+` && !`+warned)
}

// What this page uploads is not shown a second time in the list that is pushed.
func TestUploadIsShownOnce(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	path, _ := newFile(t, "lesson.mp4", whole)
	hold := p.hold(sent)
	p.open(t, ctx)
	do(t, ctx, choose(path))
	hold.await(t)
	video := idOf(t, ctx, 0)
	var list strings.Builder
	own := []views.CreatorsVideo{{Video: creatorsvideos.Video{ID: video, State: creatorsvideos.Uploading}}, {Video: creatorsvideos.Video{ID: videoID, State: creatorsvideos.Published}}}
	if err := views.CreatorsVideos(own).Render(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	push := fmt.Sprintf(`htmx.swap({ text: %q, target: document.getElementById('%s'), swap: 'outerMorph', sourceElement: document.body })`, list.String(), views.CreatorsVideosID)
	for range 2 {
		do(t, ctx, chromedp.Evaluate(push, nil))
		until(t, ctx, `document.querySelectorAll('[data-creators-video]').length === 2 && document.querySelector('[data-here]').dataset.creatorsVideo === '`+video+`' && document.querySelectorAll('[data-here]').length === 1`)
	}
	hold.release(p)
	until(t, ctx, isIn(0, "finished")+` && !document.querySelector('[data-here]')`)
}

func TestFilesAreDropped(t *testing.T) {
	t.Parallel()
	p, ctx := newPortal(t), watched(t)
	p.open(t, ctx)
	do(t, ctx, chromedp.Evaluate(`{
		const dataTransfer = new DataTransfer()
		dataTransfer.items.add(new File(['one'], 'one.mp4'))
		dataTransfer.items.add(new File(['two'], 'two.mp4'))
		const over = new DragEvent('dragover', { bubbles: true, cancelable: true, dataTransfer })
		document.querySelector('.upload-drop').dispatchEvent(over)
		window.over = document.querySelector('#upload').hasAttribute('data-upload-over') && over.defaultPrevented
		document.querySelector('.upload-drop').dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer }))
	}`, nil))
	until(t, ctx, `window.over && !document.querySelector('[data-upload-over]')`)
	until(t, ctx, isIn(0, "finished")+` && `+isIn(1, "finished"))
	p.has(t, idOf(t, ctx, 0), []byte("one"))
	p.has(t, idOf(t, ctx, 1), []byte("two"))
}
