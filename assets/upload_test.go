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

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/assets"
	"videotutorials/views"
)

// portal is the page of a creator before a real tus server that can be held up, be away or
// refuse.
type portal struct {
	url    string
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
	p := &portal{dir: t.TempDir(), saved: map[string]string{}, shown: views.Portal{MostBytes: 64 << 20, Quota: 100 << 20, Used: 10 << 20, MostLength: time.Hour}}
	store := handler.NewStoreComposer()
	files := filestore.New(p.dir)
	store.UseCore(files)
	store.UseTerminater(files)
	tus, err := handler.NewUnroutedHandler(handler.Config{
		BasePath: views.UploadsPath, StoreComposer: store, Cors: &handler.CorsConfig{Disable: true},
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
			r.Body = held{r.Body, p}
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
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		if h := p.uphold.Load(); h != nil {
			h.release(p)
		}
		server.CloseClientConnections()
		server.Close()
	})
	p.url = server.URL + views.CreatorsPortalPath
	return p
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

// card is the nth card of the page, the newest first.
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
	_ = page.Enable
	_ = creatorsvideos.Uploading
}
