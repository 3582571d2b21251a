package creatorsportal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// ask writes a command about a video and leads to the page of what comes of it.
func (a *App) ask(c echo.Context, videoID string, command messagestore.Body) error {
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	traceID, err := a.write(c.Request().Context(), person.UserID, videoID, command)
	if err != nil {
		return err
	}
	return a.lead(c, traceID, videoID)
}

// lead leads to the page of what comes of a command.
func (a *App) lead(c echo.Context, traceID, videoID string) error {
	if err := a.sessions.Remember(c, traceID); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.VideoOperationPath(traceID)+"?"+about(videoID).Encode())
}

// about is the query that names the video, which nothing else says before something has
// come of the command.
func about(videoID string) url.Values { return url.Values{"video": {videoID}} }

// write writes a command, unless it is there, and returns its trace.
func (a *App) write(ctx context.Context, userID, videoID string, command messagestore.Body) (traceID string, err error) {
	traceID, written, err := a.wish(ctx, userID, videoID, says(command))
	if err != nil || written {
		return traceID, err
	}
	return traceID, a.put(ctx, userID, videoID, command, traceID)
}

func says(command messagestore.Body) string {
	return command.MessageType() + fmt.Sprintf("%+v", command)
}

// put writes the command of a wish.
func (a *App) put(ctx context.Context, userID, videoID string, command messagestore.Body, traceID string) error {
	_, err := a.store.Write(ctx, publishingmsg.Category.CommandStream(videoID), command,
		messagestore.WithID(commandID(traceID)), messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, UserID: userID}))
	if errors.Is(err, messagestore.ErrDuplicateID) {
		return nil // the other half of a double click was as quick
	}
	return err
}

func commandID(traceID string) string { return messagestore.DeriveID("command", traceID) }

// doubleClick is how long the same wish, one right after the other, is one wish.
const doubleClick = 10 * time.Second

// wish returns the trace of what somebody asks for, and whether its command is there
// already. The trace derives from what is asked for and from the command before it. So both
// halves of a double click are one wish, however close they come; but who asks for a name,
// for another one, and for the first one again, has three.
func (a *App) wish(ctx context.Context, userID, videoID, says string) (traceID string, written bool, err error) {
	stream := publishingmsg.Category.CommandStream(videoID)
	version, err := a.store.Version(ctx, stream)
	if err != nil {
		return "", false, err
	}
	var before, last messagestore.Raw
	for m, err := range a.store.Read(ctx, stream, max(version-1, 0)) {
		if err != nil {
			return "", false, err
		}
		before, last = last, m
	}
	after := func(m messagestore.Raw) string { return messagestore.DeriveID(says, userID, videoID, m.ID) }
	if traceID = after(before); last.ID == commandID(traceID) && a.now().Sub(last.Time) < doubleClick {
		return traceID, true, nil
	}
	return after(last), false, nil
}
