package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/aggregators/signins"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/administration/administrationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// site is the portal with the aggregators that it reads.
type site struct {
	t      *testing.T
	ctx    context.Context
	app    *App
	router *echo.Echo
	store  *messagestore.Store
	all    *messagestore.Subscriptions
	db     *dbtest.DB
	url    string

	mu    sync.Mutex
	roles map[string][]string // by person
	ended map[string]bool     // sessions
}

func start(t *testing.T, change ...func(*Config)) *site {
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
	s := &site{t: t, db: database, store: messagestore.New(database.MessageStore), roles: map[string][]string{}, ended: map[string]bool{}}
	var followed []*messagestore.Subscription
	for _, one := range []interface {
		Subscriptions() []*messagestore.Subscription
	}{adminsummary.New(s.store, database.Views), signins.New(s.store, database.Views), usercredentials.New(s.store, database.Views)} {
		followed = append(followed, one.Subscriptions()...)
	}
	s.all = messagestore.NewSubscriptions(listenMessages, log, followed...)
	rebuilds := messagestore.NewRebuilds(s.store, database.Views, log, followed...)
	hub := live.New(log)
	sessions := web.NewSessions([]byte(strings.Repeat("s", 32)), false, s.who)
	config := Config{
		Store: s.store, Users: usercredentials.NewQueries(database.Views), SignIns: signins.NewQueries(database.Views),
		Sessions: sessions, Hub: hub, Summary: adminsummary.NewQueries(database.Views),
		Subscriptions: func() *messagestore.Subscriptions { return s.all }, Rebuilds: func() *messagestore.Rebuilds { return rebuilds },
	}
	for _, change := range change {
		change(&config)
	}
	s.app = New(config)
	s.all.Watch(s.app.Woken)
	s.router = web.New(web.Config{AppName: "Test", Log: log, Sessions: sessions})
	s.app.Routes(s.router)
	s.router.POST("/test/log-in/:user/:session", func(c echo.Context) error {
		return errors.Join(sessions.LogIn(c, c.Param("user"), c.Param("session"), 0), c.NoContent(http.StatusOK))
	})
	server := httptest.NewServer(s.router)
	t.Cleanup(server.Close)
	s.url = server.URL

	listener := &messagestore.Listener{Config: listenViews, Channel: "views", Notified: hub.Notify, Connected: hub.Resync, Disconnected: hub.Deaf}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), 120*time.Second)
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{s.all.Run, listener.Run, hub.Run, s.app.Run, rebuilds.Run} {
		running.Go(func() { run(s.ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

func (s *site) who(_ context.Context, userID, sessionID string, _ int64) (web.Person, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return web.Person{UserID: userID, SessionID: sessionID, Roles: s.roles[userID]}, !s.ended[sessionID], nil
}

func (s *site) caughtUp() {
	s.t.Helper()
	if err := s.all.CaughtUp(s.ctx, s.store); err != nil {
		s.t.Fatalf("%v; %+v", err, s.all.Status())
	}
}

// written writes a message and returns it.
func (s *site) written(stream messagestore.Stream, body messagestore.Body, options ...messagestore.WriteOption) messagestore.Raw {
	s.t.Helper()
	if _, err := s.store.Write(s.ctx, stream, body, options...); err != nil {
		s.t.Fatal(err)
	}
	m, err := s.store.Last(s.ctx, stream, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// foreign writes a message as another program may, or somebody who means harm.
func (s *site) foreign(stream, kind, data, metadata string) (id string) {
	s.t.Helper()
	id = messagestore.NewID()
	if _, err := s.db.MessageStore.Exec(s.ctx, `SELECT message_store.write_message($1, $2, $3, $4::jsonb, $5::jsonb)`, id, stream, kind, data, metadata); err != nil {
		s.t.Fatal(err)
	}
	return id
}

// registered returns somebody who has an account.
func (s *site) registered(email string) (userID string) {
	s.t.Helper()
	userID = messagestore.NewID()
	by := messagestore.WithMetadata(messagestore.Metadata{UserID: userID, TraceID: messagestore.NewID()})
	s.written(identitymsg.Category.Stream(userID), identitymsg.Registered{UserID: userID, Email: email, PasswordHash: "$argon2id$secret"}, by)
	s.caughtUp()
	return userID
}

// events are what is written of an administrator's doings, decoded.
func (s *site) events(adminID string) (list []string) {
	s.t.Helper()
	for m, err := range s.store.Read(s.ctx, administrationmsg.Category.Stream(adminID), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		var data map[string]any
		if err := json.Unmarshal(m.Data, &data); err != nil {
			s.t.Fatal(err)
		}
		if data["adminId"] != adminID {
			s.t.Errorf("%s is of %v", m.Type, data["adminId"])
		}
		delete(data, "adminId")
		text, _ := json.Marshal(data)
		list = append(list, m.Type+" "+string(text))
	}
	return list
}

type browser struct {
	*site
	client        *http.Client
	user, session string
}

// anonymous returns a browser that nobody is signed in with.
func (s *site) anonymous() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{site: s, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// somebody returns a browser of a person with roles.
func (s *site) somebody(roles ...string) *browser {
	s.t.Helper()
	b := s.anonymous()
	b.user, b.session = messagestore.NewID(), messagestore.NewID()
	s.mu.Lock()
	s.roles[b.user] = roles
	s.mu.Unlock()
	if a := b.post("/test/log-in/" + b.user + "/" + b.session); a.status != http.StatusOK {
		s.t.Fatalf("log in: %d", a.status)
	}
	return b
}

func (s *site) admin() *browser { s.t.Helper(); return s.somebody(identitymsg.Admin) }

type answer struct {
	status   int
	body, to string
	header   http.Header
}

// ask sends a request. Of a stream it reads the head only.
func (b *browser) ask(method, path, accept string, fields url.Values) answer {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, to: response.Header.Get("Location"), header: response.Header}
	if strings.HasPrefix(response.Header.Get("Content-Type"), eventStream) {
		return a
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	a.body = string(text)
	return a
}

const eventStream = "text/event-stream"

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.ask(http.MethodGet, path, "", nil)
}

// shown is a page that must be there.
func (b *browser) shown(path string) answer {
	b.t.Helper()
	a := b.get(path)
	if a.status != http.StatusOK {
		b.t.Fatalf("%s: %d to %q\n%s", path, a.status, a.to, a.body)
	}
	return a
}

func (b *browser) post(path string, fields ...string) answer {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return b.ask(http.MethodPost, path, "", values)
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
func (b *browser) frames(path string) <-chan string { b.t.Helper(); return b.framesAfter(path, "") }

// framesAfter opens an event stream as a browser does that has had a frame with an id.
func (b *browser) framesAfter(path, id string) <-chan string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", eventStream)
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
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
