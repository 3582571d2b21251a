package admin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/administration/administrationmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

func (a *App) rebuildRoutes(g *echo.Group) {
	a.page(g, views.AdminRebuildPath, a.rebuilds)
	a.stream(g, livePath(views.AdminRebuildPath), a.rebuildsLive)
	one := views.AdminRebuildPath + "/:name"
	a.page(g, one, a.rebuild)
	a.stream(g, livePath(one), a.rebuildLive)
	a.form(g, one+views.AdminRebuildStart, a.startRebuild)
	a.form(g, one+views.AdminRebuildCompare, a.compareRebuild)
	a.form(g, one+views.AdminRebuildSwitch, a.switchRebuild)
	a.form(g, one+views.AdminRebuildCancel, a.cancelRebuild)
}

// showable are the columns of view data whose values are shown where rows differ: what
// anybody may see, and what lists of the portal show anyway. What is revealed of a message
// is written down, and a difference would be a way around that: so a column that is not
// named here, each new one too, is masked.
var showable = []string{
	"id", "key", "owner_id", "trace_id", "user_id", "video_id",
	"version", "schema_version", "generation", "position", "last_position", "published_position", "registered_position", "singleton",
	"at", "begun_at", "confirmed_at", "ended_at", "last_at", "password_changed_at", "published_at", "queued_at", "registered_at", "sent_at",
	"messages", "sign_ins", "streams", "videos_watched", "viewings", "views",
	"category", "last_type", "stream", "type",
	"confirmed", "ended_reason", "outcome", "roles", "state", "visibility",
	"attempt", "bytes", "captions", "chapters", "description", "duration_ms", "height", "hls", "poster", "renditions", "source", "storyboard", "title", "width",
}

// showRebuild returns a rebuild as pages show it.
func showRebuild(r messagestore.Rebuild) views.AdminRebuild {
	shown := views.AdminRebuild{
		Name: r.Name, Phase: string(r.Phase), UnderWay: r.UnderWay(), By: r.By, Began: r.Began, Ended: r.Ended,
		Percent: r.Percent(), Messages: r.Messages, Rate: r.Rate, Left: r.Left, Error: r.Error,
	}
	for _, p := range r.Projections {
		shown.Projections = append(shown.Projections, views.AdminRebuildProjection(p))
	}
	for _, t := range r.Tables {
		shown.Tables = append(shown.Tables, views.AdminRebuildTable(t))
	}
	for _, stream := range slices.Sorted(maps.Keys(r.Parked)) {
		p := r.Parked[stream]
		shown.Parked = append(shown.Parked, views.AdminParked{Stream: string(stream), Position: p.Position, Error: p.Error, Attempts: p.Attempts})
	}
	if r.Difference != nil {
		shown.Compared = r.Difference.At
		for _, t := range r.Difference.Tables {
			shown.Difference = append(shown.Difference, showDifference(t))
		}
	}
	return shown
}

func showDifference(t messagestore.TableDifference) views.AdminTableDifference {
	d := views.AdminTableDifference{Table: t.Table, Old: t.Old, New: t.New, OnlyOld: t.OnlyOld, OnlyNew: t.OnlyNew, Changed: t.Changed}
	for _, row := range t.Examples {
		one := views.AdminRowDifference{Kind: "changed"}
		var key []string
		for _, c := range row.Key {
			value := c.Old
			if row.OnlyNew {
				value = c.New
			}
			key = append(key, ShownValue(c.Column, value))
		}
		one.Key = strings.Join(key, " ")
		for _, c := range row.Columns {
			one.Columns = append(one.Columns, views.AdminColumnDifference{Column: c.Column, Old: ShownValue(c.Column, c.Old), New: ShownValue(c.Column, c.New)})
		}
		switch {
		case row.OnlyOld:
			one.Kind = "gone"
		case row.OnlyNew:
			one.Kind = "new"
		}
		d.Rows = append(d.Rows, one)
	}
	return d
}

// ShownValue writes a value of a row of the view data where rows differ: "masked" for one that
// not every administrator is to see. That there is none is told of masked columns, too.
func ShownValue(column string, value json.RawMessage) string {
	switch {
	case len(value) == 0:
		return ""
	case string(value) != "null" && !slices.Contains(showable, column):
		return "masked"
	}
	var text string
	if json.Unmarshal(value, &text) == nil && text != "" {
		return text
	}
	return string(value)
}

func (a *App) rebuilds(c echo.Context) error {
	list, err := a.allRebuilds(c.Request().Context())
	if err != nil {
		return err
	}
	p := web.Page(c, "Rebuild")
	p.Live = livePath(views.AdminRebuildPath)
	return web.Render(c, http.StatusOK, views.AdminRebuildsPage(p, list))
}

func (a *App) allRebuilds(ctx context.Context) ([]views.AdminRebuild, error) {
	all, err := a.Rebuilds().All(ctx)
	if err != nil {
		return nil, err
	}
	var list []views.AdminRebuild
	for _, r := range all {
		list = append(list, showRebuild(r))
	}
	slices.SortFunc(list, func(x, y views.AdminRebuild) int { return strings.Compare(x.Name, y.Name) })
	return list, nil
}

// rebuildsLive is woken every second, as the pages of the subscriptions are: a rebuild may
// be another process's.
func (a *App) rebuildsLive(c echo.Context) error {
	return a.followRested(c, []string{subscriptionsTopic}, views.AdminRebuildsID, func() since {
		var before []views.AdminRebuild
		return func(ctx context.Context, _ live.Versions) (templ.Component, live.Versions, error) {
			list, err := a.allRebuilds(ctx)
			if err != nil || reflect.DeepEqual(list, before) {
				return nil, now(), err
			}
			before = list
			return views.Push(views.AdminRebuildsID, views.AdminRebuilds(list)), now(), nil
		}
	})
}

// rebuildOf returns the rebuild that a request is about.
func (a *App) rebuildOf(ctx context.Context, c echo.Context) (messagestore.Rebuild, error) {
	name, err := url.PathUnescape(c.Param("name"))
	if err != nil {
		return messagestore.Rebuild{}, echo.NewHTTPError(http.StatusNotFound)
	}
	r, err := a.Rebuilds().Of(ctx, name)
	if errors.Is(err, messagestore.ErrNoRebuild) {
		err = web.NotFound("There is no view data with this name.")
	}
	return r, err
}

func (a *App) rebuild(c echo.Context) error { return a.rebuildWith(c, http.StatusOK, "") }

func (a *App) rebuildWith(c echo.Context, code int, problem string) error {
	r, err := a.rebuildOf(c.Request().Context(), c)
	if err != nil {
		return err
	}
	if c.Request().Method == http.MethodPost { // it is the page all the same
		if err := a.recordOpened(c, views.AdminRebuildOf(r.Name), nil); err != nil {
			return err
		}
	}
	p := web.Page(c, "Rebuild "+r.Name)
	p.Live = livePath(views.AdminRebuildOf(r.Name))
	return web.Render(c, code, views.AdminRebuildPage(p, showRebuild(r), problem))
}

func (a *App) rebuildLive(c echo.Context) error {
	if _, err := a.rebuildOf(c.Request().Context(), c); err != nil {
		return err
	}
	return a.followRested(c, []string{subscriptionsTopic}, views.AdminRebuildNowID, func() since {
		var told, offered views.AdminRebuild
		return func(ctx context.Context, _ live.Versions) (templ.Component, live.Versions, error) {
			r, err := a.rebuildOf(ctx, c)
			if err != nil {
				return nil, nil, err
			}
			shown := showRebuild(r)
			var parts []templ.Component
			if !reflect.DeepEqual(shown, told) {
				told = shown
				parts = append(parts, views.Push(views.AdminRebuildNowID, views.AdminRebuildNow(shown)))
			}
			// What somebody has ticked stays ticked while only the progress changes.
			if choice := choiceOf(shown); !reflect.DeepEqual(choice, offered) {
				offered = choice
				parts = append(parts, views.Push(views.AdminRebuildChoiceID, views.AdminRebuildChoice(shown)))
			}
			if parts == nil {
				return nil, now(), nil
			}
			return templ.Join(parts...), now(), nil
		}
	})
}

// choiceOf leaves of a rebuild what is shown of it by views.AdminRebuildChoice.
func choiceOf(r views.AdminRebuild) views.AdminRebuild {
	return views.AdminRebuild{Name: r.Name, Phase: r.Phase, UnderWay: r.UnderWay, Parked: r.Parked, Compared: r.Compared, Difference: r.Difference}
}

func (a *App) startRebuild(c echo.Context) error {
	ctx := c.Request().Context()
	r, err := a.rebuildOf(ctx, c)
	if err != nil {
		return err
	}
	if r.UnderWay() && r.Phase != messagestore.RebuildInterrupted {
		return a.rebuildWith(c, http.StatusConflict, "A rebuild is under way already.")
	}
	person, _, err := a.Sessions.Person(c)
	if err != nil {
		return err
	}
	if err := a.record(c, func(adminID string) messagestore.Body {
		return administrationmsg.RebuildStarted{AdminID: adminID, Projection: r.Name}
	}); err != nil {
		return err
	}
	err = a.Rebuilds().Start(ctx, r.Name, person.UserID)
	if errors.Is(err, messagestore.ErrRebuilding) {
		return a.rebuildWith(c, http.StatusConflict, "A rebuild is under way already.")
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.AdminRebuildOf(r.Name))
}

func (a *App) compareRebuild(c echo.Context) error {
	ctx := c.Request().Context()
	r, err := a.rebuildOf(ctx, c)
	if err != nil {
		return err
	}
	err = a.Rebuilds().Compare(ctx, r.Name)
	if errors.Is(err, messagestore.ErrNotReady) {
		return a.rebuildWith(c, http.StatusConflict, "The rebuild is not ready to be compared.")
	}
	if err != nil {
		return err
	}
	return a.afterRebuild(c, r.Name, func(at messagestore.Rebuild) bool {
		return at.Difference == nil || r.Difference == nil || at.Difference.At != r.Difference.At
	})
}

func (a *App) switchRebuild(c echo.Context) error {
	ctx := c.Request().Context()
	r, err := a.rebuildOf(ctx, c)
	if err != nil {
		return err
	}
	switch {
	case r.Phase != messagestore.RebuildReady || r.Difference == nil:
		return a.rebuildWith(c, http.StatusConflict, "The rebuild is not ready to be switched to.")
	case c.FormValue("sure") != "yes":
		return a.rebuildWith(c, http.StatusUnprocessableEntity, "Tick the box to say that you want it: a switch cannot be taken back.")
	}
	var differences []administrationmsg.Difference
	for _, t := range r.Difference.Tables {
		if t.OnlyOld+t.OnlyNew+t.Changed > 0 {
			differences = append(differences, administrationmsg.Difference{Table: t.Table, OnlyOld: t.OnlyOld, OnlyNew: t.OnlyNew, Changed: t.Changed})
		}
	}
	if err := a.record(c, func(adminID string) messagestore.Body {
		return administrationmsg.RebuildSwitched{AdminID: adminID, Projection: r.Name, Differences: differences}
	}); err != nil {
		return err
	}
	err = a.Rebuilds().Switch(ctx, r.Name)
	if errors.Is(err, messagestore.ErrNotReady) {
		return a.rebuildWith(c, http.StatusConflict, "The rebuild is not ready to be switched to.")
	}
	if err != nil {
		return err
	}
	return a.afterRebuild(c, r.Name, func(at messagestore.Rebuild) bool { return !at.UnderWay() || at.Error != "" })
}

func (a *App) cancelRebuild(c echo.Context) error {
	ctx := c.Request().Context()
	r, err := a.rebuildOf(ctx, c)
	if err != nil {
		return err
	}
	if !r.UnderWay() {
		return a.rebuildWith(c, http.StatusConflict, "No rebuild is under way.")
	}
	if err := a.record(c, func(adminID string) messagestore.Body {
		return administrationmsg.RebuildCancelled{AdminID: adminID, Projection: r.Name}
	}); err != nil {
		return err
	}
	err = a.Rebuilds().Cancel(ctx, r.Name)
	if errors.Is(err, messagestore.ErrNoRebuild) {
		return a.rebuildWith(c, http.StatusConflict, "The rebuild had ended already.")
	}
	if err != nil {
		return err
	}
	return a.afterRebuild(c, r.Name, func(at messagestore.Rebuild) bool { return !at.UnderWay() })
}

// afterRebuild waits a moment until what was asked for is done, and leads back to the page,
// which follows it all the same.
func (a *App) afterRebuild(c echo.Context, name string, reached func(messagestore.Rebuild) bool) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 3*time.Second)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for waiting := true; waiting; {
		select {
		case <-look.C:
			r, err := a.rebuildOf(ctx, c)
			waiting = err == nil && !reached(r)
		case <-ctx.Done():
			waiting = false
		}
	}
	return c.Redirect(http.StatusSeeOther, views.AdminRebuildOf(name))
}
