package admin

import (
	"context"
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// newestShown is how many messages the overview lists.
const newestShown = 12

func (a *App) overviewRoutes(g *echo.Group) {
	a.page(g, views.AdminPath, a.overview)
	a.stream(g, livePath(views.AdminPath), a.overviewLive)
}

func (a *App) overview(c echo.Context) error {
	shown, now, err := a.overviewNow(c.Request().Context())
	if err != nil {
		return err
	}
	p := web.Page(c, "Admin")
	p.Live = livePath(views.AdminPath) + at(now)
	return web.Render(c, http.StatusOK, views.AdminOverviewPage(p, shown))
}

func (a *App) overviewLive(c echo.Context) error {
	return a.followRested(c, []string{adminsummary.CategoriesTopic}, views.AdminBodyID, func() since {
		return func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
			shown, now, err := a.overviewNow(ctx)
			if err != nil || now[adminsummary.Name] == at[adminsummary.Name] {
				return nil, now, err
			}
			return views.Push(views.AdminNowID, views.AdminNow(shown)), now, nil
		}
	})
}

func (a *App) overviewNow(ctx context.Context) (views.AdminOverview, live.Versions, error) {
	version, err := a.Summary.Version(ctx)
	if err != nil {
		return views.AdminOverview{}, nil, err
	}
	all, err := a.Summary.Totals(ctx)
	if err != nil {
		return views.AdminOverview{}, nil, err
	}
	shown := views.AdminOverview{Messages: all.Messages, Streams: all.Streams, Categories: all.Categories}
	newest, err := a.Store.Find(ctx, messagestore.Query{Limit: newestShown})
	if err != nil {
		return views.AdminOverview{}, nil, err
	}
	if len(newest) > 0 {
		shown.Head = newest[0].GlobalPosition
	}
	shown.Newest = lines(newest)
	return shown, live.Versions{adminsummary.Name: version}, nil
}
