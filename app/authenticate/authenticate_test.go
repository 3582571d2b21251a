package authenticate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/bcrypt"

	"videotutorials/aggregators/signins"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	annasAddress  = "Anna.Learns@Example.com"
	annasPassword = "a horse, a spoon"
	firefox       = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"
)

// site is the application over real databases, with one person, Anna.
type site struct {
	t         *testing.T
	ctx       context.Context
	database  *dbtest.DB
	store     *messagestore.Store
	all       *messagestore.Subscriptions
	key       identitymsg.Key
	passwords *password.Hasher
	sessions  *web.Sessions
	clock     *clock
	router    *echo.Echo
	anna      string
	log       logged
}

// logged is what the site logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps a line.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// cheap is a hash of Anna's password that is quick to verify, and outdated.
var cheap = sync.OnceValue(func() string {
	hash, err := bcrypt.GenerateFromPassword([]byte(annasPassword), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(hash)
})

func open(t *testing.T) *site {
	t.Helper()
	passwords := password.NewHasher(0)
	hash, err := passwords.Hash(t.Context(), annasPassword)
	if err != nil {
		t.Fatal(err)
	}
	return openWith(t, passwords, hash)
}

func openWith(t *testing.T, passwords *password.Hasher, hash string) *site {
	t.Helper()
	database := dbtest.New(t)
	listen, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, database: database, store: messagestore.New(database.MessageStore), passwords: passwords, clock: newClock(), anna: messagestore.NewID()}
	secret := []byte(strings.Repeat("k", 32))
	if s.key, err = identitymsg.NewKey(secret); err != nil {
		t.Fatal(err)
	}
	users, signIns := usercredentials.NewQueries(database.Views), signins.NewQueries(database.Views)
	s.sessions = web.NewSessions(secret, false, func(ctx context.Context, userID, sessionID string, generation int64) (web.Person, bool, error) {
		user, _, err := users.ByID(ctx, userID)
		if err != nil {
			return web.Person{}, false, err
		}
		ended, err := signIns.Ended(ctx, sessionID)
		return web.Person{UserID: userID, SessionID: sessionID, Email: user.Email}, !ended && generation == user.Generation, err
	})
	log := slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.router = web.New(web.Config{AppName: "Test", Log: log, Sessions: s.sessions})
	app := New(s.store, users, s.passwords, web.NewLimits(s.clock.now, s.clock.wait), s.sessions, s.key, secret)
	app.now, app.wait = s.clock.now, s.clock.wait
	app.Routes(s.router)
	web.Get(s.router, "/who", func(c echo.Context) error {
		person, _, err := s.sessions.Person(c)
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, person.Email)
	})
	web.Get(s.router, "/remembers", func(c echo.Context) error {
		if !s.sessions.Remembers(c, c.QueryParam("trace")) {
			return web.NotFound("")
		}
		return c.NoContent(http.StatusOK)
	})

	var subscriptions []*messagestore.Subscription
	subscriptions = append(subscriptions, usercredentials.New(s.store, database.Views).Subscriptions()...)
	subscriptions = append(subscriptions, signins.New(s.store, database.Views).Subscriptions()...)
	s.all = messagestore.NewSubscriptions(listen, log, subscriptions...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	s.ctx = ctx
	done := make(chan struct{})
	go func() { defer close(done); s.all.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		text := strings.ToLower(s.log.text.String())
		for _, secret := range []string{"anna.learns", "nobody.here", annasPassword, "argon2id", "firefox"} {
			if strings.Contains(text, secret) {
				t.Errorf("the log holds %q:\n%s", secret, text)
			}
		}
	})
	s.happened(identitymsg.Category.Stream(s.anna), identitymsg.Registered{UserID: s.anna, Email: annasAddress, PasswordHash: hash})
	return s
}

// happened writes an event and waits until the view data shows it.
func (s *site) happened(stream messagestore.Stream, event messagestore.Body) {
	s.t.Helper()
	if _, err := s.store.Write(s.ctx, stream, event); err != nil {
		s.t.Fatal(err)
	}
	s.caughtUp()
}

func (s *site) caughtUp() {
	s.t.Helper()
	if err := s.all.CaughtUp(s.ctx, s.store); err != nil {
		s.t.Fatal(err)
	}
}

// messages returns the messages of a stream whose type is T's.
func messages[T messagestore.Body](s *site, stream messagestore.Stream) (list []messagestore.Message[T]) {
	s.t.Helper()
	var body T
	for raw, err := range s.store.Read(s.ctx, stream, 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if raw.Type != body.MessageType() {
			continue
		}
		m, err := messagestore.Decode[T](raw)
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

// tried returns the events about Anna's tries to log in.
func tried[T messagestore.Body](s *site) []messagestore.Message[T] {
	s.t.Helper()
	return messages[T](s, authenticationmsg.Category.Stream(s.anna))
}

// visitor is a browser.
type visitor struct {
	site    *site
	address string
	cookies map[string]*http.Cookie
}

func (s *site) visitor() *visitor {
	return &visitor{s, "192.0.2.1:4711", map[string]*http.Cookie{}}
}

func (v *visitor) send(r *http.Request) *http.Response {
	r.RemoteAddr = v.address
	r.Header.Set("User-Agent", firefox)
	for _, c := range v.cookies {
		if strings.HasPrefix(r.URL.Path, c.Path) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	recorder := httptest.NewRecorder()
	v.site.router.ServeHTTP(recorder, r.WithContext(v.site.ctx))
	answer := recorder.Result()
	for _, c := range answer.Cookies() {
		v.cookies[c.Name] = c
	}
	return answer
}

func (v *visitor) get(path string) *http.Response {
	return v.send(httptest.NewRequest(http.MethodGet, path, nil))
}

func (v *visitor) post(path string, fields ...string) *http.Response {
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.send(r)
}

func (v *visitor) logIn(email, password string, more ...string) *http.Response {
	return v.post("/auth/log-in", append([]string{"email", email, "password", password}, more...)...)
}

// who returns the address of the person who is signed in.
func (v *visitor) who() string {
	v.site.t.Helper()
	answer := v.get("/who")
	if answer.StatusCode != http.StatusOK {
		v.site.t.Errorf("/who: %d", answer.StatusCode)
	}
	return text(v.site.t, answer)
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func expect(t *testing.T, r *http.Response, status int, location string) {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("Location") != location {
		t.Errorf("%d to %q, want %d to %q", r.StatusCode, r.Header.Get("Location"), status, location)
	}
}

func TestLogInAndOut(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.visitor()
	expect(t, v.get("/who"), http.StatusOK, "")
	page := v.get("/auth/log-in?next=/account")
	if body := text(t, page); page.StatusCode != http.StatusOK || !strings.Contains(body, `value="/account"`) {
		t.Fatalf("%d\n%s", page.StatusCode, body)
	}
	// In any way of writing the address.
	expect(t, v.logIn(" anna.learns@EXAMPLE.com ", annasPassword, "next", "/account?tab=1"), http.StatusSeeOther, "/account?tab=1")
	if who := v.who(); who != annasAddress {
		t.Fatalf("%q is signed in", who)
	}
	begun := tried[authenticationmsg.UserLoggedIn](s)
	if len(begun) != 1 || begun[0].Data.UserID != s.anna || begun[0].Data.Browser != "Firefox on Linux" ||
		!messagestore.ValidID(begun[0].Data.SessionID) || begun[0].Metadata.UserID != s.anna || !messagestore.ValidID(begun[0].Metadata.TraceID) {
		t.Fatalf("%+v", begun)
	}
	expect(t, v.get("/auth/log-in?next=/account"), http.StatusSeeOther, "/account")
	expect(t, v.get("/auth/log-in?next=//example.com"), http.StatusSeeOther, "/")

	// Logged in once more, the browser has a new session, and the old one is over.
	thief := s.visitor()
	thief.cookies["session"] = v.cookies["session"]
	expect(t, v.logIn(annasAddress, annasPassword), http.StatusSeeOther, "/")
	s.caughtUp()
	if v.who() != annasAddress || thief.who() != "" {
		t.Error("the old session goes on")
	}
	thief.cookies["session"] = v.cookies["session"]
	if thief.who() != annasAddress {
		t.Fatal("a copy of the cookie is not signed in")
	}
	expect(t, v.post("/auth/log-out"), http.StatusSeeOther, "/")
	s.caughtUp()
	if v.who() != "" || thief.who() != "" {
		t.Error("the session goes on after the log-out")
	}
	expect(t, v.post("/auth/log-out"), http.StatusSeeOther, "/")
	ended := tried[authenticationmsg.SessionEnded](s)
	if len(ended) != 2 || ended[0].Data.SessionID != begun[0].Data.SessionID || ended[0].Data.Reason != authenticationmsg.LoggedOut {
		t.Errorf("%+v", ended)
	}
}

// A session can be ended while nobody can say whose it is: view data that is made anew
// knows no one for a while, and databases go away.
func TestLogOutWithoutViewData(t *testing.T) {
	t.Parallel()
	s := openWith(t, password.NewHasher(0), cheap())
	berta := messagestore.NewID()
	s.happened(identitymsg.Category.Stream(berta), identitymsg.Registered{UserID: berta, Email: "berta@example.com", PasswordHash: cheap()})
	leaves, changes := s.visitor(), s.visitor()
	for _, v := range []*visitor{leaves, changes} {
		expect(t, v.logIn(annasAddress, annasPassword), http.StatusSeeOther, "/")
	}
	if _, err := s.database.Views.Exec(s.ctx, `DELETE FROM user_credentials WHERE user_id = $1`, s.anna); err != nil {
		t.Fatal(err)
	}
	if answer := leaves.get("/who"); answer.StatusCode < 500 {
		t.Fatalf("whose session it is can be found out: %d", answer.StatusCode)
	}
	expect(t, changes.logIn("berta@example.com", annasPassword), http.StatusSeeOther, "/")
	if changes.who() != "berta@example.com" {
		t.Error("Berta is not signed in")
	}
	s.database.Views.Close()
	cookie := leaves.cookies["session"]
	expect(t, leaves.post("/auth/log-out"), http.StatusSeeOther, "/")
	if leaves.who() != "" {
		t.Error("the browser is still signed in")
	}
	leaves.cookies["session"] = cookie // a copy ends nothing again
	expect(t, leaves.post("/auth/log-out"), http.StatusSeeOther, "/")
	begun, ended := tried[authenticationmsg.UserLoggedIn](s), tried[authenticationmsg.SessionEnded](s)
	if len(begun) != 2 || len(ended) != 2 || ended[0].Data.SessionID != begun[1].Data.SessionID || ended[1].Data.SessionID != begun[0].Data.SessionID ||
		ended[1].Data.UserID != s.anna || ended[1].Metadata.UserID != s.anna {
		t.Errorf("%+v, %+v", begun, ended)
	}
}

func TestSessionFixation(t *testing.T) {
	t.Parallel()
	s := open(t)
	stranger, v := s.visitor(), s.visitor()
	stranger.post("/auth/log-out") // any way to get a session
	v.cookies["session"] = stranger.cookies["session"]
	expect(t, v.logIn(annasAddress, annasPassword), http.StatusSeeOther, "/")
	if v.cookies["session"].Value == stranger.cookies["session"].Value || stranger.who() != "" || v.who() != annasAddress {
		t.Error("the planted cookie is signed in")
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.visitor()
	expect(t, v.logIn(annasAddress, annasPassword), http.StatusSeeOther, "/")
	if len(v.cookies) != 2 {
		t.Errorf("%v", v.cookies)
	}
	for _, c := range v.cookies {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || strings.Contains(strings.ToLower(c.Value), "anna") {
			t.Errorf("%v", c)
		}
	}
}

// normalised replaces what differs between any two answers.
func normalised(t *testing.T, r *http.Response, email string) string {
	t.Helper()
	var b strings.Builder
	r.Header.Write(&b)
	return r.Status + "\n" + b.String() + strings.ReplaceAll(text(t, r), email, "EMAIL")
}

// A wrong password and an unknown address look the same and take the same.
func TestNoEnumeration(t *testing.T) {
	t.Parallel()
	s := open(t)
	const unknown = "Nobody.Here@Example.com"
	known, other := s.visitor(), s.visitor()
	other.address = "192.0.2.2:4711"
	for range 8 {
		a := normalised(t, known.logIn(annasAddress, "not the password", "next", "/account"), annasAddress)
		waits := s.clock.last()
		b := normalised(t, other.logIn(unknown, "not the password", "next", "/account"), unknown)
		if a != b || !strings.HasPrefix(a, "422") || !strings.Contains(a, "EMAIL") || strings.Contains(a, "not the password") {
			t.Fatalf("known:\n%s\nunknown:\n%s", a, b)
		}
		if s.clock.last() != waits || waits != failing {
			t.Errorf("waits of %v and %v", waits, s.clock.last())
		}
		s.clock.later(time.Minute)
	}
	normal, err := identitymsg.NormalAddress(unknown)
	if err != nil {
		t.Fatal(err)
	}
	failed, nobody := tried[authenticationmsg.UserLoginFailed](s), messages[authenticationmsg.UserLoginFailed](s, authenticationmsg.Category.Stream(s.key.AddressID(normal)))
	if len(failed) != 8 || failed[0].Data != (authenticationmsg.UserLoginFailed{UserID: s.anna, Reason: authenticationmsg.WrongPassword, Browser: "Firefox on Linux"}) {
		t.Errorf("%+v", failed)
	}
	if len(nobody) != 8 || nobody[0].Data != (authenticationmsg.UserLoginFailed{UserID: s.key.AddressID(normal), Reason: authenticationmsg.UnknownAddress, Browser: "Firefox on Linux"}) {
		t.Errorf("%+v", nobody)
	}
	a := normalised(t, known.post("/auth/forgot-password", "email", annasAddress), annasAddress)
	if b := normalised(t, known.post("/auth/forgot-password", "email", unknown), unknown); a != b || !strings.HasPrefix(a, "200") {
		t.Errorf("known:\n%s\nunknown:\n%s", a, b)
	}
}

// What no form of ours sends is a wrong try like any other.
func TestOddForms(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.visitor()
	for _, fields := range [][]string{
		{},
		{"email", annasAddress},
		{"password", annasPassword},
		{"email", "not an address", "password", annasPassword},
		{"email", "nobody.here\x00\xff'--@example.com", "password", "\x00\xff"},
		{"email", strings.Repeat("x", 30_000), "password", strings.Repeat("y", 20_000)},
	} {
		if answer := v.post("/auth/log-in", fields...); answer.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%.40q: %d", fields, answer.StatusCode)
		}
		s.clock.later(time.Minute)
	}
	query := "?" + url.Values{"email": {annasAddress}, "password": {annasPassword}}.Encode()
	expect(t, v.post("/auth/log-in"+query), http.StatusUnprocessableEntity, "")
	expect(t, v.logIn(annasAddress, strings.Repeat("y", 70_000)), http.StatusRequestEntityTooLarge, "")
	if v.who() != "" || len(tried[authenticationmsg.UserLoggedIn](s)) != 0 {
		t.Error("somebody is signed in")
	}
}

func TestOpenRedirects(t *testing.T) {
	t.Parallel()
	s := open(t)
	for next, want := range map[string]string{
		"/account?tab=1":       "/account?tab=1",
		"":                     "/",
		"https://example.com/": "/",
		"//example.com":        "/",
		"/\\example.com":       "/",
		"/\t/example.com":      "/",
		"javascript:alert(1)":  "/",
		"/\r\nSet-Cookie: a=b": "/",
	} {
		v := s.visitor()
		expect(t, v.logIn(annasAddress, annasPassword, "next", next), http.StatusSeeOther, want)
	}
}

// A page of another site makes nobody log in or out, and asks for no mails.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.visitor()
	v.logIn(annasAddress, annasPassword)
	for _, path := range []string{"/auth/log-in", "/auth/log-out", "/auth/forgot-password", "/auth/reset-password"} {
		fields := url.Values{"email": {annasAddress}, "password": {annasPassword}}
		for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fields.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set(header, value)
			expect(t, v.send(r), http.StatusForbidden, "")
		}
	}
	if v.who() != annasAddress || len(tried[authenticationmsg.UserLoggedIn](s)) != 1 || len(tried[authenticationmsg.SessionEnded](s)) != 0 {
		t.Error("something was done")
	}
}

// Without its event there is no log-in.
func TestLogInThatIsNotWritten(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.visitor()
	if _, err := s.database.MessageStore.Exec(s.ctx, `ALTER TABLE message_store.messages ADD CHECK (type <> 'UserLoggedIn')`); err != nil {
		t.Fatal(err)
	}
	answer := v.logIn(annasAddress, annasPassword)
	if answer.StatusCode != http.StatusInternalServerError || len(answer.Cookies()) != 0 || v.who() != "" {
		t.Errorf("%d, %v", answer.StatusCode, answer.Cookies())
	}
	s.database.MessageStore.Close()
	for _, password := range []string{annasPassword, "not the password"} {
		if answer := v.logIn(annasAddress, password); answer.StatusCode < 500 || len(answer.Cookies()) != 0 {
			t.Errorf("%d, %v", answer.StatusCode, answer.Cookies())
		}
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := openWith(t, password.NewHasher(0), cheap())
	v := s.visitor()
	commands := func() []messagestore.Message[identitymsg.UpgradePasswordHash] {
		return messages[identitymsg.UpgradePasswordHash](s, identitymsg.Category.CommandStream(s.anna))
	}
	v.logIn(annasAddress, "not the password")
	if len(commands()) != 0 {
		t.Fatal("a wrong password is upgraded")
	}
	expect(t, v.logIn(annasAddress, annasPassword), http.StatusSeeOther, "/")
	asked := commands()
	if len(asked) != 1 || asked[0].Data.UserID != s.anna || asked[0].Data.Replaces != cheap() || asked[0].Metadata.UserID != s.anna {
		t.Fatalf("%+v", asked)
	}
	if ok, outdated, err := s.passwords.Verify(t.Context(), annasPassword, asked[0].Data.PasswordHash); !ok || outdated || err != nil {
		t.Errorf("%v, %v, %v", ok, outdated, err)
	}
	s.happened(identitymsg.Category.Stream(s.anna), identitymsg.PasswordHashUpgraded{UserID: s.anna, PasswordHash: asked[0].Data.PasswordHash})
	if v.who() != annasAddress {
		t.Error("a better hash of the same password ends the session")
	}
	expect(t, s.visitor().logIn(annasAddress, annasPassword), http.StatusSeeOther, "/")
	if len(commands()) != 1 {
		t.Error("it is upgraded again")
	}
}

// While all slots are taken and the queue is full, everybody is told to come back,
// whether or not the address is known.
func TestBusy(t *testing.T) {
	t.Parallel()
	s := openWith(t, password.NewHasher(1), cheap())
	ctx, cancel := context.WithCancel(s.ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	slow, err := argon2id.CreateHash("x", &argon2id.Params{Memory: 19 << 10, Iterations: 40, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	for range 1 + 64 { // one is verified, the others fill the queue
		others.Go(func() {
			for ctx.Err() == nil {
				s.passwords.Verify(ctx, "x", slow)
			}
		})
	}
	gone, leave := context.WithCancel(s.ctx)
	leave()
	full := func() bool {
		_, _, err := s.passwords.Verify(gone, "x", cheap())
		return errors.Is(err, password.ErrBusy)
	}
	for _, email := range []string{annasAddress, "nobody.here@example.com"} {
		for v := s.visitor(); ; s.clock.later(time.Hour) {
			for !full() {
				if s.ctx.Err() != nil {
					t.Fatal("the queue is never full")
				}
				runtime.Gosched()
			}
			answer := v.logIn(email, "not the password")
			if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != "" {
				break
			}
			expect(t, answer, http.StatusUnprocessableEntity, "")
		}
	}
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	s := openWith(t, password.NewHasher(0), cheap())
	person, stranger := s.visitor(), s.visitor()
	expect(t, person.logIn(annasAddress, annasPassword), http.StatusSeeOther, "/")
	person.post("/auth/log-out")
	// Time stands still, as for someone who sends all at once. The household is the same.
	try := func(v *visitor, password string) *http.Response {
		at := s.clock.now()
		answer := v.logIn(annasAddress, password)
		s.clock.set(at)
		return answer
	}
	for range 10 {
		expect(t, try(stranger, "not the password"), http.StatusUnprocessableEntity, "")
	}
	failures := len(tried[authenticationmsg.UserLoginFailed](s))
	answer := try(stranger, annasPassword)
	body := text(t, answer)
	if answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") != "12" || !strings.Contains(body, "12 seconds") ||
		!strings.Contains(body, annasAddress) || strings.Contains(body, annasPassword) {
		t.Errorf("%d %v\n%s", answer.StatusCode, answer.Header, body)
	}
	if failures != 10 || len(tried[authenticationmsg.UserLoginFailed](s)) != failures {
		t.Errorf("%d failures", failures)
	}
	// Nobody becomes the person by what a browser keeps about other accounts.
	forged := s.visitor()
	forged.cookies["known"] = &http.Cookie{Name: "known", Value: person.cookies["known"].Value[:40] + "x", Path: "/"}
	expect(t, try(forged, annasPassword), http.StatusTooManyRequests, "")
	expect(t, try(person, annasPassword), http.StatusSeeOther, "/")
	if s.clock.last() != 0 {
		t.Errorf("the person waits %v", s.clock.last())
	}
	// Other people of the household are not slowed by it.
	other := s.visitor()
	expect(t, other.logIn("nobody.here@example.com", "x"), http.StatusUnprocessableEntity, "")
	// Forgotten passwords are asked for at the pace of the household.
	for stranger.post("/auth/forgot-password", "email", annasAddress).StatusCode == http.StatusOK {
		if n := len(messages[identitymsg.RequestPasswordReset](s, identitymsg.Category.CommandStream(s.key.AddressID("anna.learns@example.com")))); n > 10_000 {
			t.Fatal("there is no end")
		}
		s.clock.set(newClock().at)
	}
	expect(t, stranger.post("/auth/forgot-password", "email", annasAddress), http.StatusTooManyRequests, "")
	expect(t, stranger.post("/auth/reset-password", "token", "x", "password", "a new password of mine"), http.StatusTooManyRequests, "")
}

func TestBrowserKeepsAccounts(t *testing.T) {
	t.Parallel()
	var b browser
	for n := range 20 {
		b = b.with(strings.Repeat(string(rune('a'+n)), 64))
	}
	again := b.with(strings.Repeat("t", 64))
	if len(b.Accounts) != mostAccounts || len(again.Accounts) != mostAccounts || again.ID != b.ID || !messagestore.ValidID(b.ID) {
		t.Errorf("%+v, %+v", b, again)
	}
	if !b.knows(strings.Repeat("t", 64)) || b.knows(strings.Repeat("a", 64)) {
		t.Errorf("%+v", b)
	}
}

func TestForgotPassword(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.visitor()
	expect(t, v.get("/auth/forgot-password"), http.StatusOK, "")
	answer := v.post("/auth/forgot-password", "email", "anna at example")
	if body := text(t, answer); answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, `value="anna at example"`) {
		t.Errorf("%d\n%s", answer.StatusCode, body)
	}
	for _, email := range []string{annasAddress, " anna.learns@example.com", "nobody.here@example.com"} {
		expect(t, v.post("/auth/forgot-password", "email", email), http.StatusOK, "")
	}
	for normal, want := range map[string]int{"anna.learns@example.com": 2, "nobody.here@example.com": 1} {
		id := s.key.AddressID(normal)
		asked := messages[identitymsg.RequestPasswordReset](s, identitymsg.Category.CommandStream(id))
		if len(asked) != want || asked[0].Data.AddressID != id || !messagestore.ValidID(asked[0].Metadata.TraceID) || asked[0].Metadata.UserID != "" {
			t.Errorf("%s: %+v", normal, asked)
		}
	}
}

func TestResetPassword(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := s.visitor()
	v.logIn(annasAddress, annasPassword)
	token := func(userID string) string {
		token, err := s.key.PasswordResetToken(identitymsg.PasswordReset{UserID: userID, ResetID: messagestore.NewID()})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	commands := func() []messagestore.Message[identitymsg.ResetPassword] {
		return messages[identitymsg.ResetPassword](s, identitymsg.Category.CommandStream(s.anna))
	}
	link := token(s.anna)
	confirmation, err := s.key.ConfirmationToken(identitymsg.Confirmation{UserID: s.anna, Email: annasAddress})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", link[:len(link)-3], confirmation} {
		expect(t, v.get("/auth/reset-password?token="+url.QueryEscape(bad)), http.StatusNotFound, "")
		expect(t, v.post("/auth/reset-password", "token", bad, "password", "a new password of mine"), http.StatusNotFound, "")
	}
	expect(t, v.post("/auth/reset-password", "token", token(messagestore.NewID()), "password", "a new password of mine"), http.StatusNotFound, "")
	page := v.get("/auth/reset-password?token=" + url.QueryEscape(link))
	if body := text(t, page); page.StatusCode != http.StatusOK || !strings.Contains(body, `value="`+link+`"`) || page.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v\n%s", page.StatusCode, page.Header, body)
	}
	for _, weak := range []string{"", "short", "password1", "Anna.Learns99"} {
		answer := v.post("/auth/reset-password", "token", link, "password", weak)
		if body := text(t, answer); answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, `value="`+link+`"`) || weak != "" && strings.Contains(body, `"`+weak+`"`) {
			t.Errorf("%q: %d\n%s", weak, answer.StatusCode, body)
		}
	}
	if len(commands()) != 0 {
		t.Fatalf("%+v", commands())
	}
	first := v.post("/auth/reset-password", "token", link, "password", "a new password of mine")
	location := first.Header.Get("Location")
	trace := regexp.MustCompile(`^/account/operations/([0-9a-f-]{36})$`).FindStringSubmatch(location)
	if first.StatusCode != http.StatusSeeOther || trace == nil {
		t.Fatalf("%d to %q", first.StatusCode, location)
	}
	asked := commands()
	if len(asked) != 1 || asked[0].Data.UserID != s.anna || asked[0].Metadata.TraceID != trace[1] || asked[0].Metadata.UserID != s.anna {
		t.Fatalf("%+v", asked)
	}
	if ok, outdated, err := s.passwords.Verify(t.Context(), "a new password of mine", asked[0].Data.PasswordHash); !ok || outdated || err != nil {
		t.Errorf("%v, %v, %v", ok, outdated, err)
	}
	// A double click leads to the same page, another password does not look as if it worked.
	expect(t, v.post("/auth/reset-password", "token", link, "password", "a new password of mine"), http.StatusSeeOther, location)
	expect(t, v.post("/auth/reset-password", "token", link, "password", "another one of mine"), http.StatusNotFound, "")
	if len(commands()) != 1 {
		t.Errorf("%+v", commands())
	}
	// The session ends with the password; the browser may still follow what it asked for.
	s.happened(identitymsg.Category.Stream(s.anna), identitymsg.PasswordChanged{UserID: s.anna, PasswordHash: asked[0].Data.PasswordHash})
	if v.who() != "" {
		t.Error("the session goes on")
	}
	expect(t, v.get("/remembers?trace="+trace[1]), http.StatusOK, "")
	expect(t, s.visitor().get("/remembers?trace="+trace[1]), http.StatusNotFound, "")
	expect(t, v.logIn(annasAddress, annasPassword), http.StatusUnprocessableEntity, "")
	expect(t, v.logIn(annasAddress, "a new password of mine"), http.StatusSeeOther, "/")
	if v.who() != annasAddress {
		t.Error("the new password does not work")
	}
}
