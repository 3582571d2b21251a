package creatorsportal

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/aggregators/videooperations"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// operation is the page that what was asked for a video is followed on.
func (a *App) operation(c echo.Context) error {
	asked, err := a.asked(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	shown, at, err := a.readOperation(ctx, asked)
	if err != nil {
		return err
	}
	p := web.Page(c, "Your video")
	if !settled(shown.Outcome) {
		query := about(asked.videoID)
		query.Set("at", at.String())
		p.Live = views.VideoOperationPath(asked.traceID) + "/live?" + query.Encode()
		if shown.Outcome == "" {
			if shown.Late, err = a.isLate(ctx, asked); err != nil {
				return err
			}
		}
		// What is being made takes minutes, and a browser without scripts need not ask for
		// it every second.
		p.Refresh = web.Refresh(shown.Late || shown.Outcome != "")
	}
	return web.Render(c, http.StatusOK, views.VideoOperationPage(p, shown))
}

// settled reports whether no other outcome will follow.
func settled(outcome string) bool {
	switch outcome {
	case "", publishingmsg.VideoPublishingStarted{}.MessageType(), publishingmsg.VideoPlayable{}.MessageType():
		return false
	}
	return true
}

// operationLive is the stream of that page.
func (a *App) operationLive(c echo.Context) error {
	if _, err := a.person(c); err != nil {
		return err
	}
	asked, err := a.asked(c)
	if err != nil {
		return err
	}
	return a.follow(c, []string{videooperations.Topic(asked.traceID), creatorsvideos.Topic(asked.userID)}, views.VideoOperationID,
		func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
			shown, now, err := a.readOperation(ctx, asked)
			if err != nil || maps.Equal(now, at) || shown.Outcome == "" { // of what is waited for, the page says it already
				return nil, now, err
			}
			return views.Push(views.VideoOperationID, views.VideoOperationState(shown)), now, nil
		})
}

// asked is something that a person has asked for; videoID is empty where the address does
// not say, or lies.
type asked struct{ traceID, userID, videoID string }

// asked returns what the request's address is about, if who is signed in has asked for it:
// what somebody else did does not exist for them. Before something has come of it, only
// the browser knows who has.
func (a *App) asked(c echo.Context) (asked, error) {
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return asked{}, err
	}
	at := asked{traceID: c.Param("traceId"), userID: person.UserID, videoID: c.QueryParam("video")}
	if !messagestore.ValidID(at.videoID) {
		at.videoID = ""
	}
	row, found, _, err := a.operations.Of(c.Request().Context(), at.traceID)
	if err != nil {
		return asked{}, err
	}
	own := a.sessions.Remembers(c, at.traceID)
	if found && row.UserID != "" {
		own = row.UserID == person.UserID
	}
	if !messagestore.ValidID(at.traceID) || !own {
		return asked{}, web.NotFound("What is asked for a video is shown only to who asked for it.")
	}
	return at, nil
}

// readOperation returns what has become of something, and the version of the view data that
// says so.
func (a *App) readOperation(ctx context.Context, at asked) (views.VideoOperation, live.Versions, error) {
	row, found, version, err := a.operations.Of(ctx, at.traceID)
	if err != nil {
		return views.VideoOperation{}, nil, err
	}
	shown := views.VideoOperation{TraceID: at.traceID, Outcome: row.Outcome, Reason: row.Reason, Value: row.Value}
	videoID := at.videoID
	if found {
		videoID = row.VideoID
	}
	versions := live.Versions{videooperations.Name: version}
	v, version, err := a.own.ByID(ctx, videoID)
	switch {
	case errors.Is(err, creatorsvideos.ErrNotFound):
		shown.VideoID = row.VideoID // it is deleted, or not shown yet
	case err != nil:
		return views.VideoOperation{}, nil, err
	case v.OwnerID == at.userID:
		shown.VideoID, shown.Title = v.ID, v.Title
		versions[creatorsvideos.Name] = version
	}
	if found && !settled(row.Outcome) {
		// After the version: what ends it from here on has a later one, and is pushed.
		ended, err := a.endedFor(ctx, row)
		if err != nil {
			return views.VideoOperation{}, nil, err
		}
		shown.Outcome = cmp.Or(ended, shown.Outcome)
	}
	return shown, versions, nil
}

// endedFor returns the type of the event that ended the making of a video before it came to
// anything, empty where none did: its owner stopped it or deleted the video, and that event
// has the trace of another wish. The stream is asked, because the view data may not yet show
// the attempt that is meant.
func (a *App) endedFor(ctx context.Context, o videooperations.Operation) (string, error) {
	started := false
	for m, err := range a.store.Read(ctx, publishingmsg.Category.Stream(o.VideoID), 0) {
		if err != nil {
			return "", err
		}
		switch m.Type {
		case publishingmsg.VideoPublishingStarted{}.MessageType():
			metadata, err := m.Metadata()
			if err != nil {
				return "", err
			}
			started = started || metadata.TraceID == o.TraceID
		case publishingmsg.VideoPublishingCanceled{}.MessageType():
			if started {
				return m.Type, nil
			}
		case publishingmsg.VideoDeleted{}.MessageType():
			return m.Type, nil
		}
	}
	return "", nil
}

// isLate reports whether a command has waited for long. Others may stand after it, which
// wait for it.
func (a *App) isLate(ctx context.Context, at asked) (bool, error) {
	if at.videoID == "" {
		return false, nil
	}
	stream := publishingmsg.Category.CommandStream(at.videoID)
	version, err := a.store.Version(ctx, stream)
	if err != nil {
		return false, err
	}
	const latest = 50 // who asks for more than that within seconds is told nothing
	for m, err := range a.store.Read(ctx, stream, max(version-latest, 0)) {
		if err != nil {
			return false, err
		}
		if m.ID == commandID(at.traceID) {
			return a.now().Sub(m.Time) >= web.LateAfter, nil
		}
	}
	return false, nil
}
