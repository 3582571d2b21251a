package authenticate

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/messagestore"
)

// logOut ends the session everywhere, also where somebody has copied its cookie, before
// the browser forgets it.
func (a *App) logOut(c echo.Context) error {
	if err := a.end(c); err != nil {
		return err
	}
	if err := a.sessions.LogOut(c); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

// end writes SessionEnded, once for each session, for whatever session the browser's
// cookie is of: that works also while view data does not know of it.
func (a *App) end(c echo.Context) error {
	userID, sessionID := a.sessions.Claimed(c)
	if userID == "" {
		return nil
	}
	_, err := a.store.Write(c.Request().Context(), authenticationmsg.Category.Stream(userID),
		authenticationmsg.SessionEnded{UserID: userID, SessionID: sessionID, Reason: authenticationmsg.LoggedOut},
		messagestore.WithID(messagestore.DeriveID("log-out", sessionID)),
		messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c), UserID: userID}))
	if errors.Is(err, messagestore.ErrDuplicateID) {
		return nil
	}
	return err
}
