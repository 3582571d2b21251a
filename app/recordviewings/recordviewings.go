// Package recordviewings plays a lesson and records that it was watched.
package recordviewings

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// moreLessons is how many other lessons stand beside the player.
const moreLessons = 6

// App is the application.
type App struct {
	store    *messagestore.Store
	videos   catalogue.Queries
	counts   viewcounts.Queries
	sessions *web.Sessions
	now      func() time.Time
	feed     *live.Feed
}

// New returns the application.
func New(store *messagestore.Store, videos catalogue.Queries, counts viewcounts.Queries, sessions *web.Sessions, hub *live.Hub) *App {
	a := &App{store: store, videos: videos, counts: counts, sessions: sessions, now: time.Now}
	a.feed = hub.Feed(a.render)
	return a
}

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) {
	web.Get(e, "/videos/:id", a.watch, web.Gzip, web.InTime)
	e.GET("/videos/:id/live", a.live)
	e.POST("/record-viewing/:videoId", a.recordViewing, web.InTime)
}

func (a *App) watch(c echo.Context) error {
	ctx := c.Request().Context()
	video, err := a.video(ctx, c.Param("id"))
	if err != nil {
		return err
	}
	others, newest, err := a.others(ctx, video.ID, math.MaxInt64)
	if err != nil {
		return err
	}
	counts, err := a.counts.Of(ctx, append(ids(others), video.ID)...)
	if err != nil {
		return err
	}
	session, err := a.sessions.ID(c) // here, so that this page's post and its retries are of one session
	if err != nil {
		return err
	}
	w := views.Watch{Lesson: views.Lesson{Video: video, Views: counts.Of[video.ID]}}
	if w.Viewing, err = a.viewing(ctx, session, video.ID); err != nil {
		return err
	}
	for _, v := range others {
		w.More = append(w.More, views.Lesson{Video: v, Views: counts.Of[v.ID]})
	}
	p := web.Page(c, video.Title)
	p.Description = video.Description
	p.Live = views.WatchPath(video.ID) + "/live?" + url.Values{
		"at":     {live.Versions{viewcounts.Name: counts.Version}.String()},
		"newest": {strconv.FormatInt(newest, 10)},
	}.Encode()
	return web.Render(c, http.StatusOK, views.WatchPage(p, w))
}

// others returns the lessons to go on with: the newest ones up to a position, but
// for the one that is played, and the position of the newest. The page's stream asks
// for the same ones by that position, whatever was published since.
func (a *App) others(ctx context.Context, played string, upTo int64) (others []catalogue.Video, newest int64, err error) {
	if upTo < math.MaxInt64 {
		upTo++ // Newest takes the first position that is too new
	}
	list, err := a.videos.Newest(ctx, upTo, moreLessons+1)
	if err != nil {
		return nil, 0, err
	}
	for _, v := range list.Videos {
		newest = max(newest, v.Position)
		if v.ID != played && len(others) < moreLessons {
			others = append(others, v)
		}
	}
	return others, newest, nil
}

func ids(videos []catalogue.Video) []string {
	ids := make([]string, len(videos))
	for i, v := range videos {
		ids[i] = v.ID
	}
	return ids
}

// video returns a published video. An id that is none is as unknown as one that
// nobody has given.
func (a *App) video(ctx context.Context, id string) (catalogue.Video, error) {
	if !messagestore.ValidID(id) {
		return catalogue.Video{}, web.NotFound("There is no lesson at this address.")
	}
	video, _, err := a.videos.Video(ctx, id)
	if errors.Is(err, catalogue.ErrNotFound) {
		return video, web.NotFound("There is no lesson at this address, or it is no longer shown.")
	}
	return video, err
}
