package creatorsportal

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// field writes a command with what was typed into a field. The script that saves while
// somebody types is told in the answer what comes of it; everybody else is led to the page
// of that.
func (a *App) field(c echo.Context, videoID, name string, command messagestore.Body) error {
	if !web.IsPartial(c) {
		return a.ask(c, videoID, command)
	}
	ctx := c.Request().Context()
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	traceID, err := a.write(ctx, person.UserID, videoID, command)
	if err != nil {
		return err
	}
	reason, known, err := a.awaitOutcome(ctx, traceID)
	if err != nil {
		return err
	}
	id := name + "-note-" + videoID
	switch {
	case !known:
		return web.Render(c, http.StatusAccepted, views.FieldSaved(id, "Written down. It shows in a moment."))
	case reason == "" || reason == publishingmsg.Same:
		return web.Render(c, http.StatusAccepted, views.FieldSaved(id, "Saved"))
	}
	return web.Render(c, http.StatusUnprocessableEntity, views.FieldProblem(id, reason))
}

// awaitOutcome waits a second at most for what comes of a command, and returns why it was
// refused; not known where nothing has come of it yet.
func (a *App) awaitOutcome(ctx context.Context, traceID string) (reason string, known bool, err error) {
	tick, enough := time.NewTicker(20*time.Millisecond), time.After(time.Second)
	defer tick.Stop()
	for {
		row, found, _, err := a.operations.Of(ctx, traceID)
		if err != nil || found {
			return row.Reason, found, err
		}
		select {
		case <-tick.C:
		case <-enough:
			return "", false, nil
		case <-ctx.Done():
			return "", false, ctx.Err()
		}
	}
}
