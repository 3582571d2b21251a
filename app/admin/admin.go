// Package admin is the portal of those who run the site: they see every message, and mend
// what waits. Whatever page they open and whatever masked data they are shown is itself
// written down before it is answered.
package admin

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/aggregators/signins"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/app/trace"
	"videotutorials/app/web"
	"videotutorials/components/administration/administrationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// Config is what the portal looks into.
type Config struct {
	Store    *messagestore.Store
	Users    usercredentials.Queries
	SignIns  signins.Queries
	Sessions *web.Sessions
	Hub      *live.Hub
	// Summary counts what there is in the store.
	Summary adminsummary.Queries
	// Subscriptions returns those of this process.
	Subscriptions func() *messagestore.Subscriptions
	// Processes returns those that run the system now; it may be nil.
	Processes func(context.Context) ([]Process, error)
	// Rebuilds returns those of this process.
	Rebuilds func() *messagestore.Rebuilds
	// Recorder knows what happened between the messages of a trace; it may be nil.
	Recorder *trace.Recorder
}

// App is the application.
type App struct {
	Config
	feed    *live.Feed
	samples samples
	running processes
	tails   wakes
	traces  traces
}

// New returns the application.
func New(c Config) *App {
	a := &App{Config: c, feed: c.Hub.Personal()}
	if c.Recorder != nil {
		c.Recorder.Changed(a.traceChanged)
	}
	return a
}

// Routes adds the application's routes. Nothing below the portal's path answers anybody but
// administrators, not even that it is not there.
func (a *App) Routes(e *echo.Echo) {
	g := e.Group(views.AdminPath, a.Sessions.Has(identitymsg.Admin))
	a.overviewRoutes(g)
	a.messageRoutes(g)
	a.oneMessageRoutes(g)
	a.streamRoutes(g)
	a.userRoutes(g)
	a.searchRoutes(g)
	a.subscriptionRoutes(g)
	a.rebuildRoutes(g)
	a.contractRoutes(g)
	a.tailRoutes(g)
}

// page adds a page, which is written down when it is opened. Its path is that of the site.
func (a *App) page(g *echo.Group, path string, handler echo.HandlerFunc) {
	g.Match([]string{http.MethodGet, http.MethodHead}, below(path), handler, web.InTime, a.opened)
}

// stream adds the event stream of a page.
func (a *App) stream(g *echo.Group, path string, handler echo.HandlerFunc) {
	g.GET(below(path), handler)
}

// form adds what takes a form. What it does, it writes down itself.
func (a *App) form(g *echo.Group, path string, handler echo.HandlerFunc) {
	g.POST(below(path), handler, web.InTime)
}

// back leads from the address of a form to the page that the form stands on: what the form
// shows has that address, and may be loaded again.
func (a *App) back(g *echo.Group, path string, page func(id string) string) {
	g.Match([]string{http.MethodGet, http.MethodHead}, below(path), func(c echo.Context) error {
		return c.Redirect(http.StatusSeeOther, page(c.Param("id")))
	})
}

func below(path string) string { return strings.TrimPrefix(path, views.AdminPath) }

// longestPath is how much of a path is written down, and of each value of a filter, in bytes.
const longestPath = 500

// naming are the fields of a query that name what a page shows.
var naming = []string{"stream", "category", "type", "trace", "user", "id"}

// opened writes down that an administrator opens a page.
func (a *App) opened(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path := c.Request().URL.EscapedPath()
		if strings.Contains(c.Request().URL.Path, "@") {
			path = c.Path() // an address is no name of a page, whatever somebody types
		}
		var filter map[string]string
		for _, name := range naming {
			value := c.QueryParam(name)
			if value == "" || !isText(value) || strings.ContainsAny(value, "@\uff20") {
				continue
			}
			if filter == nil {
				filter = map[string]string{}
			}
			filter[name] = beginning(value)
		}
		if err := a.recordOpened(c, path, filter); err != nil {
			return err
		}
		return next(c)
	}
}

// recordOpened writes down that a page is shown.
func (a *App) recordOpened(c echo.Context, path string, filter map[string]string) error {
	return a.record(c, func(adminID string) messagestore.Body {
		return administrationmsg.PageOpened{AdminID: adminID, Path: beginning(path), Filter: filter}
	})
}

// beginning is as much of a text as is written down.
func beginning(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), longestPath)], "")
}

// record writes down what the administrator does who asks. Only when that is done may it
// be answered.
func (a *App) record(c echo.Context, event func(adminID string) messagestore.Body) error {
	person, _, err := a.Sessions.Person(c)
	if err != nil {
		return err
	}
	_, err = a.Store.Write(c.Request().Context(), administrationmsg.Category.Stream(person.UserID), event(person.UserID), a.by(c, person))
	return err
}

// by is the metadata of what an administrator writes in a request.
func (a *App) by(c echo.Context, admin web.Person) messagestore.WriteOption {
	return messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c), UserID: admin.UserID})
}

// since returns what a page does not show yet; see [live.Page].
type since func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error)

// follow serves the stream of a page. Before each push it asks again whether this is still
// an administrator who is signed in; once it is not, the page says so in place of the
// element with an id, and shows nothing new.
func (a *App) follow(c echo.Context, topics []string, id string, since since) error {
	return a.feed.Serve(c, a.livePage(c, topics, id, since))
}

// restOfPages is the least time between two pushes to a page: nobody reads faster, and at
// thousands of messages a second there would be as many.
const restOfPages = 250 * time.Millisecond

// followRested is follow for a page that rests between two pushes. What its since remembers
// is what it told last; begin makes one that has told nothing.
func (a *App) followRested(c echo.Context, topics []string, id string, begin func() since) error {
	var since since
	var told live.Versions // by since, nil for nothing
	page := a.livePage(c, topics, id, func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
		// A page that has not what was told last missed it, or is from another process, or from before
		// the view data were made anew.
		if told == nil || !maps.Equal(at, told) {
			since = begin()
		}
		component, now, err := since(ctx, at)
		told = now
		if err != nil {
			told = nil
		}
		return component, now, err
	})
	page.Rest = restOfPages
	return a.feed.Serve(c, page)
}

func (a *App) livePage(c echo.Context, topics []string, id string, since since) live.Page {
	return live.Page{Topics: topics, Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
		person, goesOn, err := a.Sessions.Again(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		if !goesOn || !slices.Contains(person.Roles, identitymsg.Admin) {
			return views.Push(id, views.AdminOver(id)), at, nil
		}
		return since(ctx, at)
	}}
}
