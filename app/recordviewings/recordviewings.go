// Package recordviewings plays a lesson and records that it was watched.
package recordviewings

import (
	"context"
	"errors"
	"net/http"
	"net/url"
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
	web.Get(e, "/videos/:id", a.watch, web.Gzip)
	e.GET("/videos/:id/live", a.live)
	e.POST("/record-viewing/:videoId", a.recordViewing)
}

func (a *App) watch(c echo.Context) error {
	ctx := c.Request().Context()
	video, err := a.video(ctx, c.Param("id"))
	if err != nil {
		return err
	}
	list, err := a.videos.Newest(ctx, 0, moreLessons+1)
	if err != nil {
		return err
	}
	shown := []string{video.ID}
	for _, v := range list.Videos {
		shown = append(shown, v.ID)
	}
	counts, err := a.counts.Of(ctx, shown...)
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
	for _, v := range list.Videos {
		if v.ID != video.ID && len(w.More) < moreLessons {
			w.More = append(w.More, views.Lesson{Video: v, Views: counts.Of[v.ID]})
		}
	}
	p := web.Page(c, video.Title)
	p.Description = video.Description
	p.Live = views.WatchPath(video.ID) + "/live?" + url.Values{"at": {live.Versions{viewcounts.Name: counts.Version}.String()}}.Encode()
	return web.Render(c, http.StatusOK, views.WatchPage(p, w))
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
