package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/administration/administrationmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

func (a *App) streamRoutes(g *echo.Group) {
	a.page(g, views.AdminStreamsPath, a.streams)
	a.stream(g, livePath(views.AdminStreamsPath), a.streamsLive)
	a.page(g, views.AdminCategoriesPath, a.categories)
	a.stream(g, livePath(views.AdminCategoriesPath), a.categoriesLive)
	a.page(g, views.AdminTypesPath, a.types)
	a.stream(g, livePath(views.AdminTypesPath), a.typesLive)
}

// streams lists all streams, those of a category, or those that have an id.
func (a *App) streams(c echo.Context) error {
	ctx := c.Request().Context()
	category, id := c.QueryParam("category"), c.QueryParam("id")
	if !isText(category) || !isText(id) {
		return web.NotFound("No stream can have that.")
	}
	p, err := pageOfQuery(c)
	if err != nil {
		return err
	}
	version, err := a.Summary.Version(ctx)
	if err != nil {
		return err
	}
	shown, page := views.AdminStreams{Title: "Streams"}, web.Page(c, "Streams")
	if id != "" {
		found, err := a.streamsWith(ctx, id)
		if err != nil {
			return err
		}
		shown.Title, shown.Streams = "Streams of "+id, streamLines(found)
		return web.Render(c, http.StatusOK, views.AdminStreamsPage(page, shown))
	}
	if category != "" {
		shown.Title = "Streams of " + category
	}
	found, p, err := read(p, perPage, func(p pageOf, limit int) ([]adminsummary.Stream, error) {
		return a.Summary.Streams(ctx, messagestore.Category(category), adminsummary.Page{Before: p.before, After: p.after, Limit: limit})
	})
	if err != nil {
		return err
	}
	shown.NewerURL, shown.OlderURL = found.urls(c, func(s adminsummary.Stream) int64 { return s.LastPosition })
	shown.Streams = streamLines(found.lines)
	if p.first() {
		top := int64(0)
		if len(found.lines) > 0 {
			top = found.lines[0].LastPosition
		}
		page.Live = liveURL(c, top, version)
	}
	return web.Render(c, http.StatusOK, views.AdminStreamsPage(page, shown))
}

func (a *App) streamsLive(c echo.Context) error {
	person, _, err := a.Sessions.Person(c)
	if err != nil {
		return err
	}
	category, own := c.QueryParam("category"), administrationmsg.Category.Stream(person.UserID)
	return a.newer(c, []string{adminsummary.StreamsTopic}, views.Newer{One: "stream has newer messages", Many: "streams have newer messages"},
		func(ctx context.Context, top int64, limit int) (int, error) {
			list, err := a.Summary.Streams(ctx, messagestore.Category(category), adminsummary.Page{After: top, Limit: limit})
			// That the page was opened is no news to whoever opened it.
			list = slices.DeleteFunc(list, func(s adminsummary.Stream) bool { return s.Stream == own })
			return len(list), err
		})
}

// streamsWith returns the streams of all categories that have an id.
func (a *App) streamsWith(ctx context.Context, id string) ([]adminsummary.Stream, error) {
	categories, err := a.Summary.Categories(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]messagestore.Stream, len(categories))
	for i, c := range categories {
		names[i] = c.Category.Stream(id)
	}
	return a.Summary.Existing(ctx, names)
}

func streamLines(list []adminsummary.Stream) []views.AdminStream {
	shown := make([]views.AdminStream, len(list))
	for i, s := range list {
		shown[i] = views.AdminStream{
			Stream: string(s.Stream), Category: string(s.Category), Messages: s.Messages, LastType: s.LastType, LastPosition: s.LastPosition, LastAt: s.LastAt,
		}
	}
	return shown
}

func (a *App) categories(c echo.Context) error {
	ctx := c.Request().Context()
	list, now, err := a.allCategories(ctx)
	if err != nil {
		return err
	}
	p := web.Page(c, "Categories")
	p.Live = livePath(views.AdminCategoriesPath) + at(now)
	return web.Render(c, http.StatusOK, views.AdminCategoriesPage(p, list))
}

func (a *App) categoriesLive(c echo.Context) error {
	return follows(a, c, adminsummary.CategoriesTopic, a.allCategories, func(list []views.AdminCategory) templ.Component {
		return views.Push(views.AdminCategoriesID, views.AdminCategories(list))
	})
}

func (a *App) allCategories(ctx context.Context) ([]views.AdminCategory, live.Versions, error) {
	version, err := a.Summary.Version(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := a.Summary.Categories(ctx)
	if err != nil {
		return nil, nil, err
	}
	list := make([]views.AdminCategory, len(all))
	for i, c := range all {
		list[i] = views.AdminCategory{Category: string(c.Category), Streams: c.Streams, Messages: c.Messages, LastPosition: c.LastPosition, LastAt: c.LastAt}
	}
	return list, live.Versions{adminsummary.Name: version}, nil
}

func (a *App) types(c echo.Context) error {
	list, now, err := a.allTypes(c.Request().Context())
	if err != nil {
		return err
	}
	p := web.Page(c, "Types")
	p.Live = livePath(views.AdminTypesPath) + at(now)
	return web.Render(c, http.StatusOK, views.AdminTypesPage(p, list))
}

func (a *App) typesLive(c echo.Context) error {
	return follows(a, c, adminsummary.TypesTopic, a.allTypes, func(list []views.AdminType) templ.Component {
		return views.Push(views.AdminTypesID, views.AdminTypes(list))
	})
}

func (a *App) allTypes(ctx context.Context) ([]views.AdminType, live.Versions, error) {
	version, err := a.Summary.Version(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := a.Summary.Types(ctx)
	if err != nil {
		return nil, nil, err
	}
	list := make([]views.AdminType, len(all))
	for i, t := range all {
		list[i] = views.AdminType{
			Type: t.Type, Category: string(t.Category), SchemaVersion: t.SchemaVersion, Messages: t.Messages, LastPosition: t.LastPosition, LastAt: t.LastAt,
		}
	}
	return list, live.Versions{adminsummary.Name: version}, nil
}

// at is the query of a page's stream that says what the page shows.
func at(now live.Versions) string { return "?" + url.Values{"at": {now.String()}}.Encode() }

// follows serves the stream of a page that shows a list as a whole, and shows it again
// when it is another.
func follows[T comparable](a *App, c echo.Context, topic string, read func(context.Context) ([]T, live.Versions, error), push func([]T) templ.Component) error {
	return a.followRested(c, []string{topic}, views.AdminBodyID, func() since {
		var shown []T
		return func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
			list, now, err := read(ctx)
			if err != nil || slices.Equal(list, shown) || shown == nil && now[adminsummary.Name] == at[adminsummary.Name] {
				return nil, now, err
			}
			shown = list
			return push(list), now, nil
		}
	})
}
