package creatorsportal

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/views"
)

// retry is an attempt that was to be followed by another one.
type retry struct {
	attempt int
	at      time.Time
}

// pendingRetry is how long a retry counts that the view data does not show.
const pendingRetry = time.Minute

// retryPublishing writes RetryPublishing, unless the person has as many videos in the making
// as anybody may. One at a time counts them here, so of two at once the second finds the first.
// What another process has just written is counted once the view data shows it: with several
// processes somebody who hurries may have some more.
func (a *App) retryPublishing(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	list, _, err := a.own.Of(ctx, v.OwnerID)
	if err != nil {
		return err
	}
	for id, asked := range a.retried {
		if a.now().Sub(asked.at) > pendingRetry {
			delete(a.retried, id)
		}
	}
	making := 0
	for _, other := range list {
		asked, pending := a.retried[other.ID]
		if other.ID != v.ID && (atWork(other) || pending && asked.attempt == other.Attempt) {
			making++
		}
	}
	if making >= web.MostInTheMaking {
		return a.edit(c, http.StatusTooManyRequests, v, views.CreatorsVideoEdit{Problem: "too-many-in-the-making"})
	}
	a.retried[v.ID] = retry{v.Attempt, a.now()}
	return a.ask(c, v.ID, publishingmsg.RetryPublishing{VideoID: v.ID})
}
