package recordviewings

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// recordViewing writes VideoViewed once for each session, video and day. That it is
// once is the store's doing: the message's id says what it is, so a reload, a double
// click and a retry all write the same message, and the store has it already.
func (a *App) recordViewing(c echo.Context) error {
	ctx := c.Request().Context()
	if err := onlyAForm(c); err != nil {
		return err
	}
	video, _, err := a.video(c, c.Param("videoId"))
	if err != nil {
		return err
	}
	session, err := a.sessions.ID(c)
	if err != nil {
		return err
	}
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	_, err = a.store.Write(ctx, viewingmsg.Category.Stream(video.ID), viewingmsg.VideoViewed{VideoID: video.ID, UserID: person.UserID},
		messagestore.WithID(a.viewingID(session, video.ID)),
		messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c), UserID: person.UserID}))
	if err != nil && !errors.Is(err, messagestore.ErrDuplicateID) {
		return err
	}
	if web.IsPartial(c) {
		return web.Render(c, http.StatusOK, views.Viewing(video.ID, views.ViewingState{Status: views.ViewingCounted}))
	}
	return c.Redirect(http.StatusSeeOther, views.WatchPath(video.ID))
}

// onlyAForm refuses a body that no form of this site sends. The form has no fields,
// so what it holds is read to its end, which also finds one that is too long.
func onlyAForm(c echo.Context) error {
	switch kind, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType)); {
	case kind == "" && err != nil && c.Request().ContentLength == 0:
	case kind == echo.MIMEApplicationForm || kind == echo.MIMEMultipartForm:
	default:
		return echo.NewHTTPError(http.StatusUnsupportedMediaType)
	}
	if err := c.Request().ParseForm(); err != nil {
		var known *echo.HTTPError
		if errors.As(err, &known) {
			return known
		}
		return echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
	}
	_, err := io.Copy(io.Discard, c.Request().Body) // what is not read as fields
	return err
}

// viewingID is the same for all posts that count as one view.
func (a *App) viewingID(session, videoID string) string {
	return messagestore.DeriveID("viewing", session, videoID, a.now().UTC().Format(time.DateOnly))
}

// viewing says whether this session's view of today is counted already.
func (a *App) viewing(ctx context.Context, session, videoID string) (views.ViewingState, error) {
	counted, err := a.store.Has(ctx, a.viewingID(session, videoID))
	if err != nil || !counted {
		return views.ViewingState{}, err
	}
	return views.ViewingState{Status: views.ViewingCounted}, nil
}
