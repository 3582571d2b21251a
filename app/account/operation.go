package account

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/accountoperations"
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
	shown, at, err := a.readOperation(ctx, traceID, signedIn)
	if err != nil {
		return err
	}
	p := web.Page(c, "Your change")
	if shown.Outcome == "" {
		p.Live = views.OperationPath(traceID) + "/live?" + url.Values{"at": {at.String()}}.Encode()
		p.Refresh = 1
		if signedIn { // else nothing says whose stream the command stands in
			if shown.Late, err = a.isLate(ctx, person.UserID, traceID); err != nil {
				return err
			}
		}
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
	return a.feed.Serve(c, live.Page{
		Topics: []string{accountoperations.Topic(traceID)},
		Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
			shown, now, err := a.readOperation(ctx, traceID, signedIn)
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

func (a *App) readOperation(ctx context.Context, traceID string, signedIn bool) (views.Operation, live.Versions, error) {
	row, _, version, err := a.operations.Of(ctx, traceID)
	if err != nil {
		return views.Operation{}, nil, err
	}
	return views.Operation{TraceID: traceID, Outcome: row.Outcome, Reason: row.Reason, SignedIn: signedIn},
		live.Versions{accountoperations.Name: version}, nil
}
