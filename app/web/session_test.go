package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/messagestore"
)

// visit is a site with one person, and a browser that visits it.
type visit struct {
	t        *testing.T
	sessions *Sessions
	router   *echo.Echo
	now      time.Time
	cookie   string // as the browser sends it
	set      *http.Cookie
	asked    int
	fails    error
	ended    map[string]bool
	roles    []string
	changes  int64 // generation of the person's password
}

const anna = "8c1b6a0e-6d3a-4a53-9f67-5f6f6f0d9a11"

func newVisit(t *testing.T) *visit {
	v := &visit{t: t, now: time.Now(), ended: map[string]bool{}}
	v.sessions = NewSessions([]byte(strings.Repeat("s", 32)), false, v.who)
	v.sessions.now = func() time.Time { return v.now }
	v.router = New(Config{AppName: "Test", Log: slog.New(slog.DiscardHandler), Sessions: v.sessions})
	s := v.sessions
	v.handle("/id", func(c echo.Context) (string, error) { return s.ID(c) })
	v.handle("/who", func(c echo.Context) (string, error) {
		s.Person(c)
		p, _, err := s.Person(c)
		return p.Email, err
	})
	v.handle("/log-in", func(c echo.Context) (string, error) {
		return "", s.LogIn(c, anna, c.QueryParam("session"), v.changes)
	})
	v.handle("/log-out", func(c echo.Context) (string, error) { return "", s.LogOut(c) })
	v.handle("/remember", func(c echo.Context) (string, error) {
		if _, err := s.ID(c); err != nil {
			return "", err
		}
		return "", s.Remember(c, c.QueryParam("trace"))
	})
	v.handle("/remembers", func(c echo.Context) (string, error) {
		if s.Remembers(c, c.QueryParam("trace")) {
			return "yes", nil
		}
		return "no", nil
	})
	v.handle("/claimed", func(c echo.Context) (string, error) {
		userID, sessionID := s.Claimed(c)
		return userID + " " + sessionID, nil
	})
	v.handle("/page", func(c echo.Context) (string, error) {
		p := Page(c, "x")
		Page(c, "y")
		if p.SignedIn {
			return "signed in", nil
		}
		return "", nil
	})
	v.router.Any("/account", func(c echo.Context) error { return c.String(http.StatusOK, "account") }, s.SignedIn)
	v.router.Any("/librarians", func(c echo.Context) error { return c.String(http.StatusOK, "books") }, s.Has("librarian"))
	Get(v.router, "/broken", func(c echo.Context) error { return errors.New("broken") })
	return v
}

func (v *visit) who(_ context.Context, userID, sessionID string, generation int64) (Person, bool, error) {
	v.asked++
	if v.fails != nil {
		return Person{}, false, v.fails
	}
	if userID != anna || generation != v.changes || v.ended[sessionID] {
		return Person{}, false, nil
	}
	return Person{UserID: userID, SessionID: sessionID, Email: "anna@example.com", Roles: v.roles}, true, nil
}

func (v *visit) handle(path string, handler func(c echo.Context) (string, error)) {
	Get(v.router, path, func(c echo.Context) error {
		text, err := handler(c)
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, text)
	})
}

// do sends a request with the browser's cookie and keeps the one of the answer.
func (v *visit) do(r *http.Request) *httptest.ResponseRecorder {
	v.t.Helper()
	if v.cookie != "" {
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: v.cookie})
	}
	answer := httptest.NewRecorder()
	v.router.ServeHTTP(answer, r)
	cookies := answer.Result().Cookies()
	if len(cookies) > 1 {
		v.t.Errorf("%s sets %d cookies", r.URL, len(cookies))
	}
	v.set = nil
	for _, c := range cookies {
		v.set, v.cookie = c, c.Value
	}
	return answer
}

func (v *visit) get(path string) string {
	v.t.Helper()
	answer := v.do(httptest.NewRequest(http.MethodGet, path, nil))
	if answer.Code != http.StatusOK {
		v.t.Errorf("GET %s: %d", path, answer.Code)
	}
	return answer.Body.String()
}

func (v *visit) later(d time.Duration) { v.now = v.now.Add(d) }

func (v *visit) expect(path, want string) {
	v.t.Helper()
	if got := v.get(path); got != want {
		v.t.Errorf("GET %s: %q, want %q", path, got, want)
	}
}

const day = 24 * time.Hour

func TestLogInAndOut(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.expect("/who", "")
	v.expect("/page", "")
	v.get("/id")
	v.expect("/who", "")
	if v.asked != 0 {
		t.Errorf("for anonymous browsers %d questions were asked", v.asked)
	}
	v.get("/log-in?session=s1")
	v.expect("/who", "anna@example.com")
	v.expect("/page", "signed in")
	if v.asked != 2 {
		t.Errorf("two requests asked %d questions", v.asked)
	}
	v.get("/log-out")
	v.expect("/who", "")
}

// A cookie that somebody planted before the log-in tells them nothing afterwards.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.get("/remember?trace=t1")
	planted, plantedID := v.cookie, v.get("/id")
	v.get("/log-in?session=s1")
	after, afterID := v.cookie, v.get("/id")
	if after == planted || afterID == plantedID {
		t.Error("the log-in kept the session")
	}
	v.expect("/remembers?trace=t1", "yes")
	v.cookie = planted
	v.expect("/who", "")
	v.expect("/id", plantedID)
	v.cookie = after
	v.expect("/who", "anna@example.com")
	v.get("/log-out")
	v.expect("/remembers?trace=t1", "no")
	if id := v.get("/id"); id == afterID || id == plantedID || !messagestore.ValidID(id) {
		t.Error("the log-out kept the session")
	}
}

func TestTamperedCookies(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.get("/log-in?session=s1")
	good, id := v.cookie, v.get("/id")
	for i := range good {
		b := []byte(good)
		if b[i]++; b[i] > 'z' || b[i] == ';' || b[i] == '\\' {
			b[i] = '0'
		}
		v.cookie = string(b)
		// The last letter of base64 has bits that mean nothing.
		if v.get("/who") != "" && i < len(good)-2 {
			t.Fatalf("a cookie with another letter at %d of %d is taken", i, len(good))
		}
	}
	other := newVisit(t)
	other.sessions.cookies = NewSessions([]byte(strings.Repeat("o", 32)), false, nil).cookies
	other.get("/log-in?session=s1")
	for _, cookie := range []string{"", "x", other.cookie, good[:len(good)/2], strings.Repeat("x", 5000)} {
		v.cookie = cookie
		v.expect("/who", "")
		if got := v.get("/id"); got == id || !messagestore.ValidID(got) {
			t.Errorf("a bad cookie has the id %q", got)
		}
	}
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.get("/log-in?session=s1")
	v.ended["s1"] = true
	v.expect("/who", "")
	v.expect("/page", "")
	v.get("/log-in?session=s2")
	v.expect("/who", "anna@example.com")
	v.changes++ // of the password
	v.expect("/who", "")
	v.get("/log-in?session=s3")
	v.expect("/who", "anna@example.com")
}

func TestSlidingAndIdle(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.get("/log-in?session=s1")
	if v.set.MaxAge != int(idleSignedIn.Seconds()) {
		t.Errorf("the browser keeps the cookie for %d s", v.set.MaxAge)
	}
	v.later(day - time.Second)
	v.get("/page")
	if v.set != nil {
		t.Error("a cookie of less than a day is given again")
	}
	v.later(time.Second)
	id := v.get("/id")
	if v.set == nil {
		t.Error("a cookie of a day is not given again")
	}
	v.later(day)
	v.get("/page")
	if v.set == nil {
		t.Error("a page does not give a new cookie after a day")
	}
	v.later(idleSignedIn - time.Second)
	v.expect("/who", "anna@example.com")
	v.expect("/id", id)
	last := v.cookie
	v.later(idleSignedIn)
	v.expect("/who", "")
	if v.get("/id") == id {
		t.Error("a session that is over keeps its id")
	}
	v.cookie = last
	v.expect("/who", "")
}

func TestAbsoluteEnd(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.get("/log-in?session=s1")
	begun := v.now
	for v.now.Sub(begun) < longest-10*day {
		v.later(10 * day)
		v.expect("/who", "anna@example.com")
	}
	v.later(10*day - 2*time.Second)
	v.expect("/who", "anna@example.com")
	v.later(2 * time.Second)
	v.expect("/who", "")
}

func TestAnonymousIdle(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	id := v.get("/id")
	if v.set.MaxAge != int(idle.Seconds()) {
		t.Errorf("the browser keeps the cookie for %d s", v.set.MaxAge)
	}
	for range 3 {
		v.later(idle - 2*time.Second) // the cookie knows whole seconds
		v.expect("/id", id)
	}
	v.later(idle)
	if v.get("/id") == id {
		t.Error("a session is kept for ever")
	}
}

func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	check := func(secure bool) {
		t.Helper()
		if c := v.set; c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != secure {
			t.Errorf("cookie %+v", c)
		}
		v.cookie = ""
	}
	v.get("/id")
	check(false)
	v.get("/log-in?session=s1")
	check(false)
	overTLS := httptest.NewRequest(http.MethodGet, "/id", nil)
	overTLS.TLS = &tls.ConnectionState{}
	v.do(overTLS)
	check(true)
	v.sessions.secure = true
	v.get("/log-in?session=s1")
	check(true)
	v.get("/log-out")
	check(true)
}

func TestRemember(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.expect("/remembers?trace=1", "no")
	traces := strings.Split("123456789", "")
	for _, trace := range slices.Concat(traces, traces[8:]) {
		v.get("/remember?trace=" + trace)
	}
	v.expect("/remembers?trace=1", "no")
	for _, trace := range traces[1:] {
		v.expect("/remembers?trace="+trace, "yes")
	}
	v.expect("/remembers?trace=", "no")
	stranger := newVisit(t)
	stranger.expect("/remembers?trace=9", "no")
	// What is longest must still fit into a cookie.
	v.get("/log-in?session=" + messagestore.NewID())
	for range remembered {
		v.get("/remember?trace=" + messagestore.NewID())
	}
	if len(v.cookie) > 2000 {
		t.Errorf("the cookie has %d bytes", len(v.cookie))
	}
}

func TestSignedIn(t *testing.T) {
	t.Parallel()
	const address = "/account?tab=1&x=%2Fy"
	toPage := "/auth/log-in?next=" + url.QueryEscape(address)
	for _, test := range []struct {
		method, header, value string
		status                int
		location              string
	}{
		{http.MethodGet, "", "", http.StatusSeeOther, toPage},
		{http.MethodHead, "", "", http.StatusSeeOther, toPage},
		{http.MethodPost, "", "", http.StatusSeeOther, "/auth/log-in"},
		{http.MethodGet, "HX-Request", "true", http.StatusUnauthorized, ""},
		{http.MethodPost, "HX-Request", "true", http.StatusUnauthorized, ""},
		{http.MethodGet, "Accept", "text/event-stream", http.StatusUnauthorized, ""},
	} {
		v := newVisit(t)
		request := func() *http.Request {
			r := httptest.NewRequest(test.method, address, nil)
			if test.header != "" {
				r.Header.Set(test.header, test.value)
			}
			return r
		}
		answer := v.do(request())
		if location := answer.Header().Get("Location"); answer.Code != test.status || location != test.location {
			t.Errorf("%+v: %d to %q", test, answer.Code, location)
		}
		if next, _ := url.Parse(test.location); next.Query().Has("next") && OwnPath(next.Query().Get("next")) != address {
			t.Errorf("%+v: leads to %q", test, OwnPath(next.Query().Get("next")))
		}
		v.get("/log-in?session=s1")
		if answer = v.do(request()); answer.Code != http.StatusOK || answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%+v: signed in: %d, %v", test, answer.Code, answer.Header())
		}
		v.ended["s1"] = true
		if answer = v.do(request()); answer.Code != test.status {
			t.Errorf("%+v: ended: %d", test, answer.Code)
		}
	}
}

// Who is signed in without the role is told so; everybody else is answered as by SignedIn.
func TestHas(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, header, value  string
		anonymous, other, with int
	}{
		{http.MethodGet, "", "", http.StatusSeeOther, http.StatusForbidden, http.StatusOK},
		{http.MethodPost, "", "", http.StatusSeeOther, http.StatusForbidden, http.StatusOK},
		{http.MethodGet, "Accept", "text/event-stream", http.StatusUnauthorized, http.StatusForbidden, http.StatusOK},
	} {
		v := newVisit(t)
		do := func() *httptest.ResponseRecorder {
			r := httptest.NewRequest(test.method, "/librarians", nil)
			if test.header != "" {
				r.Header.Set(test.header, test.value)
			}
			return v.do(r)
		}
		if a := do(); a.Code != test.anonymous {
			t.Errorf("%+v: anonymous: %d", test, a.Code)
		}
		v.get("/log-in?session=s1")
		for _, roles := range [][]string{nil, {"creator"}, {"librarian2"}} {
			v.roles = roles
			if a := do(); a.Code != test.other || strings.Contains(a.Body.String(), "books") || !strings.Contains(a.Body.String(), "not open to you") {
				t.Errorf("%+v: with %v: %d %s", test, roles, a.Code, a.Body)
			}
		}
		v.roles = []string{"creator", "librarian"}
		if a := do(); a.Code != test.with || a.Body.String() != "books" || a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%+v: with the role: %d %s", test, a.Code, a.Body)
		}
	}
}

// While the database is away nobody is signed in, but the cookie stays, and pages about
// that do not ask for more.
func TestWhoFails(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.get("/log-in?session=s1")
	v.fails = messagestore.Transient(errors.New("away"))
	if answer := v.do(httptest.NewRequest(http.MethodGet, "/account", nil)); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", answer.Code)
	}
	v.expect("/page", "signed in") // as the cookie says
	v.asked = 0
	if answer := v.do(httptest.NewRequest(http.MethodGet, "/broken", nil)); answer.Code != http.StatusInternalServerError {
		t.Errorf("%d", answer.Code)
	}
	if v.asked != 0 {
		t.Error("the page about an error asks who is signed in")
	}
	v.fails = nil
	v.expect("/who", "anna@example.com")
}

// What a cookie claims is known without asking, and no longer than the cookie is good.
func TestClaimed(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.expect("/claimed", " ")
	v.get("/log-in?session=s1")
	v.fails = messagestore.Transient(errors.New("away"))
	v.ended["s1"] = true
	v.expect("/claimed", anna+" s1")
	if v.asked != 0 {
		t.Errorf("%d questions were asked", v.asked)
	}
	good := v.cookie
	v.cookie = good[:len(good)-4] + "AAAA"
	v.expect("/claimed", " ")
	v.cookie = good
	v.later(idleSignedIn)
	v.expect("/claimed", " ")
	v.later(-idleSignedIn)
	v.get("/log-out")
	v.expect("/claimed", " ")
}

// A page that stays open finds out that its session was ended since.
func TestAgain(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.get("/log-in?session=s1")
	Get(v.router, "/open", func(c echo.Context) error {
		p, ok, err := v.sessions.Person(c)
		if p.UserID != anna || !ok || err != nil {
			t.Errorf("%+v, %v, %v", p, ok, err)
		}
		v.ended["s1"] = true
		if p, ok, err = v.sessions.Again(t.Context(), c); p.UserID != "" || ok || err != nil {
			t.Errorf("%+v, %v, %v", p, ok, err)
		}
		return nil
	})
	v.get("/open")
	nobody := NewSessions([]byte(strings.Repeat("s", 32)), false, nil)
	c := v.router.NewContext(httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder())
	c.Request().AddCookie(&http.Cookie{Name: sessionCookie, Value: v.cookie})
	if p, ok, err := nobody.Person(c); p.UserID != "" || ok || err != nil {
		t.Errorf("without who: %+v, %v, %v", p, ok, err)
	}
}

func TestOwnPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ path, want string }{
		{"/", "/"},
		{"/account", "/account"},
		{"/videos/1?at=3&x=%2F", "/videos/1?at=3&x=%2F"},
		{"/videos/ü", "/videos/%C3%BC"},
		{"/a b", "/a%20b"},
		{"/x#part", "/x"},
		{"/@example.com", "/@example.com"},
		{"/x?to=//example.com", "/x?to=//example.com"},
		{"/%2f/example.com", "/%2f/example.com"},
		{"", "/"},
		{"account", "/"},
		{"?x", "/"},
		{"//example.com", "/"},
		{"///example.com", "/"},
		{"/\\example.com", "/"},
		{"\\\\example.com", "/"},
		{"/x\\y", "/"},
		{"https://example.com/", "/"},
		{"https:/example.com", "/"},
		{"javascript:alert(1)", "/"},
		{"/\t/example.com", "/"},
		{"/\n/example.com", "/"},
		{"/\r\nSet-Cookie: x=y", "/"},
		{"\t//example.com", "/"},
		{" //example.com", "/"},
		{"/\x00", "/"},
		{"/\x7f", "/"},
		{"/%zz", "/"},
		{"/\xff", "/"},
		{"/" + strings.Repeat("x", 3000), "/"},
	} {
		got := OwnPath(test.path)
		if got != test.want {
			t.Errorf("OwnPath(%q) = %q, want %q", test.path, got, test.want)
		}
		if to, err := (&url.URL{Scheme: "http", Host: "own.test", Path: "/auth/log-in"}).Parse(got); err != nil || to.Host != "own.test" {
			t.Errorf("OwnPath(%q) leads to %v, %v", test.path, to, err)
		}
	}
}
