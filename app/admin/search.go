package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/web"
	"videotutorials/components/administration/administrationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

func (a *App) searchRoutes(g *echo.Group) {
	a.form(g, views.AdminSearchPath, a.search)
	g.Match([]string{http.MethodGet, http.MethodHead}, below(views.AdminSearchPath), func(c echo.Context) error {
		return c.Redirect(http.StatusSeeOther, views.AdminPath)
	})
}

// search leads to what has the name that was typed. It takes a form, because an e-mail
// address may be typed, and those stand in no address of a page, nor in what is written
// down about the search.
func (a *App) search(c echo.Context) error {
	typed := strings.TrimSpace(c.FormValue("q"))
	if typed == "" {
		return c.Redirect(http.StatusSeeOther, views.AdminMessagesPath)
	}
	found, kind := "", "nothing"
	if isText(typed) {
		for _, look := range a.lookups() {
			path, err := look.find(c.Request().Context(), typed)
			if err != nil {
				return err
			}
			if path != "" {
				found, kind = path, look.kind
				break
			}
		}
	}
	err := a.record(c, func(adminID string) messagestore.Body {
		return administrationmsg.SearchMade{AdminID: adminID, Kind: kind}
	})
	if err != nil {
		return err
	}
	if found == "" {
		return web.Render(c, http.StatusNotFound, views.AdminSearchPage(web.Page(c, "Nothing found"), typed))
	}
	return c.Redirect(http.StatusSeeOther, found)
}

// lookup finds the path of what has a name, empty where nothing of its kind has.
type lookup struct {
	kind string
	find func(ctx context.Context, name string) (path string, err error)
}

// lookups are in the order in which they are believed.
func (a *App) lookups() []lookup {
	return []lookup{
		{"address", a.findAddress},
		{"message", a.findMessage},
		{"user", a.findUser},
		{"trace", a.exists(func(q *messagestore.Query, name string) { q.TraceID = name }, views.AdminTracePath)},
		{"stream", a.exists(func(q *messagestore.Query, name string) { q.Stream = messagestore.Stream(name) }, views.AdminStreamPath)},
		{"type", a.exists(func(q *messagestore.Query, name string) { q.Type = name }, views.AdminTypeMessagesPath)},
		{"category", a.exists(func(q *messagestore.Query, name string) { q.Category = messagestore.Category(name) }, views.AdminCategoryPath)},
		{"streams", a.findStreams},
	}
}

// exists finds what at least one message has.
func (a *App) exists(set func(q *messagestore.Query, name string), path func(string) string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, name string) (string, error) {
		q := messagestore.Query{Limit: 1}
		set(&q, name)
		list, err := a.Store.Find(ctx, q)
		if err != nil || len(list) == 0 {
			return "", err
		}
		return path(name), nil
	}
}

func (a *App) findAddress(ctx context.Context, name string) (string, error) {
	normal, err := identitymsg.NormalAddress(name)
	if err != nil {
		return "", nil
	}
	user, err := a.Users.ByAddress(ctx, normal)
	if errors.Is(err, usercredentials.ErrNotFound) {
		return "", nil
	}
	return views.AdminUserPath(user.ID), err
}

// findMessage takes an id or a global position.
func (a *App) findMessage(ctx context.Context, name string) (string, error) {
	if position, err := strconv.ParseInt(name, 10, 64); err == nil {
		m, found, err := a.atPosition(ctx, position)
		if err != nil || !found {
			return "", err
		}
		return views.AdminMessagePath(m.ID), nil
	}
	m, err := a.Store.ByID(ctx, strings.ToLower(name))
	if errors.Is(err, messagestore.ErrNoMessage) {
		return "", nil
	}
	return views.AdminMessagePath(m.ID), err
}

func (a *App) findUser(ctx context.Context, name string) (string, error) {
	id := strings.ToLower(name)
	if !messagestore.ValidID(id) {
		return "", nil
	}
	if _, _, err := a.Users.ByID(ctx, id); !errors.Is(err, usercredentials.ErrNotFound) {
		return views.AdminUserPath(id), err
	}
	_, err := a.Summary.User(ctx, id)
	if errors.Is(err, adminsummary.ErrNotFound) {
		return "", nil
	}
	return views.AdminUserPath(id), err
}

// findStreams takes the id of something that has streams, in whatever category.
func (a *App) findStreams(ctx context.Context, name string) (string, error) {
	list, err := a.Summary.With(ctx, name)
	switch {
	case err != nil || len(list) == 0:
		return "", err
	case len(list) == 1:
		return views.AdminStreamPath(string(list[0].Stream)), nil
	}
	return views.AdminStreamsWith(name), nil
}
