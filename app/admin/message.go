package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"videotutorials/app/contracts"
	"videotutorials/app/web"
	"videotutorials/components/administration/administrationmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// effectsShown is how many of the messages that one led to its page lists.
const effectsShown = 50

func (a *App) oneMessageRoutes(g *echo.Group) {
	a.page(g, views.AdminMessagePath(":id"), a.message)
	a.form(g, views.AdminRevealMessagePath(":id"), a.revealMessage)
	a.back(g, views.AdminRevealMessagePath(":id"), views.AdminMessagePath)
}

// one returns the message that the path names.
func (a *App) one(c echo.Context) (messagestore.Raw, error) {
	m, err := a.Store.ByID(c.Request().Context(), c.Param("id"))
	if errors.Is(err, messagestore.ErrNoMessage) {
		err = web.NotFound("There is no message with this id.")
	}
	return m, err
}

func (a *App) message(c echo.Context) error {
	m, err := a.one(c)
	if err != nil {
		return err
	}
	return a.showMessage(c, m, false)
}

// revealMessage shows what is masked of a message, once that is written down. It is shown
// in this answer and nowhere else.
func (a *App) revealMessage(c echo.Context) error {
	m, err := a.one(c)
	if err != nil {
		return err
	}
	if _, masked := contracts.Mask(m); len(masked) > 0 {
		err := a.record(c, func(adminID string) messagestore.Body {
			return administrationmsg.DataRevealed{AdminID: adminID, MessageID: m.ID, Fields: masked}
		})
		if err != nil {
			return err
		}
	}
	return a.showMessage(c, m, true)
}

func (a *App) showMessage(c echo.Context, m messagestore.Raw, revealed bool) error {
	shown, err := a.describe(c.Request().Context(), m)
	if err != nil {
		return err
	}
	whole := c.QueryParams().Has("whole")
	masked, names := contracts.Mask(m)
	shown.Masked = names
	shown.Data = views.Data{JSON: masked, Masks: len(names) > 0, Mask: contracts.Masked, Whole: whole}
	if revealed && len(names) > 0 {
		shown.Revealed, shown.Data = true, views.Data{JSON: m.Data, Whole: whole}
	}
	shown.Metadata = views.Data{JSON: m.RawMetadata, Whole: whole}
	if known, ok := contracts.Of(m.Stream.Category(), m.Type); ok {
		shown.Known = known.Doc
	}
	return web.Render(c, http.StatusOK, views.AdminMessagePage(web.Page(c, "Message"), shown))
}

// describe returns what there is about a message beside what it holds.
func (a *App) describe(ctx context.Context, m messagestore.Raw) (views.AdminOne, error) {
	shown := views.AdminOne{AdminMessage: line(m)}
	for _, neighbour := range []struct {
		query messagestore.Query
		to    *string
	}{
		{messagestore.Query{Stream: m.Stream, Before: m.GlobalPosition, Limit: 1}, &shown.PreviousID},
		{messagestore.Query{Stream: m.Stream, After: m.GlobalPosition, Limit: 1}, &shown.NextID},
	} {
		list, err := a.Store.Find(ctx, neighbour.query)
		if err != nil {
			return shown, err
		}
		if len(list) > 0 {
			*neighbour.to = list[0].ID
		}
	}
	cause, found, err := a.atPosition(ctx, originOf(m).cause)
	if err != nil {
		return shown, err
	}
	if found {
		cause := line(cause)
		shown.Cause = &cause
	}
	// What came after it and nearest to it.
	effects, err := a.Store.Find(ctx, messagestore.Query{CausedBy: m.GlobalPosition, After: m.GlobalPosition, Limit: effectsShown + 1})
	if err != nil {
		return shown, err
	}
	slices.Reverse(effects)
	if shown.MoreEffects = len(effects) > effectsShown; shown.MoreEffects {
		effects = effects[:effectsShown]
	}
	shown.Effects = lines(effects)
	return shown, nil
}

// atPosition returns the message at a global position, without what it holds.
func (a *App) atPosition(ctx context.Context, position int64) (m messagestore.Raw, found bool, err error) {
	if position <= 0 || position == 1<<63-1 {
		return m, false, nil
	}
	list, err := a.Store.Find(ctx, messagestore.Query{Before: position + 1, Limit: 1})
	if err != nil || len(list) == 0 || list[0].GlobalPosition != position {
		return m, false, err
	}
	return list[0], true, nil
}
