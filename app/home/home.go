// Package home shows the lessons and how often they were watched.
package home

import (
	"context"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/views"
)

// perPage is how many lessons one page lists.
const perPage = 24

// App is the application.
type App struct {
	videos catalogue.Queries
	counts viewcounts.Queries
	notice func() string
	feed   *live.Feed
	// The first page, which is the same for everybody, but for its head; administrators,
	// who are few, have one of their own.
	first, firstSignedIn *live.Cache[web.Rendered]
}

// New returns the application. notice returns a sentence for an empty list, such
// as that the first lessons are being made.
func New(videos catalogue.Queries, counts viewcounts.Queries, hub *live.Hub, notice func() string) *App {
	a := &App{videos: videos, counts: counts, notice: notice}
	a.feed = hub.Feed(a.render)
	a.first = live.NewCache[web.Rendered](hub, catalogue.Name, viewcounts.Name)
	a.firstSignedIn = live.NewCache[web.Rendered](hub, catalogue.Name, viewcounts.Name)
	return a
}

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) {
	web.Get(e, "/", a.show, web.InTime)
	e.GET("/live", a.live)
}

func (a *App) show(c echo.Context) error {
	before, err := beforeOf(c)
	if err != nil {
		return err
	}
	p := web.Page(c, "")
	page := func(ctx context.Context) (rendered web.Rendered, keep bool, err error) {
		h, at, err := a.read(ctx, before)
		if err != nil {
			return rendered, false, err
		}
		p.Description = "Short video lessons, with view counts that follow what happens."
		p.Live = "/live?" + url.Values{"at": {at.String()}, "before": {strconv.FormatInt(before, 10)}}.Encode()
		rendered, err = web.Prerender(ctx, views.HomePage(p, h))
		return rendered, h.Notice == "", err // a notice changes without an event
	}
	var rendered web.Rendered
	switch {
	case p.XRay != nil && p.XRay.On: // it is one person's page
		rendered, _, err = page(c.Request().Context())
	case before == 0 && p.SignedIn && !p.Admin:
		rendered, err = a.firstSignedIn.Get(c.Request().Context(), page)
	case before == 0 && !p.SignedIn:
		rendered, err = a.first.Get(c.Request().Context(), page)
	default:
		rendered, _, err = page(c.Request().Context())
	}
	if err != nil {
		return err
	}
	return rendered.Send(c)
}

// read returns a page of the list and the versions of the view data it shows.
func (a *App) read(ctx context.Context, before int64) (views.Home, live.Versions, error) {
	list, err := a.videos.Newest(ctx, before, perPage)
	if err != nil {
		return views.Home{}, nil, err
	}
	counts, err := a.counts.Of(ctx, ids(list)...)
	if err != nil {
		return views.Home{}, nil, err
	}
	h := views.Home{Lessons: lessons(list, counts), VideosWatched: counts.Total}
	if len(h.Lessons) == 0 {
		h.Notice = a.notice()
	}
	if list.More {
		h.Older = "/?before=" + strconv.FormatInt(list.Videos[len(list.Videos)-1].Position, 10)
	}
	return h, live.Versions{catalogue.Name: list.Version, viewcounts.Name: counts.Version}, nil
}

// beforeOf returns the position that the page's lessons were published before, 0
// for the first page.
func beforeOf(c echo.Context) (int64, error) {
	text := c.QueryParam("before")
	if text == "" {
		return 0, nil
	}
	before, err := strconv.ParseInt(text, 10, 64)
	if err != nil || before < 0 {
		return 0, web.NotFound("This part of the list does not exist.")
	}
	return before, nil
}

func ids(list catalogue.List) []string {
	ids := make([]string, len(list.Videos))
	for i, v := range list.Videos {
		ids[i] = v.ID
	}
	return ids
}

func lessons(list catalogue.List, counts viewcounts.Counts) []views.Lesson {
	lessons := make([]views.Lesson, len(list.Videos))
	for i, v := range list.Videos {
		lessons[i] = views.Lesson{Video: v, Views: counts.Of[v.ID]}
	}
	return lessons
}
