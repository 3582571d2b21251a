package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// newestShown is how many messages the overview lists.
const newestShown = 12

func (a *App) overview(c echo.Context) error {
	ctx := c.Request().Context()
	head, err := a.Store.Head(ctx)
	if err != nil {
		return err
	}
	newest, err := a.Store.Find(ctx, messagestore.Query{Limit: newestShown})
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, views.AdminOverviewPage(web.Page(c, "Admin"), views.AdminOverview{Head: head, Newest: lines(newest)}))
}
