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
	person, signedIn, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	if signedIn {
		if err := a.end(c, person); err != nil {
			return err
		}
	}
	if err := a.sessions.LogOut(c); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

// end writes SessionEnded, once for each session.
func (a *App) end(c echo.Context, person web.Person) error {
	_, err := a.store.Write(c.Request().Context(), authenticationmsg.Category.Stream(person.UserID),
		authenticationmsg.SessionEnded{UserID: person.UserID, SessionID: person.SessionID, Reason: authenticationmsg.LoggedOut},
		messagestore.WithID(messagestore.DeriveID("log-out", person.SessionID)),
		messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c), UserID: person.UserID}))
	if errors.Is(err, messagestore.ErrDuplicateID) {
		return nil
	}
	return err
}
