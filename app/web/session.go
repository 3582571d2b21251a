package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v4"

	"videotutorials/messagestore"
)

const (
	sessionCookie = "session"
	sessionKey    = "session"

	idle         = 30 * 24 * time.Hour // that a cookie lasts without use
	idleSignedIn = 14 * 24 * time.Hour
	longest      = 90 * 24 * time.Hour // that one stays signed in, whatever the use
	renewed      = 24 * time.Hour      // after which use makes a new cookie
	remembered   = 8                   // traces
)

// Person is who is signed in.
type Person struct {
	UserID, SessionID, Email string
	// Confirmed says that the person reads the mail of the address.
	Confirmed bool
	Roles     []string
}

// Who returns the person of a session that a cookie tells of, and whether the session
// still stands: the person is there, the generation of their password is that of the
// session or the session was kept when it changed, and nobody has ended the session.
type Who func(ctx context.Context, userID, sessionID string, generation int64) (Person, bool, error)

// Sessions keeps in a signed cookie a random id for each browser and, once somebody has
// logged in, whose session it is. The cookie says so until it is too old; whether that
// is still true is asked anew for each request.
type Sessions struct {
	cookies *sessions.CookieStore
	secure  bool
	who     Who
	now     func() time.Time
}

// NewSessions returns sessions signed with a secret of at least 32 bytes. Where secure
// is set, browsers send the cookie over TLS only; without it they do so where they got
// it over TLS, from here or from a trusted proxy. Without who nobody is ever signed in.
func NewSessions(secret []byte, secure bool, who Who) *Sessions {
	cookies := sessions.NewCookieStore(secret)
	cookies.MaxAge(int(idle.Seconds()))
	return &Sessions{cookies: cookies, secure: secure, who: who, now: time.Now}
}

// session is what a cookie says, and what was found out about it in this request.
type session struct {
	id      string // "" where there is none yet
	given   time.Time
	traces  []string
	user    string // "" where nobody is signed in, like the fields below
	signIn  string
	since   time.Time
	changes int64 // generation of the password

	asked    bool
	person   Person
	signedIn bool
}

// ID returns the random id of the browser's session, another one after each log-in; a
// browser that has none gets one with this answer. A cookie that was tampered with
// counts as none.
func (s *Sessions) ID(c echo.Context) (string, error) {
	at := s.of(c)
	if at.id == "" || s.now().Sub(at.given) >= renewed {
		if err := s.give(c, at); err != nil {
			return "", err
		}
	}
	return at.id, nil
}

// Person returns who is signed in. It asks once per request; see [Sessions.Again]. Only
// a cookie that says that somebody is signed in makes it ask.
func (s *Sessions) Person(c echo.Context) (Person, bool, error) {
	at := s.of(c)
	if at.user == "" || at.asked {
		return at.person, at.signedIn, nil
	}
	person, signedIn, err := s.Again(c.Request().Context(), c)
	if err != nil {
		return Person{}, false, err
	}
	at.asked, at.person, at.signedIn = true, person, signedIn
	if signedIn && s.now().Sub(at.given) >= renewed {
		err = s.give(c, at)
	}
	return person, signedIn, err
}

// Again returns who is signed in at this moment, for a page that stays open after
// Person was asked.
func (s *Sessions) Again(ctx context.Context, c echo.Context) (Person, bool, error) {
	at := s.of(c)
	if at.user == "" || s.who == nil {
		return Person{}, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	person, signedIn, err := s.who(ctx, at.user, at.signIn, at.changes)
	if err != nil {
		return Person{}, false, fmt.Errorf("ask whose session it is: %w", err)
	}
	if !signedIn {
		return Person{}, false, nil
	}
	return person, true, nil
}

// Claimed returns whose session the cookie says it is, empty ids where it is nobody's. It
// asks nobody whether that is still true, so it serves to end a session, never to let
// somebody in.
func (s *Sessions) Claimed(c echo.Context) (userID, sessionID string) {
	at := s.of(c)
	return at.user, at.signIn
}

// looksSignedIn says what is known without asking.
func (s *Sessions) looksSignedIn(c echo.Context) bool {
	at := s.of(c)
	if at.asked {
		return at.signedIn
	}
	return at.user != "" && s.who != nil
}

// LogIn begins a person's session with a cookie that has nothing of the last one, which
// somebody else may have planted, but the traces that the browser remembers.
func (s *Sessions) LogIn(c echo.Context, userID, sessionID string, generation int64) error {
	return s.give(c, &session{traces: s.of(c).traces, user: userID, signIn: sessionID, since: s.now(), changes: generation})
}

// LogOut begins an anonymous session that remembers nothing.
func (s *Sessions) LogOut(c echo.Context) error { return s.give(c, &session{}) }

// Remember notes that the browser set off what has a trace id, so that it may follow
// that. The last eight are remembered.
func (s *Sessions) Remember(c echo.Context, traceID string) error {
	at := s.of(c)
	if slices.Contains(at.traces, traceID) {
		return nil
	}
	at.traces = append(at.traces, traceID)
	at.traces = at.traces[max(0, len(at.traces)-remembered):]
	return s.give(c, at)
}

// Remembers reports whether the browser remembers a trace id.
func (s *Sessions) Remembers(c echo.Context, traceID string) bool {
	return slices.Contains(s.of(c).traces, traceID)
}

// SignedIn lets only those pass who are signed in. A browser that asks for a page is
// led to the log-in and from there to that page, one that sends a form to the log-in;
// a stream and a script get 401, because they would follow.
func (s *Sessions) SignedIn(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		_, ok, err := s.Person(c)
		if err != nil {
			return err
		}
		r := c.Request()
		switch {
		case ok:
			c.Response().Header().Set(echo.HeaderCacheControl, "no-store") // nobody finds the page by going back after the log-out
			return next(c)
		case IsPartial(c) || strings.Contains(r.Header.Get(echo.HeaderAccept), "text/event-stream"):
			return echo.NewHTTPError(http.StatusUnauthorized)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			return c.Redirect(http.StatusSeeOther, "/auth/log-in?"+url.Values{"next": {r.URL.RequestURI()}}.Encode())
		default:
			return c.Redirect(http.StatusSeeOther, "/auth/log-in")
		}
	}
}

// Has lets only those pass who are signed in and have a role. Whoever is not signed in is
// answered as by [Sessions.SignedIn], others get 403.
func (s *Sessions) Has(role string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return s.SignedIn(func(c echo.Context) error {
			person, _, err := s.Person(c)
			if err != nil {
				return err
			}
			if !slices.Contains(person.Roles, role) {
				return echo.NewHTTPError(http.StatusForbidden, notYours)
			}
			return next(c)
		})
	}
}

// Secure reports whether a cookie is to be sent over TLS only.
func (s *Sessions) Secure(c echo.Context) bool { return s.secure || byHTTPS(c) }

// of returns the session of the request's cookie, an empty one where that is missing,
// too old or no good.
func (s *Sessions) of(c echo.Context) *session {
	if at, ok := c.Get(sessionKey).(*session); ok {
		return at
	}
	at := &session{}
	if cookie, err := s.cookies.New(c.Request(), sessionCookie); err == nil {
		*at = read(cookie.Values)
	}
	if s.tooOld(at) {
		*at = session{}
	}
	c.Set(sessionKey, at)
	return at
}

func (s *Sessions) tooOld(at *session) bool {
	now := s.now()
	if at.user == "" {
		return now.Sub(at.given) >= idle
	}
	return now.Sub(at.given) >= idleSignedIn || now.Sub(at.since) >= longest
}

func read(values map[any]any) session {
	text := func(name string) string { v, _ := values[name].(string); return v }
	number := func(name string) int64 { v, _ := values[name].(int64); return v }
	traces, _ := values["traces"].([]string)
	return session{
		id: text("id"), given: time.Unix(number("given"), 0), traces: traces,
		user: text("user"), signIn: text("session"), since: time.Unix(number("since"), 0), changes: number("generation"),
	}
}

// give answers with a session's cookie, which is as good as new.
func (s *Sessions) give(c echo.Context, at *session) error {
	if at.id == "" {
		at.id = messagestore.NewID()
	}
	c.Set(sessionKey, at)
	if c.Response().Committed {
		return nil // the next answer will do
	}
	at.given = s.now()
	cookie := sessions.NewSession(s.cookies, sessionCookie)
	cookie.Options = &sessions.Options{Path: "/", MaxAge: int(idle.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.Secure(c)}
	cookie.Values = map[any]any{"id": at.id, "given": at.given.Unix(), "traces": at.traces}
	if at.user != "" {
		cookie.Options.MaxAge = int(idleSignedIn.Seconds())
		cookie.Values["user"], cookie.Values["session"] = at.user, at.signIn
		cookie.Values["since"], cookie.Values["generation"] = at.since.Unix(), at.changes
	}
	header := c.Response().Header()
	// One answer, one such cookie: of several, browsers need not take the last.
	header["Set-Cookie"] = slices.DeleteFunc(header["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, sessionCookie+"=") })
	if err := s.cookies.Save(c.Request(), c.Response(), cookie); err != nil {
		return fmt.Errorf("save the session: %w", err)
	}
	return nil
}

// OwnPath returns the path and query of a page of this site, and "/" for whatever leads
// elsewhere or is no path.
func OwnPath(path string) string {
	if len(path) > 2000 || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return "/"
	}
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	return u.RequestURI()
}
