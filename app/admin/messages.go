package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

const (
	perPage      = 50
	perTracePage = 200 // so that most traces are seen as a whole
	mostNewer    = 100 // messages above a list that are counted
)

func (a *App) messageRoutes(g *echo.Group) {
	for path, of := range lists {
		a.page(g, path, func(c echo.Context) error { return a.list(c, of) })
		a.stream(g, livePath(path), func(c echo.Context) error { return a.listLive(c, of) })
	}
}

// list says which messages a page lists: those of which a field is the parameter of its
// path.
type list struct {
	section string
	query   func(c echo.Context) (messagestore.Query, error)
	limit   int
	// describe tells of all of them; it may be nil.
	describe func(a *App, ctx context.Context, q messagestore.Query, l *views.AdminList) error
	// none is told where there are none; empty where that is nothing special.
	none string
	// drawn says that they are drawn as a picture, too.
	drawn bool
}

var lists = map[string]list{
	views.AdminMessagesPath: {
		section: views.AdminMessagesPath, limit: perPage, query: filtered,
		describe: func(_ *App, _ context.Context, q messagestore.Query, l *views.AdminList) error {
			l.Title = "Messages"
			if q == (messagestore.Query{}) {
				l.Links = []views.Link{
					{Name: "By type", URL: views.AdminTypesPath}, {Name: "By category", URL: views.AdminCategoriesPath},
					{Name: "By stream", URL: views.AdminStreamsPath}, {Name: "By person", URL: views.AdminUsersPath},
				}
			}
			for _, f := range filters {
				if value := *f.of(&q); value != "" {
					l.Facts = append(l.Facts, views.Fact{Name: "Only of " + f.name, Value: value})
					l.Links = append(l.Links, views.Link{Name: "Show all messages", URL: views.AdminMessagesPath})
				}
			}
			return nil
		},
	},
	views.AdminStreamPath(":streamName"): {
		section: views.AdminStreamsPath, limit: perPage, none: "There is no such stream.",
		query: named("streamName", func(q *messagestore.Query, name string) { q.Stream = messagestore.Stream(name) }),
		describe: func(a *App, ctx context.Context, q messagestore.Query, l *views.AdminList) error {
			l.Title = string(q.Stream)
			l.Links = []views.Link{{Name: "Category", URL: views.AdminCategoryPath(string(q.Stream.Category()))}}
			s, err := a.Summary.Stream(ctx, q.Stream)
			if errors.Is(err, adminsummary.ErrNotFound) {
				return nil // it is counted in a moment
			}
			l.Facts = []views.Fact{{Name: "Messages", Value: strconv.FormatInt(s.Messages, 10)}}
			return err
		},
	},
	views.AdminCategoryPath(":category"): {
		section: views.AdminCategoriesPath, limit: perPage, none: "There is no such category.",
		query: named("category", func(q *messagestore.Query, name string) { q.Category = messagestore.Category(name) }),
		describe: func(a *App, ctx context.Context, q messagestore.Query, l *views.AdminList) error {
			l.Title = string(q.Category)
			l.Links = []views.Link{{Name: "Streams of this category", URL: views.AdminStreamsOf(string(q.Category))}}
			of, err := a.Summary.Category(ctx, q.Category)
			if errors.Is(err, adminsummary.ErrNotFound) {
				return nil // it is counted in a moment
			}
			l.Facts = []views.Fact{{Name: "Streams", Value: strconv.FormatInt(of.Streams, 10)}, {Name: "Messages", Value: strconv.FormatInt(of.Messages, 10)}}
			return err
		},
	},
	views.AdminTypeMessagesPath(":type"): {
		section: views.AdminTypesPath, limit: perPage, none: "There is no message of this type.",
		query: named("type", func(q *messagestore.Query, name string) { q.Type = name }),
		describe: func(_ *App, _ context.Context, q messagestore.Query, l *views.AdminList) error {
			l.Title = q.Type
			return nil
		},
	},
	views.AdminUserMessagesPath(":userId"): {
		section: views.AdminUsersPath, limit: perPage,
		query: named("userId", func(q *messagestore.Query, name string) { q.UserID = name }),
		describe: func(_ *App, _ context.Context, q messagestore.Query, l *views.AdminList) error {
			l.Title = "Messages by a person"
			l.Facts = []views.Fact{{Name: "Person", Value: q.UserID}}
			l.Links = []views.Link{{Name: "See the person", URL: views.AdminUserPath(q.UserID)}}
			return nil
		},
	},
	views.AdminTracePath(":traceId"): {
		section: views.AdminMessagesPath, limit: perTracePage, none: "There is no message of this trace.", drawn: true,
		query: named("traceId", func(q *messagestore.Query, name string) { q.TraceID = name }),
		describe: func(_ *App, _ context.Context, q messagestore.Query, l *views.AdminList) error {
			l.Title = "Trace"
			l.Facts = []views.Fact{{Name: "Id", Value: q.TraceID}}
			return nil
		},
	},
}

// param returns a parameter of the path as whoever linked to it meant it; ok is false for
// what no message can hold.
func param(c echo.Context, name string) (value string, ok bool) {
	value = c.Param(name)
	if c.Request().URL.RawPath != "" { // the router took that, as it stands
		var err error
		if value, err = url.PathUnescape(value); err != nil {
			return "", false
		}
	}
	return value, isText(value)
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func named(name string, set func(q *messagestore.Query, name string)) func(echo.Context) (messagestore.Query, error) {
	return func(c echo.Context) (q messagestore.Query, err error) {
		value, ok := param(c, name)
		if !ok || value == "" {
			return q, web.NotFound("No message can have that.")
		}
		set(&q, value)
		return q, nil
	}
}

// filters are the fields of a query in the address of the list of all messages.
var filters = []struct {
	name string
	of   func(q *messagestore.Query) *string
}{
	{"stream", func(q *messagestore.Query) *string { return (*string)(&q.Stream) }},
	{"category", func(q *messagestore.Query) *string { return (*string)(&q.Category) }},
	{"type", func(q *messagestore.Query) *string { return &q.Type }},
	{"trace", func(q *messagestore.Query) *string { return &q.TraceID }},
	{"user", func(q *messagestore.Query) *string { return &q.UserID }},
}

// filtered takes the first filter that is there.
func filtered(c echo.Context) (q messagestore.Query, err error) {
	for _, f := range filters {
		value := c.QueryParam(f.name)
		if value == "" {
			continue
		}
		if !isText(value) {
			return q, web.NotFound("No message can have that.")
		}
		*f.of(&q) = value
		return q, nil
	}
	return q, nil
}

// pageOf is the part of a list that an address asks for.
type pageOf struct{ before, after int64 }

func pageOfQuery(c echo.Context) (p pageOf, err error) {
	for name, to := range map[string]*int64{"before": &p.before, "after": &p.after} {
		text := c.QueryParam(name)
		if text == "" {
			continue
		}
		if *to, err = strconv.ParseInt(text, 10, 64); err != nil || *to < 0 {
			return p, web.NotFound("This part of the list does not exist.")
		}
	}
	return p, nil
}

// first reports whether it is the part that has the newest.
func (p pageOf) first() bool { return p.before == 0 && p.after == 0 }

// part is what there is at a page: its lines, the newest first, and whether there are
// others on both sides.
type part[T any] struct {
	lines        []T
	newer, older bool
}

// read reads a page of lines by their positions. find returns up to a number of lines,
// the newest first. A page that reaches up to the newest is the first one.
func read[T any](p pageOf, limit int, find func(p pageOf, limit int) ([]T, error)) (part[T], pageOf, error) {
	list, err := find(p, limit+1)
	if err != nil {
		return part[T]{}, p, err
	}
	more := len(list) > limit
	switch {
	case p.after != 0 && !more:
		return read(pageOf{}, limit, find)
	case p.after != 0:
		return part[T]{lines: list[1:], newer: true, older: true}, p, nil
	}
	return part[T]{lines: list[:min(len(list), limit)], newer: p.before != 0, older: more}, p, nil
}

// urls are the addresses of the neighbouring pages.
func (p part[T]) urls(c echo.Context, position func(T) int64) (newer, older string) {
	if len(p.lines) == 0 {
		if p.newer {
			return elsewhere(c, "", 0), ""
		}
		return "", ""
	}
	if p.newer {
		newer = elsewhere(c, "after", position(p.lines[0]))
	}
	if p.older {
		older = elsewhere(c, "before", position(p.lines[len(p.lines)-1]))
	}
	return newer, older
}

// elsewhere is the address of another part of the same list; without a name it is the first.
func elsewhere(c echo.Context, name string, position int64) string {
	query := c.QueryParams()
	kept := url.Values{}
	for _, key := range naming {
		if query.Has(key) {
			kept.Set(key, query.Get(key))
		}
	}
	if name != "" {
		kept.Set(name, strconv.FormatInt(position, 10))
	}
	path := c.Request().URL.EscapedPath()
	if len(kept) > 0 {
		path += "?" + kept.Encode()
	}
	return path
}

// list answers with a page of messages. It never reads what they hold.
func (a *App) list(c echo.Context, of list) error {
	ctx := c.Request().Context()
	q, err := of.query(c)
	if err != nil {
		return err
	}
	p, err := pageOfQuery(c)
	if err != nil {
		return err
	}
	version, err := a.Summary.Version(ctx) // first: what comes while we read is told again
	if err != nil {
		return err
	}
	found, p, err := read(p, of.limit, func(p pageOf, limit int) ([]messagestore.Raw, error) {
		part := q
		part.Before, part.After, part.Limit = p.before, p.after, limit
		return a.Store.Find(ctx, part)
	})
	if err != nil {
		return err
	}
	if len(found.lines) == 0 && p.first() && of.none != "" {
		return web.NotFound(of.none)
	}
	shown := views.AdminList{Section: of.section}
	if err := of.describe(a, ctx, q, &shown); err != nil {
		return err
	}
	shown.NewerURL, shown.OlderURL = found.urls(c, globalPosition)
	top := int64(0)
	if len(found.lines) > 0 {
		top = found.lines[0].GlobalPosition
	}
	if q.TraceID != "" && p.first() && !found.older { // the whole of it, as it happened
		slices.Reverse(found.lines)
		shown.OldestFirst = true
	}
	shown.Messages = lines(found.lines)
	if of.drawn {
		shown.Picture = a.tracePicture(ctx, q.TraceID, found.lines)
	}
	page := web.Page(c, shown.Title)
	if p.first() {
		page.Live = liveURL(c, top, version)
	}
	return web.Render(c, http.StatusOK, views.AdminListPage(page, shown))
}

func globalPosition(m messagestore.Raw) int64 { return m.GlobalPosition }

// livePath is the path of the event stream of a page. It stands before the names of things,
// because a thing may be named "live".
func livePath(path string) string { return views.AdminPath + "/live" + below(path) }

// liveURL is the address of the stream of a list that begins at a position.
func liveURL(c echo.Context, top, version int64) string {
	own, query, _ := strings.Cut(elsewhere(c, "top", top), "?")
	return livePath(own) + "?" + query + "&" + url.Values{"at": {live.Versions{adminsummary.Name: version}.String()}}.Encode()
}

// listLive is the stream of a page of messages: it tells how many there are above it.
func (a *App) listLive(c echo.Context, of list) error {
	q, err := of.query(c)
	if err != nil {
		return err
	}
	if of.drawn {
		return a.traceLive(c, q.TraceID)
	}
	return a.newer(c, []string{adminsummary.CategoriesTopic}, views.Newer{One: "newer message", Many: "newer messages"},
		func(ctx context.Context, top int64, limit int) (int, error) {
			q.After, q.Limit = top, limit
			list, err := a.Store.Find(ctx, q)
			return len(list), err
		})
}

// newer serves the stream of a list that tells how much there is above its first line.
func (a *App) newer(c echo.Context, topics []string, words views.Newer, count func(ctx context.Context, top int64, limit int) (int, error)) error {
	top, err := strconv.ParseInt(c.QueryParam("top"), 10, 64)
	if err != nil || top < 0 {
		return web.NotFound("This part of the list does not exist.")
	}
	words.URL = views.AdminPath + strings.TrimPrefix(elsewhere(c, "", 0), livePath(views.AdminPath))
	words.Most = mostNewer
	return a.followRested(c, topics, views.AdminBodyID, func() since {
		told := 0
		return func(ctx context.Context, _ live.Versions) (templ.Component, live.Versions, error) {
			version, err := a.Summary.Version(ctx)
			if err != nil {
				return nil, nil, err
			}
			now := live.Versions{adminsummary.Name: version}
			if told > words.Most {
				return nil, now, nil // which is all that there is to tell
			}
			n, err := count(ctx, top, words.Most+1)
			if err != nil {
				return nil, nil, err
			}
			if n == told {
				return nil, now, nil
			}
			told, words.Count = n, n
			return views.Push(views.AdminNewerID, views.AdminNewer(words)), now, nil
		}
	})
}

// lines are messages as lists show them.
func lines(list []messagestore.Raw) []views.AdminMessage {
	shown := make([]views.AdminMessage, len(list))
	for i, m := range list {
		shown[i] = line(m)
	}
	return shown
}

func line(m messagestore.Raw) views.AdminMessage {
	origin := originOf(m)
	return views.AdminMessage{
		ID: m.ID, Stream: string(m.Stream), Category: string(m.Stream.Category()), Type: m.Type,
		Position: m.Position, GlobalPosition: m.GlobalPosition, At: m.Time.Round(time.Millisecond), UserID: origin.user, TraceID: origin.trace,
	}
}

// origin is what the metadata of a message says, as far as it says it in a form that can be
// read: others than ours may write to the store.
type origin struct {
	user, trace string
	cause       int64 // global position; 0 for none
}

func originOf(m messagestore.Raw) (o origin) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(m.RawMetadata, &fields) != nil {
		return o
	}
	// One after the other: a field of another kind hides only itself.
	json.Unmarshal(fields["userId"], &o.user)
	json.Unmarshal(fields["traceId"], &o.trace)
	if json.Unmarshal(fields["causationMessageGlobalPosition"], &o.cause) != nil {
		o.cause = 0
	}
	return o
}
