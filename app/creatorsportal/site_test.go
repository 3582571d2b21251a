package creatorsportal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/aggregators/videooperations"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/db/media"
	"videotutorials/messagestore"
	"videotutorials/views"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// site is the application with the decisions of the component, which makes nothing of
// videos here, and with the aggregators.
type site struct {
	t     *testing.T
	ctx   context.Context
	app   *App
	store *messagestore.Store
	media *media.Store
	board *live.Board
	all   *messagestore.Subscriptions
	views *pgxpool.Pool
	url   string

	mu    sync.Mutex
	ended map[string]bool // sessions
}

// start returns a site that runs. Where deaf is set, nobody hears commands.
func start(t *testing.T, deaf ...bool) *site {
	t.Helper()
	database, log := dbtest.New(t), slog.New(slog.DiscardHandler)
	listenMessages, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	listenViews, err := db.ListenConfig(database.ViewsURL)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, views: database.Views, store: messagestore.New(database.MessageStore), ended: map[string]bool{}}
	if s.media, err = media.Open(t.Context(), "", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.media.Close() })
	hub := live.New(log)
	s.board = live.NewBoard(hub, func(ctx context.Context, payload string) error {
		_, err := s.views.Exec(ctx, `SELECT pg_notify($1, $2)`, live.BoardChannel, payload)
		return err
	})
	sessions := web.NewSessions([]byte(strings.Repeat("s", 32)), false, s.who)
	s.app = New(s.store, creatorsvideos.NewQueries(s.views), videooperations.NewQueries(s.views), viewcounts.NewQueries(s.views),
		sessions, s.media, s.board, hub, Config{MostBytes: 1 << 30, Quota: 3 << 30, MostLength: time.Hour, AsItIs: true})
	router := web.New(web.Config{AppName: "Test", Log: log, Sessions: sessions, Uploads: UploadRoutes})
	s.app.Routes(router)
	router.POST("/test/log-in/:user/:session", func(c echo.Context) error {
		return errors.Join(sessions.LogIn(c, c.Param("user"), c.Param("session"), 0), c.NoContent(http.StatusOK))
	})
	router.POST("/test/problem", func(c echo.Context) error {
		return s.app.Problem(c, http.StatusRequestEntityTooLarge, views.UploadForm{Title: "Typed title", Description: "Typed words", Problem: "too-large"})
	}, sessions.SignedIn)
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	s.url = server.URL

	var followed []*messagestore.Subscription
	for _, one := range videopublishing.New(s.store, videopublishing.Config{Media: s.media, WorkDir: t.TempDir()}).Subscriptions() {
		if one.Name() == "videoPublishing:commands" && len(deaf) == 0 {
			followed = append(followed, one)
		}
	}
	for _, one := range []interface {
		Subscriptions() []*messagestore.Subscription
	}{creatorsvideos.New(s.store, s.views), videooperations.New(s.store, s.views), viewcounts.New(s.store, s.views)} {
		followed = append(followed, one.Subscriptions()...)
	}
	s.all = messagestore.NewSubscriptions(listenMessages, log, followed...)
	listener := &messagestore.Listener{
		Config: listenViews, Channel: "views", Notified: hub.Notify, Also: map[string]func(string){live.BoardChannel: s.board.Heard},
		Connected: hub.Resync, Disconnected: hub.Deaf,
	}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), 90*time.Second)
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{s.all.Run, listener.Run, hub.Run, s.board.Run} {
		running.Go(func() { run(s.ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

func (s *site) who(_ context.Context, userID, sessionID string, _ int64) (web.Person, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return web.Person{UserID: userID, SessionID: sessionID}, !s.ended[sessionID], nil
}

func (s *site) caughtUp() {
	s.t.Helper()
	if err := s.all.CaughtUp(s.ctx, s.store); err != nil {
		s.t.Fatalf("%v; %+v", err, s.all.Status())
	}
}

// behind keeps tables of the view data as they are until it is undone.
func (s *site) behind(tables string) (undo func()) {
	s.t.Helper()
	return s.locked(tables, "EXCLUSIVE")
}

func (s *site) locked(tables, mode string) (undo func()) {
	s.t.Helper()
	tx, err := s.views.Begin(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := tx.Exec(s.ctx, `LOCK TABLE `+tables+` IN `+mode+` MODE`); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		if err := tx.Rollback(s.ctx); err != nil {
			s.t.Fatal(err)
		}
	}
}

// isWaitedFor returns when somebody waits to read a table that is locked.
func (s *site) isWaitedFor(table string) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for waits := false; !waits; {
		err := s.views.QueryRow(s.ctx, `
			SELECT EXISTS (
				SELECT FROM pg_locks
				WHERE NOT granted AND mode = 'AccessShareLock' AND relation = $1::regclass
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			)`, table).Scan(&waits)
		if err != nil {
			s.t.Fatal(err)
		}
		<-tick.C
	}
}

// happened writes an event of a video.
func (s *site) happened(videoID string, body messagestore.Body, options ...messagestore.WriteOption) {
	s.t.Helper()
	if _, err := s.store.Write(s.ctx, publishingmsg.Category.Stream(videoID), body, options...); err != nil {
		s.t.Fatal(err)
	}
}

// begins has somebody begin an upload, as the application for those does.
func (s *site) begins(userID, name string) (videoID string) {
	s.t.Helper()
	videoID = messagestore.NewID()
	for _, body := range []messagestore.Body{
		publishingmsg.BeginUpload{VideoID: videoID, OwnerID: userID, FileName: "film.mov", Bytes: 1000},
		publishingmsg.NameVideo{VideoID: videoID, Name: name},
	} {
		_, err := s.store.Write(s.ctx, publishingmsg.Category.CommandStream(videoID), body,
			messagestore.WithMetadata(messagestore.Metadata{TraceID: messagestore.NewID(), UserID: userID}))
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return videoID
}

// has is a published video of somebody.
func (s *site) has(userID, name string) (videoID string) {
	s.t.Helper()
	videoID = s.begins(userID, name)
	s.caughtUp()
	s.happened(videoID, publishingmsg.VideoPublishingStarted{VideoID: videoID, OwnerID: userID, Attempt: 1})
	s.happened(videoID, publishingmsg.VideoPublished{VideoID: videoID, OwnerID: userID, Attempt: 1, TranscodedURI: "/media/x/1/video.mp4", DurationMS: 61_000})
	s.caughtUp()
	return videoID
}

// written returns the commands of a type that a video was given.
func (s *site) written(videoID, kind string) (list []messagestore.Raw) {
	s.t.Helper()
	for m, err := range s.store.Read(s.ctx, publishingmsg.Category.CommandStream(videoID), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if m.Type == kind {
			list = append(list, m)
		}
	}
	return list
}

func (s *site) row(videoID string) creatorsvideos.Video {
	s.t.Helper()
	v, _, err := s.app.own.ByID(s.ctx, videoID)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

type browser struct {
	*site
	client        *http.Client
	user, session string
}

func (s *site) browser() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{site: s, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// somebody returns a browser that a person is signed in with.
func (s *site) somebody() *browser { s.t.Helper(); return s.signedIn(messagestore.NewID()) }

func (s *site) signedIn(userID string) *browser {
	s.t.Helper()
	b := s.browser()
	b.user, b.session = userID, messagestore.NewID()
	if a := b.post("/test/log-in/" + b.user + "/" + b.session); a.status != http.StatusOK {
		s.t.Fatalf("log in: %d", a.status)
	}
	return b
}

// logsOut ends the session without the browser's doing.
func (b *browser) logsOut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended[b.session] = true
}

type answer struct {
	status   int
	body, to string
	header   http.Header
}

func (b *browser) do(method, path, kind string, body io.Reader, partial bool) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.ctx, method, b.url+path, body)
	if err != nil {
		b.t.Error(err) // not Fatal: some ask from goroutines of their own
		return answer{}
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if partial {
		r.Header.Set("HX-Request", "true")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Error(err)
		return answer{}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Error(err)
		return answer{}
	}
	return answer{response.StatusCode, string(text), response.Header.Get("Location"), response.Header}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, "", nil, false)
}

const urlEncoded = "application/x-www-form-urlencoded"

func form(fields []string) io.Reader {
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return strings.NewReader(values.Encode())
}

func (b *browser) post(path string, fields ...string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, path, urlEncoded, form(fields), false)
}

// types is a post of the script that saves while somebody types.
func (b *browser) types(path string, fields ...string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, path, urlEncoded, form(fields), true)
}

// send posts a form with fields and a file, which is left out where it is not named.
func (b *browser) send(path, fileName, file string, fields ...string) answer {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		w.WriteField(fields[i], fields[i+1])
	}
	part, err := w.CreateFormFile("file", fileName)
	if err != nil {
		b.t.Fatal(err)
	}
	io.WriteString(part, file)
	w.Close()
	return b.do(http.MethodPost, path, w.FormDataContentType(), &body, false)
}

// outcome demands that a post leads to the page of an operation, and returns that page as
// it is when all is done.
func (b *browser) outcome(posted answer) answer {
	b.t.Helper()
	if posted.status != http.StatusSeeOther || !strings.HasPrefix(posted.to, views.VideoOperationPath("")) {
		b.t.Fatalf("%d %s\n%s", posted.status, posted.to, posted.body)
	}
	b.caughtUp() // the command
	b.caughtUp() // what came of it
	a := b.get(posted.to)
	if a.status != http.StatusOK {
		b.t.Fatalf("%s: %d", posted.to, a.status)
	}
	return a
}

func state(html string) string {
	if m := regexp.MustCompile(`data-operation="([a-z]+)"`).FindStringSubmatch(html); m != nil {
		return m[1]
	}
	return ""
}

var connects = regexp.MustCompile(`hx-sse:connect="([^"]*)"`)

// streamOf returns the address of a page's stream.
func streamOf(t *testing.T, a answer) string {
	t.Helper()
	match := connects.FindStringSubmatch(a.body)
	if match == nil {
		t.Fatalf("no stream in\n%s", a.body)
	}
	return strings.ReplaceAll(match[1], "&amp;", "&")
}

// frames opens an event stream and returns its frames. It is closed when there are none to
// come.
func (b *browser) frames(path string) <-chan string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %d", path, response.StatusCode)
	}
	frames := make(chan string, 1000)
	go func() {
		defer close(frames)
		defer response.Body.Close()
		var frame strings.Builder
		lines := bufio.NewScanner(response.Body)
		for lines.Buffer(nil, 1<<20); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
				frame.WriteString(data + "\n")
			} else if lines.Text() == "" && frame.Len() > 0 {
				frames <- frame.String()
				frame.Reset()
			}
		}
	}()
	return frames
}

// await returns the first frame with a text.
func (s *site) await(frames <-chan string, text string) string {
	s.t.Helper()
	for {
		select {
		case frame, ok := <-frames:
			if !ok {
				s.t.Fatalf("the stream ended without %q", text)
			}
			if strings.Contains(frame, text) {
				return frame
			}
		case <-s.ctx.Done():
			s.t.Fatalf("no frame with %q", text)
		}
	}
}
