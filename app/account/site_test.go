package account

import (
	"bufio"
	"context"
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

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/accountoperations"
	"videotutorials/aggregators/signins"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	firstPassword  = "correct horse battery"
	secondPassword = "another horse battery"
)

// site is the application with the component and the aggregators that it needs.
type site struct {
	t        *testing.T
	ctx      context.Context
	app      *App
	store    *messagestore.Store
	users    usercredentials.Queries
	signIns  signins.Queries
	sessions *web.Sessions
	key      identitymsg.Key
	all      *messagestore.Subscriptions
	views    *pgxpool.Pool
	url      string
}

func start(t *testing.T, change ...func(*web.Config)) *site {
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
	s := &site{
		t: t, views: database.Views, store: messagestore.New(database.MessageStore),
		users: usercredentials.NewQueries(database.Views), signIns: signins.NewQueries(database.Views),
	}
	if s.key, err = identitymsg.NewKey([]byte(strings.Repeat("k", 32))); err != nil {
		t.Fatal(err)
	}
	hub := live.New(log)
	s.sessions = web.NewSessions([]byte(strings.Repeat("s", 32)), false, s.who)
	at := time.Now() // stands still for the limits, and nobody waits for a turn
	limits := web.NewLimits(func() time.Time { return at }, func(ctx context.Context, _ time.Duration) error { return ctx.Err() })
	s.app = New(s.store, s.users, s.signIns, accountoperations.NewQueries(database.Views), password.NewHasher(1), limits, s.sessions, s.key, hub)
	config := web.Config{AppName: "Test", Log: log, Sessions: s.sessions}
	for _, change := range change {
		change(&config)
	}
	router := web.New(config)
	s.app.Routes(router)
	router.POST("/test/log-in/:user/:session", s.logIn)
	router.POST("/test/remember/:trace", func(c echo.Context) error {
		return errors.Join(s.sessions.Remember(c, c.Param("trace")), c.NoContent(http.StatusOK))
	})
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	s.url = server.URL

	var followed []*messagestore.Subscription
	for _, one := range []interface {
		Subscriptions() []*messagestore.Subscription
	}{
		identity.New(s.store, identity.Config{Key: s.key, BaseURL: s.url, AppName: "Test"}),
		accountoperations.New(s.store, database.Views), signins.New(s.store, database.Views), usercredentials.New(s.store, database.Views),
	} {
		followed = append(followed, one.Subscriptions()...)
	}
	s.all = messagestore.NewSubscriptions(listenMessages, log, followed...)
	listener := &messagestore.Listener{Config: listenViews, Channel: "views", Notified: hub.Notify, Connected: hub.Resync, Disconnected: hub.Deaf}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), 90*time.Second)
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{s.all.Run, listener.Run, hub.Run} {
		running.Go(func() { run(s.ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// who says whether a session still stands, as the program does.
func (s *site) who(ctx context.Context, userID, sessionID string, generation int64) (web.Person, bool, error) {
	user, _, err := s.users.ByID(ctx, userID)
	if err != nil {
		return web.Person{}, false, err
	}
	ended, err := s.signIns.Ended(ctx, sessionID)
	if err != nil || ended || generation != user.Generation && sessionID != user.KeptSession {
		return web.Person{}, false, err
	}
	return web.Person{UserID: userID, SessionID: sessionID, Email: user.Email}, true, nil
}

func (s *site) logIn(c echo.Context) error {
	user, _, err := s.users.ByID(c.Request().Context(), c.Param("user"))
	if err != nil {
		return err
	}
	return errors.Join(s.sessions.LogIn(c, user.ID, c.Param("session"), user.Generation), c.NoContent(http.StatusOK))
}

func (s *site) caughtUp() {
	s.t.Helper()
	if err := s.all.CaughtUp(s.ctx, s.store); err != nil {
		s.t.Fatalf("%v; %+v", err, s.all.Status())
	}
}

// behind keeps the credentials of the view data as they are until it is undone.
func (s *site) behind() (undo func()) {
	s.t.Helper()
	tx, err := s.views.Begin(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := tx.Exec(s.ctx, `LOCK TABLE user_credentials IN EXCLUSIVE MODE`); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		if err := tx.Rollback(s.ctx); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) write(stream messagestore.Stream, body messagestore.Body) {
	s.t.Helper()
	if _, err := s.store.Write(s.ctx, stream, body); err != nil {
		s.t.Fatal(err)
	}
	s.caughtUp()
}

// person registers somebody with the first password.
func (s *site) person(email string) (userID string) {
	s.t.Helper()
	hash, err := s.app.passwords.Hash(s.ctx, firstPassword)
	if err != nil {
		s.t.Fatal(err)
	}
	userID = messagestore.NewID()
	s.write(identitymsg.Category.CommandStream(userID), identitymsg.Register{UserID: userID, Email: email, PasswordHash: hash})
	s.caughtUp() // what follows from the event
	return userID
}

// written returns the messages of a type in a category.
func (s *site) written(category messagestore.Category, kind string) (list []messagestore.Raw) {
	s.t.Helper()
	all, err := s.store.ReadCategory(s.ctx, category, messagestore.CategoryQuery{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range all {
		if m.Type == kind {
			list = append(list, m)
		}
	}
	return list
}

func (s *site) user(userID string) usercredentials.User {
	s.t.Helper()
	user, _, err := s.users.ByID(s.ctx, userID)
	if err != nil {
		s.t.Fatal(err)
	}
	return user
}

type browser struct {
	*site
	client *http.Client
}

func (s *site) browser() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{s, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// signedIn returns a browser that a person is signed in with, and the session.
func (s *site) signedIn(userID string) (*browser, string) {
	s.t.Helper()
	session := messagestore.NewID()
	s.write(authenticationmsg.Category.Stream(userID), authenticationmsg.UserLoggedIn{UserID: userID, SessionID: session, Browser: "Firefox on Linux"})
	b := s.browser()
	if a := b.post("/test/log-in/" + userID + "/" + session); a.status != http.StatusOK {
		s.t.Fatalf("log in: %d", a.status)
	}
	return b, session
}

type answer struct {
	status   int
	body, to string
	header   http.Header
}

func (b *browser) ask(method, path string, fields ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(b.ctx, method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Error(err) // not Fatal: some ask from goroutines of their own
		return answer{}
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Error(err)
		return answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Error(err)
		return answer{}
	}
	return answer{response.StatusCode, string(body), response.Header.Get("Location"), response.Header}
}

func (b *browser) get(path string) answer { b.t.Helper(); return b.ask(http.MethodGet, path) }

func (b *browser) post(path string, fields ...string) answer {
	b.t.Helper()
	return b.ask(http.MethodPost, path, fields...)
}

// outcome demands that a post leads to the page of an operation, and returns that page
// as it is when all is done.
func (b *browser) outcome(posted answer) answer {
	b.t.Helper()
	if posted.status != http.StatusSeeOther || !strings.HasPrefix(posted.to, "/account/operations/") {
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

var liveURL = regexp.MustCompile(`hx-sse:connect="([^"]*)"`)

// streamOf returns the address of a page's stream.
func streamOf(t *testing.T, body string) string {
	t.Helper()
	match := liveURL.FindStringSubmatch(body)
	if match == nil {
		t.Fatalf("no stream in\n%s", body)
	}
	return strings.ReplaceAll(match[1], "&amp;", "&")
}

// frames opens an event stream and returns its frames. It is closed when there are none
// to come.
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
	frames := make(chan string, 100)
	go func() {
		defer close(frames)
		defer response.Body.Close()
		var frame strings.Builder
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
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

// sessionState is that of a session as the account's page lists it: "" where it does not.
func sessionState(html, session string) string {
	if m := regexp.MustCompile(`data-session="` + session + `"\s+data-state="([a-z]+)"`).FindStringSubmatch(html); m != nil {
		return m[1]
	}
	return ""
}
