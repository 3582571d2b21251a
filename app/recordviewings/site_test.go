package recordviewings

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// site is the databases and the files, and the processes that run on them.
type site struct {
	t        *testing.T
	ctx      context.Context
	database *dbtest.DB
	store    *messagestore.Store
	views    *pgxpool.Pool
	media    *media.Store
	sessions *web.Sessions
	all      *messagestore.Subscriptions
	first    *process
	running  sync.WaitGroup
}

// process is one of the site's.
type process struct {
	*site
	app  *App
	url  string
	logs *logs
	stop context.CancelFunc // of telling who watches
	over chan struct{}      // closed when it has ended
}

// logs are what a process has logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T) *site {
	t.Helper()
	database := dbtest.New(t)
	s := &site{t: t, database: database, views: database.Views, store: messagestore.New(database.MessageStore)}
	var err error
	if s.media, err = media.Open(t.Context(), "", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.media.Close() })
	s.sessions = web.NewSessions([]byte(strings.Repeat("s", 32)), false, func(_ context.Context, userID, sessionID string, _ int64) (web.Person, bool, error) {
		return web.Person{UserID: userID, SessionID: sessionID}, true, nil
	})
	listenMessages, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(func() { cancel(); s.running.Wait() })
	s.all = messagestore.NewSubscriptions(listenMessages, slog.New(slog.DiscardHandler),
		append(catalogue.New(s.store, s.views).Subscriptions(), viewcounts.New(s.store, s.views).Subscriptions()...)...)
	s.running.Go(func() { s.all.Run(s.ctx) })
	s.first = s.process()
	return s
}

// process starts another process on the same databases.
func (s *site) process() *process {
	s.t.Helper()
	listenViews, err := db.ListenConfig(s.database.ViewsURL)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{site: s, logs: &logs{}, over: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(p.logs, nil))
	hub := live.New(slog.New(slog.DiscardHandler))
	board := live.NewBoard(hub, func(ctx context.Context, payload string) error {
		_, err := s.views.Exec(ctx, `SELECT pg_notify($1, $2)`, live.BoardChannel, payload)
		return err
	})
	p.app = New(s.store, catalogue.NewQueries(s.views), viewcounts.NewQueries(s.views), s.sessions, s.media, board, hub, log)
	router := web.New(web.Config{AppName: "Test", Log: slog.New(slog.DiscardHandler), Sessions: s.sessions})
	p.app.Routes(router)
	router.POST("/test/log-in/:user", func(c echo.Context) error {
		return errors.Join(s.sessions.LogIn(c, c.Param("user"), messagestore.NewID(), 0), c.NoContent(http.StatusOK))
	})
	server := httptest.NewServer(router)
	s.t.Cleanup(server.Close)
	p.url = server.URL
	connected := make(chan struct{})
	var once sync.Once
	listener := &messagestore.Listener{
		Config: listenViews, Channel: "views", Notified: hub.Notify, Also: map[string]func(string){live.BoardChannel: board.Heard},
		Connected: func() { hub.Resync(); once.Do(func() { close(connected) }) }, Disconnected: hub.Deaf,
	}
	for _, run := range []func(context.Context) error{listener.Run, hub.Run, board.Run} {
		s.running.Go(func() { run(s.ctx) })
	}
	telling, stop := context.WithCancel(s.ctx)
	p.stop = stop
	s.running.Go(func() { defer close(p.over); p.app.Run(telling) })
	select {
	case <-connected:
	case <-s.ctx.Done():
		s.t.Fatal("the process does not listen")
	}
	return p
}

func (s *site) caughtUp() {
	s.t.Helper()
	if err := s.all.CaughtUp(s.ctx, s.store); err != nil {
		s.t.Fatalf("%v; %+v", err, s.all.Status())
	}
}

func (s *site) happened(videoID string, body messagestore.Body) {
	s.t.Helper()
	if _, err := s.store.Write(s.ctx, publishingmsg.Category.Stream(videoID), body); err != nil {
		s.t.Fatal(err)
	}
	s.caughtUp()
}

// has is a published video of somebody.
func (s *site) has(ownerID, visibility string) (videoID string) {
	s.t.Helper()
	videoID = messagestore.NewID()
	s.happened(videoID, publishingmsg.VideoPublished{VideoID: videoID, OwnerID: ownerID, Attempt: 1, TranscodedURI: "/media/" + videoID + "/1/video.mp4"})
	s.happened(videoID, publishingmsg.VideoNamed{VideoID: videoID, Name: "A lesson"})
	if visibility != publishingmsg.Public {
		s.happened(videoID, publishingmsg.VisibilityChanged{VideoID: videoID, Visibility: visibility})
	}
	return videoID
}

// keeps a file, and returns its path.
func (s *site) keeps(key, text string) string {
	s.t.Helper()
	if err := s.media.Put(s.ctx, key, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
	return media.Path(key)
}

type browser struct {
	*process
	client *http.Client
	user   string
}

// browser returns one that a person is signed in with, or nobody where userID is empty.
func (p *process) browser(userID string) *browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	b := &browser{p, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, userID}
	if userID != "" {
		if a := b.post("/test/log-in/" + userID); a.status != http.StatusOK {
			p.t.Fatalf("log in: %d", a.status)
		}
	}
	return b
}

type answer struct {
	status int
	body   string
	header http.Header
}

func (b *browser) do(method, path string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.ctx, method, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{response.StatusCode, string(body), response.Header}
}

func (b *browser) get(path string) answer  { b.t.Helper(); return b.do(http.MethodGet, path) }
func (b *browser) post(path string) answer { b.t.Helper(); return b.do(http.MethodPost, path) }

// watches opens a page and its stream, and returns how many the page says watch, each time
// that it is told; leave closes it.
func (b *browser) watches(videoID string) (told <-chan string, leave func()) {
	b.t.Helper()
	page := b.get("/videos/" + videoID)
	match := regexp.MustCompile(`hx-sse:connect="([^"]*)"`).FindStringSubmatch(page.body)
	if match == nil {
		b.t.Fatalf("%d\n%s", page.status, page.body)
	}
	ctx, leave := context.WithCancel(b.ctx)
	b.t.Cleanup(leave)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+strings.ReplaceAll(match[1], "&amp;", "&"), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		b.t.Fatalf("the stream: %d", response.StatusCode)
	}
	numbers := make(chan string, 1000)
	go func() {
		defer close(numbers)
		defer response.Body.Close()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if n := watching(lines.Text()); n != "" {
				numbers <- n
			}
		}
	}()
	return numbers, leave
}

// watching is how many watch, as a page or a frame says.
func watching(html string) string {
	if m := regexp.MustCompile(`data-watching="(-?[0-9]+)"`).FindStringSubmatch(html); m != nil {
		return m[1]
	}
	return ""
}

// until waits for a page to be told that so many watch.
func (s *site) until(told <-chan string, want string) {
	s.t.Helper()
	last := ""
	for last != want {
		select {
		case n, ok := <-told:
			if !ok {
				s.t.Fatalf("the stream ended at %q, without %q", last, want)
			}
			last = n
		case <-s.ctx.Done():
			s.t.Fatalf("the page says that %q watch, want %q", last, want)
		}
	}
}
