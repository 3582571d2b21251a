package account

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/signins"
	"videotutorials/app/web"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

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
	ctx := c.Request().Context()
	for _, id := range ids {
		_, err := a.store.Write(ctx, authenticationmsg.Category.Stream(person.UserID),
			authenticationmsg.SessionEnded{UserID: person.UserID, SessionID: id, Reason: authenticationmsg.EndedAway},
			messagestore.WithID(messagestore.DeriveID("end-session", id)),
			messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c), UserID: person.UserID}))
		if err != nil && !errors.Is(err, messagestore.ErrDuplicateID) {
			return err
		}
	}
	if len(ids) > 0 {
		if err := a.awaitEnded(ctx, ids[len(ids)-1]); err != nil { // the last one: those before it are shown with it
			return err
		}
	}
	return c.Redirect(http.StatusSeeOther, views.AccountPath)
}

// awaitEnded waits until a session is shown as ended, a second at most: without scripts
// the page that comes next is all that a person sees of it.
func (a *App) awaitEnded(ctx context.Context, sessionID string) error {
	tick, enough := time.NewTicker(10*time.Millisecond), time.After(time.Second)
	defer tick.Stop()
	for {
		ended, err := a.signIns.Ended(ctx, sessionID)
		if err != nil || ended {
			return err
		}
		select {
		case <-tick.C:
		case <-enough:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
