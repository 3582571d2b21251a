package account

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/accountoperations"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

const (
	// askedParam says when the command was written, in milliseconds since 1970: without
	// the person, who may not be signed in, its stream cannot be found.
	askedParam = "asked"
	// lateAfter is how long a change may take before the page says what it waits for.
	lateAfter = 5 * time.Second
)

// operation is the page that a change is followed on.
func (a *App) operation(c echo.Context) error {
	traceID, err := a.mine(c)
	if err != nil {
		return err
	}
	_, signedIn, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	shown, at, err := a.readOperation(c.Request().Context(), traceID, signedIn)
	if err != nil {
		return err
	}
	p := web.Page(c, "Your change")
	if shown.Outcome == "" {
		asked, err := strconv.ParseInt(c.QueryParam(askedParam), 10, 64)
		shown.Late = err == nil && a.now().Sub(time.UnixMilli(asked)) >= lateAfter
		p.Refresh = 1
	}
	p.Live = views.OperationPath(traceID) + "/live?" + url.Values{"at": {at.String()}}.Encode()
	return web.Render(c, http.StatusOK, views.OperationPage(p, shown))
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
