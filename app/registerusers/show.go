package registerusers

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/views"
)

// show is the page that a registration is followed on. Without scripts it loads itself
// again while the work is ours, less often once that takes long; while we wait for the
// person it stands still, and has a link to look again.
func (a *App) show(c echo.Context) error {
	r, err := a.mine(c)
	if err != nil {
		return err
	}
	shown, at, err := a.read(c.Request().Context(), r)
	if err != nil {
		return err
	}
	p := web.Page(c, "Your registration")
	if shown.ConfirmedAt.IsZero() && shown.Rejected == nil { // a mail that failed can still be followed by one that arrives
		p.Live = views.RegistrationPath(r.traceID) + "/live?" + url.Values{"at": {at.String()}}.Encode()
	}
	if !shown.Settled() && shown.SentAt.IsZero() {
		p.Refresh = web.Refresh(shown.Late)
	}
	return web.Render(c, http.StatusOK, views.RegistrationPage(p, shown))
}
