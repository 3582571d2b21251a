package uploads

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/db/media"
	"videotutorials/messagestore"
	"videotutorials/views"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// secret is in every name and title that tests make up: it must not be logged.
const secret = "geheim"

const fileOf = secret + " 1.mp4"

// site is the application on a real server, with the view data that it reads.
type site struct {
	t        testing.TB
	ctx      context.Context
	app      *App
	store    *messagestore.Store
	media    *media.Store
	own      creatorsvideos.Queries
	sessions *web.Sessions
	all      *messagestore.Subscriptions
	dir, url string
	problem  func(c echo.Context, status int, typed views.UploadForm) error
	config   Config
	logged   logged
	pool     *pgxpool.Pool // the application's, of the message store
	views    *pgxpool.Pool // likewise
	away     atomic.Bool   // Postgres, for the application
	ended    sync.Map      // sessions
}

// logged is what the application has logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t testing.TB, change ...func(*Config, *times)) *site {
	t.Helper()
	database := dbtest.New(t)
	listen, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t}
	s.pool, s.views = s.connect(database.MessageStore), s.connect(database.Views)
	s.own = creatorsvideos.NewQueries(s.views)
	s.store = messagestore.New(s.pool)
	if s.media, err = media.Open(t.Context(), "", s.folder()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.media.Close() })
	s.dir = s.folder()
	s.sessions = web.NewSessions([]byte(strings.Repeat("s", 32)), false, s.who)
	s.problem = func(c echo.Context, status int, typed views.UploadForm) error {
		return c.String(status, fmt.Sprintf("%s|%s|%s", typed.Problem, typed.Title, typed.Description))
	}
	s.config = Config{Dir: s.dir, MostBytes: 1 << 30, Quota: 4 << 30, Log: slog.New(slog.NewTextHandler(&s.logged, nil))}
	times := usual
	times.silence, times.patience, times.retry = 20*time.Second, 10*time.Second, 10*time.Millisecond
	for _, change := range change {
		change(&s.config, &times)
	}
	s.app = s.newApp(times)
	s.url = s.serve(s.app).URL

	s.all = messagestore.NewSubscriptions(listen, slog.New(slog.DiscardHandler), creatorsvideos.New(messagestore.New(database.MessageStore), database.Views).Subscriptions()...)
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), 3*time.Minute)
	var running sync.WaitGroup
	running.Go(func() { s.all.Run(s.ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if text := s.logged.String(); strings.Contains(text, secret) {
			t.Errorf("personal data in the log:\n%s", text)
		}
	})
	return s
}

// connect returns the application's pool of a database: one that Postgres can be taken
// away from.
func (s *site) connect(database *pgxpool.Pool) *pgxpool.Pool {
	s.t.Helper()
	config := database.Config()
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if s.away.Load() {
			return nil, errors.New("no Postgres")
		}
		return dial(ctx, network, address)
	}
	pool, err := pgxpool.NewWithConfig(s.t.Context(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(pool.Close)
	return pool
}

// folder returns a folder, for tests in memory where there is one, for benchmarks on the
// disk.
func (s *site) folder() string {
	s.t.Helper()
	if _, measured := s.t.(*testing.B); measured {
		return s.t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "uploads")
	if err != nil {
		return s.t.TempDir()
	}
	s.t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (s *site) newApp(times times) *App {
	return newApp(s.store, s.own, s.sessions, s.media, s.problem, s.config, times)
}

// serve serves an application until the test ends.
func (s *site) serve(app *App) *httptest.Server {
	router := web.New(web.Config{AppName: "Test", Log: s.config.Log, Sessions: s.sessions, Uploads: Routes})
	app.Routes(router)
	router.POST("/test/log-in/:user/:session", func(c echo.Context) error {
		return errors.Join(s.sessions.LogIn(c, c.Param("user"), c.Param("session"), 0), c.NoContent(http.StatusOK))
	})
	server := httptest.NewUnstartedServer(router)
	server.Config.ReadHeaderTimeout, server.Config.ReadTimeout, server.Config.WriteTimeout = 5*time.Second, 2*time.Second, 2*time.Second
	server.Config.MaxHeaderBytes = 32 << 10
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.Start()
	s.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// run runs the application's own work until the test ends or stop is called.
func (s *site) run(app *App) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		app.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	s.t.Cleanup(stop)
	return stop
}

func (s *site) who(_ context.Context, userID, sessionID string, _ int64) (web.Person, bool, error) {
	if _, ended := s.ended.Load(sessionID); ended {
		return web.Person{}, false, nil
	}
	return web.Person{UserID: userID, SessionID: sessionID}, true, nil
}

// leave takes Postgres away from the application until it is undone.
func (s *site) leave() (undo func()) {
	s.away.Store(true)
	s.pool.Reset()
	s.views.Reset()
	return func() { s.away.Store(false) }
}

func (s *site) write(videoID string, event messagestore.Body) {
	s.t.Helper()
	if _, err := s.store.Write(s.ctx, publishingmsg.Category.Stream(videoID), event); err != nil {
		s.t.Fatal(err)
	}
	if err := s.all.CaughtUp(s.ctx, s.store); err != nil {
		s.t.Fatal(err)
	}
}

// commands returns the types of the commands of a video, in order.
func (s *site) commands(videoID string) (types []string) {
	s.t.Helper()
	for m, err := range s.store.Read(s.ctx, publishingmsg.Category.CommandStream(videoID), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		types = append(types, m.Type)
	}
	return types
}

func command[T messagestore.Body](s *site, videoID string) messagestore.Message[T] {
	s.t.Helper()
	var body T
	raw, err := s.store.Last(s.ctx, publishingmsg.Category.CommandStream(videoID), body.MessageType())
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := messagestore.Decode[T](raw)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// handedIn demands that a file is in the media store and has been asked to be published
// once, and that its bytes lie nowhere else.
func (s *site) handedIn(videoID string, want []byte) {
	s.t.Helper()
	got, err := s.media.Read(s.ctx, publishingmsg.SourceKey(videoID), 1<<30)
	if err != nil || !bytes.Equal(got, want) {
		s.t.Errorf("%v: the file has %d bytes of its own, not these %d", err, len(got), len(want))
	}
	if n := strings.Count(strings.Join(s.commands(videoID), " "), "PublishVideo"); n != 1 {
		s.t.Errorf("PublishVideo was written %d times: %v", n, s.commands(videoID))
	}
	if _, err := os.Stat(s.app.folder.path(strings.ReplaceAll(videoID, "-", ""))); !errors.Is(err, os.ErrNotExist) {
		s.t.Errorf("what has arrived is still in the folder: %v", err)
	}
}

// files returns the names in the folder.
func (s *site) files() (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// until waits until something is so.
func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.t.Fatalf("%s: not so", what)
		}
	}
}

// random returns bytes that are the same for the same seed.
func random(seed uint64, n int) []byte {
	content := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(content)
	return content
}

// browser is one that somebody is signed in with, or nobody.
type browser struct {
	*site
	client  *http.Client
	user    string
	session string
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &browser{site: s, client: &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// person returns a browser with somebody new.
func (s *site) person() *browser {
	s.t.Helper()
	b := s.browser()
	b.logIn(messagestore.NewID())
	return b
}

func (b *browser) logIn(userID string) {
	b.t.Helper()
	b.user, b.session = userID, messagestore.NewID()
	if a := b.send(http.MethodPost, "/test/log-in/"+b.user+"/"+b.session, nil); a.status != http.StatusOK {
		b.t.Fatalf("log in: %d", a.status)
	}
}

type answer struct {
	status int
	body   string
	header http.Header
}

// offset is how far an upload has come, as the server says; -1 where it does not.
func (a answer) offset() int64 {
	n, err := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// send sends a request; the headers are names and values in turn. An answer of status 0
// is none.
func (b *browser) send(method, path string, body io.Reader, headers ...string) answer {
	if !strings.HasPrefix(path, "http:") {
		path = b.url + path
	}
	r, err := http.NewRequestWithContext(b.requests(), method, path, body)
	if err != nil {
		b.t.Error(err) // not Fatal: some send from goroutines of their own
		return answer{}
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.client.Do(r)
	if err != nil {
		return answer{}
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(text), response.Header}
}

func (b *browser) requests() context.Context {
	if b.ctx == nil { // before the site is complete
		return b.t.Context()
	}
	return b.ctx
}

// post begins an upload; the metadata are names and values in turn.
func (b *browser) post(length int64, metadata ...string) answer {
	var pairs []string
	for i := 0; i+1 < len(metadata); i += 2 {
		pairs = append(pairs, metadata[i]+" "+base64.StdEncoding.EncodeToString([]byte(metadata[i+1])))
	}
	return b.send(http.MethodPost, views.UploadsPath, nil, "Upload-Length", strconv.FormatInt(length, 10), "Upload-Metadata", strings.Join(pairs, ","))
}

// begin begins an upload that must be taken, and returns its path and the video's id.
func (b *browser) begin(length int64, metadata ...string) (path, videoID string) {
	b.t.Helper()
	a := b.post(length, append([]string{"filename", fileOf}, metadata...)...)
	path, videoID = a.header.Get("Location"), a.header.Get("X-Video-Id")
	if a.status != http.StatusCreated || !strings.HasPrefix(path, views.UploadsPath+"/") || !messagestore.ValidID(videoID) {
		b.t.Fatalf("%d %q %v", a.status, a.body, a.header)
	}
	return path, videoID
}

func (b *browser) patch(path string, offset int64, body io.Reader) answer {
	return b.send(http.MethodPatch, path, body, "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.FormatInt(offset, 10))
}

func (b *browser) head(path string) answer { return b.send(http.MethodHead, path, nil) }

// slow is a body that is sent bit by bit.
type slow struct {
	*io.PipeWriter
	answered chan answer
}

// patchSlowly begins a PATCH whose body the test writes.
func (b *browser) patchSlowly(path string, offset int64) *slow {
	from, to := io.Pipe()
	s := &slow{to, make(chan answer, 1)}
	go func() {
		a := b.patch(path, offset, from)
		from.CloseWithError(errors.New("answered"))
		s.answered <- a
	}()
	return s
}

// sent writes bytes and waits until the upload's file has so many.
func (s *site) sent(to *slow, content []byte, path string, have int64) {
	s.t.Helper()
	if _, err := to.Write(content); err != nil {
		s.t.Fatal(err)
	}
	s.until("the bytes are on the disk", func() bool {
		info, err := os.Stat(s.app.folder.path(idOf(path)))
		return err == nil && info.Size() == have
	})
}

// answer waits for that of a request.
func (s *site) answer(to *slow) answer {
	s.t.Helper()
	select {
	case a := <-to.answered:
		return a
	case <-s.ctx.Done():
		s.t.Fatal("no answer")
		return answer{}
	}
}

func idOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
