package account

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/signins"
	"videotutorials/app/web"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// endingParam names the session that the account's page, without scripts, loads itself
// again for until it is shown as ended.
const endingParam = "ending"

// endSession ends one of the person's sessions, which may be the one that asks.
func (a *App) endSession(c echo.Context) error {
	ctx, id := c.Request().Context(), c.Param("id")
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	if !messagestore.ValidID(id) {
		return web.NotFound(noSession)
	}
	open, err := a.signIns.Open(ctx, person.UserID)
	if err != nil {
		return err
	}
	if slices.Contains(open, id) {
		return a.end(c, person, id)
	}
	list, _, err := a.signIns.Of(ctx, person.UserID, signInsShown)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(s signins.SignIn) bool { return s.ID == id && s.FailedReason == "" }) {
		return c.Redirect(http.StatusSeeOther, views.AccountPath) // it has ended already
	}
	return web.NotFound(noSession)
}

const noSession = "You have no such session."

// endOtherSessions ends all of the person's sessions but this one.
func (a *App) endOtherSessions(c echo.Context) error {
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	open, err := a.signIns.Open(c.Request().Context(), person.UserID)
	if err != nil {
		return err
	}
	return a.end(c, person, slices.DeleteFunc(open, func(id string) bool { return id == person.SessionID })...)
}

// end writes that sessions are over, once for each of them, and leads to the account.
func (a *App) end(c echo.Context, person web.Person, ids ...string) error {
	query := url.Values{}
	for _, id := range ids {
		if err := a.writeEnded(c.Request().Context(), web.TraceID(c), person.UserID, id); err != nil {
			return err
		}
		query.Set(endingParam, id) // the last one: when that is shown as ended, so are those before it
	}
	return c.Redirect(http.StatusSeeOther, (&url.URL{Path: views.AccountPath, RawQuery: query.Encode()}).String())
}

func (a *App) writeEnded(ctx context.Context, traceID, userID, sessionID string) error {
	_, err := a.store.Write(ctx, authenticationmsg.Category.Stream(userID),
		authenticationmsg.SessionEnded{UserID: userID, SessionID: sessionID, Reason: authenticationmsg.EndedAway},
		messagestore.WithID(messagestore.DeriveID("end-session", sessionID)),
		messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, UserID: userID}))
	if err != nil && !errors.Is(err, messagestore.ErrDuplicateID) {
		return err
	}
	return nil
}

func isOpen(list []views.SignIn, sessionID string) bool {
	return slices.ContainsFunc(list, func(s views.SignIn) bool {
		return s.ID == sessionID && s.FailedReason == "" && s.EndedAt.IsZero()
	})
}
