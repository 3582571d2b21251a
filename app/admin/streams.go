package admin

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
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
		found, err := a.Summary.With(ctx, id)
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

func streamLines(list []adminsummary.Stream) []views.AdminStream {
	shown := make([]views.AdminStream, len(list))
	for i, s := range list {
		shown[i] = views.AdminStream{
			Stream: string(s.Stream), Category: string(s.Category), Messages: s.Messages, LastType: s.LastType, LastPosition: s.LastPosition, LastAt: s.LastAt,
		}
	}
	return shown
}

// perNames is how many categories or types a page lists, by their names.
const perNames = 200

// firstNames is how many of them are offered as a choice or counted on a page about something
// else.
const firstNames = 1000

// names are a part of a list that is in the order of names.
type names[T any] struct {
	Lines []T
	views.AdminPart
}

func (a *App) categories(c echo.Context) error {
	return byName(a, c, "Categories", a.categoriesOf(c), views.AdminCategoriesPage)
}

func (a *App) categoriesLive(c echo.Context) error {
	return follows(a, c, adminsummary.CategoriesTopic, a.categoriesOf(c), func(list []views.AdminCategory, part views.AdminPart) templ.Component {
		return views.Push(views.AdminCategoriesID, views.AdminCategories(list, part))
	})
}

// categoriesOf reads the part of the list of categories that an address asks for.
func (a *App) categoriesOf(c echo.Context) func(context.Context) (names[views.AdminCategory], error) {
	after := c.QueryParam(afterParam)
	return func(ctx context.Context) (shown names[views.AdminCategory], err error) {
		list, err := a.Summary.Categories(ctx, after, perNames+1)
		if len(list) > perNames {
			list = list[:perNames]
			shown.NextURL = nextPart(views.AdminCategoriesPath, string(list[perNames-1].Category))
		}
		for _, c := range list {
			shown.Lines = append(shown.Lines, views.AdminCategory{Category: string(c.Category), Streams: c.Streams, Messages: c.Messages, LastPosition: c.LastPosition, LastAt: c.LastAt})
		}
		if after != "" {
			shown.FirstURL = views.AdminCategoriesPath
		}
		return shown, err
	}
}

func (a *App) types(c echo.Context) error {
	return byName(a, c, "Types", a.typesOf(c), views.AdminTypesPage)
}

func (a *App) typesLive(c echo.Context) error {
	return follows(a, c, adminsummary.TypesTopic, a.typesOf(c), func(list []views.AdminType, part views.AdminPart) templ.Component {
		return views.Push(views.AdminTypesID, views.AdminTypes(list, part))
	})
}

// typesOf reads the part of the list of types that an address asks for, by the key of the
// type before: a name may be a megabyte.
func (a *App) typesOf(c echo.Context) func(context.Context) (names[views.AdminType], error) {
	after := c.QueryParam(afterParam)
	return func(ctx context.Context) (shown names[views.AdminType], err error) {
		list, err := a.Summary.Types(ctx, after, perNames+1)
		if len(list) > perNames {
			list = list[:perNames]
			shown.NextURL = nextPart(views.AdminTypesPath, list[perNames-1].Key)
		}
		for _, t := range list {
			shown.Lines = append(shown.Lines, views.AdminType{
				Type: t.Type, Category: string(t.Category), SchemaVersion: t.SchemaVersion, Messages: t.Messages, LastPosition: t.LastPosition, LastAt: t.LastAt,
			})
		}
		if after != "" {
			shown.FirstURL = views.AdminTypesPath
		}
		return shown, err
	}
}

// afterParam is the field of a query that names the line before a part of a list.
const afterParam = "after"

func nextPart(path, after string) string {
	return path + "?" + url.Values{afterParam: {after}}.Encode()
}

// byName answers with a page that lists things by their names.
func byName[T any](a *App, c echo.Context, title string, read func(context.Context) (names[T], error), show func(views.Page, []T, views.AdminPart) templ.Component) error {
	ctx := c.Request().Context()
	version, err := a.Summary.Version(ctx)
	if err != nil {
		return err
	}
	list, err := read(ctx)
	if err != nil {
		return err
	}
	if len(list.Lines) == 0 && list.FirstURL != "" {
		return web.NotFound("This part of the list does not exist.")
	}
	p := web.Page(c, title)
	query := url.Values{"at": {live.Versions{adminsummary.Name: version}.String()}}
	if after := c.QueryParam(afterParam); after != "" {
		query.Set(afterParam, after)
	}
	p.Live = livePath(c.Path()) + "?" + query.Encode()
	return web.Render(c, http.StatusOK, show(p, list.Lines, list.AdminPart))
}

// at is the query of a page's stream that says what the page shows.
func at(now live.Versions) string { return "?" + url.Values{"at": {now.String()}}.Encode() }

// follows serves the stream of a page that shows a list as a whole, and shows it again
// when it is another.
func follows[T any](a *App, c echo.Context, topic string, read func(context.Context) (names[T], error), push func([]T, views.AdminPart) templ.Component) error {
	return a.followRested(c, []string{topic}, views.AdminBodyID, func() since {
		var shown names[T]
		told := false
		return func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
			version, err := a.Summary.Version(ctx)
			if err != nil {
				return nil, nil, err
			}
			now := live.Versions{adminsummary.Name: version}
			list, err := read(ctx)
			if err != nil || told && reflect.DeepEqual(list, shown) || !told && version == at[adminsummary.Name] {
				return nil, now, err
			}
			told, shown = true, list
			return push(list.Lines, list.AdminPart), now, nil
		}
	})
}
