package web

import (
	"fmt"
	"net/http"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v4"

	"videotutorials/messagestore"
)

const (
	sessionCookie = "session"
	sessionAge    = 30 * 24 * 3600 // seconds
)

// Sessions keeps a random id for each browser in a signed cookie.
type Sessions struct{ cookies *sessions.CookieStore }

// NewSessions returns sessions signed with a secret of at least 32 bytes.
func NewSessions(secret []byte) *Sessions {
	cookies := sessions.NewCookieStore(secret)
	cookies.MaxAge(sessionAge)
	return &Sessions{cookies}
}

// ID returns the id of the browser's session; a browser that has none gets one
// with this answer. A cookie that was tampered with counts as none.
func (s *Sessions) ID(c echo.Context) (string, error) {
	session, _ := s.cookies.Get(c.Request(), sessionCookie) // the error says that the old cookie is no good
	if id, ok := session.Values["id"].(string); ok {
		return id, nil
	}
	id := messagestore.NewID()
	session.Values["id"] = id
	session.Options = &sessions.Options{Path: "/", MaxAge: sessionAge, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.IsTLS()}
	if err := session.Save(c.Request(), c.Response()); err != nil {
		return "", fmt.Errorf("save the session: %w", err)
	}
	return id, nil
}
