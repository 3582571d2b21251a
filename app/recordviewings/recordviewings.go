// Package recordviewings plays a lesson and records that it was watched.
package recordviewings

import (
	"context"
	"errors"
	"log/slog"
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
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
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
	texts    *texts
	audience *audience
	log      *slog.Logger
	now      func() time.Time
	feed     *live.Feed
}

// New returns the application. files holds the captions and chapters; the board has how
// many people watch, which [App.Run] tells it. log gets what goes wrong beside the page.
func New(store *messagestore.Store, videos catalogue.Queries, counts viewcounts.Queries, sessions *web.Sessions,
	files *media.Store, board *live.Board, hub *live.Hub, log *slog.Logger) *App {
	a := &App{
		store: store, videos: videos, counts: counts, sessions: sessions,
		texts: newTexts(files), audience: newAudience(board), log: log, now: time.Now,
	}
	a.feed = hub.Feed(a.render)
	return a
}

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) {
	web.Get(e, "/videos/:id", a.watch, web.Gzip, web.InTime)
	e.GET("/videos/:id/live", a.live)
	e.POST("/record-viewing/:videoId", a.recordViewing, web.InTime)
}

// Run tells all processes how many people watch here, until ctx ends. It returns nil.
func (a *App) Run(ctx context.Context) error { return a.audience.run(ctx) }

func (a *App) watch(c echo.Context) error {
	ctx := c.Request().Context()
	video, own, err := a.video(c, c.Param("id"))
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
	w := views.Watch{
		Lesson: views.Lesson{Video: video, Views: counts.Of[video.ID]}, Owner: own,
		Watching: a.audience.of(video.ID), Start: startOf(c),
	}
	if w.Viewing, err = a.viewing(ctx, session, video.ID); err != nil {
		return err
	}
	if len(video.Captions) > 0 {
		w.Cues = a.cues(ctx, video.Captions[0].URI)
	}
	w.Chapters = a.cues(ctx, video.Chapters)
	for _, v := range others {
		w.More = append(w.More, views.Lesson{Video: v, Views: counts.Of[v.ID]})
	}
	p := web.Page(c, video.Title)
	p.Description, p.Player, p.NoIndex = video.Description, true, video.Visibility != publishingmsg.Public
	p.Live = views.WatchPath(video.ID) + "/live?" + url.Values{
		"at":     {live.Versions{viewcounts.Name: counts.Version}.String()},
		"newest": {strconv.FormatInt(newest, 10)},
	}.Encode()
	if video.Visibility == publishingmsg.Private {
		c.Response().Header().Set(echo.HeaderCacheControl, "private, no-store")
	}
	return web.Render(c, http.StatusOK, views.WatchPage(p, w))
}

// startOf is the moment that the page's address leads to; the beginning where it names
// none.
func startOf(c echo.Context) time.Duration {
	const latest = 100 * time.Hour
	seconds, err := strconv.ParseFloat(c.QueryParam("t"), 64)
	if err != nil || !(seconds > 0 && seconds < latest.Seconds()) {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
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

// video returns a video that whoever asks may watch, and whether it is their own. An id
// that is none, and a video that is private to somebody else, are as unknown as one that
// nobody has given.
func (a *App) video(c echo.Context, id string) (video catalogue.Video, own bool, err error) {
	if !messagestore.ValidID(id) {
		return catalogue.Video{}, false, web.NotFound("There is no lesson at this address.")
	}
	video, _, err = a.videos.Video(c.Request().Context(), id)
	if err != nil && !errors.Is(err, catalogue.ErrNotFound) {
		return catalogue.Video{}, false, err
	}
	if err == nil {
		var person web.Person
		if person, _, err = a.sessions.Person(c); err != nil {
			return catalogue.Video{}, false, err
		}
		own = video.OwnerID != "" && video.OwnerID == person.UserID
	}
	if err != nil || video.Visibility == publishingmsg.Private && !own {
		return catalogue.Video{}, false, web.NotFound("There is no lesson at this address, or it is no longer shown.")
	}
	return video, own, nil
}
