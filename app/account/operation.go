package account

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/accountoperations"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// operation is the page that a change is followed on.
func (a *App) operation(c echo.Context) error {
	traceID, err := a.mine(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	person, signedIn, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	pending := pendingOperation(c, traceID, signedIn)
	shown, at, err := a.readOperation(ctx, pending)
	if err != nil && !errors.Is(err, errBehind) {
		return err
	}
	p := web.Page(c, "Your change")
	if shown.Outcome == "" {
		p.Live = views.OperationPath(traceID) + "/live?" + url.Values{"at": {at.String()}}.Encode()
		if signedIn { // else nothing says whose stream the command stands in
			if shown.Late, err = a.isLate(ctx, person.UserID, traceID); err != nil {
				return err
			}
		}
		p.Refresh = web.Refresh(shown.Late)
	}
	return web.Render(c, http.StatusOK, views.OperationPage(p, shown))
}

// isLate reports whether a person's last command is that of a trace and waits for long.
func (a *App) isLate(ctx context.Context, userID, traceID string) (bool, error) {
	last, err := a.store.Last(ctx, identitymsg.Category.CommandStream(userID), "")
	if errors.Is(err, messagestore.ErrNoMessage) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	metadata, err := last.Metadata()
	return metadata.TraceID == traceID && a.now().Sub(last.Time) >= web.LateAfter, err
}

// operationLive is the stream of that page. Whose it is stands fast while it is open:
// a browser that forgets it finds no stream when it connects again.
func (a *App) operationLive(c echo.Context) error {
	traceID, err := a.mine(c)
	if err != nil {
		return err
	}
	_, signedIn, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	pending := pendingOperation(c, traceID, signedIn)
	return a.feed.Serve(c, live.Page{
		Topics: []string{accountoperations.Topic(traceID)},
		Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
			shown, now, err := a.readOperation(ctx, pending)
			if err != nil || maps.Equal(now, at) {
				return nil, now, err
			}
			return views.Push(views.OperationID, views.OperationState(shown)), now, nil
		},
	})
}

// mine returns the trace at the request's address, where this browser began it:
// anybody else's does not exist for it.
func (a *App) mine(c echo.Context) (traceID string, err error) {
	traceID = c.Param("traceId")
	if !messagestore.ValidID(traceID) || !a.sessions.Remembers(c, traceID) {
		return "", web.NotFound("A change is shown only to the browser that asked for it, and not for ever.")
	}
	return traceID, nil
}

// pendingOperation is what stands fast about a change before anything has come of it.
func pendingOperation(c echo.Context, traceID string, signedIn bool) views.Operation {
	kept, outbox := web.MailsKept(c)
	return views.Operation{TraceID: traceID, SignedIn: signedIn, MailsKept: kept, Outbox: outbox}
}

// readOperation returns what has become of a change, and the version of the view data
// that says so. It fails with [errBehind], and says that the change is pending, while
// the person's row does not show it yet: nobody is told of a new password before it is
// the one that they log in with.
func (a *App) readOperation(ctx context.Context, shown views.Operation) (views.Operation, live.Versions, error) {
	row, _, version, err := a.operations.Of(ctx, shown.TraceID)
	if err != nil {
		return shown, nil, err
	}
	if err := a.awaitRow(ctx, row); err != nil {
		return shown, nil, err
	}
	shown.Outcome, shown.Reason = row.Outcome, row.Reason
	return shown, live.Versions{accountoperations.Name: version}, nil
}

var errBehind = errors.New("the person's row does not show the change yet")

// awaitRow waits a moment for the person's row, which another projection writes.
func (a *App) awaitRow(ctx context.Context, row accountoperations.Operation) error {
	tick, enough := time.NewTicker(10*time.Millisecond), time.After(time.Second)
	defer tick.Stop()
	for a.now().Sub(row.At) < web.LateAfter { // older than that, it is told whatever the row says
		user, _, err := a.users.ByID(ctx, row.UserID)
		if err != nil && !errors.Is(err, usercredentials.ErrNotFound) {
			return err
		}
		if err == nil && follows(user, row) {
			return nil
		}
		select {
		case <-tick.C:
		case <-enough:
			return errBehind
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// follows reports whether a person's row shows what an operation did.
func follows(user usercredentials.User, row accountoperations.Operation) bool {
	switch row.Outcome {
	case identitymsg.PasswordChanged{}.MessageType():
		return !user.PasswordChangedAt.Before(row.At)
	case identitymsg.EmailConfirmed{}.MessageType():
		return user.Confirmed
	case identitymsg.EmailChanged{}.MessageType():
		return user.Confirmed && user.PendingEmail == ""
	}
	return true
}
